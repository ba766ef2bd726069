"""Evidence of a change: exact p-values, few false alarms, and true ones soon after ranks have changed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from scipy.stats import kstest

from steepslope.monitor.bounds import BLOCK
from steepslope.monitor.change import BETS, BINS, CUTS, ChangeBets

Floats = NDArray[np.float64]


def drawn(n: int, seed: int, kind: str = "normal") -> Floats:
    """Draw values: of the normal distribution, with many ties, or of two values alone."""
    values = np.random.default_rng([seed, n]).normal(size=n)
    return {"normal": values, "ties": values.round(), "two": (values > 0.3).astype(np.float64)}[kind]


def slow_p_values(bets: ChangeBets, values: Floats, ties: Floats, draws: Floats) -> list[float]:
    """Return the p-values by their definition: one row after another, each counted among all before it."""
    counts, found = list(bets.counts), []
    edges = [*zip(bets.edges, bets.ties, strict=True)]
    for value, tie, draw in zip(values.tolist(), ties.tolist(), draws.tolist(), strict=True):
        place = sum(edge < (value, tie) for edge in edges)
        found.append((sum(counts[:place]) + draw * counts[place]) / sum(counts))
        counts[place] += 1
    return found


@pytest.mark.parametrize("kind", ["normal", "ties", "two"])
@pytest.mark.parametrize("n", [1, 5, 63, 64, 300])
def test_p_values_are_those_of_their_definition(kind: str, n: int) -> None:
    bets, values = ChangeBets.of(drawn(n, 1, kind)), drawn(3 * BLOCK + 5, 2, kind)
    ties, draws = (bets._uniform(purpose, len(values)) for purpose in (1, 2))
    np.testing.assert_allclose(bets.p_values(values)[0], slow_p_values(bets, values, ties, draws))


@pytest.mark.parametrize("n", [1, 63, 64, 1_000])
def test_bins_hold_about_as_many_gaps_each(n: int) -> None:
    counts = ChangeBets.of(drawn(n, 0)).counts
    assert sum(counts) == n + 1
    assert len(counts) == min(BINS, n + 1)
    assert max(counts) - min(counts) <= 1


def test_no_bet_gains_in_the_mean() -> None:
    widths = np.diff([0, *CUTS, 1])
    np.testing.assert_allclose(widths @ np.exp(BETS), 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=12), st.integers(0, 5), st.sampled_from(["normal", "ties"]))
def test_cuts_do_not_matter_to_the_bit(sizes: list[int], seed: int, kind: str) -> None:
    bets, values = ChangeBets.of(drawn(200, seed, kind)), drawn(sum(sizes), seed + 9, kind)
    whole, fortunes = bets.after(values)
    parts = []
    for part in np.split(values, np.cumsum(sizes)):
        bets, found = bets.after(part)
        parts.append(found)
    assert bets == whole
    np.testing.assert_array_equal(np.concatenate(parts), fortunes)


@pytest.mark.parametrize("kind", ["normal", "ties", "two"])
def test_p_values_are_uniform_and_false_alarms_few_however_few_the_rows(kind: str) -> None:
    """Over calibration rows and stream together: with forty of these, one stream in ten may be called changed."""
    first, alarms, runs = [], 0, 400
    for seed in range(runs):
        bets, values = ChangeBets.of(drawn(40, seed, kind)), drawn(1_500, seed + 10_000, kind)
        first.append(bets.p_values(values)[0][:20])
        alarms += int(bets.after(values)[1].max() >= math.log(10))
    assert kstest(np.concatenate(first), "uniform").pvalue > 0.001
    assert 0 < alarms <= 40 + 3 * math.sqrt(400 * 0.1 * 0.9)


@pytest.mark.slow
def test_long_streams_raise_no_more_false_alarms() -> None:
    alarms = sum(
        bool(ChangeBets.of(drawn(500, seed)).after(drawn(100_000, seed + 10_000))[1].max() >= math.log(20))
        for seed in range(200)
    )
    assert alarms <= 10 + 3 * math.sqrt(200 * 0.05 * 0.95)


@pytest.mark.parametrize("clean", [0, 1_000, 50_000])
@pytest.mark.parametrize("change", ["lower", "higher", "wider"])
def test_a_change_is_noticed_after_however_many_rows(clean: int, change: str) -> None:
    after = drawn(2_000, 3)
    after = {"lower": after - 0.6, "higher": after + 0.6, "wider": 2 * after}[change]
    values = np.concatenate([drawn(clean, 2), after])
    alarm = int(np.argmax(ChangeBets.of(drawn(2_000, 1)).after(values)[1] >= math.log(160)))
    assert clean < alarm < clean + 400


def test_other_calibration_rows_draw_other_numbers() -> None:
    bets = ChangeBets.of(drawn(100, 1))
    assert bets.seed != ChangeBets.of(drawn(100, 2)).seed
    assert bets == ChangeBets.of(drawn(100, 1))
    assert replace(bets, seed=bets.seed + 1).p_values(drawn(9, 3))[0].tolist() != bets.p_values(drawn(9, 3))[0].tolist()
