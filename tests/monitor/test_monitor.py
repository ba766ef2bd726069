"""The monitor: silent where nothing changes, awake where risk rises, and the same whatever interrupts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.monitor import SIGNALS, Monitor
from steepslope.monitor.state import Counted, open_state
from tests.monitor.problems import feed, gate, monitor_of, stream

GATE = gate()


@pytest.mark.parametrize("on", SIGNALS)
def test_it_is_silent_without_a_shift_and_knows_how_things_stand(on: str) -> None:
    monitor, rows = monitor_of(GATE, on), stream(30_000, 5)
    judged = feed(monitor, GATE, rows)
    monitor.label(rows.is_correct, judged.accepted)
    assert monitor.alarm is None
    assert (monitor.rows, monitor.accepted) == (30_000, judged.accepted.sum())
    assert monitor.mean("risk") == pytest.approx((1 - judged.p_correct[judged.accepted]).mean(), abs=1e-6)
    low, high = monitor.coverage_interval
    assert low < judged.accepted.mean() < high
    for value in monitor.accuracy.values():
        assert value == pytest.approx(rows.is_correct.mean(), abs=0.02)


def test_overconfidence_raises_an_alarm() -> None:
    monitor = monitor_of(GATE, "overconfidence")
    feed(monitor, GATE, stream(5_000, 1))
    assert not monitor.alarms
    feed(monitor, GATE, stream(5_000, 2, lower=2, sure=2))
    assert monitor.alarm == "overconfidence"
    assert 5_000 < monitor.alarms["overconfidence"] < 6_000


def test_less_confidence_on_both_sides_is_no_overconfidence() -> None:
    """As in a fog: the classifier is less sure, P(correct) falls with it, and the gate accepts less."""
    monitor = monitor_of(GATE, "overconfidence")
    judged = feed(monitor, GATE, stream(20_000, 2, lower=1))
    assert monitor.alarm is None
    assert judged.accepted.mean() < 0.9 * monitor.coverage


def test_a_gate_that_accepts_hardly_anything_any_more_raises_an_alarm() -> None:
    """As in a strong blur, where both the classifier and P(correct) are unsure of nearly all."""
    monitor = monitor_of(GATE, "overconfidence")
    feed(monitor, GATE, stream(3_000, 1))
    judged = feed(monitor, GATE, stream(3_000, 2, lower=4))
    assert judged.accepted.mean() < 0.3 * monitor.coverage
    assert monitor.alarm == "coverage"
    assert 3_000 < monitor.alarms["coverage"] < 3_300


def test_an_estimated_risk_above_the_promise_raises_an_alarm() -> None:
    monitor = monitor_of(GATE, "risk")
    rows = stream(20_000, 1, lower=2).judged(GATE)
    just = rows.p_correct < 0.93  # of the accepted, the least trusted alone
    monitor.update(rows.p_correct[just], rows.accepted[just], rows.probability[just])  # type: ignore[index]
    assert monitor.alarm == "risk"


def test_labels_raise_an_alarm_whatever_is_estimated() -> None:
    monitor, rows = monitor_of(GATE), stream(5_000, 1)
    judged = feed(monitor, GATE, rows)
    used = np.flatnonzero(judged.accepted)[::-1][:1_000]  # late, partial, out of order
    monitor.label(np.arange(1_000) % 8 > 0, judged.accepted[used], used + 1)
    assert monitor.alarm == "labels"
    assert monitor.labelled.mean == 0.125
    assert (monitor.labels, monitor.correct) == (1_000, 875)


def test_labels_of_rows_that_are_not_accepted_count_for_the_accuracy_alone() -> None:
    monitor = monitor_of(GATE)
    feed(monitor, GATE, stream(2_000, 1))
    monitor.label(np.zeros(500, np.bool_), np.zeros(500, np.bool_))
    with pytest.raises(SteepslopeError, match="accepted: expected as many as of is_correct, 500, found others"):
        monitor.label(np.zeros(500, np.bool_), np.zeros(499, np.bool_))
    assert monitor.alarm is None
    assert (monitor.labels, monitor.labelled.count) == (500, 0)


def test_it_is_the_same_however_the_stream_is_cut_and_interrupted(tmp_path: Path) -> None:
    rows = stream(7_000, 3, lower=1, sure=1)
    whole, judged = monitor_of(GATE), rows.judged(GATE)
    feed(whole, GATE, rows)
    monitor = monitor_of(GATE)
    parts: list[Any] = [0, *np.array_split(np.arange(1, 7_000), [1, 2, 500, 3_111, 6_998])]  # 0 alone, as of a server
    for part in parts:
        monitor.update(judged.p_correct[part], judged.accepted[part], rows.probability[part])
        monitor.save(tmp_path / "state.sqlite")
        monitor = Monitor.load(tmp_path / "state.sqlite")
    assert monitor == whole


def test_a_file_that_knows_ids_is_not_written_over(tmp_path: Path) -> None:
    state, monitor = tmp_path / "state.sqlite", monitor_of(GATE)
    monitor.save(state)
    with open_state(state) as opened:
        opened.add([Counted(1, 2, 0.5, True, 1)])
    before = state.read_bytes()
    with pytest.raises(SteepslopeError, match=r"state.sqlite: expected a file of its own, found one of steepslope mon"):
        Monitor.load(state).save(state)
    assert state.read_bytes() == before


def test_a_gate_of_confidences_alone_goes_by_the_estimated_risk() -> None:
    monitor = Monitor.of(GATE)
    assert (monitor.on, list(monitor.signals), list(monitor.accuracy)) == (
        "risk", ["risk", "coverage"], ["mean_p_correct", "atc_p_correct"],
    )  # fmt: skip
    with pytest.raises(SteepslopeError, match="overconfidence: expected rows with the classifier's own probability"):
        Monitor.of(GATE, on="overconfidence")
    with pytest.raises(SteepslopeError, match="unknown signal 'ris': did you mean 'risk'"):
        Monitor.of(GATE, on="ris")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"p_correct": [0.5, 1.5]}, "p_correct: expected probabilities, found 1.5 in row 1"),
        ({"p_correct": [0.5, np.nan]}, "p_correct: expected numbers .* found NaN in row 1"),
        ({"accepted": [1, 0]}, r"accepted: expected booleans \(m,\), found int64"),
        ({"accepted": [True]}, "accepted: expected as many as of p_correct, 2, found 1"),
        ({"probability": [0.5]}, "probability: expected as many as of p_correct, 2, found 1"),
        ({"probability": None}, "probability: expected the classifier's own, which overconfidence needs, found none"),
    ],
)
def test_bad_rows_change_nothing(given: dict[str, Any], expected: str) -> None:
    monitor = monitor_of(GATE, "overconfidence")
    before = monitor.as_json()
    with pytest.raises(SteepslopeError, match=expected):
        monitor.update(**{"p_correct": [0.5, 0.6], "accepted": [True, False], "probability": [0.5, 0.5], **given})
    assert monitor.as_json() == before


def test_gates_that_cannot_be_monitored_say_why() -> None:
    nothing = Gate.calibrate(np.arange(100) / 100, np.arange(100) % 2 > 0, 0.01)
    with pytest.raises(SteepslopeError, match="gate: expected a gate that accepts predictions, found one that cannot"):
        Monitor.of(nothing)
    several = Gate.calibrate(np.arange(1_000) / 1_000, np.arange(1_000) % 20 > 0, (0.1, 0.2))
    with pytest.raises(SteepslopeError, match=r"expected a gate that knows its calibration rows, .* calibrate it anew"):
        Monitor.of(several.at(0.2))
    with pytest.raises(SteepslopeError, match="delta: expected a number"):
        Monitor.of(GATE, delta=0)


@pytest.mark.parametrize("aims", [{"coverage": 0.5}, {"costs": (100, 20)}])
def test_a_gate_without_a_promised_risk_is_held_to_its_bound(aims: dict[str, Any]) -> None:
    rows = stream(2_000, 0)
    found = Gate.calibrate(rows.trust_logit, rows.is_correct, of_log_odds=True, **aims)
    assert Monitor.of(found).promised == found.risk_bound


def test_groups_are_monitored_together() -> None:
    rows = stream(6_000, 0)
    groups = np.arange(6_000) % 3
    found = Gate.calibrate(rows.trust_logit, rows.is_correct, 0.1, of_log_odds=True, groups=groups)
    plain = Gate.calibrate(rows.trust_logit, rows.is_correct, 0.1, of_log_odds=True)
    judged, wide, narrow = found.calibration_rows, Monitor.of(found), Monitor.of(plain)
    assert judged is not None
    wide.update(judged.p_correct, judged.accepted)
    assert wide.alarm is None
    assert wide.signals["risk"].limit > narrow.signals["risk"].limit  # the price of three thresholds
