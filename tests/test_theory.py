"""The theorem's bound and the cut of the steep slope loss, against simulation and search."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from steepslope.errors import SteepslopeError
from steepslope.losses import steep_slope
from steepslope.theory import decision_probability, generalization_bound, loss_maximum

ALPHAS = [(1.0, 3.0), (2.0, 5.0), (1.0, 1.0)]


def test_bound_holds_and_half_of_it_does_not() -> None:
    """The widest distribution, a loss at either end with equal chance: the bound holds, half of it fails."""
    n, delta = 200, 0.2
    rng = np.random.default_rng(0)
    z = torch.from_numpy(np.where(rng.random((4000, n)) < 0.5, np.inf, -np.inf))
    deviation = (steep_slope(z, torch.zeros_like(z, dtype=torch.bool)).mean(dim=1) - loss_maximum(1, 3) / 2).abs()
    bound = generalization_bound(1, 3, n, 0.0, delta)
    assert (deviation > bound).double().mean() <= delta
    assert (deviation > bound / 2).double().mean() > delta


def test_bound_holds_for_all_hypotheses_at_once() -> None:
    """Fifty linear oracles on noisy correctness; the risk is taken from a large sample of the same source."""
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(50, 3))

    def losses(n: int) -> torch.Tensor:
        x = rng.normal(size=(n, 3))
        is_correct = torch.from_numpy(rng.random(n) < 1 / (1 + np.exp(-2 * x[:, 0])))
        z = torch.from_numpy(x @ directions.T)
        costs: torch.Tensor = steep_slope(z, is_correct[:, None].expand_as(z)).mean(dim=0)
        return costs

    risk = losses(20_000)
    bound = generalization_bound(1, 3, 100, math.log(50), 0.05)
    worst = torch.stack([(losses(100) - risk).abs().max() for _ in range(200)])
    assert (worst > bound).double().mean() <= 0.05
    assert bound < loss_maximum(1, 3)


@pytest.mark.parametrize("arguments", [(0, 0.0, 0.1), (10, -1.0, 0.1), (10, 0.0, 0.0), (10, 0.0, 1.0)])
def test_bound_refuses_nonsense(arguments: tuple[int, float, float]) -> None:
    n, log_hypotheses, delta = arguments
    with pytest.raises(SteepslopeError, match="the bound needs"):
        generalization_bound(1, 3, n, log_hypotheses, delta)


@pytest.mark.parametrize("alphas", [(0, 0), (-1, -3), (float("nan"), 1), (800, 1)])
def test_slopes_out_of_range_are_named(alphas: tuple[float, float]) -> None:
    for function in (loss_maximum, decision_probability):
        with pytest.raises(SteepslopeError, match="alpha_pos and alpha_neg: expected numbers"):
            function(*alphas)


@pytest.mark.parametrize("alphas", ALPHAS)
def test_cut_is_where_the_optimum_of_a_search_changes_sign(alphas: tuple[float, float]) -> None:
    s = torch.linspace(-1, 1, 20_001, dtype=torch.float64)
    correct, wrong = (
        steep_slope(s / (1 - s.abs()), torch.full_like(s, side).bool(), alpha_pos=alphas[0], alpha_neg=alphas[1])
        for side in (True, False)
    )
    cut = decision_probability(*alphas)
    below, above = (s[(p * correct + (1 - p) * wrong).argmin()].item() for p in (cut - 0.01, cut + 0.01))
    assert -0.1 < below < 0 < above < 0.1
