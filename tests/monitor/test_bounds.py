"""Intervals against their definition by quadrature, and against many draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from steepslope.monitor.bounds import mean_interval


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
