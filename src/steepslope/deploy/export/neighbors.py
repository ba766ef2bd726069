"""The nearest references in a graph: a product of matrices and the least of each class.

References lie by class, in bins of one width that are filled up with references infinitely far away, so that the least
of every bin is found at once. The first places of all bins come first, then the second ones, and so on, so that what
is done to all bins is done to neighbouring numbers. Products are in float32, as in a quick search of
:class:`~steepslope.estimators.neighbors.Index`, or in float64, where its distances are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steepslope.estimators.neighbors import SAME, Index

ROOM = 1.25  # the most places for a reference
WIDEST, NARROWEST = 2**13, 2**2  # of bins, where these are not as wide as the largest class
ROUNDING = 1e-14  # of a squared length, in float64
GROUP = 64  # places whose least is found first
PAIR = 2  # the largest rank that is found where classes have several bins


@dataclass(frozen=True, eq=False)
class References:
    """Points (w·B, d) in B bins of w places, by class, with squared lengths (w·B,), infinite where a place is empty.

    Both are float32, or float64 where distances have to be exact. ``owner`` (B,) is the class of each bin.
    ``is_simple`` is whether each of the ``num_classes`` has one bin.
    """

    points: Tensor
    squares: Tensor
    centre: Tensor
    owner: Tensor
    num_classes: int
    is_simple: bool

    @classmethod
    def of(cls, index: Index, exact: bool = False) -> References:
        """Lay the references of an index out in bins."""
        sizes = np.diff(index.starts)
        width = width_of_bins(sizes)
        bins = np.ceil(sizes / width).astype(np.int64)
        owner, first = np.repeat(np.arange(len(sizes)), bins), np.cumsum(bins) - bins
        number = np.arange(len(owner)) - first[owner]  # of a bin in its class
        places = (index.starts[owner] + number * width) + np.arange(width)[:, None]
        there = (places < index.starts[owner + 1]).ravel()
        chosen = np.where(there, places.ravel(), 0)
        kind = np.float64 if exact else np.float32
        points = np.where(there[:, None], index.points[chosen], 0).astype(kind)
        lengths_of = np.square(points).sum(axis=1) if exact else index.squares[chosen]
        squares = np.where(there, lengths_of, np.inf).astype(kind)
        points_of, squares_of, centre, owner_of = map(as_tensor, (points, squares, index.centre, owner))
        return cls(points_of, squares_of, centre, owner_of, len(sizes), bool((bins == 1).all()))

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of places in each bin, and of bins."""
        return len(self.points) // len(self.owner), len(self.owner)

    def squared(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Return the queries' squared lengths, float64 (m,), and squared distances less these, (m, w·B)."""
        centred = (queries - self.centre).float()
        squared = torch.addmm(self.squares, centred.to(self.points.dtype), self.points.T, alpha=-2)
        return centred.double().square().sum(dim=1), squared

    def class_distances(self, own: Tensor, squared: Tensor, rank: int) -> Tensor:
        """Return the distance to the ``rank``-th nearest of each class, float64 (m, K), ∞ where it has fewer.

        ``rank`` is at most 2 where a class has several bins.
        """
        in_bins = squared.reshape(-1, *self.shape)
        if rank > PAIR:
            assert self.is_simple
            places = in_bins.transpose(1, 2).reshape(-1, self.shape[0])
            least = _least(places, min(rank, self.shape[0])).reshape(-1, len(self.owner), min(rank, self.shape[0]))
            least = torch.nn.functional.pad(least, (0, rank - least.shape[2]), value=torch.inf)
            return lengths(own[:, None], least[:, :, rank - 1])
        first, second = two_least(in_bins)
        if not self.is_simple:
            first, second = self._of_bins(first, second)
        return lengths(own[:, None], first if rank == 1 else second)

    def _of_bins(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two least of each class from those of its bins, (m, B) -> (m, K)."""
        least = self._minimum(first)
        is_least = first == least[:, self.owner]
        others = self._minimum(torch.where(is_least, second, first))
        return least, torch.where(self._sums(is_least) > 1, least, others)

    def _minimum(self, values: Tensor) -> Tensor:
        """Return the least of each class's bins, (m, B) -> (m, K), ∞ where it has none."""
        nothing = torch.full_like(values[:, :1], torch.inf).expand(-1, self.num_classes)
        return nothing.scatter_reduce(1, self.owner.expand(values.shape[0], -1), values, "amin")

    def _sums(self, values: Tensor) -> Tensor:
        """Return the sums of numbers, or truths, over each class's bins, (m, B) -> float64 (m, K)."""
        nothing = torch.zeros_like(values[:, :1], dtype=torch.float64).expand(-1, self.num_classes)
        return nothing.scatter_add(1, self.owner.expand(values.shape[0], -1), values.double())

    def counts(self, own: Tensor, squared: Tensor, counts: Sequence[int]) -> Tensor:
        """Return how many of the nearest are of each class, float64 (m, len(counts), K); ties at the last split it."""
        values = _least(squared, max(counts))
        return torch.stack([self._counted(own, squared, values[:, count - 1], count) for count in counts], dim=1)

    def _counted(self, own: Tensor, squared: Tensor, last: Tensor, count: int) -> Tensor:
        reach = lengths(own, last)
        near, far = (((reach * factor).square() - own).to(squared.dtype) for factor in (1 - SAME, 1 + SAME))
        near, far = torch.minimum(near, last), torch.maximum(far, last)  # whatever is rounded, the last is tied
        near, far = torch.where(reach > 0, near, -torch.inf)[:, None], far[:, None]  # at distance 0, all are
        within, up_to = (self._in_bins(one) for one in (squared < near, squared <= far))
        tied = up_to - within
        left = (count - within.sum(dim=1, keepdim=True)).double() / tied.sum(dim=1, keepdim=True).double()
        return self._sums(within + tied * left)

    def _in_bins(self, chosen: Tensor) -> Tensor:
        """Return how many of each bin are chosen, float32 (m, B)."""
        return chosen.reshape(-1, *self.shape).float().sum(dim=1)


def width_of_bins(sizes: NDArray[np.int64]) -> int:
    """Return the width of bins for classes of some sizes: the largest that leaves few places empty.

    >>> width_of_bins(np.array([5_000, 5_000])), width_of_bins(np.array([9_000, 1_000, 10]))
    (5000, 1024)
    """
    powers = (WIDEST >> step for step in range(WIDEST.bit_length()))
    widths = [int(sizes.max()), *(one for one in powers if NARROWEST <= one < sizes.max())]
    fitting = [one for one in widths if (np.ceil(sizes / one) * one).sum() <= ROOM * sizes.sum()]
    return fitting[0] if fitting else widths[-1]


def two_least(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two least along the second axis, (m, w, B) -> (m, B) each, ∞ where there is one: a knock-out.

    >>> two_least(torch.tensor([[[5.0], [1.0], [7.0], [1.0], [3.0]]]))
    (tensor([[1.]]), tensor([[1.]]))
    """
    first, second = values, torch.full_like(values, torch.inf) if values.shape[1] == 1 else None
    while first.shape[1] > 1:
        half = first.shape[1] // 2
        left, right, odd = first[:, :half], first[:, half : 2 * half], first[:, 2 * half :]
        losers = torch.maximum(left, right)
        if second is not None:
            both = torch.minimum(second[:, :half], second[:, half : 2 * half])
            losers = torch.minimum(losers, both)
        rest = torch.full_like(odd, torch.inf) if second is None else second[:, 2 * half :]
        first = torch.cat([torch.minimum(left, right), odd], dim=1)
        second = torch.cat([losers, rest], dim=1)
    assert second is not None
    return first[:, 0], second[:, 0]


def _least(values: Tensor, count: int) -> Tensor:
    """Return the least of each row, ascending, (m, count): they lie in those groups whose own least are least."""
    groups, edge = values.shape[1] // GROUP, values.shape[1] // GROUP * GROUP
    if groups <= 2 * count:
        return values.topk(count, dim=1, largest=False).values
    grouped = values[:, :edge].reshape(-1, groups, GROUP)
    chosen = grouped.amin(dim=2).topk(count, dim=1, largest=False).indices
    some = grouped.gather(1, chosen[:, :, None].expand(-1, -1, GROUP)).flatten(1)
    return torch.cat([some, values[:, edge:]], dim=1).topk(count, dim=1, largest=False).values


def lengths(own: Tensor, squared: Tensor) -> Tensor:
    """Return distances, float64, from squared ones less each query's own square.

    In float64, what products round to anything but 0 is 0: rows in float32 that differ do so by more.
    """
    whole = squared.double() + own
    if squared.dtype == torch.float64:
        whole = torch.where(whole <= ROUNDING * own, 0.0, whole)
    return whole.clamp_min(0).sqrt()


def unit_rows(rows: Tensor) -> Tensor:
    """Scale each row to length 1; a row of zeros stays."""
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / torch.where(norms > 0, norms, 1.0)


def constant(value: float) -> Tensor:
    """Return a number as a tensor of float64; a bare one would be rounded to float32 in the graph."""
    return torch.tensor(value, dtype=torch.float64)


def as_tensor(array: NDArray[Any]) -> Tensor:
    """Return a copy of an array as a tensor."""
    return torch.from_numpy(np.array(array))
