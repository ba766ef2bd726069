"""Files of predictions and labels into a monitor: each row once, however they are cut and however often they come."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.monitor import ledger
from steepslope.monitor.files import Batch, Texts, no_classes, read_labels, read_predictions, require_classes
from steepslope.monitor.ledger import ACCEPTED, CORRECT, LABELLED, UNKNOWN, Ledger, hashes_of, labels_of
from steepslope.monitor.monitor import Monitor


@dataclass
class Watch:
    """A monitor and what it has counted; and of this run, how many rows were new, and what became of labels.

    ``new``, ``repeated``: predictions. ``labels``, ``labels_repeated``, ``labels_unknown``: labels that were counted,
    had been before, and are of no prediction that is remembered. ``contradicting``: those of the repeated that make
    right of wrong, or wrong of right. ``strange``: how often each label was given that is no class. ``classes`` are
    the names of the gate's classes.
    """

    monitor: Monitor
    ledger: Ledger = field(default_factory=Ledger.empty)
    classes: tuple[str, ...] | None = None
    new: int = 0
    repeated: int = 0
    labels: int = 0
    labels_repeated: int = 0
    labels_unknown: int = 0
    contradicting: int = 0
    strange: Counter[str] = field(default_factory=Counter)

    def predictions(self, files: Sequence[Path], truth: str | None = None) -> None:
        """Count the predictions in some files, in order, and the true labels in a column, if one is named.

        A file that was counted before is known even where its predictions are forgotten.

        Raises
        ------
        SteepslopeError
            If a file cannot be read or holds another prediction of a known id, or if predictions that are not known
            precede known ones although some are forgotten: they may have been counted.
        """
        for path in files:
            self._file(path, truth)

    def _file(self, path: Path, truth: str | None) -> None:
        before, new, given, strange = self.ledger, self.new, 0, Counter[str]()
        digest = None
        for batch in read_predictions(path, truth):
            digest = digest or _digest_of(path)
            with located(path):
                if self.ledger.forgotten and digest in self.ledger.files:
                    self.repeated += len(batch.rows)
                else:
                    self._count(batch, before, self.new > new)
                if batch.truths is not None:
                    self._label(batch.ids, batch.truths)
                    given += int((batch.truths != "").sum())
                    strange.update(no_classes(batch.truths, self.classes))
        self._judge(given, strange, path)
        if digest:
            self.ledger = self.ledger.with_file(digest)

    def true_labels(self, path: Path) -> None:
        """Count the labels in a file, each where its prediction is known."""
        given, strange = 0, Counter[str]()
        for ids, truths in read_labels(path):
            self._label(ids, truths)
            given += int((truths != "").sum())
            strange.update(no_classes(truths, self.classes))
        self._judge(given, strange, path)

    def _judge(self, given: int, strange: Counter[str], path: Path) -> None:
        require_classes(given, strange, self.classes, path)
        self.strange += strange

    def _count(self, batch: Batch, before: Ledger, has_new: bool) -> None:
        """Count a batch of a file; ``before`` was the ledger before it; ``has_new``: rows of it have been counted."""
        found = Ledger.of(batch)
        new = self.ledger.new(found, batch.ids)
        earlier = np.flatnonzero(before.places(found.ids) != UNKNOWN)
        if before.forgotten and len(earlier) and (has_new or (len(new) and new[0] < earlier[-1])):
            why = f"only the latest {ledger.KEPT:,} are remembered, so those before it may have been counted"
            expected = "expected known predictions before new ones"
            raise SteepslopeError(f"{expected}, found {batch.ids[earlier[-1]]!r}, which is known; {why}", "id")
        rows = batch.rows.subset(new)
        self.monitor.update(rows.p_correct, rows.accepted, rows.probability)
        self.ledger = self.ledger.plus(found.subset(new))
        self.new += len(new)
        self.repeated += len(batch.rows) - len(new)

    def _label(self, ids: Texts, truths: Texts) -> None:
        given = np.flatnonzero(truths != "")
        places = self.ledger.places(hashes_of(ids[given]))
        known = np.flatnonzero(places != UNKNOWN)
        is_correct = labels_of(truths[given][known]) == self.ledger.labels[places[known]]
        first = np.sort(np.unique(places[known], return_index=True)[1])
        fresh: NDArray[np.int64] = first[(self.ledger.flags[places[known][first]] & LABELLED) == 0]
        where = places[known][fresh]
        accepted = (self.ledger.flags[where] & ACCEPTED) > 0
        self.monitor.label(is_correct[fresh], accepted, self.ledger.forgotten + where + 1)
        self.ledger = self.ledger.labelled(where, is_correct[fresh])
        held = (self.ledger.flags[places[known]] & CORRECT) > 0
        self.contradicting += int((held != is_correct).sum())
        self.labels += len(fresh)
        self.labels_repeated += len(known) - len(fresh)
        self.labels_unknown += len(given) - len(known)


def _digest_of(path: Path) -> str:
    """Return a digest of a file's bytes, 16 characters."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
