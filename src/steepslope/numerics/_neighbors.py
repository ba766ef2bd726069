"""Exact nearest neighbours in chunks: float32 matrix products find candidates, and exact distances decide.

Distances are Euclidean. If the products' rounding could hide a nearer reference, all distances of the query are
computed again, term by term in float64. A chunk of queries with all references takes some 28 MiB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from steepslope.errors import SteepslopeError
from steepslope.numerics._array_shapes import require_arrays
from steepslope.numerics._blocks import blocks, read_rows
from steepslope.numerics._formulas import Array, clipped, float64, namespace_of, quiet
from steepslope.numerics._threads import in_slices
from steepslope.numerics._types import ArrayDict, Arrays, Bools, Counts, Floats, Singles, Values

CHUNK_ENTRIES = 7 * 2**20  # below 32 MiB, which stay with the process: new memory costs as much as a product
_EXACT_ENTRIES = 2**23  # in float64
ROUNDING = 2e-6  # of a squared distance by float32 products, as a fraction of the squared lengths
_CAUTION = 1e-5  # the same for products as a library finds them, in whatever order it sums
GROUP = 16  # references whose least distance is found first
LARGEST = float(np.finfo(np.float32).max)
_RANK = 2  # the distance to a class is that to its second nearest reference: a reference may be the query itself
SAME = 1e-6  # distances this close, relatively, are ties
_LEAST = 1e-4  # of a query's squared length: far above what float32 products make of the distance to a copy of it
SPARE = 8  # candidates beyond those wanted
_ROUNDING_64 = 1e-14  # of a squared length, by products in float64
_CACHED_ENTRIES = 2**19  # which stay in the processor's caches from one step to the next
_MANY = 32  # classes, beyond which distances to all of them are found at once
ENOUGH = 5_000  # distances of a class in a chunk, from which on one class after another is faster even so

_GRAPH_SEARCH: ContextVar[Callable[..., Any] | None] = ContextVar("graph_search", default=None)


@contextmanager
def neighbors_searched_by(search: Callable[..., Any]) -> Iterator[None]:
    """Let all searches of an :class:`Index` in the block be done by what ``search`` makes of its arrays.

    A graph is traced so: its queries are tensors, and it searches in its own way. ``search`` takes the arrays of an
    index, by name, and ``exact``; what it returns has the searches of an index.
    """
    token = _GRAPH_SEARCH.set(search)
    try:
        yield
    finally:
        _GRAPH_SEARCH.reset(token)


def rows_as_they_are(rows: Values) -> NDArray[np.floating[Any]]:
    """Return the rows in float32, or float64 rows unchanged; they become float32 after they are centred.

    Far from 0, where float32 is coarse, different rows would be rounded to the same one.
    """
    return np.asarray(rows, dtype=np.float64 if rows.dtype == np.float64 else np.float32)


@quiet
def unit_rows(rows: Array) -> Array:
    """Return each row scaled to length 1; a row of zeros stays."""
    xp = namespace_of(rows)
    norms = xp.linalg.vector_norm(rows, axis=1, keepdims=True)
    return rows / xp.where(norms > 0, norms, 1.0)


@dataclass(frozen=True, eq=False)
class Index:
    """Reference points float32 (m, d), centred and sorted by class; ``starts`` (K + 1,) cuts them into classes.

    ``squares`` float32 (m,) are the points' squared lengths. In a graph, another class does the searches
    (:func:`neighbors_searched_by`).
    """

    points: Singles
    centre: Singles
    starts: Counts
    squares: Singles

    @classmethod
    def build(
        cls,
        features: Values,
        labels: Counts,
        num_classes: int,
        rows: Callable[[Values], NDArray[np.floating[Any]]] = rows_as_they_are,
    ) -> Index:
        """Sort the references by class, and centre them, which keeps the products and their rounding small."""
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
    def from_arrays(cls, arrays: Arrays, num_classes: int) -> Index:
        """Return the index of stored arrays; raise if they are invalid, or for other classes."""
        what = f"an index of references of {num_classes} classes"
        expected = {
            "points": "float32 m d",
            "centre": "float32 d",
            "starts": f"int64 {num_classes + 1}",
            "squares": "float32 m",
        }
        require_arrays(arrays, expected, what)
        starts = arrays["starts"]
        if starts[0] != 0 or starts[-1] != len(arrays["points"]) or (np.diff(starts) < 0).any():
            raise SteepslopeError(f"expected {what}, found starts {starts.tolist()}")
        return cls(**arrays)

    @property
    def arrays(self) -> ArrayDict:
        """The arrays to be stored, by name."""
        return dict(vars(self))

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.starts) - 1

    def class_distances(self, queries: Array) -> Array:
        """Return the exact distance to the second nearest reference of each class, (n, d) -> float64 (n, K).

        It is infinite for a class with fewer references.
        """
        require_width(queries, len(self.centre))
        search = _GRAPH_SEARCH.get()
        if search is not None:
            return search(self.arrays, exact=True).class_distances(queries)
        found = np.full((len(queries), self.num_classes), np.inf)
        classes = np.flatnonzero(np.diff(self.starts) >= _RANK)

        def seek(part: slice, chunk: Singles, query_squares: Floats, partial_squares: Singles) -> None:
            for label in classes:
                some = slice(*self.starts[[label, label + 1]])
                found[part, label] = _distance_at_rank(
                    chunk, query_squares, self.points[some], partial_squares[some], _RANK
                )

        self._for_chunks(queries, seek)
        return found

    def kth_distance(self, queries: Array, k: int) -> Array:
        """Return the distance to the k-th nearest of all references, (n, d) -> float64 (n,)."""
        self._require_at_least(k)
        require_width(queries, len(self.centre))
        search = _GRAPH_SEARCH.get()
        if search is not None:
            return search(self.arrays, exact=True).kth_distance(queries, k)
        found = np.empty(len(queries))

        def seek(part: slice, chunk: Singles, query_squares: Floats, partial_squares: Singles) -> None:
            found[part] = _distance_at_rank(chunk, query_squares, self.points, partial_squares, k)

        self._for_chunks(queries, seek)
        return found

    def search(self, queries: Array, counts: Sequence[int]) -> tuple[Array, Array]:
        """Return distances to classes, (n, K), and how many of the nearest are of each class, (n, len(counts), K).

        A distance to a class is that to its second nearest reference. Among the ``counts`` nearest references, those
        tied at the last place share it, whatever their order. Unlike in :meth:`class_distances`, distances are only as
        exact as float32 products. Those below a hundredth of the query's length count as that, because the smallest of
        them are rounding, which depends on the other queries.
        """
        self._require_at_least(max(counts))
        require_width(queries, len(self.centre))
        search = _GRAPH_SEARCH.get()
        if search is not None:
            in_graph: tuple[Array, Array] = search(self.arrays, exact=False).search(queries, counts)
            return in_graph
        entries = min(len(queries), self._rows_at_once) * len(self.points)
        by_class = self.num_classes <= _MANY or entries >= ENOUGH * self.num_classes
        groups = _Groups.of(self.starts if by_class else self.starts[[0, -1]])
        distances = np.empty((len(queries), self.num_classes))
        found = np.empty((len(queries), len(counts), self.num_classes))

        def seek(part: slice, chunk: Singles, query_squares: Floats, partial_squares: Singles) -> None:
            least = groups.least(partial_squares)
            nearest = groups.smallest(partial_squares, least, min(max(counts) + SPARE, len(self.points)))
            found[part] = self._counted(chunk, query_squares, *nearest, counts)
            if by_class:
                second = groups.second_least(partial_squares, least)
                distances[part] = distances_from_squares(query_squares[:, None], second)
            else:
                distances[part] = self._of_all_classes(query_squares, partial_squares)

        self._for_chunks(queries, seek)
        return distances, found

    def _of_all_classes(self, query_squares: Floats, values: Singles) -> Floats:
        """Return the distances of :meth:`search`, (n, K), for all classes at once; overwrites ``values`` (m, n)."""
        sizes = np.diff(self.starts)
        held = np.flatnonzero(sizes)
        result = np.full((len(held), values.shape[1]), np.inf)
        seen = np.zeros(result.shape, dtype=np.int64)
        for _ in range(_RANK):
            least = np.minimum.reduceat(values, self.starts[held], axis=0)
            there = values == np.repeat(least, sizes[held], axis=0)
            before = seen.copy()
            seen += np.add.reduceat(there, self.starts[held], axis=0, dtype=np.int64)
            chosen = (before < _RANK) & (seen >= _RANK)
            result[chosen] = least[chosen]
            values[there] = np.inf
        distances = np.full((len(query_squares), self.num_classes), np.inf)
        distances[:, held] = np.sqrt(np.maximum(result + query_squares, _LEAST * query_squares)).T
        return distances

    def _counted(
        self, chunk: Singles, query_squares: Floats, values: Singles, places: Counts, counts: Sequence[int]
    ) -> Floats:
        """Return how many of the nearest, given by their ``places``, are of each class, (m, len(counts), K)."""
        total = self.num_classes
        labels = np.repeat(np.arange(total), np.diff(self.starts))
        distances = distances_from_squares(query_squares[:, None], values)  # ascending, as the values are
        nearest = labels[places]
        result = np.stack([_shares_of_neighbors(distances, nearest, count, total) for count in counts], axis=1)
        if places.shape[1] < len(self.points):
            unsure = distances[:, -1] <= distances[:, max(counts) - 1] * (1 + SAME)
            for rows, exact in _exact_distances(chunk, self.points, unsure):
                all_distances = np.maximum(exact, np.sqrt(_LEAST * query_squares[rows, None]))
                everything = np.broadcast_to(labels, all_distances.shape)
                for number, count in enumerate(counts):
                    result[rows, number] = _shares_of_neighbors(all_distances, everything, count, total)
        return result

    def _for_chunks(self, queries: Values, work: Callable[[slice, Singles, Floats, Singles], None]) -> None:
        """Call ``work`` for each chunk of queries, on several threads.

        Its arguments are the places of some queries; these queries (n, d), centred and in float32; their squared
        lengths (n,) in float64, the query squares; and the partial squares (m, n), squared distances minus the query
        squares, which do not change the order.
        """
        rows_at_once = self._rows_at_once

        def seek(rows: slice) -> None:
            room = np.empty(min(rows_at_once, rows.stop - rows.start) * len(self.points), dtype=np.float32)
            for part in blocks(rows.stop, rows_at_once, rows.start):
                with np.errstate(invalid="ignore", over="ignore"):
                    chunk = (queries[part] - self.centre).astype(np.float32, copy=False)
                    if not np.isfinite(chunk.sum()):
                        bad = part.start + int((~np.isfinite(chunk)).any(axis=1).argmax())
                        raise SteepslopeError(f"features: expected finite values, found others in row {bad}")
                columns = np.ascontiguousarray(-2 * chunk.T)
                partial_squares = room[: len(self.points) * len(chunk)].reshape(-1, len(chunk))
                for block in blocks(len(partial_squares), max(1, _CACHED_ENTRIES // len(chunk))):
                    np.matmul(self.points[block], columns, out=partial_squares[block])
                    partial_squares[block] += self.squares[block, None]
                work(part, chunk, np.square(chunk, dtype=np.float64).sum(axis=1), partial_squares)

        in_slices(seek, len(queries), len(queries) * self.points.size)

    @property
    def _rows_at_once(self) -> int:
        return int(max(1, CHUNK_ENTRIES // max(self.points.shape)))

    def _require_at_least(self, count: int) -> None:
        if count > len(self.points):
            raise SteepslopeError(f"neighbours: expected at least {count} references, found {len(self.points)}")


def distances_from_squares(query_squares: Array, partial_squares: Array) -> Array:
    """Return distances, float64, from squared ones minus the query squares.

    In float64, values within the rounding of the products become 0: different float32 rows are farther apart. In
    float32, values that may be rounding become the least distance that a quick search can tell.
    """
    xp = namespace_of(partial_squares)
    whole = float64(partial_squares) + query_squares
    if partial_squares.dtype == xp.float64:
        return xp.sqrt(clipped(xp.where(whole <= _ROUNDING_64 * query_squares, 0.0, whole), 0))
    return xp.sqrt(xp.maximum(whole, _LEAST * query_squares))


def require_width(rows: Array, width: int, name: str = "features") -> None:
    """Raise unless rows (m, d) have the number of columns that was learnt."""
    if rows.shape[1] != width:
        raise SteepslopeError(f"expected {width} columns, found {rows.shape[1]}", name)


def nearest_rows(queries: Values, references: Values, count: int) -> Counts:
    """Return the places of each query's nearest references, nearest first, (n, d) and (m, d) -> (n, min(count, m)).

    The first of equally near ones are taken; −1 fills the places if fewer are at a finite distance. It is for a few
    hundred queries. References, mapped or not, are read once in blocks, and candidates are measured in float64.
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
                distances = np.append(squared[row], np.square(block[some] - wide[row]).sum(axis=1))
                where = np.append(places[row], part.start + some)
                nearest = np.lexsort((where, distances))[: places.shape[1]]
                squared[row] = distances[nearest]
                places[row] = where[nearest]
    return places


def _least_possible_distances(queries: Floats, points: Floats) -> Singles:
    """Return lower bounds of squared distances, (n, m), by products in float32; NaN if these are not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        queries_32 = queries.astype(np.float32)
        points_32 = points.astype(np.float32)
        caution = 1 - np.float32(_CAUTION)
        query_squares = caution * np.square(queries_32).sum(axis=1)
        others = caution * np.square(points_32).sum(axis=1)
        return np.asarray(query_squares[:, None] + others - 2 * (queries_32 @ points_32.T))


def _distance_at_rank(
    queries: Singles, query_squares: Floats, points: Singles, partial_squares: Singles, rank: int
) -> Floats:
    """Return the distance of each query to its ``rank``-th nearest point, (n,); overwrites ``partial_squares``."""
    most = rank
    if rank < SPARE:  # a few minima are faster than a selection
        places, last = _least_distances(partial_squares, rank)
    else:
        most = min(rank + SPARE, len(points))
        groups = _Groups.of(np.array([0, len(points)]))
        values, places = groups.smallest(partial_squares, groups.least(partial_squares), most)
        last = values[:, -1]
    found = np.partition(_measured_distances(queries, points, places), rank - 1, axis=1)[:, rank - 1]
    if most < len(points):
        for rows, distances in _exact_distances(queries, points, _unsure_neighbors(query_squares, found, last)):
            found[rows] = np.partition(distances, rank - 1, axis=1)[:, rank - 1]
    return found


def _measured_distances(queries: Singles, points: Singles, places: Counts) -> Floats:
    """Return the distances of queries to the points at ``places`` (n, c), float64 (n, c)."""
    squared = np.empty(places.shape, np.float32)
    for column, place in enumerate(places.T):
        gap = queries - points[place]
        squared[:, column] = np.einsum("nd,nd->n", gap, gap)
    return np.sqrt(squared).astype(np.float64)


def _least_distances(partial_squares: Singles, rank: int) -> tuple[Counts, Singles]:
    """Return the places of each column's ``rank`` least values, (m, n) -> (n, rank), and the next value, (n,).

    Columns are read once for the least value of each group, and then in one group for each place. Overwrites
    ``partial_squares``.
    """
    columns = np.arange(partial_squares.shape[1])
    groups = _Groups.of(np.array([0, len(partial_squares)]))
    least = groups.least(partial_squares)
    places = []
    for _ in range(rank):
        chosen = least.argmin(axis=1)
        members = groups.members[chosen]
        place = members[columns, _values_at(partial_squares, members).argmin(axis=1)]
        partial_squares[place, columns] = np.inf
        least[columns, chosen] = _values_at(partial_squares, members).min(axis=1)
        places.append(place)
    return np.stack(places, axis=1), least.min(axis=1)


@dataclass(frozen=True, eq=False)
class _Groups:
    """References in groups of one class each: ``members`` (G, c) has the members of each group, −1 for missing ones.

    The references of class k begin at ``starts[k]``, and its groups at ``cuts[k]``. Its last groups are single
    references. In the other groups, members are g places apart, because comparing whole neighbouring stretches is the
    fastest.
    """

    members: Counts
    cuts: Counts
    starts: Counts

    @classmethod
    def of(cls, starts: Counts) -> _Groups:
        """Group the references of classes that begin at ``starts`` (K + 1,), ``GROUP`` in each group."""
        parts = []
        for start, stop in pairwise(starts.tolist()):
            places = np.arange(start, stop)
            groups = max(1, len(places) // GROUP)
            edge = len(places) // groups * groups
            parts.append(places[:edge].reshape(-1, groups).T[: len(places)])
            parts.append(places[edge:, None])
        edges = np.cumsum([0, *map(len, parts)])
        members = np.full((edges[-1], max(part.shape[1] for part in parts)), -1)
        for part, first in zip(parts, edges, strict=False):
            members[first : first + len(part), : part.shape[1]] = part
        return cls(members, edges[::2], starts)

    def least(self, partial_squares: Singles) -> Singles:
        """Return the least value of each group, (m, n) -> (n, G)."""
        found = np.empty((len(self.members), partial_squares.shape[1]), dtype=partial_squares.dtype)
        for (start, stop), (first, last) in zip(pairwise(self.starts), pairwise(self.cuts), strict=True):
            groups = max(1, (stop - start) // GROUP)
            deep = (stop - start) // groups
            edge = start + groups * deep
            if deep:
                together = partial_squares[start:edge].reshape(deep, groups, -1)
                together.min(axis=0, out=found[first : first + groups])
                found[first + groups : last] = partial_squares[edge:stop]
        return np.ascontiguousarray(found.T)

    def second_least(self, partial_squares: Singles, least: Singles) -> Singles:
        """Return the second least value of each class, (m, n) and (n, G) -> (n, K); ∞ if it has fewer."""
        found = np.full((len(least), len(self.starts) - 1), np.inf, dtype=partial_squares.dtype)
        held = np.flatnonzero(np.diff(self.starts) > 1)
        if len(held):
            cuts = [slice(*self.cuts[[label, label + 1]]) for label in held]
            first = np.stack([cut.start + least[:, cut].argmin(axis=1) for cut in cuts], axis=1)
            inside = np.partition(_values_at(partial_squares, self.members[first]), 1, axis=2)[:, :, 1]
            others = least.copy()
            np.put_along_axis(others, first, np.inf, axis=1)
            found[:, held] = np.minimum(inside, np.stack([others[:, cut].min(axis=1) for cut in cuts], axis=1))
        return found

    def smallest(self, partial_squares: Singles, least: Singles, count: int) -> tuple[Singles, Counts]:
        """Return the ``count`` least of each column, ascending, and their places, (n, count) each.

        They lie in the ``count`` groups with the smallest least values, so only these are sorted.
        """
        if len(self.members) <= 2 * count:
            return _sorted_least(np.ascontiguousarray(partial_squares.T), count)
        chosen = np.argpartition(least, count - 1, axis=1)[:, :count]
        places = self.members[chosen].reshape(len(least), -1)
        values, order = _sorted_least(_values_at(partial_squares, places), count)
        return values, np.take_along_axis(places, order, axis=1)


def _values_at(partial_squares: Singles, places: Counts) -> Singles:
    """Return the values of each column at its places, (m, n) and (n, …) -> (n, …); ∞ at −1."""
    columns = np.arange(len(places)).reshape(-1, *[1] * (places.ndim - 1))
    found = partial_squares.ravel().take(places * len(places) + columns)  # a quarter of the time of two indices
    found[places < 0] = np.inf
    return found


def _sorted_least(values: Singles, count: int) -> tuple[Singles, Counts]:
    places = np.argpartition(values, min(count, values.shape[1]) - 1, axis=1)[:, :count]
    some = np.take_along_axis(values, places, axis=1)
    order = np.argsort(some, axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1), np.take_along_axis(places, order, axis=1)


def _unsure_neighbors(query_squares: Floats, distances: Floats, last: Singles) -> Bools:
    """Return for which queries a point beyond the candidates may be as near as ``distances`` (n,), within rounding.

    ``query_squares`` (n,) are squared lengths, and ``last`` the candidates' largest partial squares. Only points
    no longer than query and distance together can be as near, which bounds the rounding.
    """
    rounding = ROUNDING * (query_squares + np.square(np.sqrt(query_squares) + distances))
    return np.square(distances) >= last + query_squares - rounding


def _exact_distances(queries: Singles, points: Singles, chosen: Bools) -> Iterator[tuple[Counts, Floats]]:
    """Yield rows of the chosen queries, and their distances to all points, summed term by term in float64."""
    numbers = np.flatnonzero(chosen)
    for part in blocks(len(numbers), max(1, _EXACT_ENTRIES // len(points))):
        yield numbers[part], cdist(queries[numbers[part]], points)


def _shares_of_neighbors(distances: Floats, labels: Counts, count: int, num_classes: int) -> Floats:
    """Return how many of the ``count`` nearest are of each class, (n, m) each -> (n, K); ties share the last place."""
    reach = np.partition(distances, count - 1, axis=1)[:, count - 1, None]
    inside = distances < reach * (1 - SAME)
    tied = np.abs(distances - reach) <= reach * SAME
    left = (count - inside.sum(axis=1)) / tied.sum(axis=1)
    weights = inside + tied * left[:, None]
    rows = np.broadcast_to(np.arange(len(distances))[:, None], distances.shape)
    flat = np.bincount((rows * num_classes + labels).ravel(), weights.ravel(), minlength=len(distances) * num_classes)
    return np.asarray(flat.reshape(len(distances), num_classes), dtype=np.float64)
