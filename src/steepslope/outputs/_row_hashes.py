"""What is kept of each row, by which an oracle recognises the rows that it was fitted on.

A hash of a row's id is kept, if it has one, and a sketch: the predicted class, the margin, and three random projections
of the logits.

Rows with ids are told apart by them. Since the files of two folders often have the same names, rows whose ids coincide
are the same rows only if their margins rise in the same order, whatever they were rounded or divided by. Where these
rows are few or not all the same, and where there are no ids, rows are told apart by their sketches. Two different rows
may have close sketches. That is common with a small forest, and among millions of pairs of any classifier of two
classes. So nothing is recognised if there are no more close pairs than chance makes likely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import binom

from steepslope.errors import SteepslopeError
from steepslope.numerics import ArrayDict, Arrays, Bools, Brief, Floats, Singles
from steepslope.outputs._arrays import is_signal_array
from steepslope.outputs._classifier_outputs import ClassifierOutputs, logit_blocks

BY_VALUES = "rows without ids are told apart by their values: if these are different rows, give ids= for both"
SEED = 20260  # of the weights: another would make all stored hashes and sketches void
_PROJECTIONS = 3
_DISTANCES = (1e-2, 1e-3, 1e-4, 2e-7)  # between close sketches: of rounded rows, of another machine, of equal rows
_LUCK = 3  # times as many close pairs as those within each side make likely may be chance
SURE = 1e-4  # a number of close pairs is not chance if it is less probable
_ALIKE = 0.8  # the least share of equal predicted classes, if rows whose ids coincide are the same rows
_NEXT = 8  # how many next rows each is compared with
FEW = 100  # fewer pairs may be in the same order by chance
_SAME_ORDER = 0.9  # the least share of pairs in the same order
MOST_ROWS = 10_000  # of each side, whose pairs tell what chance makes likely


@dataclass(frozen=True, eq=False, repr=False)
class RowHashes(Brief):
    """What is kept of some rows: sketches (n, 5) float32, and hashes of their ids (n,) uint64, None without ids."""

    sketches: Singles
    ids: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.sketches)

    @classmethod
    def of(cls, outputs: ClassifierOutputs) -> RowHashes:
        """Return what is kept of the rows of some outputs; ids that only number the rows do not count.

        >>> logits = np.random.default_rng(0).normal(size=(400, 3))
        >>> rows = ClassifierOutputs(logits, ids=[f"{number}.png" for number in range(400)])
        >>> int(RowHashes.of(rows).known(RowHashes.of(rows.subset(slice(90, 190)))).sum())
        100
        """
        return cls(_row_sketches(outputs), hashed_rows(outputs.require("ids")) if have_ids_to_hash(outputs) else None)

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> RowHashes:
        """Return what :attr:`arrays` gave; raise for anything else."""
        sketches, ids = arrays.get("sketches", np.empty(0)), arrays.get("hashes")
        if sketches.dtype != np.float32 or sketches.shape[1:] != (_PROJECTIONS + 2,):
            raise SteepslopeError("expected the sketches of rows, found others")
        if ids is not None and (ids.dtype != np.uint64 or ids.shape != (len(sketches),)):
            raise SteepslopeError("expected the hashes of rows, found others")
        return cls(sketches, ids)

    @classmethod
    def unknown(cls) -> RowHashes:
        """Return the hashes of no rows, where it is not known which they were."""
        return cls(np.empty((0, _PROJECTIONS + 2), np.float32))

    def joined(self, others: RowHashes) -> RowHashes:
        """Return what is kept of these rows and of some others; of ids only where both have them."""
        ids = None if self.ids is None or others.ids is None else np.concatenate([self.ids, others.ids])
        return RowHashes(np.concatenate([self.sketches, others.sketches]), ids)

    @property
    def arrays(self) -> ArrayDict:
        """What is written."""
        return {"sketches": self.sketches, **({} if self.ids is None else {"hashes": self.ids})}

    def known(self, others: RowHashes) -> Bools:
        """Return which of some other rows are among these, (m,); none if that may be chance."""
        if not (len(self) and len(others)):
            return np.zeros(len(others), np.bool_)
        if self.ids is None or others.ids is None:
            return self._close(others)
        _, here, there = np.intersect1d(self.ids, others.ids, return_indices=True)  # by hash: in random order
        ours, theirs = self.sketches[here], others.sketches[there]
        alike = ours[:, 0] == theirs[:, 0]
        if alike.sum() < _ALIKE * len(alike) or not _sketches_in_same_order(ours[alike], theirs[alike]):
            distance = np.abs(ours - theirs).max(axis=1, initial=0)
            there = there[distance <= self._distance_of_the_same(others, distance, int(alike.sum()))]
        known = np.isin(others.ids, others.ids[there])
        if known.any():
            return known
        return self._close(others)  # the same rows may have other names in another file

    def _close(self, others: RowHashes) -> Bools:
        """Return which of some other rows have sketches close to one of these, (m,); none if that may be chance."""
        if np.array_equal(np.sort(hashed_rows(self.sketches)), np.sort(hashed_rows(others.sketches))):
            return np.ones(len(others), np.bool_)
        tree = cKDTree(np.unique(self.sketches, axis=0))
        distance, _ = tree.query(others.sketches, p=np.inf, distance_upper_bound=2 * _DISTANCES[0])
        (classes, n), (theirs, m) = (np.unique(one.sketches[:, 0], return_counts=True) for one in (self, others))
        _, here, there = np.intersect1d(classes, theirs, return_indices=True)
        return np.asarray(distance <= self._distance_of_the_same(others, distance, int(n[here] @ m[there])))

    def _distance_of_the_same(self, others: RowHashes, distance: NDArray[np.floating], pairs: int) -> float:
        """Return the first distance up to which more rows are close than chance makes likely; −1 if there is none.

        ``distance`` is that of each of the other rows to the closest of these. ``pairs`` is how many pairs, one of each
        side, have the same predicted class. Chance is judged by the pairs within each side.
        """
        close = [int((distance <= near).sum()) for near in _DISTANCES]
        if not any(close):
            return -1
        some = [one.sketches[:: -(-len(one) // MOST_ROWS)] for one in (self, others)]
        counts = [np.unique(one[:, 0], return_counts=True)[1] for one in some]
        possible = np.array([count @ (count - 1) / 2 for count in counts])
        within = np.array([_close_sketch_pairs(one) for one in some])
        for near, across, inside in zip(_DISTANCES, close, within.T, strict=True):
            of_each = inside / np.maximum(possible, 1)
            rate = max(inside.sum() / max(possible.sum(), 1), np.sqrt(of_each.prod()))
            share = pairs / (pairs + possible.sum())
            if across > _LUCK * pairs * rate and binom.sf(across - 1, across + inside.sum(), share) <= SURE:
                return near
        return -1


def _sketches_in_same_order(ours: Singles, theirs: Singles) -> bool:
    """Return whether two sketches of many rows, in random order of classes, are equal, or margins rise in one order."""
    if len(ours) >= FEW and np.array_equal(ours, theirs):
        return True  # such as of coarse signals, which have no order
    order = np.argsort(ours[:, 0], kind="stable")
    mine, other = ours[order, 1], theirs[order, 1]
    steps = range(1, min(_NEXT, len(order) - 1) + 1)
    signs = [np.sign(mine[k:] - mine[:-k]) * np.sign(other[k:] - other[:-k]) for k in steps]
    agree, differ = (sum(int((one == sign).sum()) for one in signs) for sign in (1, -1))
    return agree >= _SAME_ORDER * max(agree + differ, FEW)


def shared_rows(outputs: ClassifierOutputs, others: ClassifierOutputs) -> int:
    """Return how many rows of the outputs are among the others; 0 where that may be luck."""
    return int(RowHashes.of(others).known(RowHashes.of(outputs)).sum())


def have_ids_to_hash(*all_outputs: ClassifierOutputs) -> bool:
    """Return whether all of these have ids that do more than number their rows from 0 or 1 on."""
    for outputs in all_outputs:
        if outputs.ids is None:
            return False
        first = str(outputs.ids[0])
        if first in ("0", "1") and (outputs.ids == (np.arange(len(outputs)) + int(first)).astype(np.str_)).all():
            return False
    return True


def _row_sketches(outputs: ClassifierOutputs) -> Singles:
    """Return the predicted class, the margin and projections of all logits, the same on all machines but for 1e-7.

    Signals are projected with the logits.
    """
    names = sorted(filter(is_signal_array, outputs.arrays))
    width = outputs.num_classes + len(names)
    weights = (_hash_weights(_PROJECTIONS * width) >> np.uint64(40)) / 2.0**24 - 0.5
    weights = weights.reshape(-1, _PROJECTIONS) / np.sqrt(width)
    sketches = []
    for rows in logit_blocks(outputs):
        limited = np.asarray(outputs.logits[rows], dtype=np.float64).clip(-1e38, 1e38)
        logits = limited.astype(np.float32).astype(np.float64)  # the same in every type of float
        highest = np.partition(logits, -2, axis=1)[:, -2:]
        signals = [np.nan_to_num(outputs.arrays[name][rows]).astype(np.float32).astype(np.float64) for name in names]
        seen = np.column_stack([logits - highest[:, 1:], *signals])
        values = np.column_stack([highest[:, 1] - highest[:, 0], seen @ weights])
        relative = np.arcsinh(values)  # where they are large
        sketches.append(np.column_stack([outputs.predictions[rows], relative]))
    return np.concatenate(sketches).astype(np.float32)


def _close_sketch_pairs(sketches: Singles) -> Floats:
    """Return how many pairs of these rows are close, up to each distance."""
    distinct, copies = np.unique(sketches, axis=0, return_counts=True)
    tree = cKDTree(distinct)
    ordered = tree.count_neighbors(tree, _DISTANCES, np.inf, (copies, copies))
    return np.asarray((ordered - len(sketches)) / 2, dtype=np.float64)


def hashed_rows(rows: NDArray[np.generic]) -> NDArray[np.uint64]:
    """Return a weighted sum, modulo 2⁶⁴, of the words of 32 bits in each row (m, …): a universal hash.

    It is blind to zeros at the end, with which shorter texts are filled.
    """
    whole = np.ascontiguousarray(rows).view(np.uint32).reshape(len(rows), -1).astype(np.uint64)
    return whole @ _hash_weights(whole.shape[1])


def _hash_weights(count: int) -> NDArray[np.uint64]:
    """Return the first odd weights; the raw stream of a generator is the same in all versions of NumPy."""
    return np.random.PCG64(SEED).random_raw(count) | np.uint64(1)
