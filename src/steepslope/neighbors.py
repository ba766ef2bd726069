"""Exact nearest neighbours in chunks: float32 products of matrices, then exact distances of those found.

Distances are Euclidean. A chunk of queries by all references fits in some 128 MB, so memory does not grow with either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError

if TYPE_CHECKING:
    from torch import Tensor

CHUNK_ENTRIES = 2**25
ROUNDING = 1e-6  # of a squared distance in float32, as a share of the squared lengths


@dataclass(frozen=True, eq=False)
class Index:
    """Reference points float32 (m, d), centred and sorted by class; ``starts`` (K + 1,) cuts them into classes."""

    points: NDArray[np.float32]
    centre: NDArray[np.float32]
    labels: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def build(cls, features: NDArray[Any], labels: NDArray[np.int64], num_classes: int) -> Index:
        """Sort the references by class; centring keeps the products, and with them the rounding, small."""
        order = np.argsort(labels, kind="stable")
        points = np.asarray(features, dtype=np.float32)[order]
        if not np.isfinite(points.sum(dtype=np.float64)):
            raise SteepslopeError("reference features: expected finite values, found others")
        centre = points.mean(axis=0, dtype=np.float64).astype(np.float32)
        starts = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=num_classes))])
        return cls(points - centre, centre, labels[order], starts)

    def class_distances(self, queries: NDArray[Any], rank: int) -> NDArray[np.float32]:
        """Return the distance to the ``rank``-th nearest reference of each class, (n, d) -> (n, K).

        It is infinite for a class with fewer references.
        """
        import torch

        distances = np.full((len(queries), len(self.starts) - 1), np.inf, dtype=np.float32)
        for rows, chunk in self._chunks(queries):
            for label, (start, stop) in enumerate(pairwise(self.starts)):
                if stop - start >= rank:
                    points = torch.from_numpy(self.points[start:stop])
                    found = points[_at_rank(chunk, points, _squared(chunk, points), rank)]
                    distances[rows, label] = torch.linalg.vector_norm(chunk - found, dim=1).numpy()
        return distances

    def nearest(self, queries: NDArray[Any], count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return distances and labels of the nearest references, (n, d) -> (n, count) each, nearest first."""
        _, distances, labels = self.search(queries, 0, count)
        return distances, labels

    def search(
        self, queries: NDArray[Any], rank: int, count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Return what :meth:`class_distances` (of rank 0: nothing) and :meth:`nearest` do, by one matrix product."""
        import torch

        if count > len(self.points):
            raise SteepslopeError(f"neighbours: expected at least {count} references, found {len(self.points)}")
        by_class = np.full((len(queries), len(self.starts) - 1), np.inf, dtype=np.float32)
        distances = np.empty((len(queries), count), dtype=np.float32)
        labels = np.empty((len(queries), count), dtype=np.int64)
        points = torch.from_numpy(self.points)
        for rows, chunk in self._chunks(queries):
            squared = _squared(chunk, points)
            found = squared.topk(count, dim=1, largest=False).indices
            exact = torch.stack([torch.linalg.vector_norm(chunk - points[column], dim=1) for column in found.T], dim=1)
            order = exact.argsort(dim=1, stable=True)
            distances[rows] = exact.gather(1, order).numpy()
            labels[rows] = self.labels[found.gather(1, order).numpy()]
            for label, (start, stop) in enumerate(pairwise(self.starts)):
                if 0 < rank <= stop - start:
                    own = points[start:stop]
                    chosen = own[_at_rank(chunk, own, squared[:, start:stop], rank)]
                    by_class[rows, label] = torch.linalg.vector_norm(chunk - chosen, dim=1).numpy()
        return by_class, distances, labels

    def _chunks(self, queries: NDArray[Any]) -> Iterator[tuple[slice, Tensor]]:
        import torch

        if queries.shape[1] != len(self.centre):
            raise SteepslopeError(
                f"features: expected {len(self.centre)} columns, as in the reference, found {queries.shape[1]}"
            )
        size = max(1, min(len(queries), CHUNK_ENTRIES // max(1, len(self.points))))
        for start in range(0, len(queries), size):
            rows = slice(start, min(start + size, len(queries)))
            yield rows, torch.from_numpy(np.asarray(queries[rows], dtype=np.float32) - self.centre)


def _squared(queries: Tensor, points: Tensor) -> Tensor:
    """Return squared distances less each query's own square, which does not change the order, (n, m)."""
    import torch

    return torch.addmm(points.square().sum(dim=1), queries, points.T, alpha=-2)


def _at_rank(queries: Tensor, points: Tensor, squared: Tensor, rank: int) -> Tensor:
    """Return the index of each query's ``rank``-th nearest point, (n,); ``squared`` (n, m) is used up.

    Where float32 cannot tell it from the next, because both are much closer than they are to the origin, it is found
    again in float64.
    """
    import torch

    for _ in range(rank):  # a few minima are faster than a selection
        found = squared.argmin(dim=1, keepdim=True)
        value = squared.gather(1, found)
        squared.scatter_(1, found, torch.inf)
    rounding = ROUNDING * (queries.square().sum(dim=1) + points.square().sum(dim=1).max())
    unsure = squared.amin(dim=1) - value[:, 0] < rounding
    if queries.dtype == torch.float32 and bool(unsure.any()):
        again = queries[unsure].double(), points.double()
        found[unsure, 0] = _at_rank(*again, _squared(*again), rank)
    return found[:, 0]
