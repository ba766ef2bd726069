"""The monitor: healthy where nothing changes, soon changed where it does, and the same whatever interrupts it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.monitor import Monitor
from steepslope.monitor._state import Counted, open_state
from steepslope.promise._change import CHANGED, HARMFUL, HEALTHY, SIGNALS
from tests.monitor.problems import feed, gate, monitor_of, stream

GATE = gate()


def test_it_is_healthy_without_a_change_and_knows_how_things_stand() -> None:
    monitor, rows = monitor_of(GATE), stream(30_000, 5)
    judged = feed(monitor, GATE, rows)
    monitor.label(rows.is_correct, judged.accepted)
    assert (monitor.health, monitor.alarms) == (HEALTHY, {})
    assert (monitor.rows, monitor.accepted) == (30_000, judged.accepted.sum())
    assert monitor.means["risk"].mean == pytest.approx((1 - judged.p_correct[judged.accepted]).mean(), abs=1e-6)
    low, high = monitor.coverage_interval
    assert low < judged.accepted.mean() < high
    assert monitor.accuracy == pytest.approx(rows.is_correct.mean(), abs=0.02)


CHANGES: dict[str, dict[str, float]] = {
    "p_correct": {"lower": 1.0},
    "more confident": {"lower": -1.0},
    "probability": {"sure": 1.0},
    "overconfidence": {"lower": 2.0, "sure": 2.0},
    "predicted": {"first": 0.5},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_noticed_by_what_has_changed(name: str) -> None:
    """On both sides: a gate that is broken may accept more than it did."""
    monitor = monitor_of(GATE)
    feed(monitor, GATE, stream(5_000, 1))
    assert monitor.health == HEALTHY
    feed(monitor, GATE, stream(3_000, 2, **CHANGES[name]))
    assert monitor.health == CHANGED
    seen = "p_correct" if name == "more confident" else name
    assert 5_000 < monitor.alarms[seen] < 5_600
    if name == "predicted":
        assert [*monitor.alarms] == ["predicted"]


def test_labels_raise_an_alarm_whatever_is_estimated() -> None:
    monitor, rows = monitor_of(GATE), stream(5_000, 1)
    judged = feed(monitor, GATE, rows)
    used = np.flatnonzero(judged.accepted)[::-1][:1_000]  # late, partial, out of order
    monitor.label(np.arange(1_000) % 8 > 0, judged.accepted[used], used + 1)
    assert monitor.health == HARMFUL
    assert monitor.labelled.mean == 0.125
    assert (monitor.labels, monitor.correct) == (1_000, 875)


def test_labels_of_rows_that_are_not_accepted_count_for_the_accuracy_alone() -> None:
    monitor = monitor_of(GATE)
    feed(monitor, GATE, stream(2_000, 1))
    monitor.label(np.zeros(500, np.bool_), np.zeros(500, np.bool_))
    with pytest.raises(SteepslopeError, match="accepted: expected as many as of is_correct, 500, found others"):
        monitor.label(np.zeros(500, np.bool_), np.zeros(499, np.bool_))
    assert monitor.health == HEALTHY
    assert (monitor.labels, monitor.labelled.count) == (500, 0)


def test_it_is_the_same_however_the_stream_is_cut_and_interrupted(tmp_path: Path) -> None:
    rows = stream(7_000, 3, lower=1, sure=1)
    whole, judged = monitor_of(GATE), rows.judged(GATE)
    feed(whole, GATE, rows)
    monitor = monitor_of(GATE)
    parts: list[Any] = [0, *np.array_split(np.arange(1, 7_000), [1, 2, 500, 3_111, 6_998])]  # 0 alone, as of a server
    for part in parts:
        monitor.update(judged.p_correct[part], judged.accepted[part], rows.probability[part], rows.predicted[part])
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


def test_a_gate_of_confidences_alone_watches_these() -> None:
    monitor = Monitor.of(GATE)
    assert [*monitor.usual] == ["p_correct", "accepted"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"p_correct": [0.5, 1.5]}, "p_correct: expected probabilities, found 1.5 in row 1"),
        ({"accepted": [1, 0]}, r"accepted: expected booleans \(m,\), found int64"),
        ({"accepted": [False]}, "accepted: expected as many as of p_correct, 2, found 1"),
        ({"accepted": [True, False]}, r"accepted: expected p_correct of 0\.\d+ or more .*, found 0\.5 in row 0"),
        ({"probability": None}, "probability: expected the classifier's own, .*, found none"),
        ({"predicted": [0]}, "predicted: expected as many as of p_correct, 2, found 1"),
        ({"predicted": [0, -2]}, r"predicted: expected numbers of classes \(m,\), found int64"),
    ],
)
def test_bad_rows_change_nothing(given: dict[str, Any], expected: str) -> None:
    monitor = monitor_of(GATE)
    before = monitor.as_json()
    with pytest.raises(SteepslopeError, match=expected):
        monitor.update(**{"p_correct": [0.5, 0.6], "accepted": [False, False], "probability": [0.5, 0.5], **given})
    assert monitor.as_json() == before


def test_gates_that_cannot_be_monitored_say_why() -> None:
    nothing = Gate.calibrate(np.arange(100) / 100, np.arange(100) % 2 > 0, 0.01)
    with pytest.raises(SteepslopeError, match="gate: expected a gate that accepts predictions, found one that cannot"):
        Monitor.of(nothing)
    several = Gate.calibrate(np.arange(1_000) / 1_000, np.arange(1_000) % 20 > 0, (0.1, 0.2))
    with pytest.raises(SteepslopeError, match=r"a gate that knows its calibration rows, .* calibrate it again"):
        Monitor.of(several.at(0.2))
    with pytest.raises(SteepslopeError, match="delta: expected a number"):
        Monitor.of(GATE, delta=0)


@pytest.mark.parametrize("aims", [{"coverage": 0.5}, {"costs": (100, 20)}])
def test_a_gate_without_a_promised_risk_is_held_to_its_bound(aims: dict[str, Any]) -> None:
    rows = stream(2_000, 0)
    found = Gate.calibrate(rows.trust_logit, rows.is_correct, of_log_odds=True, **aims)
    assert Monitor.of(found).promised == found.risk_bound


def test_few_distinct_values_in_float32_are_no_change() -> None:
    """As of votes of twenty trees, from a table in the one precision and in the other."""
    known, new = stream(2_000, 0), stream(5_000, 1)
    levels = [np.round(rows.probability * 20) / 20 for rows in (known, new)]
    cut = 0.9  # of a gate that decides by these levels
    rows = replace(known.judged(GATE), probability=levels[0], p_correct=levels[0] ** 2, accepted=levels[0] > cut)
    monitor = replace(Monitor.of(GATE, rows=rows), least=cut**2)
    single = levels[1].astype(np.float32).astype(np.float64)
    monitor.update(single**2, single > cut, single, new.predicted)
    assert (single != levels[1]).mean() > 0.5
    assert monitor.health == HEALTHY


@pytest.mark.parametrize("accepted", [True, False])
def test_a_share_of_the_accepted_like_no_other_is_a_change(accepted: bool) -> None:
    """Where P(correct) and everything else is as it was: where rows of another group come, or all lack an opinion."""
    known, new = stream(2_000, 0), stream(1_000, 1)
    groups = np.arange(2_000) % 2
    found = Gate.calibrate(known.trust_logit, known.is_correct, 0.05, of_log_odds=True, groups=groups)
    monitor = Monitor.of(found)
    p_correct = np.maximum(found.p_correct(new.trust_logit), monitor.least if accepted else 0)
    monitor.update(p_correct, np.full(1_000, accepted))
    assert monitor.alarms["accepted"] < 300


def test_the_levels_of_all_alarms_are_delta_together() -> None:
    """One half is for labels, and the other for the signals, alike."""
    monitor = monitor_of(GATE)
    assert [monitor.means[name].level for name in monitor.usual] == [0.05 / 10] * (len(SIGNALS) - 1)  # no features
    assert monitor.labelled.level == 0.05 / 2
    assert Monitor.of(GATE).means["p_correct"].level == 0.05 / 4  # of confidences alone there are two


def false_alarms(n: int, length: int, runs: int) -> tuple[int, int]:
    """Count the runs with an alarm, and those with one while the gate's promise holds."""
    everything = stream(400_000, 99)
    found = []
    for seed in range(runs):
        one = gate(n, seed)
        if not one.promises[0].is_given:
            continue
        monitor, rows = monitor_of(one, n, seed), stream(length, seed + 10_000)
        monitor.label(rows.is_correct, feed(monitor, one, rows).accepted)
        used = one.accepts(everything.trust_logit)
        found.append((monitor.health != HEALTHY, (~everything.is_correct[used]).mean() > 0.05))
    assert len(found) > runs / 2
    return sum(alarm for alarm, _ in found), sum(alarm and not broken for alarm, broken in found)


@pytest.mark.parametrize(
    ("n", "length", "runs"),
    [(500, 2_000, 20), *(pytest.param(n, 20_000, 200, marks=pytest.mark.slow) for n in (300, 2_000))],
)
def test_false_alarms_are_at_most_delta(n: int, length: int, runs: int) -> None:
    alarms, false = false_alarms(n, length, runs)
    assert false <= runs / 20
    assert alarms <= runs / 10  # with those where the gate itself has broken its promise
