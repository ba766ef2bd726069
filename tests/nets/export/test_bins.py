"""The nearest references of a graph are those of the index, however many there are of a class, and however many tie."""

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from steepslope.nets.classifiers._onnx_net import exported_onnx
from steepslope.nets.export._bins import Bins
from steepslope.numerics._neighbors import Index

COUNTS = (10, 50)
SIZES = {
    "as many of each": [40] * 12,
    "one class": [700],
    "many of each": [600, 700],
    "a long tail": [int(one) for one in np.geomspace(1, 500, 40)],
    "none of some": [0, 90, 0, 0, 7, 1],
    "fewer than are looked at": [20, 31],
    "bins as narrow as can be": [1] * 70 + [2] * 30,
}


def _index(sizes: list[int], copies: int = 0) -> Index:
    """Return an index of random points, of which the first ``copies`` are one and the same."""
    points = np.random.default_rng(len(sizes)).normal(size=(sum(sizes), 6)).astype(np.float32)
    points[:copies] = points[0]
    return Index.build(points, np.repeat(np.arange(len(sizes)), sizes), len(sizes))


def _queries(index: Index, n: int = 30) -> NDArray[np.float32]:
    """Return random queries, of which some are references themselves."""
    queries = np.random.default_rng(5).normal(size=(n, 6)).astype(np.float32)
    queries[:5] = index.points[:5] + index.centre
    return queries


def test_copies_are_as_far_whatever_else_is_searched_for_at_once() -> None:
    """Products in float32 round the distance to a copy to something that depends on the size of a batch."""
    index = _index([40] * 12)
    queries = np.repeat(index.points[::24] + index.centre, 2, axis=0).astype(np.float32)
    doubled = Index.build(np.repeat(index.points, 3, axis=0), np.repeat(np.arange(12), 120), 12)
    for found in (index, doubled):
        together = found.search(queries, COUNTS)
        alone = [found.search(one[None], COUNTS) for one in queries]
        for number, whole in enumerate(together):
            np.testing.assert_allclose(np.concatenate([one[number] for one in alone]), whole, rtol=1e-3)
    graph = Bins.of(doubled.arrays).search(torch.from_numpy(queries), COUNTS)
    np.testing.assert_allclose(graph[0].numpy(), together[0], rtol=1e-3)
    np.testing.assert_allclose(graph[1].numpy(), together[1], atol=1e-9)


def _require_same(found: tuple[NDArray[np.float64], ...], index: Index, queries: NDArray[np.float32]) -> None:
    distances, counts = index.search(queries, COUNTS)
    np.testing.assert_allclose(found[0], distances, rtol=1e-4)
    np.testing.assert_allclose(found[1], counts, atol=1e-9)
    np.testing.assert_allclose(found[1].sum(axis=2), np.broadcast_to(COUNTS, (len(queries), 2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["many of each", "a long tail", "fewer than are looked at"])
def test_a_search_finds_what_the_index_does(name: str) -> None:
    index = _index(SIZES[name])
    queries = _queries(index)
    found = Bins.of(index.arrays).search(torch.from_numpy(queries), COUNTS)
    _require_same(tuple(one.numpy() for one in found), index, queries)


@pytest.mark.parametrize("copies", [0, 2, 40])
@pytest.mark.parametrize("name", SIZES)
def test_exact_distances_are_those_of_the_index(name: str, copies: int) -> None:
    """Of copies of a reference, which are in one bin or in several, the second is as near as the first."""
    index = _index(SIZES[name], copies)
    queries, references = _queries(index), Bins.of(index.arrays, exact=True)
    rows = torch.from_numpy(queries)
    np.testing.assert_allclose(references.class_distances(rows).numpy(), index.class_distances(queries), rtol=1e-6)
    np.testing.assert_allclose(references.kth_distance(rows, 7).numpy(), index.kth_distance(queries, 7), rtol=1e-6)


class _Search(torch.nn.Module):
    def __init__(self, references: Bins) -> None:
        super().__init__()
        self.references = references

    def forward(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        return self.references.search(queries, COUNTS)


@pytest.mark.slow
def test_a_file_goes_through_all_references_where_many_tie() -> None:
    index = _index([80, 90], 70)
    net, names = _Search(Bins.of(index.arrays)).eval(), ["distances", "counts"]
    example = torch.zeros(3, 6)
    session = onnxruntime.InferenceSession(exported_onnx(net, example, ["queries"], names, "test", optimize=False))
    queries = _queries(index)
    far_from_copies = np.linalg.norm(queries - queries[0], axis=1).argsort()[-3:]
    for some in (queries, queries[far_from_copies]):
        _require_same(tuple(session.run(names, {"queries": some})), index, some)


def test_places_are_few_more_than_references() -> None:
    rng = np.random.default_rng(0)
    for sizes in (rng.poisson(50, 1_000), rng.integers(1, 1_300, 1_000), np.full(10, 5_000), np.full(300, 3)):
        starts = np.concatenate([[0], np.cumsum(sizes)])
        points = np.zeros((starts[-1], 1), dtype=np.float32)
        index = Index(points, np.zeros(1, np.float32), starts, points[:, 0])
        assert sizes.sum() <= len(Bins.of(index.arrays).squares) <= 1.3 * sizes.sum()
