"""Files of predictions and labels into a monitor: each row once, however they are cut and however often they come.

What stands behind `steepslope monitor`: its state, anew or from its file. It imports torch plainly.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.files.folders import read_json
from steepslope.gate import Gate
from steepslope.gate.calibration import CalibrationRows
from steepslope.gate.storage import digest_of_gate
from steepslope.monitor import ledger
from steepslope.monitor.ledger import ACCEPTED, CORRECT, LABELLED, UNKNOWN, Ledger, hashes_of, labels_of
from steepslope.monitor.monitor import Monitor
from steepslope.monitor.predictions import Batch, Texts, no_classes, read_labels, read_predictions, require_classes
from steepslope.monitor.storage import locked_state, read_state, write_state
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.reading import TABLES


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


DELTA = 0.05


def watched(
    gate: Path,
    state: Path,
    predictions: Sequence[Path],
    labels: str | None,
    calibration: str | None,
    delta: float | None,
    signal: str | None,
) -> Watch:
    """Count predictions and labels, write the state, and return what is known; if something is wrong, write nothing."""
    is_file = labels is not None and Path(labels).suffix.lower() in TABLES
    if labels is not None and not is_file and not predictions:
        expected = f"expected a file that ends in {' or '.join(TABLES)}, or a column of predictions that are given too"
        raise SteepslopeError(f"{expected}, found {labels!r}", "labels")
    for file in predictions:
        require_own(file, gate)
    if state.exists() and not predictions and labels is None:
        return opened(gate, state, calibration, delta, signal)  # which a server may be writing
    with locked_state(state):
        watch = opened(gate, state, calibration, delta, signal)
        if watch.monitor.rows and not len(watch.ledger) and (predictions or labels):
            raise SteepslopeError(
                "expected a state of files, found one without ids, such as a server's: name another", state
            )
        watch.predictions(predictions, None if is_file else labels)
        if labels is not None and is_file:
            watch.true_labels(Path(labels))
        write_state(state, watch.monitor.as_json(), watch.ledger.as_json() if watch.monitor.rows else None)
    return watch


def opened(folder: Path, state: Path, calibration: str | None, delta: float | None, signal: str | None) -> Watch:
    """Return the monitor of a gate with what it has counted, from its file if that is there.

    Raises
    ------
    SteepslopeError
        If the state is another gate's, or was made with other settings.
    """
    gate, digest = Gate.load(folder), digest_of_gate(folder)
    if not state.exists():
        with located(folder):
            monitor = Monitor.of(
                gate, DELTA if delta is None else delta, rows=_rows(gate, calibration), on=signal, digest=digest
            )
        return Watch(monitor, classes=gate.classes)
    content, counted = read_state(state)
    monitor = Monitor.read(content)
    if monitor.gate != digest:
        raise SteepslopeError(f"expected the state of the gate {folder}, found another gate's: begin another", state)
    settings = {"delta": (monitor.delta, delta), "signal": (monitor.on, signal)}
    for name, (found, given) in settings.items():
        if given not in (None, found):
            raise SteepslopeError(f"made with {name} {found}, found {given}: begin another state", state)
    rows = _rows(gate, calibration)
    if rows is not None and not _agree(monitor, Monitor.of(gate, monitor.delta, rows=rows, on=monitor.on)):
        raise SteepslopeError(f"made with other calibration rows than {calibration}: begin another state", state)
    return Watch(monitor, Ledger.read(counted), gate.classes)


def _agree(one: Monitor, other: Monitor) -> bool:
    """Return whether two monitors were made with the same calibration rows, but for an oracle's own rounding."""
    both = one.signals.keys() & other.signals.keys()
    return all(np.allclose(astuple(one.signals[name]), astuple(other.signals[name]), 1e-4, 1e-6) for name in both)


def _rows(gate: Gate, calibration: str | None) -> CalibrationRows | None:
    """Return labelled outputs as a gate judges them; None where none are given."""
    if calibration is None:
        return None
    outputs = ClassifierOutputs.load(calibration, labelled=True)
    decisions = gate.decide(outputs)
    return CalibrationRows(decisions.p_correct, outputs.is_correct, decisions.accepted, decisions.probability)


def require_own(file: Path, gate: Path) -> None:
    """Raise if, by the summary beside a file of predictions, another gate made them."""
    card = file.with_name(f"{file.name}.json")
    made = (read_json(card, "a summary of predictions").get("key") or {}).get("gate") if card.exists() else None
    if made is not None and made != digest_of_gate(gate):
        raise SteepslopeError(f"expected predictions of the gate {gate}, found another gate's", file)


def print_json(monitor: Monitor) -> None:
    """Print all that is known as one JSON document: the state, and what follows from it."""
    follows = {
        "alarm": monitor.alarm, "alarms": monitor.alarms, "accuracy": monitor.accuracy,
        "coverage_interval": list(monitor.coverage_interval),
        "means": {name: monitor.mean(name) for name in monitor.signals},
        "intervals": {name: list(monitor.interval(name)) for name in monitor.signals},
        "latest": {name: monitor.latest(name) for name in monitor.signals}, "silent": monitor.silent,
        "labelled_risk": monitor.labelled.mean, "labelled_interval": list(monitor.labelled.interval(monitor.delta)),
    }  # fmt: skip
    print(json.dumps({**follows, "state": monitor.as_json()}, indent=1))
