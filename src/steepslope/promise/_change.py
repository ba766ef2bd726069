"""Whether predictions are drawn as the calibration rows were, told without labels.

A signal is a number for each row. While nothing changes, its ranks among the calibration rows are uniform, and a bet
against that (:mod:`steepslope.promise._bets`) is an e-value. Where one of them says that the rows are drawn otherwise,
a gate's promise cannot be relied on. A new signal is a function and an entry in ``SIGNALS``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from steepslope.numerics import Floats
from steepslope.promise._bets import CHANGE_GAINS, ChangeBets
from steepslope.promise._calibration import CalibrationRows
from steepslope.promise._certificate import as_percent
from steepslope.promise._rows import JudgedRows

STEPS = 9_973  # of values in [0, 1]: a prime, so that no simple fraction lies half-way between two
DELTA = 0.05  # half of it is the chance of a false alarm by all signals together, the other half is for labels
HEALTHY, CHANGED, HARMFUL = "healthy", "changed", "harmful"
EXIT_CODES = {HEALTHY: 0, CHANGED: 4, HARMFUL: 3}


@dataclass(frozen=True)
class _Signal:
    """A number for each row, ``values`` (m,) in [0, 1], or None if it is not known. Only its order tells of a change.

    ``title`` is what people call it. ``low`` and 1 are the ends of the scale on which its mean is shown; None if it is
    not shown.
    """

    title: str
    values: Callable[[JudgedRows], Floats | None]
    low: float | None = 0.0

    def shown(self, mean: float) -> float:
        """Return the mean of the values as people see it."""
        low = self.low or 0.0
        return low + (1 - low) * mean


def _rounded_signal(values: Floats | None) -> Floats | None:
    """Return values so that those of the same prediction are equal, whether computed in float32 or in float64.

    Few distinct values, such as votes of twenty trees, would else lie above or below those of the calibration rows.
    """
    if values is None:
        return None
    return np.round(values * STEPS) / STEPS


def _p_correct(rows: JudgedRows) -> Floats | None:
    return _rounded_signal(rows.p_correct)


def _probability(rows: JudgedRows) -> Floats | None:
    return _rounded_signal(rows.probability)


def _overconfidence(rows: JudgedRows) -> Floats | None:
    """Return how much the classifier's own probability lies above P(correct), brought to [0, 1]."""
    if rows.probability is None:
        return None
    return _rounded_signal((1 + rows.probability - rows.p_correct) / 2)


def _predicted_class(rows: JudgedRows) -> Floats | None:
    """Return the numbers of the predicted classes, from −1 for none on, brought to [0, 1) in their order."""
    if rows.predicted is None:
        return None
    return (1.0 + rows.predicted) / (2.0 + rows.predicted)


def _accepted(rows: JudgedRows) -> Floats | None:
    return rows.by_gate.astype(np.float64)


def _distance(rows: JudgedRows) -> Floats | None:
    return _rounded_signal(rows.distance)


SIGNALS: dict[str, _Signal] = {
    "p_correct": _Signal("P(correct)", _p_correct),
    "probability": _Signal("The classifier's own probability", _probability),
    "overconfidence": _Signal("Overconfidence of the classifier", _overconfidence, low=-1.0),
    "predicted": _Signal("The mix of predicted classes", _predicted_class, low=None),
    "accepted": _Signal("The share of the accepted", _accepted, low=None),
    "distance": _Signal("The distance to known inputs", _distance, low=None),
}


def signals_of(rows: JudgedRows) -> dict[str, Floats]:
    """Return the values (m,) of the signals that are known of some rows, by name."""
    values = {name: signal.values(rows) for name, signal in SIGNALS.items()}
    return {name: each for name, each in values.items() if each is not None}


@lru_cache(maxsize=4)
def begun_bets(known: CalibrationRows) -> Mapping[str, ChangeBets]:
    """Return the bets on each signal before the first row, by the calibration rows; they are not to be changed."""
    return {name: ChangeBets.of(values) for name, values in signals_of(known).items()}


def level_of_signal(count: int, delta: float = DELTA) -> float:
    """Return the chance of a false alarm that each of so many signals may have."""
    return delta / 2 / count


@dataclass(frozen=True)
class Change:
    """What is no longer drawn as the calibration rows were.

    ``alarms`` tells after how many rows each signal raised an alarm. ``means`` has each signal's mean over the latest
    rows, or over all of them, and ``usual`` its mean over the calibration rows; ``latest`` says that the means are
    those of the latest rows.
    """

    alarms: Mapping[str, int]
    means: Mapping[str, float | None]
    usual: Mapping[str, float]
    latest: bool = False

    def __bool__(self) -> bool:
        return bool(self.alarms)

    def sentence(self) -> str:
        """Return after how many rows, and in what, predictions have changed."""
        names = sorted(self.alarms, key=self.alarms.__getitem__)
        changed = "; ".join(map(self._phrase, names))
        after = f"{CHANGED.upper()} after {self.alarms[names[0]]:,} predictions"
        return f"{after}: they are not drawn as the calibration rows were. What has changed: {changed}."

    def _phrase(self, name: str) -> str:
        """Return a signal with its mean, now and on the calibration rows, if people see means of it."""
        signal = SIGNALS[name]
        mean = self.means[name]
        title = signal.title
        if not title.startswith("P("):
            title = title[0].lower() + title[1:]
        if signal.low is None or mean is None:
            return title
        now = as_percent(signal.shown(mean))
        usual = as_percent(signal.shown(self.usual[name]))
        which = "latest mean" if self.latest else "mean"
        return f"{title} ({which} {now}, on the calibration rows {usual})"


def change_of_batch(known: CalibrationRows, rows: JudgedRows) -> Change:
    """Return what has changed in some rows (m,) against the calibration rows.

    They have to come in an order that tells nothing of them, such as a random one. Without a change, there is an alarm
    with a probability of at most 2.5 % (half of ``DELTA``), whatever the number of rows.

    >>> draw = np.random.default_rng(0)
    >>> p = draw.beta(8, 1, size=2_000)
    >>> known = CalibrationRows(p, p > 0.8, is_correct=draw.random(2_000) < p)
    >>> later = draw.beta(8, 1, size=500)
    >>> bool(change_of_batch(known, JudgedRows(later, later > 0.8)))
    False
    >>> change_of_batch(known, JudgedRows(later**2, later**2 > 0.8)).alarms["p_correct"] < 100
    True
    """
    begun = begun_bets(known)
    needed = -math.log(level_of_signal(len(begun)))
    if len(rows) * CHANGE_GAINS.max() < needed:  # so few rows cannot raise an alarm
        return Change({}, {}, {})
    known_signals = signals_of(known)
    alarms = {}
    means = {}
    usual = {}
    for name, values in signals_of(rows).items():
        if name not in begun:
            continue
        _, evidence = begun[name].after(values)
        enough = np.flatnonzero(evidence >= needed)
        if len(enough):
            alarms[name] = int(enough[0]) + 1
            means[name] = float(values.mean())
            usual[name] = float(known_signals[name].mean())
    return Change(alarms, means, usual)
