"""Bounds against their definitions by quadrature and by loops, and against many draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import beta

from steepslope.monitor.bounds import SIZES, mean_interval, mean_lower_bound, mean_upper_bound, risk_upper_bound


def mixed_fortune(ones: int, n: int, mean: float) -> float:
    """Return the fortune of bets on zeros and ones that are mixed by the uniform distribution, by quadrature."""
    found, _ = quad(lambda q: (q / mean) ** ones * ((1 - q) / (1 - mean)) ** (n - ones), 0, 1, points=[ones / n])
    return float(found)


@pytest.mark.parametrize(("ones", "n"), [(3, 20), (10, 20), (19, 20), (1, 100)])
def test_the_ends_of_an_interval_are_where_the_fortune_is_enough(ones: int, n: int) -> None:
    low, high = mean_interval(ones, n, 0.05)
    assert low < ones / n < high
    assert mixed_fortune(ones, n, low) == pytest.approx(20, rel=1e-4)
    assert mixed_fortune(ones, n, high) == pytest.approx(20, rel=1e-4)


def test_no_rows_and_rows_all_alike() -> None:
    assert mean_interval(0, 0, 0.05) == (0.0, 1.0)
    low, high = mean_interval(0, 50, 0.05)
    assert low == 0
    assert (1 - high) ** 50 * 51 == pytest.approx(0.05)  # of no ones, the mixture is 1 / (n + 1)
    assert mean_interval(50, 50, 0.05) == pytest.approx((1 - high, 1.0))


def test_an_interval_holds_at_all_times_together() -> None:
    rng, missed = np.random.default_rng(0), 0
    for _ in range(60):
        sums = np.cumsum(rng.beta(1, 9, size=300))  # between 0 and 1, with a mean of 0.1
        bounds = [mean_interval(float(sums[n - 1]), n, 0.1) for n in range(1, 301, 7)]
        missed += any(not low <= 0.1 <= high for low, high in bounds)
    assert missed <= 6


@settings(max_examples=40)
@given(st.lists(st.sampled_from([0.0, 0.125, 0.5, 1.0]), min_size=1, max_size=60), st.sampled_from([0.01, 0.1]))
def test_a_lower_bound_is_where_bets_have_won_enough(values: list[float], alpha: float) -> None:
    bound = mean_lower_bound(np.array(values), alpha)
    assert 0 <= bound <= np.mean(values)
    if bound > 0:
        fortune = np.mean([math.prod(1 + size * (x / bound - 1) for x in values) for size in SIZES])
        assert fortune == pytest.approx(1 / alpha, rel=1e-6)
    assert mean_upper_bound(1 - np.array(values), alpha) == pytest.approx(1 - bound)


def test_a_lower_bound_is_not_far_from_the_exact_one() -> None:
    values = np.repeat([0.0, 1.0], [4_800, 200])
    exact = beta.ppf(0.025, 200, 4_801)
    assert 0.85 * exact < mean_lower_bound(values, 0.025) < exact
    assert mean_lower_bound(np.zeros(0), 0.05) == 0


def test_lower_bounds_hold() -> None:
    rng = np.random.default_rng(0)
    missed = sum(mean_lower_bound(rng.beta(0.5, 9.5, size=200), 0.1) > 0.05 for _ in range(150))
    assert missed <= 15


def test_the_bound_of_an_estimated_risk_holds_whatever_the_rows_were_let_choose() -> None:
    """Of many thresholds and maps the rows choose those whose mean is the furthest below the true one."""
    rng, missed = np.random.default_rng(0), 0
    population = rng.normal(2, 2, 20_000)
    choices = [(cut, slope) for cut in np.linspace(-1, 3, 9) for slope in (0.5, 1.0, 2.0)]
    for _ in range(50):
        rows = rng.normal(2, 2, 300)
        lowest = 1.0
        for cut, slope in choices:
            estimated, most = expit(-slope * rows), float(expit(-slope * cut))
            true = float(expit(-slope * population[population >= cut]).mean())
            lowest = min(lowest, risk_upper_bound(estimated, rows >= cut, most, 0.1) - true)
        missed += lowest < 0
    assert missed <= 5


def test_the_bound_of_an_estimated_risk_by_hand() -> None:
    estimated, accepted = np.array([0.1, 0.2, 0.9, 0.8]), np.array([True, True, False, False])
    off = math.sqrt(math.log(2 / 0.05) / 8)
    assert risk_upper_bound(estimated, accepted, 0.2, 0.05) == 0.2  # it is never above what can be accepted
    many = risk_upper_bound(np.tile(estimated, 10_000), np.tile(accepted, 10_000), 0.2, 0.05)
    assert many == pytest.approx((0.3 / 4 + 0.4 * off / 100) / (0.5 + off / 100))
    grouped = risk_upper_bound(np.tile(estimated, 10_000), np.tile(accepted, 10_000), 0.2, 0.05, groups=3)
    assert many < grouped < 0.2
