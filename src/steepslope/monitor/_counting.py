"""Files of predictions and labels into a monitor's state. Each row counts once, however files are cut or repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.errors import SteepslopeError, located
from steepslope.files import read_json
from steepslope.gate import Gate, LoadOracle, digest_of_gate
from steepslope.monitor._audit import Audited, follow_audit, harm_found_by_audit, risk_by_audit, risk_interval_by_audit
from steepslope.monitor._consistency import require_consistent_audit, require_consistent_decisions
from steepslope.monitor._monitor import Monitor, rows_to_calibrate_on
from steepslope.monitor._predictions import (
    TRUTHS,
    Batch,
    Texts,
    labels_of_no_class,
    labels_to_count,
    prediction_columns,
    read_labels_of_predictions,
    read_predictions,
)
from steepslope.monitor._state import Counted, State, begin_state, open_state
from steepslope.numerics import blocks
from steepslope.oracle import Oracle
from steepslope.predict import AUDIT, CHANCE, LIMIT, hash_of_text, reaches_audit_limit, shuffled_by_ids
from steepslope.promise import DELTA

PART = 2**16  # predictions at a time
_WEIGHT = "weight"  # of labels as evidence, a column that is added to files with an audit
_RELATIVE = 1e-4  # by which numbers of the same rows may differ: an oracle's own rounding
_ABSOLUTE = 1e-6


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
        promised = monitor.promised
        drawn = state.marked()
        accepted = [row for row in drawn if row.accepted]
        low, high = risk_interval_by_audit(accepted, monitor.under_audit, monitor.least_chances, monitor.delta)
        audit = Audited(
            accepted=monitor.under_audit,
            labels=sum(row.is_correct is not None for row in accepted),
            waiting=sum(row.is_correct is None for row in drawn),
            risk=risk_by_audit(accepted),
            low=low,
            high=high,
            followed=follow_audit(drawn, promised) if monitor.follows else None,
        )
        is_made_good = monitor.follows and low <= promised
        before = monitor.audit
        if not is_made_good and before is not None and before.alarm is not None:
            audit = replace(audit, alarm=before.alarm, alarm_labels=before.alarm_labels)
        elif not is_made_good and harm_found_by_audit(accepted, promised, monitor.labelled.level) is not None:
            audit = replace(audit, alarm=monitor.rows, alarm_labels=audit.labels)
        monitor.audit = audit

    def doubt_labels(self, state: State) -> None:
        """Find a caution if the labels equal the predictions more often than P(correct) makes likely."""
        p_correct, is_correct = state.labelled().T
        self.caution = self.monitor.caution_on(1 - p_correct, is_correct == 0)

    def _limit_of(self, path: Path) -> float | None:
        """Return the limit with which a file was made, by its summary; None if that is not known."""
        key = _key_of_counted_file(path)
        if key is None:
            return None if self.monitor.follows else 0.0
        limit = key.get(LIMIT)
        if isinstance(limit, float):
            return limit
        return 0.0

    def _weighed(self, predictions: Batch) -> Batch:
        """Return the predictions of a file with what the label of each counts as evidence, in [0, 1].

        0 if it is not drawn, else the least probability in the file over its own. Without an audit, there is no weight.
        """
        chance = predictions.chance
        marked = predictions.columns.get(AUDIT)
        if chance is None or marked is None or not (chance > 0).any():
            return replace(predictions, chance=None)
        if self.monitor.labelled.count:
            known = "this state already counts labels that no audit drew"
            raise SteepslopeError(f"expected no audit: {known}; begin another state", AUDIT)
        require_consistent_audit(predictions, self.monitor.promised, str(self.monitor.gate))
        least = chance[chance > 0].min()
        weights = np.divide(least, chance, out=np.zeros(len(chance)), where=marked & (chance > 0))
        return replace(predictions, columns={**predictions.columns, _WEIGHT: weights})

    def _count(self, state: State, batch: Batch) -> None:
        """Count the predictions of a batch that were not counted before."""
        predictions = _as_counted(batch)
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
            follows = np.zeros(len(new), np.bool_)
            if new.chance is not None:
                follows = (new.chance > 0) & reaches_audit_limit(new.p_correct, self.monitor.limit)
            self.not_following += int((new.accepted & ~follows).sum())
        self.monitor.take(new)
        state.add(fresh.values())
        self.new += len(fresh)
        self.repeated += len(batch) - len(fresh)

    def _label(self, state: State, ids: Texts, truths: Texts, path: Path) -> None:
        """Count the labels of a file, (m,), "" where a row has none; raise if none of them is a class."""
        self.strange += labels_of_no_class(truths, self.gate.classes, path)
        has_label = truths != ""
        hashes = list(map(hash_of_text, ids[has_label]))
        counted = state.counted(hashes)
        fresh: dict[int, bool] = {}
        for id_, truth in zip(hashes, truths[has_label], strict=True):
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
    truth, file_of_labels = labels_to_count(labels, bool(predictions))
    model = Gate.load(gate, load_oracle)
    digest = digest_of_gate(gate)
    for file in predictions:  # before a state is made
        _require_countable(file, truth, gate, digest)
    rows = None if calibration is None else rows_to_calibrate_on(model, calibration)
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


def _as_counted(batch: Batch) -> list[Counted]:
    """Return predictions as they are counted, with no place in the stream yet."""
    unknown = [None] * len(batch)
    weights = batch.columns.get(_WEIGHT)
    columns = (
        map(hash_of_text, batch.ids),
        map(hash_of_text, batch.labels),
        batch.p_correct.astype(np.float32).tolist(),
        batch.accepted.tolist(),
        repeat(0),
        unknown if batch.chance is None else batch.chance.tolist(),
        unknown if weights is None else weights.tolist(),
    )
    return list(map(Counted, *columns))


def _key_of_counted_file(file: Path) -> dict[str, Any] | None:
    """Return what decided a file of predictions, by the summary next to it; None without one."""
    card = file.with_name(f"{file.name}.json")
    if not card.exists():
        return None
    return read_json(card, "a summary of predictions").get("key") or {}


def _require_countable(file: Path, truth: str | None, gate: Path, digest: str) -> None:
    """Raise unless a file has the columns of predictions, and its summary, if there is one, names the gate."""
    key = _key_of_counted_file(file) or {}
    if key.get("gate") not in (None, digest):
        raise SteepslopeError(f"expected predictions of the gate {gate}, found another gate's", file)
    prediction_columns(file, truth)


def _require_same_count(monitor: Monitor, delta: float | None, follow: bool | None) -> None:
    """Raise if a state was made with another delta, or the gate is to follow audits that not all its labels are of."""
    if delta not in (None, monitor.delta):
        raise SteepslopeError(f"made with delta {monitor.delta}, found {delta}: begin another state")
    if follow and monitor.labelled.count:
        expected = "expected a state in which all labels come from audits"
        raise SteepslopeError(f"{expected}, found other labels: begin another state", "follow")


def _require_same_rows_counted(monitor: Monitor, other: Monitor) -> None:
    """Raise unless two monitors were made with the same calibration rows, but for an oracle's own rounding."""
    means = [*monitor.usual.values(), monitor.coverage]
    expected = [*other.usual.values(), other.coverage]
    if monitor.usual.keys() != other.usual.keys() or not np.allclose(means, expected, _RELATIVE, _ABSOLUTE):
        raise SteepslopeError("made with other calibration rows than these: begin another state")
