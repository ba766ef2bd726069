"""Principal components against scikit-learn's, and what is kept where there is little."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from steepslope.numerics.linear import principal_components


@pytest.mark.parametrize(("rows", "width", "count", "kept"), [(200, 10, 3, 3), (200, 10, 64, 10), (5, 10, 64, 4)])
def test_they_are_those_of_scikit_learn(rows: int, width: int, count: int, kept: int) -> None:
    values = np.random.default_rng(0).normal(size=(rows, width)) * np.arange(1, width + 1) + 1e4
    mean, directions, variances = principal_components(values.astype(np.float32), count)
    theirs = PCA(kept, svd_solver="full").fit(values)
    assert directions.shape == (width, kept)
    np.testing.assert_allclose(mean, theirs.mean_, rtol=1e-6)
    np.testing.assert_allclose(variances[::-1], theirs.explained_variance_, rtol=1e-2)
    np.testing.assert_allclose(np.abs(directions.T[::-1] @ theirs.components_.T), np.eye(kept), atol=2e-2)
