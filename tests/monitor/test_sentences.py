"""Sentences have the numbers that they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.gate.certificate import as_percent
from steepslope.monitor import Monitor
from steepslope.monitor.counting import FileCount
from steepslope.monitor.sentences import alarms, sentences
from tests.monitor.problems import feed, gate, monitor_of, stream

GATE = gate()


def test_before_the_first_prediction() -> None:
    lines = sentences(FileCount(monitor_of(GATE)))
    assert lines == [
        "0 predictions, 0 of them new.",
        "No alarm. While predictions are drawn independently, as the calibration rows were, there is ever a false one "
        "with a probability of at most 5 %.",
    ]
    last = sentences(FileCount(monitor_of(GATE, "overconfidence")))[-1]
    assert last.endswith("at most 5 %, by overconfidence as measured, not as proved.")


def test_an_alarm_that_cannot_be_raised_is_named() -> None:
    monitor = Monitor.of(gate(70, max_risk=0.3), rows=stream(4, 1).judged(GATE), on="risk")
    assert monitor.silent == ["risk", "coverage"]
    feed(monitor, GATE, stream(3_000, 2, lower=9))
    monitor.update(np.zeros(9_000), np.zeros(9_000, np.bool_), np.zeros(9_000))
    assert not monitor.alarms
    lines = sentences(FileCount(monitor))
    assert sum(line.startswith(f"There can be no alarm by {name}: ") for line in lines for name in monitor.silent) == 2
    assert "limit 0 %" in next(line for line in lines if line.startswith("Accepted"))
    assert monitor_of(GATE).silent == []


def test_after_an_alarm_there_is_no_interval_of_what_was_before_it() -> None:
    monitor = monitor_of(GATE, "overconfidence")
    feed(monitor, GATE, stream(2_000, 1))
    assert " to " in next(line for line in sentences(FileCount(monitor)) if line.startswith("Accepted"))
    judged = feed(monitor, GATE, stream(2_000, 2, lower=2, sure=2))
    line = next(line for line in sentences(FileCount(monitor)) if line.startswith("Accepted"))
    assert " to " not in line
    latest = monitor.latest("coverage")
    assert latest is not None
    assert 1 - latest == pytest.approx(judged.accepted[-400:].mean(), abs=0.02)
    assert f", of the latest 400: {as_percent(1 - latest)}; limit " in line


def test_what_is_known_is_said() -> None:
    monitor = monitor_of(GATE, "overconfidence")
    judged = feed(monitor, GATE, stream(3_000, 2, lower=2, sure=2))
    monitor.label(np.arange(3_000) % 4 > 0, judged.accepted)
    text = "\n".join(sentences(FileCount(monitor, new=3_000, labels=3_000, labels_unknown=7)))
    assert "3,000 labels, 3,000 of them new, 7 are of no prediction that is known." in text
    assert f"Accepted: {as_percent(judged.accepted.mean())}, of the latest " in text
    assert f"limit {as_percent(monitor.signals['overconfidence'].limit)}, of the calibration rows" in text
    assert f"Risk of the accepted by {judged.accepted.sum():,} labels: " in text
    assert "promised 5 %." in text
    assert "Accuracy on all by 3,000 labels: 75 %." in text
    assert all(f"({name})" in text for name in monitor.accuracy)


def test_lost_coverage_is_said() -> None:
    monitor = monitor_of(GATE, "overconfidence")
    feed(monitor, GATE, stream(3_000, 2, lower=4))
    (line,) = alarms(monitor)
    least, usual = (as_percent(part) for part in (1 - monitor.signals["coverage"].limit, monitor.coverage))
    assert f"fewer than {least} are accepted, of the calibration rows {usual}." in line


def test_the_first_alarm_comes_first() -> None:
    monitor = monitor_of(GATE, "overconfidence")
    feed(monitor, GATE, stream(1_000, 1))
    feed(monitor, GATE, stream(2_000, 2, lower=2, sure=2))
    monitor.label(np.zeros(60, np.bool_), np.ones(60, np.bool_), np.arange(1, 61))
    first, second = alarms(monitor)
    row = monitor.alarms["overconfidence"]
    assert row < 3_000
    told = "without labels, the overconfidence of the classifier is above"
    assert first.startswith(f"ALARM at prediction {row:,}: {told}")
    count = monitor.labelled.alarm_count
    assert second.startswith(f"ALARM at label {count} of the accepted, with 3,000 predictions known: by their labels, ")
    assert "more than the promised 5 % of the accepted are wrong" in second
    assert "calibrate anew" in second
