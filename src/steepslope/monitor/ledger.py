"""Which predictions have been counted, so that none is twice, and labels that come later find theirs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.monitor.predictions import Batch

KEPT = 1_000_000  # rows that are remembered; each takes 23 characters of the file
UNKNOWN = -1
ACCEPTED, LABELLED, CORRECT = 1, 2, 4  # flags
COLUMNS = {"ids": "<u8", "labels": "<u4", "p_correct": "<f4", "flags": "u1"}


@dataclass(frozen=True, eq=False)
class Ledger:
    """The latest predictions, (k,) each, in the order in which they were counted; ``forgotten`` are before them.

    ``ids`` and predicted ``labels`` are hashes; ``flags`` tell which are accepted, labelled, and correct.
    ``files`` are the digests of all files that were counted, also of those whose predictions are forgotten.
    """

    forgotten: int
    ids: NDArray[np.uint64]
    labels: NDArray[np.uint32]
    p_correct: NDArray[np.float32]
    flags: NDArray[np.uint8]
    files: frozenset[str] = field(default=frozenset(), kw_only=True)

    @classmethod
    def empty(cls) -> Self:
        """Return a ledger of no predictions."""
        return cls(0, *(np.zeros(0, kind) for kind in COLUMNS.values()))

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """Return the ledger of a batch alone."""
        flags = np.where(batch.rows.accepted, ACCEPTED, 0).astype(np.uint8)
        p_correct = batch.rows.p_correct.astype(np.float32)
        return cls(0, hashes_of(batch.ids), labels_of(batch.labels), p_correct, flags)

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return where each id is, (m,), or −1."""
        order = np.argsort(self.ids, kind="stable")
        near = np.searchsorted(self.ids, ids, sorter=order)
        found = order[np.minimum(near, len(self) - 1)] if len(self) else np.zeros(len(ids), np.int64)
        is_there = self.ids[found] == ids if len(self) else np.zeros(len(ids), np.bool_)
        return np.where(is_there, found, UNKNOWN)

    def new(self, others: Ledger, names: NDArray[np.object_]) -> NDArray[np.int64]:
        """Return which of other predictions have not been counted, in order, each id once.

        Raises
        ------
        SteepslopeError
            If one has the id of another prediction than its own; ``names`` are the ids as text.
        """
        first = np.sort(np.unique(others.ids, return_index=True)[1])
        again = np.setdiff1d(np.arange(len(others)), first)
        once, places = others.subset(first), self.places(others.ids)
        known = np.flatnonzero(places != UNKNOWN)
        for held, rows, where in ((self, known, places[known]), (once, again, once.places(others.ids[again]))):
            differs = np.flatnonzero(~held._holds(where, others.subset(rows)))
            if len(differs):
                expected = "expected ids that tell predictions apart, over all files"
                found = f"found {names[rows[differs[0]]]!r} with another prediction before"
                raise SteepslopeError(f"{expected}, {found}", "id")
        new: NDArray[np.int64] = first[places[first] == UNKNOWN]
        return new

    def _holds(self, places: NDArray[np.int64], others: Ledger) -> NDArray[np.bool_]:
        """Return whether each of these places holds the same prediction as another ledger does, row by row."""
        same = (self.labels[places] == others.labels) & (self.p_correct[places] == others.p_correct)
        return np.asarray(same & ((self.flags[places] ^ others.flags) & ACCEPTED == 0))

    def subset(self, rows: NDArray[np.int64]) -> Ledger:
        """Return some rows, by numbers."""
        return Ledger(self.forgotten, self.ids[rows], self.labels[rows], self.p_correct[rows], self.flags[rows])

    def plus(self, others: Ledger) -> Ledger:
        """Return the ledger with others at its end; what is more than can be remembered is forgotten."""
        joined = {name: np.concatenate([getattr(self, name), getattr(others, name)]) for name in COLUMNS}
        over = max(0, len(self) + len(others) - KEPT)
        return Ledger(self.forgotten + over, *(array[over:] for array in joined.values()), files=self.files)

    def labelled(self, places: NDArray[np.int64], is_correct: NDArray[np.bool_]) -> Ledger:
        """Return the ledger with some rows labelled, and whether each was correct."""
        flags = self.flags.copy()
        flags[places] |= np.where(is_correct, LABELLED | CORRECT, LABELLED).astype(np.uint8)
        return replace(self, flags=flags)

    def with_file(self, digest: str) -> Ledger:
        """Return the ledger with a file that was counted as a whole."""
        return replace(self, files=self.files | {digest})

    def as_json(self) -> dict[str, Any]:
        """Return all, as JSON holds it: arrays in base64."""
        arrays = {name: getattr(self, name).astype(kind) for name, kind in COLUMNS.items()}
        return {"forgotten": self.forgotten, "files": sorted(self.files)} | {
            name: base64.b64encode(array.tobytes()).decode() for name, array in arrays.items()
        }

    @classmethod
    def read(cls, content: Mapping[str, Any] | None) -> Self:
        """Return the ledger that JSON holds; an empty one of None."""
        if content is None:
            return cls.empty()
        arrays = (np.frombuffer(base64.b64decode(content[name]), kind) for name, kind in COLUMNS.items())
        return cls(content["forgotten"], *arrays, files=frozenset(content["files"]))


def hashes_of(texts: Iterable[str]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each text, (m,): of a million, no two are the same but for one case in 30 million."""
    digests = (hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(b"".join(digests), "<u8")


def labels_of(labels: NDArray[np.object_]) -> NDArray[np.uint32]:
    """Return a 32-bit hash of each label, (m,)."""
    distinct, index = np.unique(labels.astype(np.str_), return_inverse=True)
    return (hashes_of(map(str, distinct)) >> np.uint64(32)).astype(np.uint32)[index]
