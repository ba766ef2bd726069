"""The nearest references in a graph: products of matrices and the least of each class.

References lie by class, in bins of one width that are filled up with references infinitely far away. A product for each
place of a bin gives the distances to all bins' references at that place: what is done to all bins is done to
neighbouring numbers, few enough to stay in the processor's caches. Likewise, classes of about as many bins are a block,
and the first bins of its classes come first. Products are in float32, as in a quick search of
:class:`~steepslope.numerics.neighbors.Index`, or in float64, where its distances are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steepslope.numerics.tensors import tensor

RANK = 2  # the distance to a class is that to its second nearest reference: a reference may be the query itself
SAME = 1e-6  # distances this close, relatively, are ties
LEAST = 1e-4  # of a query's squared length: far above what float32 products make of the distance to a copy of it
SPARE = 8  # candidates beyond those wanted
WIDEST = 2**4  # of bins: wider ones leave more places empty
ROOM = 1.25  # the most places for a reference, where bins can be narrower
BLOCKS = 8  # at most: each costs some dozens of nodes
FEW = 16  # bins of a class, which are compared in turn; of more, halves are
ROUNDING = 1e-14  # of a squared length, in float64


@dataclass(frozen=True, eq=False)
class Bins:
    """Points, w times (d, B), in B bins of w places, by class, with squared lengths, infinite where a place is empty.

    Both are float32, or float64 where distances have to be exact. ``blocks`` are the numbers of bins of a class, and of
    classes, in each block; ``order`` (K,) tells where a class is among those of all blocks, ``owner`` (B,) the class of
    each bin.
    """

    points: tuple[Tensor, ...]
    squares: tuple[Tensor, ...]
    centre: Tensor
    blocks: tuple[tuple[int, int], ...]
    order: Tensor
    owner: Tensor

    @classmethod
    def of(cls, index: Mapping[str, NDArray[Any]], exact: bool = False) -> Bins:
        """Lay the references of an index, by the names of its arrays, out in bins."""
        sizes = np.diff(index["starts"])
        width = width_of_bins(sizes)
        bins = np.maximum(1, -(-sizes // width))
        blocks, by_bins = blocks_of_bins(bins), np.argsort(bins, kind="stable")
        parts = np.split(by_bins, np.cumsum([count for _, count in blocks])[:-1])
        owner = np.concatenate([np.tile(own, most) for (most, _), own in zip(blocks, parts, strict=True)])
        number = np.concatenate([np.repeat(np.arange(most), count) for most, count in blocks])  # of a bin in its class
        place = number * width + np.arange(width)[:, None]
        there = place < sizes[owner]
        chosen = np.where(there, index["starts"][owner] + place, 0)
        kind = np.float64 if exact else np.float32
        points = np.where(there[:, :, None], index["points"][chosen], 0).astype(kind)
        lengths_of = np.square(points).sum(axis=2) if exact else index["squares"][chosen]
        squares = np.where(there, lengths_of, np.inf).astype(kind)
        points_of, squares_of = (tuple(tensor(one) for one in some) for some in (points.swapaxes(1, 2), squares))
        centre, order, owner_of = map(tensor, (index["centre"], np.argsort(by_bins), owner))
        return cls(points_of, squares_of, centre, blocks, order, owner_of)

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of places in each bin, and of bins."""
        return len(self.points), len(self.owner)

    def squared(self, queries: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the queries' squared lengths, float64 (m,), and w times squared distances less these, (m, B)."""
        centred = (queries - self.centre).float()
        wide = centred.to(self.points[0].dtype)
        parts = zip(self.squares, self.points, strict=True)
        squared = [torch.addmm(squares, wide, points, alpha=-2) for squares, points in parts]
        return centred.double().square().sum(dim=1), squared

    def kth_distance(self, queries: Tensor, k: int) -> Tensor:
        """Return the distance to the k-th nearest of all references, float64 (m,)."""
        own, squared = self.squared(queries)
        return distances_from_squares(own, self._nearest(squared, two_least(squared)[0], k)[0][:, -1])

    def kth_of_others(self, queries: Tensor, k: int, first: Tensor, last: Tensor) -> Tensor:
        """Return the distance of :meth:`steepslope.numerics.neighbors.Index.kth_of_others`, float64 (m,)."""
        own, squared = self.squared(queries)
        labels = self.owner.repeat(len(self.points))
        inside = (labels >= first[:, None]) & (labels < last[:, None])
        some = torch.where(inside, torch.cat(squared, dim=1), torch.inf)
        found = distances_from_squares(own[:, None], some.topk(min(k + 1, some.shape[1]), dim=1, largest=False).values)
        found = torch.nn.functional.pad(found, (0, k + 1 - found.shape[1]), value=torch.inf)
        return torch.where(found[:, 0] == 0, found[:, k], found[:, k - 1]).clamp_max(torch.finfo(torch.float32).max)

    def class_distances(self, queries: Tensor) -> Tensor:
        """Return the distance to the second nearest of each class, float64 (m, K), ∞ if it has none."""
        own, squared = self.squared(queries)
        return self._distances(own, *two_least(squared))

    def search(self, queries: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return :meth:`class_distances`, and how many of the nearest are of each class, (m, len(counts), K).

        Of ``counts`` nearest, those tied at the last place split what is left of it.
        """
        own, squared = self.squared(queries)
        first, second = two_least(squared)
        return self._distances(own, first, second), self._counted(own, squared, first, counts)

    def _distances(self, own: Tensor, first: Tensor, second: Tensor) -> Tensor:
        of_firsts = self._of_classes(first, second_least)
        of_seconds = self._of_classes(second, lambda bins: bins.amin(dim=1))
        return distances_from_squares(own[:, None], torch.minimum(of_firsts, of_seconds))

    def _nearest(self, squared: Sequence[Tensor], first: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the least of all, ascending, and their places, (m, count): they lie in the bins of least ``first``."""
        width, bins = self.shape
        if bins <= count:
            return torch.cat(list(squared), dim=1).topk(count, dim=1, largest=False)
        chosen = first.topk(count, dim=1, largest=False).indices
        values, order = torch.cat([one.gather(1, chosen) for one in squared], dim=1).topk(count, dim=1, largest=False)
        places = (chosen[:, None] + bins * torch.arange(width)[:, None]).flatten(1)
        return values, places.gather(1, order)

    def _of_classes(self, values: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
        """Return what a function (m, bins, classes) -> (m, classes) makes of each class's bins, (m, B) -> (m, K)."""
        parts = torch.split(values, [most * count for most, count in self.blocks], dim=1)
        shaped = [part.reshape(-1, *shape) for part, shape in zip(parts, self.blocks, strict=True)]
        return torch.cat([of(block) for block in shaped], dim=1)[:, self.order]

    def _counted(self, own: Tensor, squared: Sequence[Tensor], first: Tensor, counts: Sequence[int]) -> Tensor:
        """Return the numbers of each class among the nearest: a few tell them, unless more than those are tied."""
        most = min(max(counts) + SPARE, len(self.points) * len(self.owner))
        values, places = self._nearest(squared, first, most)
        near, far = _limits_of_ties(own[:, None], values.index_select(1, torch.tensor(counts) - 1))
        share = torch.tensor(counts, dtype=torch.float64)

        def of_few(near: Tensor, far: Tensor, values: Tensor, places: Tensor, *_: Tensor) -> Tensor:
            parts = _parts_of_bins(values, near, far, share)
            owner = self.owner.gather(0, (places % len(self.owner)).flatten()).reshape(-1, 1, most)
            nothing = torch.zeros_like(parts[:, :, :1]).expand(-1, -1, len(self.order))
            return nothing.scatter_add(2, owner.expand_as(parts), parts)

        def of_all(near: Tensor, far: Tensor, _: Tensor, __: Tensor, *squared: Tensor) -> Tensor:
            parts = _parts_of_bins(torch.cat(squared, dim=1), near, far, share)
            of_bins = parts.reshape(-1, *self.shape).sum(dim=1)
            return self._of_classes(of_bins, lambda bins: bins.sum(dim=1)).reshape(-1, len(counts), len(self.order))

        if most == len(self.points) * len(self.owner):
            return of_few(near, far, values, places)
        more = (values[:, -1:] <= far).any()
        found: Tensor = torch.cond(more, of_all, of_few, (near, far, values, places, *squared))
        return found


def _limits_of_ties(own: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """Return from where on, and up to where, squared distances less ``own`` are tied with the ``last``, (m, C) each."""
    reach = distances_from_squares(own, last)
    near, far = (((reach * factor).square() - own).to(last.dtype) for factor in (1 - SAME, 1 + SAME))
    near, far = torch.minimum(near, last), torch.maximum(far, last)  # whatever is rounded, the last is tied
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


def width_of_bins(sizes: NDArray[np.int64]) -> int:
    """Return the width of bins for classes of some sizes: the largest that leaves few places empty.

    >>> width_of_bins(np.array([5_000, 5_000])), width_of_bins(np.array([5, 6, 9]))
    (16, 2)
    """
    widths = [WIDEST >> step for step in range(WIDEST.bit_length())]
    return next(width for width in widths if (-(-sizes // width) * width).sum() <= ROOM * sizes.sum())


def blocks_of_bins(bins: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """Return the blocks of classes of some numbers of bins, those with fewer first: that number, and how many classes.

    Where these numbers are more than a few, two that follow one another become one as long as that adds fewest bins.
    More than ``FEW`` bins become so many that halves of them, again and again, are whole.

    >>> blocks_of_bins(np.array([4, 3, 4, 5])), blocks_of_bins(np.array([313, 313]))
    (((3, 1), (4, 2), (5, 1)), ((320, 2),))
    """
    numbers, classes = (some.tolist() for some in np.unique(bins, return_counts=True))
    while len(numbers) > BLOCKS:
        added = [count * (more - most) for most, more, count in zip(numbers, numbers[1:], classes, strict=False)]
        merged = added.index(min(added))
        classes[merged] += classes.pop(merged + 1)
        del numbers[merged]
    return tuple((_halvable_bins(number), count) for number, count in zip(numbers, classes, strict=True))


def _halvable_bins(number: int) -> int:
    step = 1
    while number > FEW * step:
        step *= 2
    return -(-number // step) * step


Pair = tuple[Tensor, Tensor | None]  # the least and the second least, entry by entry; None is ∞


def two_least(values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the two least of several tensors, entry by entry, ∞ where there is one: a knock-out.

    >>> two_least([torch.tensor([5.0, 2.0]), torch.tensor([1.0, 3.0]), torch.tensor([1.0, 4.0])])
    (tensor([1., 2.]), tensor([1., 3.]))
    """
    return _least_of_pairs([(value, None) for value in values])


def second_least(values: Tensor) -> Tensor:
    """Return the second least along the second axis, (m, b, c) -> (m, c), ∞ where there is one.

    ``b`` is up to ``FEW``, or halves of it, again and again, are whole until it is.

    >>> second_least(torch.tensor([[[5.0], [1.0], [7.0], [1.0], [3.0]]]))
    tensor([[1.]])
    """
    if values.shape[1] <= FEW:
        return two_least(values.unbind(dim=1))[1]
    first, second = two_least(values.chunk(2, dim=1))
    while first.shape[1] > FEW:
        first, second = _merged_pair(*zip(first.chunk(2, dim=1), second.chunk(2, dim=1), strict=True))
    return _least_of_pairs(list(zip(first.unbind(dim=1), second.unbind(dim=1), strict=True)))[1]


def _least_of_pairs(pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Return the pair of the two least of all pairs."""
    while len(pairs) > 1:
        merged = [_merged_pair(*two) for two in zip(pairs[::2], pairs[1::2], strict=False)]
        pairs = [*merged, *pairs[2 * len(merged) :]]
    first, second = pairs[0]
    return first, torch.full_like(first, torch.inf) if second is None else second


def _merged_pair(left: Pair, right: Pair) -> tuple[Tensor, Tensor]:
    seconds = [torch.maximum(left[0], right[0]), *(one for one in (left[1], right[1]) if one is not None)]
    return torch.minimum(left[0], right[0]), reduce(torch.minimum, seconds)


def distances_from_squares(own: Tensor, squared: Tensor) -> Tensor:
    """Return distances, float64, from squared ones less each query's own square.

    In float64, what products round to anything but 0 is 0: rows in float32 that differ do so by more. In float32, what
    may be but rounding is the least distance that a quick search knows.
    """
    whole = squared.double() + own
    if squared.dtype == torch.float64:
        return torch.where(whole <= ROUNDING * own, 0.0, whole).clamp_min(0).sqrt()
    return torch.maximum(whole, LEAST * own).sqrt()
