"""The nearest of many references, read in blocks, against scikit-learn."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from steepslope.numerics import _neighbors as neighbors
from steepslope.numerics._neighbors import nearest_rows


@pytest.mark.parametrize(
    ("kind", "offset", "mapped"), [(np.float16, 0.0, False), (np.float32, 100.0, True), (np.float64, 100.0, False)]
)
def test_they_are_those_of_scikit_learn_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, offset: float, mapped: bool
) -> None:
    monkeypatch.setattr(neighbors, "CHUNK_ENTRIES", 40 * 37)
    rng = np.random.default_rng(0)
    references, queries = ((rng.normal(size=(n, 6)) + offset).astype(kind) for n in (500, 40))
    if mapped:
        np.save(tmp_path / "references.npy", references)
        references = np.load(tmp_path / "references.npy", mmap_mode="r")
    index = NearestNeighbors(algorithm="kd_tree").fit(np.array(references, dtype=np.float64))
    expected = index.kneighbors(queries.astype(np.float64), 4)[0]
    found = nearest_rows(queries, references, 4)
    distances = np.linalg.norm(references[found].astype(np.float64) - queries[:, None].astype(np.float64), axis=2)
    np.testing.assert_allclose(distances, expected, rtol=1e-9)
    assert all(len(set(row)) == 4 for row in found.tolist())


def test_differences_that_float32_does_not_know_decide() -> None:
    references = 1 + 1e-12 * np.arange(50.0)[::-1, None]
    assert nearest_rows(np.array([[1.0], [5.0]]), references, 3).tolist() == [[49, 48, 47], [0, 1, 2]]
    assert nearest_rows(np.array([[1e30], [0.0]]), np.array([[3e30], [2e30], [-2e30]]), 2).tolist() == [[1, 0], [1, 2]]


def test_the_first_of_equally_near_ones_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "CHUNK_ENTRIES", 7)
    assert nearest_rows(np.zeros((1, 2)), np.ones((30, 2)), 3).tolist() == [[0, 1, 2]]


def test_what_is_not_finite_is_near_to_nothing() -> None:
    references = np.array([[np.nan], [2.0], [np.inf], [1.0]])
    assert nearest_rows(np.array([[0.0], [np.nan]]), references, 3).tolist() == [[3, 1, -1], [-1, -1, -1]]
    assert nearest_rows(np.array([[0.0]]), references[3:], 3).tolist() == [[0]]
