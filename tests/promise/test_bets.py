"""Bets win nothing while nothing is wrong, however long, soon win once something is, and never depend on cuts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import kstest

from steepslope.promise._bets import (
    BINS,
    BLOCK,
    CHANGE_GAINS,
    CUTS,
    MEAN_SIZES,
    Bets,
    ChangeBets,
    MeanBets,
    mean_interval_by_bets,
)

Floats = NDArray[np.float64]


def drawn(n: int, seed: int, kind: str = "normal") -> Floats:
    """Draw values: of the normal distribution, with many ties, or of two values alone."""
    values = np.random.default_rng([seed, n]).normal(size=n)
    return {"normal": values, "ties": values.round(), "two": (values > 0.3).astype(np.float64)}[kind]


def slow_e_value(values: Floats, limit: float) -> float:
    """Return the e_value by its definition: the sum of stakes, each times the gains of all rows since its start."""
    e_value = 0.0
    for block in range(-(-len(values) // BLOCK)):
        since = values[block * BLOCK :]
        gains = [math.prod(1 + size / limit * (value - limit) for value in since) for size in MEAN_SIZES]
        e_value += sum(gains) / len(MEAN_SIZES) / ((block + 1) * (block + 2))
    return e_value


@given(st.lists(st.floats(0, 1), min_size=1, max_size=3 * BLOCK), st.floats(0.01, 0.9))
def test_the_e_value_is_that_of_its_definition(values: list[float], limit: float) -> None:
    array = np.array(values)
    _, evidence = MeanBets(limit=limit).after(array)
    assert evidence[-1] == pytest.approx(math.log(slow_e_value(array, limit)), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=12), st.integers(0, 5), st.sampled_from(["mean", "normal", "ties"]))
def test_cuts_do_not_matter_to_the_bit(sizes: list[int], seed: int, kind: str) -> None:
    values = np.random.default_rng(seed).random(sum(sizes))
    bets: Bets = MeanBets(limit=0.45)
    if kind != "mean":
        bets, values = ChangeBets.of(drawn(200, seed, kind)), drawn(sum(sizes), seed + 9, kind)
    whole, evidence = bets.after(values)
    parts = []
    for part in np.split(values, np.cumsum(sizes)):
        bets, path = bets.after(part)
        parts.append(path)
    assert bets == whole
    np.testing.assert_array_equal(np.concatenate(parts), evidence)


def test_false_alarms_are_at_most_alpha() -> None:
    """On zeros and ones of a mean that is the limit itself."""
    rng = np.random.default_rng(1)
    found = (MeanBets(limit=0.3).after((rng.random(2_000) < 0.3).astype(np.float64))[1] for _ in range(100))
    count = sum(bool(evidence.max() >= math.log(10)) for evidence in found)
    assert 0 < count <= 10 + 3 * math.sqrt(100 * 0.1 * 0.9)  # it can fail: the test is not empty


@pytest.mark.parametrize("clean", [0, 50_000])
def test_a_rise_is_noticed_after_however_many_rows(clean: int) -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.random(clean) < 0.02, rng.random(3_000) < 0.2]).astype(np.float64)
    alarm = int(np.argmax(MeanBets(limit=0.05).after(values)[1] >= math.log(40)))
    assert clean < alarm < clean + 400


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
    np.testing.assert_allclose(widths @ np.exp(CHANGE_GAINS), 1)


@pytest.mark.parametrize("kind", ["normal", "two"])
def test_p_values_are_uniform_and_false_alarms_few_however_few_the_rows(kind: str) -> None:
    """Over calibration rows and stream together: with forty of these, one stream in ten may be called changed."""
    first, alarms, runs = [], 0, 150
    for seed in range(runs):
        bets, values = ChangeBets.of(drawn(40, seed, kind)), drawn(1_500, seed + 10_000, kind)
        first.append(bets.p_values(values)[0][:20])
        alarms += int(bets.after(values)[1].max() >= math.log(10))
    assert kstest(np.concatenate(first), "uniform").pvalue > 0.001
    assert 0 < alarms <= 15 + 3 * math.sqrt(150 * 0.1 * 0.9)


@pytest.mark.parametrize("clean", [0, 50_000])
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


def mixed_e_value(ones: int, n: int, mean: float) -> float:
    """Return the e_value of bets on zeros and ones that are mixed by the uniform distribution, by quadrature."""
    found, _ = quad(lambda q: (q / mean) ** ones * ((1 - q) / (1 - mean)) ** (n - ones), 0, 1, points=[ones / n])
    return float(found)


@pytest.mark.parametrize(("ones", "n"), [(3, 20), (10, 20), (19, 20), (1, 100)])
def test_the_ends_of_an_interval_are_where_the_e_value_is_enough(ones: int, n: int) -> None:
    low, high = mean_interval_by_bets(ones, n, 0.05)
    assert low < ones / n < high
    assert mixed_e_value(ones, n, low) == pytest.approx(20, rel=1e-4)
    assert mixed_e_value(ones, n, high) == pytest.approx(20, rel=1e-4)


def test_no_rows_and_rows_all_alike() -> None:
    assert mean_interval_by_bets(0, 0, 0.05) == (0.0, 1.0)
    low, high = mean_interval_by_bets(0, 50, 0.05)
    assert low == 0
    assert (1 - high) ** 50 * 51 == pytest.approx(0.05)  # of no ones, the mixture is 1 / (n + 1)
    assert mean_interval_by_bets(50, 50, 0.05) == pytest.approx((1 - high, 1.0))


def test_an_interval_holds_at_all_times_together() -> None:
    rng, missed = np.random.default_rng(0), 0
    for _ in range(60):
        sums = np.cumsum(rng.beta(1, 9, size=300))  # between 0 and 1, with a mean of 0.1
        bounds = [mean_interval_by_bets(float(sums[n - 1]), n, 0.1) for n in range(1, 301, 7)]
        missed += any(not low <= 0.1 <= high for low, high in bounds)
    assert missed <= 6
