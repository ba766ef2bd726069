"""Files of predictions and labels into a monitor: each row once, however they are cut and however often they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.deploy.monitoring.files import Batch, Texts, read_labels, read_predictions, require_classes
from steepslope.deploy.monitoring.ledger import ACCEPTED, LABELLED, UNKNOWN, Ledger, hashes_of, labels_of
from steepslope.deploy.monitoring.monitor import Monitor
from steepslope.errors import located


@dataclass
class Watch:
    """A monitor and what it has counted; and of this run, how many rows were new, and what became of labels.

    ``new``, ``repeated``: predictions. ``labels``, ``labels_repeated``, ``labels_unknown``: labels that were counted,
    had been before, and are of no prediction that is remembered. ``classes`` are the names of the gate's classes.
    """

    monitor: Monitor
    ledger: Ledger = field(default_factory=Ledger.empty)
    classes: tuple[str, ...] | None = None
    new: int = 0
    repeated: int = 0
    labels: int = 0
    labels_repeated: int = 0
    labels_unknown: int = 0

    def predictions(self, files: Sequence[Path], truth: str | None = None) -> None:
        """Count the predictions in some files, in order, and the true labels in a column, if one is named."""
        for path in files:
            for batch in read_predictions(path, truth):
                with located(path):
                    self._count(batch)
                    if batch.truths is not None:
                        self._label(batch.ids, batch.truths, path)

    def true_labels(self, path: Path) -> None:
        """Count the labels in a file, each where its prediction is known."""
        for ids, truths in read_labels(path):
            self._label(ids, truths, path)

    def _count(self, batch: Batch) -> None:
        found = Ledger.of(batch)
        new = self.ledger.new(found, batch.ids)
        rows = batch.rows.subset(new)
        self.monitor.update(rows.p_correct, rows.accepted, rows.probability)
        self.ledger = self.ledger.plus(found.subset(new))
        self.new += len(new)
        self.repeated += len(batch.rows) - len(new)

    def _label(self, ids: Texts, truths: Texts, path: Path) -> None:
        require_classes(truths.tolist(), self.classes, path)
        given = np.flatnonzero(truths != "")
        places = self.ledger.places(hashes_of(ids[given]))
        known = np.flatnonzero(places != UNKNOWN)
        first = known[np.sort(np.unique(places[known], return_index=True)[1])]
        fresh: NDArray[np.int64] = first[(self.ledger.flags[places[first]] & LABELLED) == 0]
        where = places[fresh]
        is_correct = labels_of(truths[given][fresh]) == self.ledger.labels[where]
        accepted = (self.ledger.flags[where] & ACCEPTED) > 0
        self.monitor.label(is_correct, accepted, self.ledger.forgotten + where + 1)
        self.ledger = self.ledger.labelled(where)
        self.labels += len(fresh)
        self.labels_repeated += len(known) - len(fresh)
        self.labels_unknown += len(given) - len(known)
