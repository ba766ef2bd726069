"""Standardised columns, the minimiser that works on them, and principal components against scikit-learn's."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from steepslope.numerics.linear import minimise, principal_components, standardised
from steepslope.numerics.small_net import cosine, warm_cosine


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_minimum_respects_bounds(dtype: type) -> None:
    found = minimise(lambda x: (x - x.new_tensor([3, -3])).square().sum(), np.zeros(2, dtype=dtype), [(0, None)] * 2)
    np.testing.assert_allclose(found, [3, 0], atol=1e-4)


def test_rates_fall_along_half_a_cosine() -> None:
    assert [cosine(done, 4) for done in (0, 2, 4)] == pytest.approx([1, 0.5, 0])
    assert warm_cosine(0.1) == 1


@pytest.mark.parametrize(("rows", "width", "count", "kept"), [(200, 10, 3, 3), (200, 10, 64, 10), (5, 10, 64, 4)])
def test_components_are_those_of_scikit_learn(rows: int, width: int, count: int, kept: int) -> None:
    values = np.random.default_rng(0).normal(size=(rows, width)) * np.arange(1, width + 1) + 1e4
    mean, directions, variances = principal_components(values.astype(np.float32), count)
    theirs = PCA(kept, svd_solver="full").fit(values)
    assert directions.shape == (width, kept)
    np.testing.assert_allclose(mean, theirs.mean_, rtol=1e-6)
    np.testing.assert_allclose(variances[::-1], theirs.explained_variance_, rtol=1e-2)
    np.testing.assert_allclose(np.abs(directions.T[::-1] @ theirs.components_.T), np.eye(kept), atol=2e-2)
