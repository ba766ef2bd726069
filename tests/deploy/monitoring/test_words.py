"""Sentences have the numbers that they are made of."""

from __future__ import annotations

import numpy as np

from steepslope.deploy.monitoring.watch import Watch
from steepslope.deploy.monitoring.words import alarms, sentences
from steepslope.gate.binomial import as_percent
from tests.deploy.monitoring.problems import feed, gate, monitor_of, stream

GATE = gate()


def test_before_the_first_prediction() -> None:
    lines = sentences(Watch(monitor_of(GATE)))
    assert lines == [
        "0 predictions, 0 of them new.",
        "No alarm. Without a change there is ever one with a probability of at most 5 %.",
    ]


def test_what_is_known_is_said() -> None:
    monitor = monitor_of(GATE, "overconfidence")
    judged = feed(monitor, GATE, stream(3_000, 2, lower=2, sure=2))
    monitor.label(np.arange(3_000) % 4 > 0, judged.accepted)
    text = "\n".join(sentences(Watch(monitor, new=3_000, labels=3_000, labels_unknown=7)))
    assert "3,000 labels, 3,000 of them new, 7 are of no prediction that is known." in text
    assert f"Accepted: {as_percent(judged.accepted.mean())} (" in text
    assert f"limit {as_percent(monitor.signals['overconfidence'].limit)}, of the calibration rows" in text
    assert f"Risk of the accepted by {judged.accepted.sum():,} labels: " in text
    assert "promised 5 %." in text
    assert "Accuracy on all by 3,000 labels: 75 % (" in text
    assert all(f"({name})" in text for name in monitor.accuracy)


def test_the_first_alarm_comes_first() -> None:
    monitor = monitor_of(GATE, "overconfidence")
    feed(monitor, GATE, stream(1_000, 1))
    feed(monitor, GATE, stream(2_000, 2, lower=2, sure=2))
    monitor.label(np.zeros(60, np.bool_), np.ones(60, np.bool_), np.arange(1, 61))
    first, second = alarms(monitor)
    row = monitor.alarms["overconfidence"]
    assert row < 3_000
    assert first.startswith(
        f"ALARM at prediction {row:,}: without labels, the overconfidence of the classifier is above"
    )
    count = monitor.labelled.alarm_count
    assert count is not None
    assert 1 < count <= 60
    assert second.startswith(f"ALARM at label {count} of the accepted, with 3,000 predictions known: by their labels, ")
    assert "more than the promised 5 % of the accepted are wrong" in second
    assert "calibrate anew" in second
