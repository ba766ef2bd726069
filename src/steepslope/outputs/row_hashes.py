"""Which rows some outputs are of: a 64-bit hash of each, by which an oracle knows the rows that it was fitted on.

A row is told by its id and, since the files of two folders often have the same names, by three digits each of its
largest two logits and of their mean, which are the same on all machines. Where there are no ids, or they only number
the rows of a file, it is told by its values: its logits, as float32, and its label, or without one the prediction. Two
inputs may have the same values. With a small forest that is common. With any classifier of two classes it happens now
and then among millions of pairs. So as many equal rows as chance makes likely are taken for luck.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from steepslope.numerics.array_shapes import Brief
from steepslope.outputs.classifier_outputs import ClassifierOutputs, logit_blocks

Told = Literal["ids", "values"]
SEED = 20260  # of the weights: another would make all stored hashes void
LUCK = 3  # up to so many times as many pairs of equal rows as those within each side make likely may be luck
VALUES = 2**24  # different ones that a logit of a classifier of two classes has, as float32, or more


@dataclass(frozen=True, eq=False, repr=False)
class RowHashes(Brief):
    """The hashes of some rows, (n,) uint64 in ascending order, and what of a row they are of.

    ``two_classes``: whether they are known to be of a classifier of two, which has but one free number a row.
    """

    told_by: Told
    hashes: NDArray[np.uint64]
    two_classes: bool = False

    def __len__(self) -> int:
        return len(self.hashes)

    @classmethod
    def of(cls, outputs: ClassifierOutputs, told_by: Told | None = None) -> RowHashes:
        """Return the hashes of the rows of some outputs, by default by what tells them best.

        >>> rows = ClassifierOutputs([[1.0, 0.0], [0.0, 1.0]], [0, 0], ids=["cat.png", "dog.png"])
        >>> RowHashes.of(rows).told_by, RowHashes.of(rows).shared_with(RowHashes.of(rows.subset(slice(1))))
        ('ids', 1)
        """
        if (told_by or told_by_in(outputs)) == "ids":
            return cls("ids", np.sort(_of_ids(outputs)))
        return cls("values", np.sort(_of_values(outputs)), outputs.num_classes == 2)

    @classmethod
    def unknown(cls) -> RowHashes:
        """Return the hashes of no rows, where it is not known which they were."""
        return cls("values", np.empty(0, np.uint64))

    @property
    def digest(self) -> str:
        """The SHA-256 of all hashes, in hex: that of the rows as a set, whatever their order."""
        return hashlib.sha256(self.hashes.astype("<u8").tobytes()).hexdigest()

    def shared_with(self, others: RowHashes) -> int:
        """Return how many of the others are among these; 0 where that may be luck, or where they are told otherwise."""
        if self.told_by != others.told_by:
            return 0
        shared = int(np.isin(others.hashes, self.hashes).sum())
        return 0 if self.told_by == "values" and self._is_luck(others) else shared

    def known(self, outputs: ClassifierOutputs) -> NDArray[np.bool_]:
        """Return which rows of some outputs are among these, (n,)."""
        return np.isin(_of_ids(outputs) if self.told_by == "ids" else _of_values(outputs), self.hashes)

    def _is_luck(self, others: RowHashes) -> bool:
        """Return whether so many pairs of equal rows are expected of different rows, by the pairs on either side."""
        if self.digest == others.digest:
            return False
        (mine, counts), (theirs, their_counts) = (np.unique(one.hashes, return_counts=True) for one in (self, others))
        _, here, there = np.intersect1d(mine, theirs, assume_unique=True, return_indices=True)
        across = float(counts[here] @ their_counts[there])
        within = float(counts @ (counts - 1) + their_counts @ (their_counts - 1))
        n, m = len(self), len(others)
        by_chance = n * m / VALUES if others.two_classes else 0.0
        return across <= max(LUCK * within * n * m / (n * n + m * m), by_chance + LUCK * math.sqrt(by_chance))


def shared_rows(outputs: ClassifierOutputs, others: ClassifierOutputs) -> int:
    """Return how many rows of the outputs are among the others; 0 where that may be luck."""
    told_by = told_by_in(outputs, others)
    return RowHashes.of(others, told_by).shared_with(RowHashes.of(outputs, told_by))


def told_by_in(*all_outputs: ClassifierOutputs) -> Told:
    """Return what tells rows in all of these: ids, unless some have none or theirs only number the rows."""
    for outputs in all_outputs:
        if outputs.ids is None:
            return "values"
        first = str(outputs.ids[0])
        if first in ("0", "1") and (outputs.ids == (np.arange(len(outputs)) + int(first)).astype(np.str_)).all():
            return "values"
    return "ids"


def _of_ids(outputs: ClassifierOutputs) -> NDArray[np.uint64]:
    ids = np.ascontiguousarray(outputs.require("ids"))
    points = ids.view(np.uint32).reshape(len(ids), -1)  # of Unicode; 0 where they end
    parts = [_hashed(np.hstack([_digits(outputs, rows), points[rows]])) for rows in logit_blocks(outputs)]
    return np.concatenate(parts)


def _digits(outputs: ClassifierOutputs, rows: slice) -> NDArray[np.uint32]:
    """Return the largest two logits and the mean of all, to a thousandth of themselves, as words (m, 3)."""
    logits = np.asarray(outputs.logits[rows], dtype=np.float64)
    highest = np.partition(logits, -2, axis=1)[:, -2:]
    mantissa, exponent = np.frexp(np.column_stack([highest, logits.mean(axis=1)]))
    with np.errstate(over="ignore"):
        rounded = np.ldexp(np.round(mantissa * 2**10) / 2**10, exponent) + 0.0  # −0 is 0
        words: NDArray[np.uint32] = rounded.astype("<f4").view("<u4")
    return words


def _of_values(outputs: ClassifierOutputs) -> NDArray[np.uint64]:
    labels = outputs.predictions if outputs.labels is None else outputs.labels  # which most labels are
    parts = []
    for rows in logit_blocks(outputs):
        with np.errstate(over="ignore"):
            values = np.asarray(outputs.logits[rows]).astype(">f4") + np.array(0, ">f4")  # −0 is 0
        words = values.astype(">f4").view("<u4")  # what differs in few bits of a float differs in the low ones here
        own = _hashed(words)
        parts.append(own * _weights(1)[0] + labels[rows].astype(np.uint64))
    return np.concatenate(parts)


def _hashed(words: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Return a weighted sum, modulo 2⁶⁴, of each row of words (m, w): a universal hash, blind to zeros at the end."""
    return words.astype(np.uint64) @ _weights(words.shape[1])


def _weights(count: int) -> NDArray[np.uint64]:
    """Return the first odd weights; the raw stream of a generator is the same in all versions of NumPy."""
    return np.random.PCG64(SEED).random_raw(count) | np.uint64(1)
