"""The nearest references in a graph: a product of matrices and the least of each bin.

References lie by class, in bins of one width that are filled up with references infinitely far away: all at the first
place of their bins, then all at the second. What is done to all bins is done to neighbouring numbers. Products are in
float32, as in a quick search of :class:`~steepslope.numerics.Index`, or in float64, where its distances are
exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steepslope.numerics import SAME, SPARE, Arrays, Counts, Values, distances_from_squares

_WIDEST = 2**4  # of bins: wider ones leave more places empty
_ROOM = 1.25  # the most places for a reference, where bins can be narrower


@dataclass(frozen=True, eq=False)
class Bins:
    """Points (d, w·B) in B bins of w places, with squared lengths (w·B,), infinite where a place is empty.

    Both are float32, or float64 where distances have to be exact. ``owner`` (B,) is the class of each bin, of which
    each of ``classes`` has one at least.
    """

    points: Tensor
    squares: Tensor
    centre: Tensor
    owner: Tensor
    classes: int

    @classmethod
    def of(cls, index: Arrays, exact: bool = False) -> Bins:
        """Lay the references of an index, by the names of its arrays, out in bins."""
        starts = index["starts"]
        sizes = np.diff(starts)
        width = _width_of_bins(sizes)
        bins = np.maximum(1, -(-sizes // width))
        owner = np.repeat(np.arange(len(sizes)), bins)
        first = np.cumsum(bins) - bins  # bin of each class
        number = np.arange(len(owner)) - np.repeat(first, bins)  # of a bin in its class
        place = number * width + np.arange(width)[:, None]
        is_taken = place < sizes[owner]
        chosen = np.where(is_taken, starts[owner] + place, 0)
        kind = np.float64 if exact else np.float32
        points = np.where(is_taken[:, :, None], index["points"][chosen], 0).astype(kind)
        squares = np.square(points).sum(axis=2) if exact else index["squares"][chosen]
        squares = np.where(is_taken, squares, np.inf).astype(kind).ravel()
        columns = points.reshape(len(squares), -1).T
        return cls(_tensor(columns), _tensor(squares), _tensor(index["centre"]), _tensor(owner), len(sizes))

    @property
    def bins(self) -> int:
        """The number of bins."""
        return len(self.owner)

    def squared(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Return the queries' squared lengths, float64 (m,), and squared distances less these, (m, w, B)."""
        centred = (queries - self.centre).float()
        squared = torch.addmm(self.squares, centred.to(self.points.dtype), self.points, alpha=-2)
        return centred.double().square().sum(dim=1), squared.reshape(-1, len(self.squares) // self.bins, self.bins)

    def kth_distance(self, queries: Tensor, k: int) -> Tensor:
        """Return the distance to the k-th nearest of all references, float64 (m,)."""
        own, squared = self.squared(queries)
        values, _ = self._nearest(squared, squared.amin(dim=1), k)
        distance: Tensor = distances_from_squares(own, values[:, -1])
        return distance

    def class_distances(self, queries: Tensor) -> Tensor:
        """Return the distance to the second nearest of each class, float64 (m, K), ∞ if it has none."""
        own, squared = self.squared(queries)
        return self._distances(own, squared, squared.amin(dim=1))

    def search(self, queries: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return :meth:`class_distances`, and how many of the nearest are of each class, (m, len(counts), K).

        Of ``counts`` nearest, those tied at the last place split what is left of it.
        """
        own, squared = self.squared(queries)
        first = squared.amin(dim=1)
        return self._distances(own, squared, first), self._counted(own, squared, first, counts)

    def _distances(self, own: Tensor, squared: Tensor, first: Tensor) -> Tensor:
        """Return the distance to the second nearest: it is in the bin of the nearest, or the least of another bin."""
        least = self._of_classes(first, "amin", torch.inf)
        is_least = first == least.index_select(1, self.owner)
        numbers = torch.arange(float(self.bins))  # which float32 holds, and which are faster than whole numbers
        chosen = self._of_classes(is_least.float() * numbers, "amax", 0.0).long()
        others = first.scatter(1, chosen, torch.inf)
        inside = squared.gather(2, chosen[:, None].expand(-1, squared.shape[1], -1))
        nearest = inside.argmin(dim=1, keepdim=True)
        inside = inside.scatter(1, nearest, torch.inf).amin(dim=1)
        second = torch.minimum(inside, self._of_classes(others, "amin", torch.inf))
        distances: Tensor = distances_from_squares(own[:, None], second)
        return distances

    def _of_classes(self, values: Tensor, how: str, start: float) -> Tensor:
        """Return the least or the largest of each class's bins, (m, B) -> (m, K)."""
        starts = torch.full_like(values[:, :1], start).expand(-1, self.classes)
        return starts.scatter_reduce(1, self.owner.expand_as(values), values, how)

    def _nearest(self, squared: Tensor, first: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the least of all, ascending, and their places, (m, count): they lie in the bins of least ``first``."""
        width = squared.shape[1]
        if self.bins <= count:
            return squared.flatten(1).topk(count, dim=1, largest=False)
        bins = first.topk(count, dim=1, largest=False).indices
        chosen = bins[:, None].expand(-1, width, -1)
        values, order = squared.gather(2, chosen).flatten(1).topk(count, dim=1, largest=False)
        places = chosen + self.bins * torch.arange(width)[:, None]
        return values, places.flatten(1).gather(1, order)

    def _counted(self, own: Tensor, squared: Tensor, first: Tensor, counts: Sequence[int]) -> Tensor:
        """Return the numbers of each class among the nearest: a few tell them, unless more than those are tied."""
        most = min(max(counts) + SPARE, len(self.squares))
        values, places = self._nearest(squared, first, most)
        near, far = _limits_of_ties(own[:, None], values.index_select(1, torch.tensor(counts) - 1))
        share = torch.tensor(counts, dtype=torch.float64)
        nothing = torch.zeros_like(near, dtype=torch.float64)[:, :, None].repeat(1, 1, self.classes)

        def of_few(near: Tensor, far: Tensor, values: Tensor, places: Tensor, *_: Tensor) -> Tensor:
            shares = _parts_of_bins(values, near, far, share)
            owner = self.owner.gather(0, (places % self.bins).flatten()).reshape(-1, 1, most)
            return nothing.scatter_add(2, owner.expand_as(shares), shares)

        def of_all(near: Tensor, far: Tensor, _: Tensor, __: Tensor, squared: Tensor) -> Tensor:
            shares = _parts_of_bins(squared.flatten(1), near, far, share)
            of_bins = shares.reshape(-1, len(counts), *squared.shape[1:]).sum(dim=2)
            return nothing.scatter_add(2, self.owner.expand_as(of_bins), of_bins)

        if most == len(self.squares):
            return of_few(near, far, values, places)
        more = (values[:, -1:] <= far).any()
        numbers: Tensor = torch.cond(more, of_all, of_few, (near, far, values, places, squared))
        return numbers


def _tensor(array: Values) -> Tensor:
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _limits_of_ties(own: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Return from where on, and up to where, squared distances less ``own`` are tied with the ``last``, (m, C) each."""
    reach = distances_from_squares(own, last)
    near = ((reach * (1 - SAME)).square() - own).to(last.dtype)
    far = ((reach * (1 + SAME)).square() - own).to(last.dtype)
    near = torch.minimum(near, last)  # whatever is rounded, the last is tied
    far = torch.maximum(far, last)
    of_copies = distances_from_squares(own, (-own).to(last.dtype))
    return torch.where(reach * (1 - SAME) > of_copies, near, -torch.inf), far  # of the least there are, all are


def _parts_of_bins(squared: Tensor, near: Tensor, far: Tensor, counts: Tensor) -> Tensor:
    """Return 1 for a place that is among so many nearest, else 0, (m, p), (m, C), (m, C), (C,) -> float64 (m, C, p).

    Of a place that is tied with the last, it is a part.
    """
    within = (squared[:, None] < near[:, :, None]).double()
    tied = (squared[:, None] <= far[:, :, None]).double() - within
    left = (counts - within.sum(dim=2)) / tied.sum(dim=2)
    return within + tied * left[:, :, None]


def _width_of_bins(sizes: Counts) -> int:
    """Return the width of bins for classes of some sizes: the largest that leaves few places empty.

    >>> _width_of_bins(np.array([5_000, 5_000])), _width_of_bins(np.array([5, 6, 9]))
    (16, 2)
    """
    width = _WIDEST
    while (-(-sizes // width) * width).sum() > _ROOM * sizes.sum():
        width //= 2
    return width
