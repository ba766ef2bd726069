"""Bets win nothing from a mean at their limit, however long, soon win from one above it, and never depend on cuts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from steepslope.monitor.bounds import BLOCK, SIZES, Bets

Floats = NDArray[np.float64]


def slow_fortune(values: Floats, limit: float) -> float:
    """Return the fortune by its definition: the sum of stakes, each times the gains of all rows since its start."""
    fortune = 0.0
    for block in range(-(-len(values) // BLOCK)):
        since = values[block * BLOCK :]
        gains = [math.prod(1 + size / limit * (value - limit) for value in since) for size in SIZES]
        fortune += sum(gains) / len(SIZES) / ((block + 1) * (block + 2))
    return fortune


@given(st.lists(st.floats(0, 1), min_size=1, max_size=3 * BLOCK), st.floats(0.01, 0.9))
def test_the_fortune_is_that_of_its_definition(values: list[float], limit: float) -> None:
    array = np.array(values)
    _, fortunes = Bets(limit).after(array)
    assert fortunes[-1] == pytest.approx(math.log(slow_fortune(array, limit)), abs=1e-9)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 400), max_size=12), st.integers(0, 5))
def test_cuts_do_not_matter_to_the_bit(sizes: list[int], seed: int) -> None:
    values = np.random.default_rng(seed).random(sum(sizes))
    whole, fortunes = Bets(0.45).after(values)
    bets, parts = Bets(0.45), []
    for part in np.split(values, np.cumsum(sizes)):
        bets, found = bets.after(part)
        parts.append(found)
    assert bets == whole
    np.testing.assert_array_equal(np.concatenate(parts), fortunes)


def false_alarms(mean: float, runs: int, rows: int, alpha: float) -> int:
    """Count the runs with an alarm on zeros and ones of a mean that is the limit itself."""
    rng = np.random.default_rng(1)
    found = (Bets(mean).after((rng.random(rows) < mean).astype(np.float64))[1] for _ in range(runs))
    return sum(bool(fortunes.max() >= -math.log(alpha)) for fortunes in found)


def test_false_alarms_are_at_most_alpha() -> None:
    count = false_alarms(0.3, runs=200, rows=2_000, alpha=0.1)
    assert 0 < count <= 20 + 3 * math.sqrt(200 * 0.1 * 0.9)  # it can fail: the test is not empty


@pytest.mark.slow
@pytest.mark.parametrize("mean", [0.005, 0.05, 0.5])
def test_false_alarms_are_at_most_alpha_in_long_streams(mean: float) -> None:
    assert false_alarms(mean, runs=1_000, rows=20_000, alpha=0.05) <= 50 + 3 * math.sqrt(1_000 * 0.05 * 0.95)


def test_values_that_follow_their_own_past_win_nothing() -> None:
    """The null allows any dependence, as long as each mean given the past is at most the limit."""
    rng, alarms = np.random.default_rng(0), 0
    for _ in range(100):
        draws, values, mean = rng.random(2_000), np.zeros(2_000), 0.1
        for row, draw in enumerate(draws):
            values[row] = draw < mean
            mean = 0.1 if values[row] else max(0.02, mean * 0.9)
        alarms += bool(Bets(0.1).after(values)[1].max() >= math.log(10))
    assert alarms <= 10


@pytest.mark.parametrize("clean", [0, 1_000, 50_000])
def test_a_rise_is_noticed_after_however_many_rows(clean: int) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.random(clean) < 0.02, rng.random(3_000) < 0.2]).astype(np.float64)
    alarm = int(np.argmax(Bets(0.05).after(values)[1] >= math.log(40)))
    assert clean < alarm < clean + 400
