"""Exact nearest neighbours in chunks: float32 products of matrices find candidates, exact distances decide.

Distances are Euclidean. Where the products' rounding could hide a nearer reference, all distances of the query are
computed again, term by term in float64. A chunk of queries by all references takes some 28 MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.numerics.array_shapes import require_arrays
from steepslope.numerics.bins import LEAST, RANK, SAME, SPARE, Bins, distances_from_squares
from steepslope.numerics.blocks import blocks, read_rows
from steepslope.numerics.tensors import in_graph, on_arrays, tensor
from steepslope.numerics.threads import in_slices

Floats = NDArray[np.float64]
CHUNK_ENTRIES = 7 * 2**20  # below 32 MiB, which stay with the process: new memory costs as much as a product
EXACT_ENTRIES = 2**23  # in float64
ROUNDING = 2e-6  # of a squared distance by float32 products, as a fraction of the squared lengths
CAUTION = 1e-5  # the same for products as a library finds them, in whatever order it sums
GROUP = 64  # columns whose least is found first
LARGEST = float(np.finfo(np.float32).max)
MANY = 32  # classes, beyond which distances to all of them are found at once
Rows = Callable[[NDArray[Any]], NDArray[np.floating[Any]]]


def rows_as_they_are(rows: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Return the rows in float32, or in the float64 that they are in, of which float32 is kept once they are centred.

    Far from 0, where float32 is coarse, rows would be rounded onto one another.
    """
    return np.asarray(rows, dtype=np.float64 if rows.dtype == np.float64 else np.float32)


@on_arrays
def unit_rows(rows: Tensor) -> Tensor:
    """Scale each row to length 1; a row of zeros stays."""
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / torch.where(norms > 0, norms, 1.0)


@dataclass(frozen=True, eq=False)
class Index:
    """Reference points float32 (m, d), centred and sorted by class; ``starts`` (K + 1,) cuts them into classes.

    ``squares`` float32 (m,) are the points' squared lengths. Searches take queries (n, d) as tensors or arrays, and
    return such. In a graph they are those of :class:`~steepslope.numerics.bins.Bins`.
    """

    points: NDArray[np.float32]
    centre: NDArray[np.float32]
    starts: NDArray[np.int64]
    squares: NDArray[np.float32]

    @classmethod
    def build(
        cls, features: NDArray[Any], labels: NDArray[np.int64], num_classes: int, rows: Rows = rows_as_they_are
    ) -> Index:
        """Sort the references by class; centring keeps the products, and with them the rounding, small."""
        order = np.argsort(labels, kind="stable")
        sums = [rows(read_rows(features, block)).sum(axis=0, dtype=np.float64) for block in blocks(len(order))]
        centre = (np.sum(sums, axis=0) / len(order)).astype(np.float32)
        if not np.isfinite(centre).all():
            raise SteepslopeError("features: expected finite values, found others")
        points = np.empty(features.shape, dtype=np.float32)
        for block in blocks(len(order)):
            points[block] = rows(features[order[block]]) - centre
        starts = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=num_classes))]).astype(np.int64)
        return cls(points, centre, starts, np.einsum("md,md->m", points, points))

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], num_classes: int) -> Index:
        """Return the index of stored arrays; raise for some that are none, or of other classes."""
        what, cuts = f"an index of references of {num_classes} classes", f"int64 {num_classes + 1}"
        expected = {"points": "float32 m d", "centre": "float32 d", "starts": cuts, "squares": "float32 m"}
        require_arrays(arrays, expected, what)
        starts = arrays["starts"]
        if starts[0] != 0 or starts[-1] != len(arrays["points"]) or (np.diff(starts) < 0).any():
            raise SteepslopeError(f"expected {what}, found starts {starts.tolist()}")
        return cls(**arrays)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays to be stored, by name."""
        return dict(vars(self))

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.starts) - 1

    @on_arrays
    def class_distances(self, queries: Tensor) -> Tensor:
        """Return the distance to the second nearest reference of each class, exactly, (n, d) -> float64 (n, K).

        It is infinite for a class with fewer references.
        """
        require_width(queries, len(self.centre))
        if in_graph():
            return Bins.of(self.arrays, exact=True).class_distances(queries)
        points, found = tensor(self.points), np.full((len(queries), self.num_classes), np.inf)

        def seek(part: slice, chunk: Tensor, own: Tensor, squared: Tensor) -> None:
            for label, start, stop in self._searched():
                some = squared[:, start:stop]
                found[part, label] = _distance_at_rank(chunk, own, points[start:stop], some, RANK).numpy()

        self._for_chunks(queries, seek)
        return torch.from_numpy(found)

    @on_arrays
    def kth_distance(self, queries: Tensor, k: int) -> Tensor:
        """Return the distance to the k-th nearest of all references, (n, d) -> float64 (n,)."""
        self._require_at_least(k)
        require_width(queries, len(self.centre))
        if in_graph():
            return Bins.of(self.arrays, exact=True).kth_distance(queries, k)
        points, found = tensor(self.points), np.empty(len(queries))

        def seek(part: slice, chunk: Tensor, own: Tensor, squared: Tensor) -> None:
            found[part] = _distance_at_rank(chunk, own, points, squared, k).numpy()

        self._for_chunks(queries, seek)
        return torch.from_numpy(found)

    def kth_of_others(self, queries: Tensor, k: int, first: Tensor, last: Tensor) -> Tensor:
        """Return the distance to the k-th nearest reference of the classes from ``first`` up to ``last``, (n,) each.

        One reference at distance 0, which may be the query itself, is not counted. With fewer it is the largest
        float32.
        """
        require_width(queries, len(self.centre))
        if in_graph():
            return Bins.of(self.arrays, exact=True).kth_of_others(queries, k, first, last)
        found = torch.empty(len(queries), dtype=torch.float64)
        for start, stop in np.unique(torch.stack([first, last], dim=1).numpy(), axis=0).tolist():
            rows = ((first == start) & (last == stop)).nonzero()[:, 0]
            cuts = slice(*self.starts[[start, stop]])
            part = Index(self.points[cuts], self.centre, np.array([0, cuts.stop - cuts.start]), self.squares[cuts])
            found[rows] = part._kth_or_largest(queries[rows], k)
            same = rows[part._kth_or_largest(queries[rows], 1) == 0]
            if len(same):
                found[same] = part._kth_or_largest(queries[same], k + 1)
        return found

    def _kth_or_largest(self, queries: Tensor, k: int) -> Tensor:
        if k > len(self.points):
            return torch.full((len(queries),), LARGEST, dtype=torch.float64)
        found: Tensor = self.kth_distance(queries, k)
        return found

    @on_arrays
    def search(self, queries: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return distances to classes, (n, K), and how many of the nearest are of each class, (n, len(counts), K).

        Each is the distance to the second nearest reference of a class. Of ``counts`` nearest references, those tied at
        the last place split what is left of it, whatever their order. Distances are as exact as products in float32
        are, unlike :meth:`class_distances`; all below a hundredth of the query's length are taken to be that, since the
        least of them are but rounding, which depends on what else is searched for at once.
        """
        self._require_at_least(max(counts))
        require_width(queries, len(self.centre))
        if in_graph():
            return Bins.of(self.arrays).search(queries, counts)
        distances = np.full((len(queries), self.num_classes), np.inf)
        found = np.empty((len(queries), len(counts), self.num_classes))

        def seek(part: slice, chunk: Tensor, own: Tensor, squared: Tensor) -> None:
            found[part] = self._counted(chunk, own, squared, counts)
            if self.num_classes > MANY:
                distances[part] = self._of_all_classes(own, squared)
                return
            for label, start, stop in self._searched():
                distances[part, label] = distances_from_squares(
                    own, _least_distances(squared[:, start:stop], RANK - 1)[1]
                ).numpy()

        self._for_chunks(queries, seek)
        return torch.from_numpy(distances), torch.from_numpy(found)

    def _searched(self) -> Iterator[tuple[int, int, int]]:
        """Yield each class that has references enough, with where they begin and end."""
        cuts = enumerate(pairwise(self.starts))
        return ((label, start, stop) for label, (start, stop) in cuts if stop - start >= RANK)

    def _of_all_classes(self, own: Tensor, squared: Tensor) -> Floats:
        """Return the distances of :meth:`search`, (m, K), of all classes at once; uses ``squared`` up."""
        values, sizes = squared.numpy(), np.diff(self.starts)
        held = np.flatnonzero(sizes)
        result = np.full((len(values), len(held)), np.inf)
        seen = np.zeros(result.shape, dtype=np.int64)
        for _ in range(RANK):
            least = np.minimum.reduceat(values, self.starts[held], axis=1)
            there = values == np.repeat(least, sizes[held], axis=1)
            before = seen.copy()
            seen += np.add.reduceat(there, self.starts[held], axis=1, dtype=np.int64)
            chosen = (before < RANK) & (seen >= RANK)
            result[chosen] = least[chosen]
            values[there] = np.inf
        distances = np.full((len(values), self.num_classes), np.inf)
        squares = own.numpy()[:, None]
        distances[:, held] = np.sqrt(np.maximum(result + squares, LEAST * squares))
        return distances

    def _counted(self, chunk: Tensor, own: Tensor, squared: Tensor, counts: Sequence[int]) -> Floats:
        """Return the numbers of each class among the nearest, (m, len(counts), K)."""
        most = min(max(counts) + SPARE, len(self.points))
        labels, total = np.repeat(np.arange(self.num_classes), np.diff(self.starts)), self.num_classes
        values, places = _smallest_distances(squared, most)
        distances = distances_from_squares(own[:, None], values)
        order = distances.argsort(dim=1, stable=True)
        sorted_distances = distances.gather(1, order)
        nearest = labels[places.gather(1, order).numpy()]
        result = np.stack(
            [_shares_of_neighbors(sorted_distances.numpy(), nearest, count, total) for count in counts], axis=1
        )
        if most < len(self.points):
            unsure = sorted_distances[:, -1] <= sorted_distances[:, max(counts) - 1] * (1 + SAME)
            for rows, exact in _exact_distances(chunk, torch.from_numpy(self.points), unsure):
                all_distances = np.maximum(exact, np.sqrt(LEAST * own.numpy()[rows, None]))
                everything = np.broadcast_to(labels, all_distances.shape)
                for number, count in enumerate(counts):
                    result[rows, number] = _shares_of_neighbors(all_distances, everything, count, total)
        return result

    def _for_chunks(self, queries: Tensor, work: Callable[[slice, Tensor, Tensor, Tensor], None]) -> None:
        """Do some work for each chunk of queries, on several threads.

        The work is given the places of some queries, those (n, d) in float32, centred, their squared lengths (n,) in
        float64, and distances (n, m), which are squared, and less each query's own square; that does not change the
        order.
        """
        points, squares, centre = (tensor(one) for one in (self.points, self.squares, self.centre))

        def seek(rows: slice) -> None:
            room = torch.empty(0)
            for part in blocks(rows.stop, max(1, CHUNK_ENTRIES // max(self.points.shape)), rows.start):
                chunk = (queries[part] - centre).float()
                if not chunk.sum().isfinite():
                    bad = part.start + int((~chunk.isfinite()).any(dim=1).int().argmax())
                    raise SteepslopeError(f"features: expected finite values, found others in row {bad}")
                if len(room) < len(chunk):  # once, since new memory costs as much as a product
                    room = torch.empty((len(chunk), len(points)))
                squared = torch.addmm(squares, chunk, points.T, alpha=-2, out=room[: len(chunk)])
                work(part, chunk, chunk.double().square().sum(dim=1), squared)

        in_slices(seek, len(queries), len(queries) * self.points.size)

    def _require_at_least(self, count: int) -> None:
        if count > len(self.points):
            raise SteepslopeError(f"neighbours: expected at least {count} references, found {len(self.points)}")


def require_width(rows: Tensor, width: int, name: str = "features") -> None:
    """Raise unless rows (m, d) have as many columns as those that were learnt from."""
    if rows.shape[1] != width:
        raise SteepslopeError(f"expected {width} columns, found {rows.shape[1]}", name)


def nearest_rows(queries: NDArray[Any], references: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return the places of each query's nearest references, nearest first, (n, d) and (m, d) -> (n, min(count, m)).

    Of equally near ones the first are taken; −1 stands where fewer are at a finite distance. For a few hundred queries:
    references, mapped or not, are read once in blocks, and those that may be near are measured in float64.
    """
    wide = queries.astype(np.float64)
    middle = wide.mean(axis=0)
    centre = np.where(np.isfinite(middle), middle, 0)
    wide -= centre
    places = np.full((len(queries), min(count, len(references))), -1)
    squared = np.full(places.shape, np.inf)
    for part in blocks(len(references), max(1, CHUNK_ENTRIES // max(wide.shape))):
        block = read_rows(references, part) - centre
        least = _least_possible_distances(wide, block)
        for row in np.flatnonzero((~(least > squared[:, -1:])).any(axis=1)):
            order = np.argpartition(least[row], min(count, len(block)) - 1)
            for some in (order[:count], order[count:]):  # the first few leave little of the others
                some = some[~(least[row, some] > squared[row, -1])]
                found = np.append(squared[row], np.square(block[some] - wide[row]).sum(axis=1))
                where = np.append(places[row], part.start + some)
                kept = np.lexsort((where, found))[: places.shape[1]]
                squared[row], places[row] = found[kept], where[kept]
    return places


def _least_possible_distances(queries: Floats, points: Floats) -> NDArray[np.float32]:
    """Return what squared distances are at least, (n, m), by products in float32; NaN where these do not know."""
    with np.errstate(over="ignore", invalid="ignore"):
        q, p = queries.astype(np.float32), points.astype(np.float32)
        own, others = ((1 - np.float32(CAUTION)) * np.square(one).sum(axis=1) for one in (q, p))
        return np.asarray(own[:, None] + others - 2 * (q @ p.T))


def _distance_at_rank(queries: Tensor, own: Tensor, points: Tensor, squared: Tensor, rank: int) -> Tensor:
    """Return the distance of each query to its ``rank``-th nearest point, float64 (n,); ``squared`` is used up."""
    most = rank
    if rank < SPARE:  # a few minima are faster than a selection
        places, last = _least_distances(squared, rank)
    else:
        most = min(rank + SPARE, len(points))
        values, places = squared.topk(most, dim=1, largest=False)
        last = values[:, -1]
    found = _measured_distances(queries, points, places).kthvalue(rank, dim=1).values
    if most < len(points):
        for rows, distances in _exact_distances(queries, points, _unsure_neighbors(own, found, last)):
            found[rows] = torch.from_numpy(np.partition(distances, rank - 1, axis=1)[:, rank - 1])
    return found


def _measured_distances(queries: Tensor, points: Tensor, places: Tensor) -> Tensor:
    """Return the distances (n, c), float64, of queries to the points at ``places`` (n, c)."""
    columns = [torch.linalg.vector_norm(queries - points[place], dim=1) for place in places.T]
    return torch.stack(columns, dim=1).double()


def _least_distances(squared: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return the places of each row's ``rank`` least, (n, rank), and the next value, (n,); ``squared`` is used up.

    Rows are read once, for the least of each group of columns, and then in one group for each place.
    """
    columns = squared.shape[1]
    group = min(GROUP, columns)
    inner, edge = torch.arange(group), columns - columns % group
    least = squared[:, :edge].view(len(squared), -1, group).amin(dim=2)
    if edge < columns:
        least = torch.cat([least, squared[:, edge:].amin(dim=1, keepdim=True)], dim=1)
    places = []
    for _ in range(rank):
        chosen = least.argmin(dim=1, keepdim=True)
        members = (chosen * group + inner).clamp_max(columns - 1)
        place = members.gather(1, squared.gather(1, members).argmin(dim=1, keepdim=True))
        squared.scatter_(1, place, torch.inf)
        least.scatter_(1, chosen, squared.gather(1, members).amin(dim=1, keepdim=True))
        places.append(place)
    return torch.cat(places, dim=1), least.amin(dim=1)


def _smallest_distances(squared: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` least of each row, ascending, and their places, (n, count) each.

    They lie in those ``count`` groups of columns whose least are the least, and only these are sorted.
    """
    groups = squared.shape[1] // GROUP
    if groups <= 2 * count:
        return squared.topk(count, dim=1, largest=False)
    edge = groups * GROUP
    chosen = squared[:, :edge].view(len(squared), groups, GROUP).amin(dim=2).topk(count, dim=1, largest=False).indices
    places = (chosen[:, :, None] * GROUP + torch.arange(GROUP)).flatten(1)
    tail = torch.arange(edge, squared.shape[1]).expand(len(squared), -1)
    places = torch.cat([places, tail], dim=1)
    values, order = squared.gather(1, places).topk(count, dim=1, largest=False)
    return values, places.gather(1, order)


def _unsure_neighbors(own: Tensor, distances: Tensor, last: Tensor) -> Tensor:
    """Return where a point beyond the candidates may be as near as ``distances``, (n,), for all that float32 knows.

    ``own`` are the queries' squared lengths, ``last`` the largest candidates' squares less these. Only points no longer
    than query and distance together can be as near, which bounds the rounding.
    """
    rounding = ROUNDING * (own + (own.sqrt() + distances).square())
    return distances.square() >= last.double() + own - rounding


def _exact_distances(queries: Tensor, points: Tensor, chosen: Tensor) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield rows of the chosen queries, and their distances to all points, summed term by term in float64."""
    numbers = chosen.nonzero()[:, 0]
    if len(numbers) == 0:
        return
    wide = points.double()
    for rows in torch.split(numbers, max(1, EXACT_ENTRIES // len(points))):
        some = queries[rows].double()
        yield rows.numpy(), torch.cdist(some, wide, compute_mode="donot_use_mm_for_euclid_dist").numpy()


def _shares_of_neighbors(distances: Floats, labels: NDArray[np.int64], count: int, num_classes: int) -> Floats:
    """Return how many of the ``count`` nearest are of each class, (n, m) each -> (n, K); ties at the last split it."""
    reach = np.partition(distances, count - 1, axis=1)[:, count - 1, None]
    inside, tied = distances < reach * (1 - SAME), np.abs(distances - reach) <= reach * SAME
    left = (count - inside.sum(axis=1)) / tied.sum(axis=1)
    weights = inside + tied * left[:, None]
    rows = np.broadcast_to(np.arange(len(distances))[:, None], distances.shape)
    flat = np.bincount((rows * num_classes + labels).ravel(), weights.ravel(), minlength=len(distances) * num_classes)
    return np.asarray(flat.reshape(len(distances), num_classes), dtype=np.float64)
