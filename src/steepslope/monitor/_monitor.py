"""A gate at work, watched: whether its promise can be relied on, in memory that does not grow with the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from steepslope.errors import SteepslopeError, explained, read_fields, require
from steepslope.gate import Gate
from steepslope.monitor._audit import Audited
from steepslope.monitor._confirmed import caution_on_confirmed, surely_wrong_share
from steepslope.monitor._predictions import Predicted, checked_booleans
from steepslope.monitor._state import begin_state, open_state
from steepslope.numerics import Bools, Brief, Floats
from steepslope.outputs import ClassifierOutputs
from steepslope.promise import (
    CHANGED,
    DELTA,
    HARMFUL,
    HEALTHY,
    INSIDE,
    SIGNALS,
    UNIT,
    Bets,
    CalibrationRows,
    Change,
    MeanBets,
    RunningMean,
    begun_bets,
    level_of_signal,
    mean_interval_by_bets,
    signals_of,
)

_ROUNDING = 1e-3  # of P(correct) in Python, at most
RISK = "risk"
COVERAGE = "coverage"
LABELS = "labels"
_AGAIN = "calibrate it again, or give --calibration with labelled outputs (in Python: rows)"


@dataclass(repr=False)
class Monitor(Brief):
    """What is known of a gate's predictions so far; :meth:`of` makes one, :meth:`update` takes further predictions.

    While predictions are drawn independently, as the calibration rows were, and the gate keeps its promise, the chance
    of a false alarm at any time is at most ``delta``: one half is for labels, and the other is divided among the
    signals.

    - ``gate``: the gate's digest; None where it was not told.
    - ``promised``: the risk that the gate promises, or else its upper bound.
    - ``coverage``: the share of the calibration rows that the gate accepts.
    - ``usual``, ``means``: the mean of each signal over calibration rows, and over predictions. ``means`` also has the
      share of the accepted (``coverage``), and the mean of 1 − P(correct) over these (``risk``).
    - ``labelled``: the running mean of errors among the accepted predictions with a label, and its bets.
    - ``rows``, ``accepted``: the numbers of predictions, and of accepted ones.
    - ``labels``, ``correct``: the numbers of predictions whose label came, and of correct ones among them.
    - ``under_audit``: how many of the accepted an audit could draw.
    - ``least_chances``: the least probability of being drawn of any of them, in the first audit and in all.
    - ``audit``: what the rows drawn tell.
    - ``follows``: whether the gate follows its audit. ``predict --follow`` then accepts only what reaches ``limit``.
    - ``least``: P(correct) at the gate's lowest threshold. Each accepted prediction reaches it.
    - ``surely_wrong``: the factor, in [0, 1], that reduces 1 − P(correct) to what the errors among the calibration
      rows prove.
    """

    gate: str | None
    promised: float
    coverage: float
    delta: float
    usual: dict[str, float]
    means: dict[str, RunningMean]
    labelled: RunningMean
    rows: int = 0
    accepted: int = 0
    labels: int = 0
    correct: int = 0
    under_audit: int = 0
    least_chances: tuple[float, float] = (1.0, 1.0)
    audit: Audited | None = None
    follows: bool = False
    least: float = 0.0
    surely_wrong: float = 1.0

    @classmethod
    def of(
        cls, gate: Gate, delta: float = DELTA, *, rows: CalibrationRows | None = None, digest: str | None = None
    ) -> Self:
        """Return the monitor of a gate, before any prediction.

        Parameters
        ----------
        gate
            A gate that promises something.
        delta
            Upper bound, in (0, 1), of the chance of a false alarm at any time, while nothing has changed and the gate
            keeps its promise.
        rows
            Labelled rows that the gate has judged, in place of those that it was calibrated on.
        digest
            The digest of the gate's folder, so that its state is not taken for that of another.

        Raises
        ------
        SteepslopeError
            If the gate accepts nothing, or does not know its calibration rows and none are given.

        >>> draw = np.random.default_rng(0)
        >>> p = draw.beta(8, 1, size=6_000)
        >>> gate = Gate.calibrate(p[:2_000], draw.random(2_000) < p[:2_000], max_risk=0.05)
        >>> monitor = Monitor.of(gate)
        >>> monitor.update(gate.p_correct(p[2_000:]), gate.accepts(p[2_000:]))
        >>> monitor.health
        'healthy'
        >>> monitor.update(gate.p_correct(p[2_000:] ** 2), gate.accepts(p[2_000:] ** 2))
        >>> monitor.health
        'changed'
        """
        require("delta", delta, INSIDE)
        compared = _rows_to_monitor(gate, rows)
        promised = gate.promised_risk
        values = signals_of(compared)
        level = level_of_signal(len(values), delta)
        bets = {**begun_bets(compared), COVERAGE: Bets(), RISK: Bets()}
        return cls(
            digest,
            promised,
            coverage=float(compared.accepted.mean()),
            delta=delta,
            usual={name: float(signal.mean()) for name, signal in values.items()},
            means={name: RunningMean(bet, level) for name, bet in bets.items()},
            labelled=RunningMean(MeanBets(limit=promised), delta / 2),
            least=float(gate.p_correct(min(gate.thresholds.values()))[0]),
            surely_wrong=surely_wrong_share(compared.is_correct),
        )

    def update(
        self,
        p_correct: ArrayLike,
        accepted: ArrayLike,
        probability: ArrayLike | None = None,
        predicted: ArrayLike | None = None,
        distance: ArrayLike | None = None,
    ) -> None:
        """Take further predictions, arrays (m,) or single values, in the order in which they were made.

        Parameters
        ----------
        p_correct
            P(correct), in [0, 1].
        accepted
            Booleans.
        probability
            The classifier's own probability of the predicted class, in [0, 1]; needed if the gate was calibrated on
            outputs.
        predicted
            The numbers of the predicted classes; without them, a change of their mix stays unseen.
        distance
            How far each row's features lie from known ones, in [0, 1], as :class:`~steepslope.gate.Decisions`
            have it; without it, a change of the features stays unseen.

        Raises
        ------
        SteepslopeError
            If shapes differ, numbers are out of range, something is missing, or a prediction is accepted whose
            P(correct) is below that of all thresholds of the gate. The monitor is then as before.
        """
        rows = Predicted.of(p_correct, accepted, probability, predicted, distance=distance)
        below = np.flatnonzero(rows.accepted & (rows.p_correct < self.least - _ROUNDING))
        if len(below):
            expected = f"expected p_correct of {self.least:.6g} or more where the gate accepts"
            raise SteepslopeError(f"{expected}, found {rows.p_correct[below[0]]:.6g} in row {below[0]}", "accepted")
        self.take(rows)

    def take(self, rows: Predicted) -> None:
        """Take further predictions (m,) as :meth:`update` does, whose decisions were checked already."""
        if rows.probability is None and "probability" in self.usual:
            expected = "expected the classifier's own, which the calibration rows have"
            raise SteepslopeError(f"{expected}, found none", "probability")
        places = self.rows + 1 + np.arange(len(rows))
        told = rows.compared
        for name, values in signals_of(rows).items():
            if name in self.usual:
                self.means[name] = self.means[name].after(values[told], places[told])
        self.means[COVERAGE] = self.means[COVERAGE].after(rows.accepted.astype(np.float64), places)
        p_wrong = 1 - rows.p_correct[rows.accepted]
        self.means[RISK] = self.means[RISK].after(p_wrong, places[rows.accepted])
        self.rows += len(rows)
        self.accepted += int(rows.accepted.sum())
        if rows.chance is not None and rows.accepted.any():
            least = float(rows.chance[rows.accepted].min())
            first, before = self.least_chances if self.under_audit else (least, least)
            self.least_chances = (first, min(before, least))
            self.under_audit += int(rows.accepted.sum())

    def label(self, is_correct: ArrayLike, accepted: ArrayLike, rows: ArrayLike | None = None) -> None:
        """Take the labels of predictions that :meth:`update` was given: whether each was correct, and accepted, (m,).

        They may be few and come late, in any order, but each once. Which of the accepted get a label must not depend
        on whether they are right, nor on what tells of it, such as the confidence: else there are alarms although the
        promise holds. Draw them at random. ``rows`` (m,), counted from 1, tells which predictions they are of, and so
        where in the stream; by default, all count as of the last prediction.
        """
        right = checked_booleans(is_correct, "is_correct")
        used = checked_booleans(accepted, "accepted")
        places = np.full(len(right), self.rows)
        if rows is not None:
            places = np.asarray(rows, np.int64)
        if not len(right) == len(used) == len(places):
            raise SteepslopeError(f"expected as many as of is_correct, {len(right)}, found others", "accepted")
        self.labelled = self.labelled.after((~right[used]).astype(np.float64), places[used], now=self.rows)
        self.labels += len(right)
        self.correct += int(right.sum())

    def require_gate(self, digest: str) -> None:
        """Raise unless it watches the gate of this digest."""
        if self.gate != digest:
            raise SteepslopeError("expected the state of this gate, found another gate's: begin another state")

    @property
    def alarms(self) -> dict[str, int]:
        """After how many predictions each alarm was raised: of a change by its signal, of harm by ``labels``."""
        rows = {name: self.means[name].alarm for name in self.usual}
        rows[LABELS] = self.labelled.alarm if self.audit is None else self.audit.alarm
        return {name: row for name, row in rows.items() if row is not None}

    @property
    def limit(self) -> float:
        """The limit on P(correct) at which a gate accepts that follows its audit; 0 is none."""
        if self.audit is None or self.audit.followed is None:
            return 0.0
        return self.audit.followed.limit.p_correct

    @property
    def caution(self) -> str:
        """Why labels of accepted predictions may be copies of these, by 1 − P(correct) of all accepted; else empty.

        The command compares each label with its own P(correct).
        """
        count = self.labelled.count
        p_wrong = np.full(count, self.means[RISK].mean or 0.0)
        is_wrong = np.arange(count) >= count - self.labelled.total / UNIT  # in which order is not known
        return self.caution_on(p_wrong, is_wrong)

    def caution_on(self, p_wrong: Floats, is_wrong: Bools) -> str:
        """Return the caution by labels (m,), given the estimated probabilities of errors; empty if there is none."""
        return caution_on_confirmed(p_wrong, is_wrong, self.surely_wrong)

    @property
    def health(self) -> str:
        """How the gate is, by all predictions so far.

        ``harmful``: by their labels, more of the accepted are wrong than was promised. ``changed``: predictions are not
        drawn as the calibration rows were, so the promise cannot be relied on. ``healthy``: there is not enough
        evidence of either.
        """
        if LABELS in self.alarms:
            return HARMFUL
        return CHANGED if self.alarms else HEALTHY

    @property
    def coverage_interval(self) -> tuple[float, float]:
        """The interval of the coverage that holds at all times together with a probability of 1 − delta."""
        return mean_interval_by_bets(self.accepted, self.rows, self.delta)

    @property
    def accuracy(self) -> float | None:
        """An estimate of the classifier's accuracy on all predictions: the mean of P(correct); None of none.

        It holds only without a change, so it is None after one.
        """
        if self.change:
            return None
        return self.means["p_correct"].mean

    @property
    def change(self) -> Change:
        """What has changed, with the means of the latest rows if there are enough of them."""
        alarms = self.alarms
        alarms.pop(LABELS, None)
        changed = {name: self.means[name] for name in alarms}
        means = {name: mean.mean for name, mean in changed.items()}
        is_latest = all(mean.latest is not None for mean in changed.values())
        if is_latest:
            means = {name: _latest_mean(mean) for name, mean in changed.items()}
        return Change(alarms, means, self.usual, is_latest)

    def standing(self) -> dict[str, Any]:
        """Return all that is known as JSON holds it: the state, and what follows from it.

        The risk by P(correct) holds only without a change, so it is left out after one.
        """
        shown = dict(self.means)
        if self.change:
            del shown[RISK]
        return {
            "health": self.health,
            "alarms": self.alarms,
            "accuracy": self.accuracy,
            "coverage_interval": list(self.coverage_interval),
            "means": {name: mean.mean for name, mean in shown.items()},
            "latest": {name: _latest_mean(mean) for name, mean in shown.items()},
            "labelled_risk": self.labelled.mean,
            "labelled_interval": list(self.labelled.interval(self.delta)),
            "audit": None if self.audit is None else asdict(self.audit),
            "state": self.as_json(),
        }

    def as_json(self) -> dict[str, Any]:
        """Return the state as JSON holds it."""
        return asdict(self)

    @classmethod
    def read(cls, content: Mapping[str, Any], place: str | Path = "state") -> Self:
        """Return the monitor that JSON holds; an error names the place where that was."""
        wrong = (AttributeError, KeyError, TypeError, ValueError)
        with explained("expected what a monitor knows, found something else", place, wrong, longest=160):
            fields = dict(content)
            usual = content["usual"]
            fields["usual"] = {name: float(usual[name]) for name in SIGNALS if name in usual}
            means = content["means"]
            fields["means"] = {name: RunningMean.read(means[name]) for name in (*usual, COVERAGE, RISK)}
            fields["labelled"] = RunningMean.read(content["labelled"])
            fields["least_chances"] = tuple(map(float, content["least_chances"]))
            if content["audit"] is not None:
                fields["audit"] = read_fields(Audited, content["audit"], place)
            return cls(**fields)

    def save(self, path: str | Path) -> None:
        """Write the state to one SQLite file, or leave the earlier one as it is.

        Raises
        ------
        SteepslopeError
            If the file is none of a monitor, or one in which ``steepslope monitor`` remembers the predictions that it
            counted: they would be counted again.
        """
        target = Path(path)
        if not target.exists():
            begin_state(target, self.as_json())
            return
        with open_state(target) as state:
            if state.has_predictions:
                raise SteepslopeError("expected a file of its own, found one of steepslope monitor: name another", path)
            state.write(self.as_json())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what :meth:`save`, or the command, wrote; an error tells what is wrong with the file."""
        with open_state(Path(path), write=False) as state:
            return cls.read(state.content, path)


def _latest_mean(mean: RunningMean) -> float | None:
    """Return the mean of the latest values; None if there are too few of them."""
    if mean.latest is None:
        return None
    return mean.latest[1]


def _rows_to_monitor(gate: Gate, rows: CalibrationRows | None) -> CalibrationRows:
    """Return the calibration rows to compare with; raise where there is nothing to compare, or to monitor."""
    if not any(promise.is_given for promise in gate.promises):
        raise SteepslopeError(f"expected a gate that accepts predictions, found one that cannot: {gate.advice}", "gate")
    known = gate.calibration_rows if rows is None else rows
    if known is None:
        found = "found one that was shared without them"
        raise SteepslopeError(f"expected a gate that knows its calibration rows, {found}: {_AGAIN}", "gate")
    if not known.accepted.any():
        raise SteepslopeError(f"expected rows of which the gate accepts some, found none of {len(known):,}", "rows")
    return known


def rows_to_calibrate_on(gate: Gate, path: str) -> CalibrationRows:
    """Return what a gate makes of labelled outputs in a file or folder."""
    outputs = ClassifierOutputs.load(path, labelled=True)
    rows = gate.decide_rows(outputs).judged_rows
    return CalibrationRows(**vars(rows), is_correct=outputs.is_correct)
