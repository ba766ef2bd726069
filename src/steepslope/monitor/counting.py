"""Files of predictions and labels into a monitor's state: each row once, however they are cut and often they come."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.files.folders import read_json
from steepslope.gate import Gate
from steepslope.gate.confidence_source import LoadOracle
from steepslope.gate.storage import digest_of_gate
from steepslope.monitor.audit import Audited, followed, harm_after, interval_of, risk_of
from steepslope.monitor.consistency import require_decided, require_drawn
from steepslope.monitor.monitor import DELTA, Monitor
from steepslope.monitor.predictions import (
    TRUTHS,
    Batch,
    Predicted,
    Texts,
    columns_of,
    joined,
    read_labels,
    read_predictions,
    shuffled,
    strange_labels,
)
from steepslope.monitor.state import Counted, State, begin_state, hash_of, open_state
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.options import TABLES
from steepslope.predict.audit import AUDIT, CHANCE, LIMIT, reaches_audit_limit
from steepslope.promise.calibration import CalibrationRows

UNLIKELY = 1e-3  # the probability of so few errors, below which labels are doubted
PART = 2**16  # predictions at a time
NONE: Texts = np.zeros(0, dtype=np.object_)
RELATIVE, ABSOLUTE = 1e-4, 1e-6  # by which numbers of the same rows may differ: an oracle's own rounding


@dataclass
class FileCount:
    """A monitor, and what one run has counted into it and its state.

    ``new``, ``repeated``: predictions that were counted in this run, and that had been before. ``labels``,
    ``labels_repeated``, ``labels_unknown``: labels that were counted, that had been before, and that are of no
    prediction which was counted. ``contradicting``: how many of the repeated labels make right of wrong, or wrong of
    right. ``strange``: how often each label came that is no class. ``unmarked``: labels of predictions that no audit
    drew, where there are audits: they are no evidence. ``not_following``: accepted predictions that are below the limit
    of a gate which follows its audit, or that no audit could draw. ``gate`` is the gate, and ``latest`` are the
    predictions of the last file of this run. ``caution`` says why labels may not be true ones; it is empty if nothing
    suggests that.
    """

    monitor: Monitor
    gate: Gate | None = None
    latest: Predicted | None = None
    new: int = 0
    repeated: int = 0
    labels: int = 0
    labels_repeated: int = 0
    labels_unknown: int = 0
    contradicting: int = 0
    strange: Counter[str] = field(default_factory=Counter)
    unmarked: int = 0
    not_following: int = 0
    caution: str = ""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the gate's classes."""
        return None if self.gate is None else self.gate.classes

    def count_predictions(self, state: State, path: Path, truth: str | None = None) -> None:
        """Count the predictions in a file, shuffled by their ids, and the true labels in its column ``truth``.

        Raises
        ------
        SteepslopeError
            If the file cannot be read or holds another prediction of an id that was counted.
        """
        with self._classes_checked(path) as truths:
            batch = joined(read_predictions(path, truth, self.classes))
            if batch is None:
                return
            self.latest = batch.rows
            with located(path):
                if self.gate is not None:
                    require_decided(self.gate, batch, self._limit_of(path))
                weights = self._weights(batch)
                for start in range(0, len(batch.ids), PART):
                    part = slice(start, start + PART)
                    self._count(state, batch.subset(part), weights if weights is None else weights[part])
            if truth is not None:
                self._label(state, batch.ids, batch.columns[TRUTHS])
                truths.update(batch.columns[TRUTHS])

    def count_labels(self, state: State, path: Path) -> None:
        """Count the labels in a file, shuffled by their ids, each where its prediction was counted."""
        with self._classes_checked(path) as found:
            parts = [part for part in read_labels(path) if len(part[0])]
            ids, truths = (np.concatenate(column) for column in zip(*parts, strict=True)) if parts else (NONE, NONE)
            order = shuffled(ids)  # they may be sorted by what tells right from wrong
            self._label(state, ids[order], truths[order])
            found.update(truths)

    @contextmanager
    def _classes_checked(self, path: Path) -> Iterator[Counter[str]]:
        """Give a counter for the true labels of a file; raise at the end if none of them is a class."""
        truths = Counter[str]()
        yield truths
        del truths[""]
        self.strange += strange_labels(truths, self.classes, path)

    def audit(self, state: State) -> None:
        """Find what the labels of audits tell so far."""
        monitor = self.monitor
        if not monitor.under_audit:
            return
        promised, before, drawn = monitor.promised, monitor.audit, state.marked()
        marked = [one for one in drawn if one.accepted]
        labels = sum(one.is_correct is not None for one in marked)
        waiting = sum(one.is_correct is None for one in drawn)
        low, high = interval_of(marked, monitor.under_audit, monitor.least_chances, monitor.delta)
        alarm = (None, None) if before is None else (before.alarm, before.alarm_labels)
        if monitor.follows and low <= promised:
            alarm = (None, None)  # what was too much is made good
        elif alarm[0] is None and harm_after(marked, promised, monitor.labelled.level) is not None:
            alarm = (monitor.rows, labels)
        follows = followed(drawn, promised) if monitor.follows else None
        monitor.audit = Audited(monitor.under_audit, labels, waiting, risk_of(marked), low, high, *alarm, follows)

    def doubt_labels(self, state: State) -> None:
        """Find a caution if the latest labels equal the predictions more often than P(correct) makes likely.

        The latest labels are those since the last error. Each error begins such a stretch, so the level is divided by
        the number of stretches.
        """
        latest, errors = state.latest_correct()
        if math.prod(latest) * (1 + errors) < UNLIKELY:
            self.caution = (
                f"the latest {len(latest):,} labels equal the predictions, all of them. By P(correct), the probability "
                f"of that is below {UNLIKELY:g}: make sure that they are true labels, not copies of the predictions"
            )

    def _limit_of(self, path: Path) -> float | None:
        """Return the limit with which a file was made, by its summary; None if that is not known."""
        key = _key_of(path)
        limit = 0.0 if key is None else key.get(LIMIT)
        return None if key is None and self.monitor.follows else limit if isinstance(limit, float) else 0.0

    def _weights(self, batch: Batch) -> NDArray[np.float64] | None:
        """Return what the label of each prediction of a file counts as evidence, in [0, 1], (m,).

        0 if it is not drawn, else the least probability in the file over its own. None without an audit.
        """
        chance, marked = batch.rows.chance, batch.columns.get(AUDIT)
        in_audit = np.zeros(0, np.bool_) if chance is None else chance > 0
        if chance is None or marked is None or not in_audit.any():
            return None
        if self.monitor.labelled.count:
            raise SteepslopeError(
                "expected no audit: this state already counts labels that no audit drew; begin another state", AUDIT
            )
        require_drawn(batch, self.monitor.promised, str(self.monitor.gate))
        weights = np.zeros(len(chance))
        weights[in_audit] = np.where(marked[in_audit], chance[in_audit].min() / chance[in_audit], 0.0)
        return weights

    def _count(self, state: State, batch: Batch, weights: NDArray[np.float64] | None) -> None:
        rows = batch.rows
        chance = None if weights is None else rows.chance
        audit = (repeat(None) if column is None else column.tolist() for column in (chance, weights))
        ids, labels = (map(hash_of, texts) for texts in (batch.ids, batch.labels))
        p_correct = rows.p_correct.astype(np.float32).tolist()
        columns: tuple[Iterable[Any], ...] = (ids, labels, p_correct, rows.accepted.tolist(), repeat(0), *audit)
        predictions = [Counted(*facts) for facts in zip(*columns, strict=False)]
        counted = state.counted(prediction.id for prediction in predictions)
        fresh: list[Counted] = []
        numbers = []
        for number, prediction in enumerate(predictions):
            before = counted.get(prediction.id)
            if before is None:
                fresh.append(prediction._replace(row=self.monitor.rows + len(fresh) + 1))
                counted[prediction.id] = fresh[-1]
                numbers.append(number)
            elif not before.is_same(prediction):
                expected = "expected ids that tell predictions apart, over all files"
                raise SteepslopeError(f"{expected}, found {batch.ids[number]!r} with another prediction before", "id")
            elif before.chance != prediction.chance:
                expected = (
                    f"expected the one with which {batch.ids[number]!r} was counted before, or none if it had none"
                )
                raise SteepslopeError(f"{expected}, found another", CHANCE)
        new = rows.subset(np.array(numbers, np.int64))
        if self.monitor.follows:
            in_audit = np.zeros(len(new), np.bool_) if new.chance is None else new.chance > 0
            is_limited = in_audit & reaches_audit_limit(new.p_correct, self.monitor.limit)
            self.not_following += int((new.accepted & ~is_limited).sum())
        self.monitor.take(new)
        state.add(fresh)
        self.new += len(fresh)
        self.repeated += len(rows) - len(fresh)

    def _label(self, state: State, ids: Texts, truths: Texts) -> None:
        found = [(hash_of(id_), truth) for id_, truth in zip(ids, truths, strict=True) if truth]
        counted = state.counted(id_ for id_, _ in found)
        fresh: dict[int, bool] = {}
        for id_, truth in found:
            prediction = counted.get(id_)
            if prediction is None:
                self.labels_unknown += 1
                continue
            is_correct = hash_of(truth) == prediction.label
            before = fresh.get(id_, prediction.is_correct)
            if before is None:
                fresh[id_] = is_correct
            else:
                self.labels_repeated += 1
                self.contradicting += before != is_correct
        labelled = [counted[id_] for id_ in fresh]
        under_audit = self.monitor.follows or self.monitor.under_audit > 0  # their labels are weighed at the end
        evidence = np.array([prediction.accepted and not under_audit for prediction in labelled], np.bool_)
        rows = np.array([prediction.row for prediction in labelled], np.int64)
        self.monitor.label(np.array([*fresh.values()], np.bool_), evidence, rows)
        self.unmarked += sum(under_audit and not prediction.weight for prediction in labelled)
        state.label(fresh)
        self.labels += len(fresh)


def count_files(
    gate: Path,
    state: Path,
    predictions: Sequence[Path] = (),
    labels: str | None = None,
    calibration: str | None = None,
    delta: float | None = None,
    follow: bool | None = None,
    load_oracle: LoadOracle = Oracle.load,
) -> FileCount:
    """Count files into a state, which is made where there is none; if anything is wrong, the state stays as it was.

    Parameters
    ----------
    gate, state
        The gate's folder and the state's file.
    predictions
        Files that ``predict`` wrote, in the order in which the predictions were made.
    labels
        A file of true labels, or a column of the predictions.
    calibration
        Labelled outputs in place of the rows that the gate was calibrated on.
    delta
        As of :meth:`Monitor.of`; a state that is there keeps its own.
    follow
        Whether the gate follows its audit from now on; None leaves that as it is.
    load_oracle
        Reads the gate's oracle from its folder.
    """
    truth, file_of_labels = _labels(labels, bool(predictions))
    model = Gate.load(gate, load_oracle)
    digest = digest_of_gate(gate)
    for file in predictions:  # before a state is made
        _require_made_by(gate, digest, file)
        columns_of(file, truth)
    rows = None
    if calibration is not None:
        outputs = ClassifierOutputs.load(calibration, labelled=True)
        judged = model.decide(outputs)
        rows = CalibrationRows(
            judged.p_correct, outputs.is_correct, judged.accepted, judged.probability, judged.labels,
            outputs.require_labels(),
        )  # fmt: skip
    if not state.exists():
        with located(gate):
            made = Monitor.of(model, DELTA if delta is None else delta, rows=rows, digest=digest)
        made.follows = bool(follow)
        begin_state(state, made.as_json())
    changes = bool(predictions or labels) or follow is not None
    with open_state(state, write=changes) as opened:
        monitor = Monitor.read(opened.content, state)
        with located(state):
            _require_settings(monitor, digest, delta)
            if rows is not None:
                _require_rows(monitor, Monitor.of(model, monitor.delta, rows=rows))
            _require_followable(monitor, follow)
        monitor.follows = monitor.follows if follow is None else follow
        count = FileCount(monitor, model)
        for file in predictions:
            count.count_predictions(opened, file, truth)
        if file_of_labels is not None:
            count.count_labels(opened, file_of_labels)
        if changes:
            count.audit(opened)
            opened.write(monitor.as_json())
        count.doubt_labels(opened)
    return count


def limit_in(state: Path, gate: Path) -> float:
    """Return the limit on P(correct) of a gate that follows its audit, by the state of its monitor.

    Raises
    ------
    SteepslopeError
        If it is the state of another gate, or of one that does not follow its audit.
    """
    monitor = Monitor.load(state)
    with located(state):
        _require_settings(monitor, digest_of_gate(gate), None)
        if not monitor.follows:
            raise SteepslopeError("expected a state that follows the audit (monitor --follow), found one that does not")
    return monitor.limit


def _labels(labels: str | None, has_predictions: bool) -> tuple[str | None, Path | None]:
    """Return the column of true labels in predictions, and the file of true labels, of which one or both are None."""
    if labels is None:
        return None, None
    if labels == "label":
        raise SteepslopeError(
            f"expected a column of true labels, found {labels!r}, which is what was predicted", "labels"
        )
    if Path(labels).suffix.lower() in TABLES:
        return None, Path(labels)
    if not has_predictions:
        expected = f"expected a file that ends in {' or '.join(TABLES)}, or a column of predictions that are given too"
        raise SteepslopeError(f"{expected}, found {labels!r}", "labels")
    return labels, None


def _require_made_by(gate: Path, digest: str, file: Path) -> None:
    """Raise if, by the summary beside a file of predictions, another gate made them."""
    if (_key_of(file) or {}).get("gate") not in (None, digest):
        raise SteepslopeError(f"expected predictions of the gate {gate}, found another gate's", file)


def _key_of(file: Path) -> dict[str, Any] | None:
    """Return what decided a file of predictions, by the summary next to it; None without one."""
    card = file.with_name(f"{file.name}.json")
    return (read_json(card, "a summary of predictions").get("key") or {}) if card.exists() else None


def _require_settings(monitor: Monitor, digest: str, delta: float | None) -> None:
    """Raise if a state is another gate's, or was made with other settings than those that are given."""
    if monitor.gate != digest:
        raise SteepslopeError("expected the state of this gate, found another gate's: begin another state")
    if delta not in (None, monitor.delta):
        raise SteepslopeError(f"made with delta {monitor.delta}, found {delta}: begin another state")


def _require_followable(monitor: Monitor, follow: bool | None) -> None:
    """Raise if a gate is to follow audits by a state that counts labels which none drew."""
    if follow and monitor.labelled.count:
        found = "found other labels: begin another state"
        raise SteepslopeError(f"expected a state in which all labels come from audits, {found}", "follow")


def _require_rows(monitor: Monitor, other: Monitor) -> None:
    """Raise unless two monitors were made with the same calibration rows, but for an oracle's own rounding."""
    if monitor.usual.keys() != other.usual.keys() or not np.allclose(
        [*monitor.usual.values(), monitor.coverage], [*other.usual.values(), other.coverage], RELATIVE, ABSOLUTE
    ):
        raise SteepslopeError("made with other calibration rows than these: begin another state")
