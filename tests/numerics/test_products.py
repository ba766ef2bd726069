"""Products against NumPy's, in the type of what is multiplied."""

import numpy as np
import pytest

from steepslope.numerics.linear import affine


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_are_those_of_numpy(dtype: str) -> None:
    rng = np.random.default_rng(0)
    columns, weights, bias = rng.normal(size=(7, 5)).astype(dtype), rng.normal(size=(5, 3)), rng.normal(size=3)
    for plus in (None, bias):
        found = affine(columns[::2], weights, plus)
        assert found.dtype == dtype
        expected = columns[::2] @ weights + (0 if plus is None else plus)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
