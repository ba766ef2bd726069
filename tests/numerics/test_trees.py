"""Trees as arrays against scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from steepslope.numerics._array_shapes import require_arrays
from steepslope.numerics._trees import DEPTH, LEAF, SETTINGS, SHAPES, fit_trees, tree_log_odds


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    columns = draw.normal(size=(n, 5)).astype(np.float32)
    columns[:, 4] = np.round(columns[:, 4])
    return columns, columns[:, 0] * columns[:, 1] + columns[:, 4] + draw.normal(size=n) > 0


@pytest.mark.parametrize("n", [60, 500, 3_000])
def test_they_are_those_of_scikit_learn(n: int) -> None:
    columns, target = rows(n)
    new, _ = rows(700, seed=1)
    grown = HistGradientBoostingClassifier(**SETTINGS, max_depth=DEPTH, early_stopping=False, random_state=0)
    expected = grown.fit(columns, target).decision_function(new)
    arrays = fit_trees(columns, target)
    require_arrays(arrays, dict(sorted(SHAPES.items())))
    np.testing.assert_allclose(tree_log_odds(new, arrays), expected, atol=1e-12)
    np.testing.assert_allclose(tree_log_odds(torch.from_numpy(new), arrays).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(tree_log_odds(new[:1], arrays), expected[:1], atol=1e-12)


@pytest.mark.parametrize("errors", [0, 1, LEAF - 1])
def test_none_grow_from_few_rows_of_a_kind(errors: int) -> None:
    columns, _ = rows(200)
    arrays = fit_trees(columns, np.arange(200) >= errors)
    assert len(arrays["features"]) == 0
    np.testing.assert_allclose(tree_log_odds(columns, arrays), np.log((201 - errors) / (errors + 1)))
