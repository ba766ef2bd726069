"""A watched mean: exact sums, an alarm at its row, and a history of bounded length that no cut changes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.monitor.bets import Bets, MeanBets
from steepslope.monitor.running_mean import MOST_POINTS, UNIT, RunningMean


def values(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    return rng.random(n) ** 9, 3 * np.arange(1, n + 1)


@pytest.mark.parametrize("n", [1, MOST_POINTS, MOST_POINTS + 1, 10 * MOST_POINTS + 3])
def test_the_history_has_a_point_every_stride(n: int) -> None:
    numbers, rows = values(n)
    mean = RunningMean(MeanBets(limit=0.5), 0.05).after(numbers, rows)
    assert len(mean.history) == n // mean.stride <= MOST_POINTS
    assert mean.stride == 1 or n // (mean.stride // 2) > MOST_POINTS
    whole = np.cumsum(np.floor(numbers * UNIT).astype(np.int64))
    for point in mean.history:
        assert (point.row, point.total) == (3 * point.n, whole[point.n - 1])
    assert mean.mean == pytest.approx(numbers.mean(), abs=1e-8)


def test_an_alarm_stays_where_it_was() -> None:
    mean = RunningMean(MeanBets(limit=0.1), 0.05).after(np.ones(10), np.arange(101, 111))
    e_values = np.exp(MeanBets(limit=0.1).after(np.ones(10))[1])
    assert mean.alarm == 101 + int(np.argmax(e_values >= 20))
    assert mean.after(np.zeros(500), np.arange(111, 611)).alarm == mean.alarm
    assert RunningMean(MeanBets(limit=0.1), 0.05).after(np.zeros(500), np.arange(500)).alarm is None
    assert RunningMean(MeanBets(limit=0.1), 0.05).after(np.zeros(0), np.zeros(0, np.int64)).mean is None


@pytest.mark.parametrize("n", [100, 101, 900, 5_000])
def test_the_latest_values_have_a_mean_of_their_own(n: int) -> None:
    numbers, rows = values(n)
    found = RunningMean(MeanBets(limit=0.5), 0.05).after(numbers, rows).latest
    if n == 100:  # they are all that there are
        assert found is None
        return
    assert found is not None
    count, mean = found
    assert max(100, n // 10) <= count <= max(100, n // 10) + 16
    assert mean == pytest.approx(numbers[-count:].mean(), abs=1e-8)


def test_a_mean_that_is_only_looked_at_has_no_alarm() -> None:
    numbers, rows = values(900)
    mean = RunningMean(Bets(), 0.05).after(numbers, rows)
    assert (mean.alarm, mean.count) == (None, 900)
    assert mean.mean == pytest.approx(numbers.mean(), abs=1e-8)
