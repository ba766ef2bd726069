"""Sentences have the numbers that they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.monitor.counting import FileCount
from steepslope.monitor.sentences import class_mix_advice, health, sentences
from steepslope.promise.certificate import as_percent
from tests.monitor.problems import feed, gate, monitor_of, stream

GATE = gate()


def test_before_the_first_prediction() -> None:
    assert sentences(FileCount(monitor_of(GATE))) == [
        "0 predictions, 0 of them new.",
        "HEALTHY: there is not enough evidence of a change. Errors that leave no trace in what is watched cannot be "
        "seen without labels.",
    ]


def test_after_a_change_there_is_no_interval_of_what_was_before_it() -> None:
    monitor = monitor_of(GATE)
    feed(monitor, GATE, stream(2_000, 1))
    assert " to " in next(line for line in sentences(FileCount(monitor)) if line.startswith("Accepted"))
    judged = feed(monitor, GATE, stream(2_000, 2, lower=2, sure=2))
    line = next(line for line in sentences(FileCount(monitor)) if line.startswith("Accepted"))
    assert " to " not in line
    latest = monitor.means["coverage"].latest
    assert latest is not None
    assert latest[1] == pytest.approx(judged.accepted[-400:].mean(), abs=0.02)
    assert f", of the latest 400: {as_percent(latest[1])}; of the calibration rows " in line


def test_what_is_known_is_said() -> None:
    monitor = monitor_of(GATE)
    judged = feed(monitor, GATE, stream(3_000, 2, lower=2, sure=2))
    monitor.label(np.arange(3_000) % 4 > 0, judged.accepted)
    text = "\n".join(sentences(FileCount(monitor, new=3_000, labels=3_000, labels_unknown=7)))
    assert "3,000 labels, 3,000 of them new, 7 are of no prediction that is known." in text
    assert f"Accepted: {as_percent(judged.accepted.mean())}, of the latest " in text
    assert f"P(correct): {as_percent(judged.p_correct.mean())}, of the latest" in text
    assert f"Risk of the accepted, by {judged.accepted.sum():,} labels: " in text
    assert "promised 5 %." in text
    assert "Accuracy on all, by 3,000 labels: 75 %." in text
    assert all(f"({name})" in text for name in monitor.accuracy)


def test_a_change_is_said_with_what_it_may_mean() -> None:
    monitor = monitor_of(GATE)
    judged = feed(monitor, GATE, stream(3_000, 2, lower=2, sure=2, first=0.8))
    (line,), (hint,) = health(monitor), class_mix_advice(None, monitor, None)
    row, latest = min(monitor.alarms.values()), monitor.means["risk"].latest
    told = "they are not drawn as the calibration rows were, so the promise cannot be relied on."
    assert line.startswith(f"CHANGED after {row:,} predictions: {told}")
    assert f"P(correct) (latest mean {as_percent(judged.p_correct[-304:].mean())}, on the calibration rows " in line
    assert "the mix of predicted classes;" in line or "the mix of predicted classes." in line
    assert "`calibrate --target`" in hint
    assert latest is not None
    assert f"{as_percent(latest[1])} of the latest accepted are wrong; 5 % was promised." in line
    assert "Label some of the latest accepted, drawn at random" in line
    (alone,) = health(monitor, alone=True)
    assert f"P(correct) (mean {as_percent(judged.p_correct.mean())}, on the calibration rows " in alone


def test_harm_comes_first() -> None:
    monitor = monitor_of(GATE)
    feed(monitor, GATE, stream(1_000, 1))
    feed(monitor, GATE, stream(2_000, 2, lower=2, sure=2))
    monitor.label(np.zeros(60, np.bool_), np.ones(60, np.bool_), np.arange(1, 61))
    first, second = health(monitor)
    count = monitor.labelled.alarm_count
    told = "by their labels, more than the promised 5 % of the accepted are wrong"
    assert first.startswith(
        f"HARMFUL after {count} labels of accepted predictions, with 3,000 predictions counted: {told}"
    )
    assert "calibrate it again" in first
    assert second.startswith("CHANGED after 1,")
    assert "Label some" not in second
    assert class_mix_advice(None, monitor, None)
    assert not class_mix_advice(None, monitor_of(GATE), None)
