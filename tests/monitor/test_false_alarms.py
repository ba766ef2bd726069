"""Alarms without harm: by how much each part of delta is spent, and what may not decide which rows get a label."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from steepslope.monitor import SIGNALS, Monitor
from steepslope.monitor.bets import MeanBets
from steepslope.monitor.monitor import HEALTHY
from steepslope.monitor.running_mean import RunningMean
from tests.monitor.problems import feed, gate, monitor_of, stream

GATE = gate()


def test_the_levels_of_all_alarms_are_delta_together() -> None:
    """One half is for labels, and the other for the signals, alike."""
    monitor = monitor_of(GATE)
    assert [monitor.means[name].level for name in SIGNALS] == [0.05 / 10] * 5
    assert monitor.labelled.level == 0.05 / 2
    assert Monitor.of(GATE).means["p_correct"].level == 0.05 / 4  # of confidences alone there are two


@pytest.mark.parametrize(("limit", "level"), [(0.5, 0.2), (0.05, 0.05)])
def test_a_stream_whose_mean_is_the_limit_itself_raises_alarms_but_not_too_many(limit: float, level: float) -> None:
    """At the limit, Ville's inequality is nearly reached: it rings, in at most a fraction ``level`` of the runs."""
    runs, rng = 200, np.random.default_rng([int(100 * limit), int(100 * level)])
    draws = (rng.random((runs, 2_000)) < limit).astype(np.float64)
    rows = np.arange(1, 2_001)
    alarms = sum(RunningMean(MeanBets(limit=limit), level).after(values, rows).alarm is not None for values in draws)
    assert 0 < alarms <= binom.ppf(0.999, runs, level)
    assert alarms >= runs * level / 20  # so that a level that is far too low is noticed, too


def labelled(seed: int, least_sure: bool) -> bool:
    """Return whether late labels of 300 accepted rows raise an alarm although the gate keeps its promise."""
    monitor, rows = monitor_of(GATE), stream(6_000, seed)
    judged = feed(monitor, GATE, rows)
    accepted = np.flatnonzero(judged.accepted)
    random: NDArray[np.int64] = np.random.default_rng(seed).permutation(accepted)
    chosen = accepted[np.argsort(judged.p_correct[accepted])] if least_sure else random
    chosen = chosen[:300]
    monitor.label(rows.is_correct[chosen], judged.accepted[chosen], chosen + 1)
    return "labels" in monitor.alarms


def test_labels_have_to_be_drawn_at_random() -> None:
    """The proof needs it: where the least sure are labelled, more of these are wrong than is promised of all."""
    everything = stream(400_000, 99)
    assert (~everything.is_correct[GATE.accepts(everything.trust_logit)]).mean() < 0.05
    assert sum(labelled(seed, least_sure=False) for seed in range(10)) <= 1
    assert sum(labelled(seed, least_sure=True) for seed in range(10)) >= 9


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
    [(500, 2_000, 20), *(pytest.param(n, 20_000, 300, marks=pytest.mark.slow) for n in (300, 2_000))],
)
def test_false_alarms_are_at_most_delta(n: int, length: int, runs: int) -> None:
    alarms, false = false_alarms(n, length, runs)
    assert false <= runs / 20
    assert alarms <= runs / 10  # with those where the gate itself has broken its promise
