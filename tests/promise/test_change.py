"""What is watched, against its definition, and that only what is known is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.monitor._predictions import Predicted
from steepslope.promise._bets import MOST_POINTS, UNIT, MeanBets, RunningMean
from steepslope.promise._calibration import CalibrationRows
from steepslope.promise._change import SIGNALS, begun_bets, change_of_batch, level_of_signal, signals_of
from steepslope.promise._rows import JudgedRows

TRUE = np.ones(3, np.bool_)
USED = np.array([True, False, True])
FAR = np.array([0.2, 0.1, 0.9])
ROWS = CalibrationRows(
    np.array([0.9, 0.4, 0.8]), USED, np.array([0.95, 0.9, 0.1]), np.array([7, 0, 3]), FAR, is_correct=TRUE
)
ORDERS = {
    "predicted": [1, 2, 0],
    "accepted": [1, 0, 2],
    "distance": [1, 0, 2],
}  # by the numbers of classes, and accepted or not
SHOWN = {"p_correct": [0.9, 0.4, 0.8], "probability": [0.95, 0.9, 0.1], "overconfidence": [0.05, 0.5, -0.7]}


@pytest.mark.parametrize("name", SIGNALS)
def test_values_lie_in_the_unit_interval_and_are_shown_as_people_know_them(name: str) -> None:
    signal = SIGNALS[name]
    values = signal.values(ROWS)
    assert values is not None
    assert ((values >= 0) & (values <= 1)).all()
    if name in SHOWN:
        np.testing.assert_allclose([signal.shown(value) for value in values], SHOWN[name], atol=2e-4)
    else:
        assert signal.low is None
        assert np.argsort(values, kind="stable").tolist() == ORDERS[name]


def test_what_is_below_the_limit_of_an_audit_counts_as_accepted() -> None:
    """A gate that follows its audit accepts less than on the calibration rows, though nothing has changed."""
    held = Predicted(ROWS.p_correct, np.array([True, False, False]), chance=np.array([0.1, 0.0, 0.4]))
    values = SIGNALS["accepted"].values(held)
    assert values is not None
    assert values.tolist() == [1, 0, 1]


def rows_of(n: int, seed: int = 0) -> CalibrationRows:
    rng = np.random.default_rng(seed)
    p_correct = rng.beta(5, 1, n)
    return CalibrationRows(p_correct, p_correct > 0.5, is_correct=rng.random(n) < p_correct)


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


@pytest.mark.parametrize("count", range(1, len(SIGNALS) + 1))
def test_all_signals_together_have_half_of_delta(count: int) -> None:
    """The other half is that of harm."""
    assert count * level_of_signal(count, 0.1) == pytest.approx(0.05)


@pytest.mark.parametrize("m", [1, 2])
def test_so_few_rows_that_none_can_raise_an_alarm_are_told_at_once(m: int) -> None:
    """Even the rarest values of all, again and again, leave each e-value too small."""
    known = rows_of(2_000)
    rare = JudgedRows(np.zeros(m), np.ones(m, np.bool_))
    assert not change_of_batch(known, rare)
    begun = begun_bets(known)
    needed = -np.log(level_of_signal(len(begun)))
    for name, values in signals_of(rare).items():
        assert begun[name].after(values)[1].max() < needed
    assert change_of_batch(known, JudgedRows(np.zeros(60), np.ones(60, np.bool_)))
