"""Files of predictions and labels into a monitor's state. Each row counts once, however files are cut or repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.errors import SteepslopeError, located
from steepslope.files import read_json
from steepslope.gate import Gate, LoadOracle, digest_of_gate
from steepslope.monitor._audit import Audited, follow_audit, harm_found_by_audit, risk_by_audit, risk_interval_by_audit
from steepslope.monitor._confirmed import caution_on_confirmed
from steepslope.monitor._consistency import require_consistent_audit, require_consistent_decisions
from steepslope.monitor._monitor import Monitor
from steepslope.monitor._predictions import (
    TRUTHS,
    Batch,
    Texts,
    labels_of_no_class,
    prediction_columns,
    read_labels_of_predictions,
    read_predictions,
)
from steepslope.monitor._state import Counted, State, begin_state, open_state
from steepslope.numerics import blocks
from steepslope.oracle import Oracle
from steepslope.outputs import TABLES, ClassifierOutputs
from steepslope.predict import AUDIT, CHANCE, LIMIT, hash_of_text, reaches_audit_limit, shuffled_by_ids
from steepslope.promise import DELTA, CalibrationRows

PART = 2**16  # predictions at a time
WEIGHT = "weight"  # of labels as evidence, a column that is added to files with an audit
RELATIVE, ABSOLUTE = 1e-4, 1e-6  # by which numbers of the same rows may differ: an oracle's own rounding


@dataclass
class FileCount:
    """A monitor, its gate, and what one run has counted into the monitor and its state.

    ``new``, ``repeated``: predictions that this run counted, and those that an earlier one had counted. ``labels``,
    ``labels_repeated``: the same for labels. ``labels_unknown``: labels whose prediction was never counted.
    ``contradicting``: how many repeated labels say the opposite of the first one. ``strange``: how often each label
    came that is no class. ``unmarked``: labels of predictions that no audit drew; if there are audits, they are no
    evidence. ``not_following``: accepted predictions that are below the limit of a gate which follows its audit, or
    that no audit could draw. ``caution`` says why labels may be copies of predictions; it is empty if nothing suggests
    that.
    """

    monitor: Monitor
    gate: Gate
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

    def count_predictions(self, state: State, path: Path, truth: str | None = None) -> None:
        """Count the predictions in a file, shuffled by their ids, and the true labels in its column ``truth``.

        Raises
        ------
        SteepslopeError
            If the file cannot be read or holds another prediction of an id that was counted.
        """
        batches = [batch for batch in read_predictions(path, truth, self.gate.classes) if len(batch)]
        if not batches:
            return
        predictions = Batch.joined(batches)
        predictions = predictions.subset(shuffled_by_ids(predictions.ids))
        with located(path):
            require_consistent_decisions(self.gate, predictions, self._limit_of(path))
            weighed = self._weighed(predictions)
            for rows in blocks(len(predictions), PART):
                self._count(state, weighed.subset(rows))
        if truth is not None:
            self._label(state, predictions.ids, predictions.columns[TRUTHS], path)

    def count_labels(self, state: State, path: Path) -> None:
        """Count the labels in a file, shuffled by their ids, each where its prediction was counted."""
        ids, truths = read_labels_of_predictions(path)
        order = shuffled_by_ids(ids)  # they may be sorted by what tells right
        self._label(state, ids[order], truths[order], path)

    def audit(self, state: State) -> None:
        """Find what the labels of audits tell so far."""
        monitor = self.monitor
        if not monitor.under_audit:
            return
        promised, before = monitor.promised, monitor.audit
        drawn = state.marked()
        marked = [row for row in drawn if row.accepted]
        labels = sum(row.is_correct is not None for row in marked)
        waiting = sum(row.is_correct is None for row in drawn)
        low, high = risk_interval_by_audit(marked, monitor.under_audit, monitor.least_chances, monitor.delta)
        alarm = (None, None) if before is None else (before.alarm, before.alarm_labels)
        if monitor.follows and low <= promised:
            alarm = (None, None)  # what was too much is made good
        elif alarm[0] is None and harm_found_by_audit(marked, promised, monitor.labelled.level) is not None:
            alarm = (monitor.rows, labels)
        follows = follow_audit(drawn, promised) if monitor.follows else None
        risk = risk_by_audit(marked)
        monitor.audit = Audited(monitor.under_audit, labels, waiting, risk, low, high, *alarm, follows)

    def doubt_labels(self, state: State) -> None:
        """Find a caution if the labels equal the predictions more often than P(correct) makes likely."""
        p_correct, is_correct = state.labelled().T
        self.caution = caution_on_confirmed(1 - p_correct, is_correct == 0, self.monitor.surely_wrong)

    def _limit_of(self, path: Path) -> float | None:
        """Return the limit with which a file was made, by its summary; None if that is not known."""
        key = _key_of_counted_file(path)
        limit = (key or {}).get(LIMIT)
        return None if key is None and self.monitor.follows else limit if isinstance(limit, float) else 0.0

    def _weighed(self, predictions: Batch) -> Batch:
        """Return the predictions of a file with what the label of each counts as evidence, in [0, 1].

        0 if it is not drawn, else the least probability in the file over its own. Without an audit, there is no weight.
        """
        chance, marked = predictions.chance, predictions.columns.get(AUDIT)
        if chance is None or marked is None or not (chance > 0).any():
            return replace(predictions, chance=None)
        if self.monitor.labelled.count:
            known = "this state already counts labels that no audit drew"
            raise SteepslopeError(f"expected no audit: {known}; begin another state", AUDIT)
        require_consistent_audit(predictions, self.monitor.promised, str(self.monitor.gate))
        least = chance[chance > 0].min()
        weights = np.divide(least, chance, out=np.zeros(len(chance)), where=marked & (chance > 0))
        return replace(predictions, columns={**predictions.columns, WEIGHT: weights})

    def _count(self, state: State, batch: Batch) -> None:
        """Count the predictions of a batch that were not counted before."""
        chances, weights = (
            repeat(None) if column is None else column.tolist() for column in (batch.chance, batch.columns.get(WEIGHT))
        )
        ids, labels = (map(hash_of_text, texts) for texts in (batch.ids, batch.labels))
        p_correct = batch.p_correct.astype(np.float32).tolist()
        columns: Iterable[Any] = zip(
            ids, labels, p_correct, batch.accepted.tolist(), repeat(0), chances, weights, strict=False
        )
        predictions = [Counted(*facts) for facts in columns]
        counted = state.counted(prediction.id for prediction in predictions)
        fresh: dict[int, Counted] = {}
        for number, prediction in enumerate(predictions):
            before = counted.get(prediction.id)
            if before is None:
                fresh[number] = counted[prediction.id] = prediction._replace(row=self.monitor.rows + len(fresh) + 1)
            elif not before.is_same(prediction):
                expected = "expected ids that tell predictions apart, over all files"
                raise SteepslopeError(f"{expected}, found {batch.ids[number]!r} with another prediction before", "id")
            elif before.chance != prediction.chance:
                known = f"the one with which {batch.ids[number]!r} was counted before, or none if it had none"
                raise SteepslopeError(f"expected {known}, found another", CHANCE)
        new = batch.subset(np.array([*fresh], np.int64))
        if self.monitor.follows:
            in_audit = np.zeros(len(new), np.bool_) if new.chance is None else new.chance > 0
            is_limited = in_audit & reaches_audit_limit(new.p_correct, self.monitor.limit)
            self.not_following += int((new.accepted & ~is_limited).sum())
        self.monitor.take(new)
        state.add(fresh.values())
        self.new += len(fresh)
        self.repeated += len(batch) - len(fresh)

    def _label(self, state: State, ids: Texts, truths: Texts, path: Path) -> None:
        """Count the labels of a file, (m,), "" where a row has none; raise if none of them is a class."""
        self.strange += labels_of_no_class(truths, self.gate.classes, path)
        truths_by_id = [(hash_of_text(id_), truth) for id_, truth in zip(ids, truths, strict=True) if truth]
        counted = state.counted(id_ for id_, _ in truths_by_id)
        fresh: dict[int, bool] = {}
        for id_, truth in truths_by_id:
            prediction = counted.get(id_)
            if prediction is None:
                self.labels_unknown += 1
                continue
            is_correct = hash_of_text(truth) == prediction.label
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
    truth, file_of_labels = _labels_to_count(labels, bool(predictions))
    model = Gate.load(gate, load_oracle)
    digest = digest_of_gate(gate)
    for file in predictions:  # before a state is made
        if (_key_of_counted_file(file) or {}).get("gate") not in (None, digest):
            raise SteepslopeError(f"expected predictions of the gate {gate}, found another gate's", file)
        prediction_columns(file, truth)
    rows = None if calibration is None else _calibration_rows(model, calibration)
    if not state.exists():
        with located(gate):
            begun = Monitor.of(model, DELTA if delta is None else delta, rows=rows, digest=digest)
        begin_state(state, begun.as_json())
    changes = bool(predictions or labels) or follow is not None
    with open_state(state, write=changes) as opened:
        monitor = Monitor.read(opened.content, state)
        with located(state):
            monitor.require_gate(digest)
            _require_same_count(monitor, delta, follow)
            if rows is not None:
                _require_same_rows_counted(monitor, Monitor.of(model, monitor.delta, rows=rows))
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


def limit_counted_in(state: Path, gate: Path) -> float:
    """Return the limit on P(correct) of a gate that follows its audit, by the state of its monitor.

    Raises
    ------
    SteepslopeError
        If it is the state of another gate, or of one that does not follow its audit.
    """
    monitor = Monitor.load(state)
    with located(state):
        monitor.require_gate(digest_of_gate(gate))
        if not monitor.follows:
            raise SteepslopeError("expected a state that follows the audit (monitor --follow), found one that does not")
    return monitor.limit


def _calibration_rows(gate: Gate, path: str) -> CalibrationRows:
    """Return what a gate makes of labelled outputs in a file or folder."""
    outputs = ClassifierOutputs.load(path, labelled=True)
    rows = gate.decide_rows(outputs).judged_rows
    return CalibrationRows(**vars(rows), is_correct=outputs.is_correct)


def _labels_to_count(labels: str | None, has_predictions: bool) -> tuple[str | None, Path | None]:
    """Return the column of true labels in predictions, and the file of true labels, of which one or both are None."""
    if labels is None:
        return None, None
    if labels == "label":
        found = f"found {labels!r}, which is what was predicted"
        raise SteepslopeError(f"expected a column of true labels, {found}", "labels")
    if Path(labels).suffix.lower() in TABLES:
        return None, Path(labels)
    if not has_predictions:
        expected = f"expected a file that ends in {' or '.join(TABLES)}, or a column of predictions that are given too"
        raise SteepslopeError(f"{expected}, found {labels!r}", "labels")
    return labels, None


def _key_of_counted_file(file: Path) -> dict[str, Any] | None:
    """Return what decided a file of predictions, by the summary next to it; None without one."""
    card = file.with_name(f"{file.name}.json")
    return (read_json(card, "a summary of predictions").get("key") or {}) if card.exists() else None


def _require_same_count(monitor: Monitor, delta: float | None, follow: bool | None) -> None:
    """Raise if a state was made with another delta, or the gate is to follow audits that not all its labels are of."""
    if delta not in (None, monitor.delta):
        raise SteepslopeError(f"made with delta {monitor.delta}, found {delta}: begin another state")
    if follow and monitor.labelled.count:
        expected = "expected a state in which all labels come from audits"
        raise SteepslopeError(f"{expected}, found other labels: begin another state", "follow")


def _require_same_rows_counted(monitor: Monitor, other: Monitor) -> None:
    """Raise unless two monitors were made with the same calibration rows, but for an oracle's own rounding."""
    if monitor.usual.keys() != other.usual.keys() or not np.allclose(
        [*monitor.usual.values(), monitor.coverage], [*other.usual.values(), other.coverage], RELATIVE, ABSOLUTE
    ):
        raise SteepslopeError("made with other calibration rows than these: begin another state")
