"""A gate at work, watched: alarms on harm with labels and without, in a few numbers however many rows there were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from steepslope.checks import require
from steepslope.errors import SteepslopeError, explained, require_known
from steepslope.gate import Gate
from steepslope.gate.aims import INSIDE
from steepslope.gate.calibration import CalibrationRows
from steepslope.monitor.bounds import Bets, mean_interval
from steepslope.monitor.estimators import ESTIMATORS, Estimator, learnt_estimators
from steepslope.monitor.predictions import Predicted, booleans
from steepslope.monitor.running_mean import UNIT, RunningMean
from steepslope.monitor.signals import SIGNALS, Calibration, Signal, signals_of
from steepslope.monitor.state import begin_state, open_state

OVERCONFIDENCE, RISK, COVERAGE, LABELS = "overconfidence", "risk", "coverage", "labels"
AGAIN = "calibrate it anew, or give --calibration with labelled outputs (in Python: rows)"


@dataclass
class Monitor:
    """What is known of a gate's predictions so far; :meth:`of` makes one, :meth:`update` takes further predictions.

    ``gate`` is the digest of the gate, None where it was not told; ``promised`` the risk that the gate promises, or
    else its upper bound; ``coverage`` that of its calibration rows. While predictions are drawn independently, as the
    calibration rows were, there is ever a false alarm with a probability of at most ``delta``: one half is for the
    alarm by labels, false where the promise holds, a quarter each for those on the signal ``on`` and on coverage. By
    overconfidence this is measured, not proved (docs/monitoring.md).
    ``rows``, ``accepted``: how many predictions there were, and were accepted. ``labels``, ``correct``: of how many the
    label came, and how many of these were correct. ``with_probability``: predictions with the
    classifier's own probability.
    """

    gate: str | None
    promised: float
    coverage: float
    delta: float
    on: str
    signals: dict[str, Signal]
    estimators: dict[str, Estimator]
    means: dict[str, RunningMean]
    labelled: RunningMean
    totals: dict[str, int]
    rows: int = 0
    accepted: int = 0
    with_probability: int = 0
    labels: int = 0
    correct: int = 0

    @classmethod
    def of(
        cls,
        gate: Gate,
        delta: float = 0.05,
        *,
        rows: CalibrationRows | None = None,
        on: str | None = None,
        digest: str | None = None,
    ) -> Self:
        """Return the monitor of a gate, before any prediction.

        Parameters
        ----------
        gate
            A gate that promises something.
        delta
            Probability, in (0, 1), of a false alarm at any time, over calibration rows and a stream drawn alike.
        rows
            Labelled rows that the gate has judged, in place of those that it was calibrated on.
        on
            A name of ``SIGNALS``, by which there is an alarm without labels, beside that on coverage; by default
            ``overconfidence`` of a gate with an oracle, and ``risk`` of others.
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
        >>> monitor.alarm
        >>> monitor.update(gate.p_correct(p[2_000:] ** 4), gate.accepts(p[2_000:] ** 0.5))
        >>> monitor.alarm
        'risk'
        """
        require("delta", delta, INSIDE)
        compared = _rows_of(gate, rows)
        risk, level = gate.promises[0].max_risk, delta / 8
        promised = gate.risk_bound if risk is None else risk
        lowest = [one.threshold for one in gate.promises if one.is_given]
        most = max(1 - float(gate.p_correct([threshold])[0]) for threshold in lowest)  # of a row that can be accepted
        signals = signals_of(Calibration(compared, promised, most, len(gate.promises), level))
        signal = on or (OVERCONFIDENCE if gate.source is not None and gate.source.oracle is not None else RISK)
        require_known("signal", signal, SIGNALS)
        if signal not in signals:
            raise SteepslopeError("expected rows with the classifier's own probability, found none", signal)
        estimators = learnt_estimators(compared)
        means = {name: RunningMean(Bets(one.scaled_limit), level) for name, one in signals.items()}
        return cls(
            digest, promised, float(compared.accepted.mean()), delta, signal, signals, estimators, means,
            RunningMean(Bets(promised), delta / 2), dict.fromkeys(estimators, 0),
        )  # fmt: skip

    def update(self, p_correct: ArrayLike, accepted: ArrayLike, probability: ArrayLike | None = None) -> None:
        """Take further predictions, (m,) each or one, in the order in which they were made.

        Parameters
        ----------
        p_correct
            P(correct), in [0, 1].
        accepted
            Booleans.
        probability
            The classifier's own probability of the predicted class, in [0, 1], which overconfidence and two of the
            estimates need; to be given always or never.

        Raises
        ------
        SteepslopeError
            If shapes differ, numbers are no probabilities, or the signal of the alarm needs a probability; then
            nothing has changed.
        """
        rows = Predicted.of(p_correct, accepted, probability)
        if rows.probability is None and SIGNALS[self.on].needs_probability:
            raise SteepslopeError(f"expected the classifier's own, which {self.on} needs, found none", "probability")
        knows = rows.probability is not None
        for name, signal in self.signals.items():
            if knows or not signal.needs_probability:
                places = self.rows + 1 + np.flatnonzero(signal.counted(rows))
                self.means[name] = self.means[name].after(signal.scaled(rows), places)
        for name, estimator in self.estimators.items():
            if knows or not estimator.needs_probability:
                self.totals[name] += int(np.floor(estimator.statistic(rows) * UNIT).astype(np.int64).sum())
        self.rows += len(rows)
        self.accepted += int(rows.accepted.sum())
        self.with_probability += len(rows) if knows else 0

    def label(self, is_correct: ArrayLike, accepted: ArrayLike, rows: ArrayLike | None = None) -> None:
        """Take the labels of predictions that :meth:`update` was given: whether each was correct, and accepted, (m,).

        They may be few and come late, in any order, but each once. Which of the accepted get a label must not depend
        on whether they are right, nor on what tells of it, such as the confidence: else there are alarms although the
        promise holds. Draw them at random. ``rows`` (m,), counted from 1, tells which predictions they are of, and so
        where in the stream; by default the last ones.
        """
        right, used = booleans(is_correct, "is_correct"), booleans(accepted, "accepted")
        places = np.full(len(right), self.rows, np.int64) if rows is None else np.asarray(rows, np.int64)
        if not len(right) == len(used) == len(places):
            raise SteepslopeError(f"expected as many as of is_correct, {len(right)}, found others", "accepted")
        self.labelled = self.labelled.after((~right[used]).astype(np.float64), places[used], now=self.rows)
        self.labels += len(right)
        self.correct += int(right.sum())

    @property
    def alarms(self) -> dict[str, int]:
        """How many predictions there were when each alarm was raised, by what it was on: a signal, or ``labels``."""
        found = {name: self.means[name].alarm for name in (self.on, COVERAGE)} | {LABELS: self.labelled.alarm}
        return {name: row for name, row in found.items() if row is not None}

    @property
    def alarm(self) -> str | None:
        """What the first alarm was on: a signal, or ``labels``; None as long as there is none."""
        return min(self.alarms, key=self.alarms.__getitem__, default=None)

    @property
    def silent(self) -> list[str]:
        """The signals by which there can be no alarm: too few calibration rows set a limit that nothing exceeds."""
        return [name for name in (self.on, COVERAGE) if not self.signals[name].can_be_exceeded]

    @property
    def coverage_interval(self) -> tuple[float, float]:
        """The interval of the coverage that holds at all times together with a probability of 1 − delta."""
        return mean_interval(self.accepted, self.rows, self.delta)

    def mean(self, name: str) -> float | None:
        """Return the mean of a signal so far; None of no rows."""
        found = self.means[name].mean
        return None if found is None else self.signals[name].unscaled(found)

    def latest(self, name: str) -> float | None:
        """Return the mean of a signal's latest values, a tenth of all but at least 100; None of fewer."""
        found = self.means[name].latest
        return None if found is None else self.signals[name].unscaled(found[1])

    def interval(self, name: str) -> tuple[float, float]:
        """Return the interval of a signal's mean, which holds at all times together, as long as nothing changes."""
        low, high = self.means[name].interval(self.delta)
        return self.signals[name].unscaled(low), self.signals[name].unscaled(high)

    @property
    def accuracy(self) -> dict[str, float | None]:
        """The estimates of the classifier's accuracy on all predictions, by the names of ``ESTIMATORS``."""
        found: dict[str, float | None] = {}
        for name, estimator in self.estimators.items():
            n = self.with_probability if estimator.needs_probability else self.rows
            found[name] = estimator.estimate(self.totals[name] / UNIT / n) if n else None
        return found

    def standing(self) -> dict[str, Any]:
        """Return all that is known as JSON holds it: the state, and what follows from it."""
        return {
            "alarm": self.alarm, "alarms": self.alarms, "accuracy": self.accuracy,
            "coverage_interval": list(self.coverage_interval),
            "means": {name: self.mean(name) for name in self.signals},
            "intervals": {name: list(self.interval(name)) for name in self.signals},
            "latest": {name: self.latest(name) for name in self.signals}, "silent": self.silent,
            "labelled_risk": self.labelled.mean, "labelled_interval": list(self.labelled.interval(self.delta)),
            "state": self.as_json(),
        }  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return the state as JSON holds it."""
        return asdict(self)

    @classmethod
    def read(cls, content: Mapping[str, Any], place: str | Path = "state") -> Self:
        """Return the monitor that JSON holds; an error names the place where that was."""
        wrong = (AttributeError, KeyError, TypeError, ValueError)
        with explained("expected what a monitor knows, found something else", place, wrong, longest=160):
            return cls(**{
                **content,
                "signals": {name: SIGNALS[name](**numbers) for name, numbers in content["signals"].items()},
                "estimators": {name: ESTIMATORS[name](**one) for name, one in content["estimators"].items()},
                "means": {name: RunningMean.read(mean) for name, mean in content["means"].items()},
                "labelled": RunningMean.read(content["labelled"]),
                "totals": dict(content["totals"]),
            })  # fmt: skip

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


def _rows_of(gate: Gate, rows: CalibrationRows | None) -> CalibrationRows:
    """Return the calibration rows to compare with; raise where there is nothing to compare, or to monitor."""
    if not any(one.is_given for one in gate.promises):
        raise SteepslopeError(f"expected a gate that accepts predictions, found one that cannot: {gate.advice}", "gate")
    known = gate.calibration_rows if rows is None else rows
    if known is None:
        found = "found one that was shared without them"
        raise SteepslopeError(f"expected a gate that knows its calibration rows, {found}: {AGAIN}", "gate")
    if not known.accepted.any():
        raise SteepslopeError(f"expected rows of which the gate accepts some, found none of {len(known):,}", "rows")
    return known
