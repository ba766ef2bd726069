"""Standardised columns, the minimiser that works on them, principal components, and calibration by a closed form."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.decomposition import PCA

from steepslope.numerics._linear import (
    LEAST_SLOPE,
    fit_calibration,
    minimise_by_lbfgs,
    principal_components,
    standardised,
)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_fit_to_standardised_columns_is_one_to_the_originals(dtype: type) -> None:
    rng = np.random.default_rng(0)
    columns: NDArray[Any] = (rng.normal(size=(500, 3)) * [1, 20, 0] + [0, 50, 3]).astype(dtype)  # the last is constant
    found = standardised(columns)
    np.testing.assert_allclose(found.columns.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.columns.std(axis=0), [1, 1, 0], atol=1e-4)
    weights, bias = rng.normal(size=(3, 2)), rng.normal(size=2)
    own, offset = found.for_originals(weights, bias)
    np.testing.assert_allclose(columns @ own + offset, found.columns @ weights + bias, atol=1e-3)


def test_a_fit_to_components_of_standardised_columns_is_one_to_the_originals() -> None:
    """Five directions are all that twelve columns vary in, so that as many components lose nothing."""
    rng = np.random.default_rng(0)
    columns = (rng.normal(size=(500, 5)) @ rng.normal(size=(5, 12)) * 20 + 50).astype(np.float32)
    whole, found, few = (standardised(columns, count) for count in (12, 5, 3))
    assert whole.directions is None
    assert found.directions is not None
    assert (found.columns.shape, few.columns.shape) == ((500, 5), (500, 3))
    np.testing.assert_allclose(found.columns @ found.directions.T, whole.columns, atol=1e-4)
    lost = np.square(few.columns).sum() / np.square(whole.columns).sum()
    assert 0.5 < lost < 0.99
    weights, bias = rng.normal(size=(5, 2)), rng.normal(size=2)
    own, offset = found.for_originals(weights, bias)
    assert own.shape == (12, 2)
    np.testing.assert_allclose(columns @ own + offset, found.columns @ weights + bias, atol=1e-3)


def test_the_minimum_respects_bounds() -> None:
    target = np.array([3, -3])
    found = minimise_by_lbfgs(
        lambda x: (float(np.square(x - target).sum()), 2 * (x - target)), np.zeros(2), [(0, None)] * 2
    )
    np.testing.assert_allclose(found, [3, 0], atol=1e-4)


@pytest.mark.parametrize(("rows", "width", "count", "kept"), [(200, 10, 3, 3), (200, 10, 64, 10), (5, 10, 64, 4)])
def test_components_are_those_of_scikit_learn(rows: int, width: int, count: int, kept: int) -> None:
    values = np.random.default_rng(0).normal(size=(rows, width)) * np.arange(1, width + 1) + 1e4
    mean, directions, variances = principal_components(values.astype(np.float32), count)
    theirs = PCA(kept, svd_solver="full").fit(values)
    assert directions.shape == (width, kept)
    np.testing.assert_allclose(mean, theirs.mean_, rtol=1e-6)
    np.testing.assert_allclose(variances[::-1], theirs.explained_variance_, rtol=1e-2)
    np.testing.assert_allclose(np.abs(directions.T[::-1] @ theirs.components_.T), np.eye(kept), atol=2e-2)


@pytest.mark.parametrize(("low", "high"), [(0.3, 0.8), (0.05, 0.99)])
def test_two_values_have_a_closed_form(low: float, high: float) -> None:
    """Slope and offset meet the fractions that are right at the two values; of many rows, the ridge is nothing."""
    n = 50_000
    odds = np.repeat([-1.0, 2.0], n)
    is_correct = np.concatenate([np.arange(n) < low * n, np.arange(n) < high * n])
    slope, offset = fit_calibration(odds, is_correct)
    assert slope == pytest.approx((logit(high) - logit(low)) / 3, rel=5e-3)
    assert offset == pytest.approx(logit(low) + slope, abs=1e-2)


@pytest.mark.parametrize("is_better", [True, False])
@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (0.01, 3), (30, -50), (200, 1_000), (0, 2), (0, 0)])
@pytest.mark.parametrize("n", [2, 40, 3_000])
def test_calibrations_are_where_scipy_finds_the_minimum(n: int, scale: float, shift: float, is_better: bool) -> None:
    """By L-BFGS-B on the same objective, to more digits than it takes by default; also with a slope at its bound."""
    rng = np.random.default_rng(n)
    standard = rng.normal(size=n)
    odds, is_correct = scale * standard + shift, rng.random(n) < expit(1 + (2 if is_better else -2) * standard)

    def objective(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = parameters[0] * odds + parameters[1]
        losses, residual = np.logaddexp(0, np.where(is_correct, -logits, logits)), expit(logits) - is_correct
        gap = parameters - [1, 0]
        return float(losses.sum() + gap @ gap / 2), np.array([residual @ odds, residual.sum()]) + gap

    found = minimize(
        objective, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(LEAST_SLOPE, None), (None, None)],
        options={"ftol": 1e-16, "gtol": 1e-10, "maxiter": 10_000, "maxls": 100},
    )  # fmt: skip
    calibrated = np.array(fit_calibration(odds, is_correct))
    assert objective(calibrated)[0] <= found.fun * (1 + 1e-12)
    np.testing.assert_allclose(calibrated, found.x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("largest", [1e38, np.inf, np.nan])
def test_extreme_log_odds_give_finite_numbers(largest: float) -> None:
    with np.errstate(invalid="ignore", over="ignore"):
        slope, offset = fit_calibration(np.array([largest, -1e9, 2, 3]), np.array([True, False, True, False]))
    assert np.isfinite(offset)
    assert slope >= LEAST_SLOPE
