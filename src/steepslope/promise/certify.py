"""From confidences and errors on calibration rows to the threshold of largest coverage that can be promised.

Thresholds of a fixed sequence are tested by exact tails (:mod:`steepslope.promise.sequence`).

For one batch, conformal selection (Jin & Candès, 2023) promises an expected fraction of errors instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.checks import require, whole
from steepslope.errors import SteepslopeError
from steepslope.promise.certificate import EXACT, NOTHING, TRUE_CLASS, Aim, Certificate, as_percent, rows_needed, tail
from steepslope.promise.rows import numbers
from steepslope.promise.sample_size import advice_for
from steepslope.promise.sequence import Start, by_p_values, last_passing, start_thresholds

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
THRESHOLDS = 400  # more gain nothing (LOG.md)
BELOW = 4.0 ** np.arange(-5, 1)  # distances of thresholds below all confidences, in ranges of the confidences
AT_HOME = 0.99  # share of the calibration rows: a gate that accepted all would accept any rows (LOG.md)
TAKEN = {  # why the thresholds that are possible are none of those that pass
    "rejection": "too few predictions lie below all that are accepted, or too many of those are right",
    "risk": "the promises of the true classes leave only thresholds that accept too few, or too many wrong ones",
}
UNFIT = "even at the highest threshold too many of a true class are accepted under another label"


def threshold_sequence(confidence: ArrayLike, most: int = THRESHOLDS) -> Floats:
    """Return thresholds at even steps of coverage on other rows than those to calibrate on, highest first, (t,).

    ``confidence`` (n,) are those of any rows like them, such as the oracle's fit set. At most ``most`` thresholds, a
    whole number >= 2, lie within them. A few more lie below, the last by the range of the confidences. None is −∞, so a
    gate that may accept all calibration rows still leaves rows to review that are unlike all of these. Without
    confidences, −∞ is the only threshold.

    >>> threshold_sequence([0.1, 0.2, 0.3], most=3).round(4)
    array([ 0.3   ,  0.2   ,  0.1   ,  0.0998,  0.0992,  0.0969,  0.0875,
            0.05  , -0.1   ])
    """
    require("most", most, whole(2))
    limits = np.finfo(np.float64)
    values = np.sort(np.clip(numbers(confidence, "confidence"), limits.min / 4, limits.max / 4))
    if not len(values):
        return np.array([-math.inf])
    inside = np.interp(np.linspace(len(values) - 1, 0, most), np.arange(len(values)), values)
    below = values[0] - BELOW * (values[-1] - values[0] or max(1.0, abs(values[0])))
    return np.unique(np.append(inside, below))[::-1]


def checked_sequence(thresholds: ArrayLike) -> Floats:
    """Return a sequence as float64 (t,), without any +∞, which stands for a gate that accepts nothing.

    Raise unless it falls, or stays, from one to the next, holds no NaN, and something is left.
    """
    sequence = numbers(thresholds, "thresholds")
    rising = np.flatnonzero(sequence[1:] > sequence[:-1])
    if len(rising):
        place = int(rising[0])
        found = f"found {sequence[place + 1]:g} after {sequence[place]:g}"
        raise SteepslopeError(f"expected the highest first, {found}", "thresholds")
    below = sequence[sequence < np.inf]
    if len(below) == 0:
        raise SteepslopeError(f"expected at least one below ∞, found {len(sequence)} in all", "thresholds")
    return below


@dataclass(frozen=True, eq=False)
class Above:
    """How many of n calibration rows each threshold of a sequence accepts, and how many of these are wrong, (t,)."""

    n: int
    accepted: Counts
    errors: Counts

    @classmethod
    def from_rows(cls, confidence: Floats, is_correct: Bools, thresholds: Floats) -> Above:
        """Count rows with a confidence of at least each threshold; ties are accepted as a whole."""
        order = np.argsort(-confidence, kind="stable")
        accepted = np.searchsorted(-confidence[order], -thresholds, side="right").astype(np.int64)
        wrong = np.concatenate([[0], np.cumsum(~is_correct[order], dtype=np.int64)])
        return cls(len(confidence), accepted, wrong[accepted])

    def certificate(
        self, aim: Aim, place: int, threshold: float, delta: float, max_risk: float | None, group: str | None
    ) -> Certificate:
        """Return the certificate of one threshold of the sequence, by its place."""
        counts = int(self.accepted[place]), int(self.errors[place])
        return Certificate(aim, threshold, self.n, *counts, delta, max_risk, group)

    def last_passing(self, risk: float, delta: float) -> int | None:
        """Return the last threshold of the sequence that passes its test, or None."""
        return self.tests(risk, delta)(len(self.accepted))

    def tests(self, risk: float, delta: float) -> Callable[[int], int | None]:
        """Return what finds the last threshold that passes among so many first ones of the sequence, None if none."""
        starts = start_thresholds(self.accepted, self.n, risk, delta)
        passes = by_p_values(tail(self.errors, self.accepted, risk))
        return lambda count: last_passing(starts, count, passes)[0]


def certify(
    confidence: Floats,
    is_correct: Bools,
    thresholds: Floats,
    max_risk: float,
    delta: float,
    group: str | None = None,
    aim: Aim = "risk",
    possible: int | None = None,
) -> Certificate:
    """Return the certificate of the lowest threshold that keeps the risk of what it accepts to ``max_risk``.

    With probability 1 − ``delta`` over the rows (n,), all thresholds that pass do so: each is tested by the exact tail
    of the binomial distribution, from the highest of the sequence down, until one fails. So it may as well be the
    lowest of the first ``possible`` ones, whatever that depends on. If higher ones pass and accept 99 % of the rows, it
    is the highest of these, so that rows unlike all others, whose confidence is low, are not accepted. A sequence that
    ends in −∞ may accept everything.

    >>> rows = np.arange(1000)
    >>> found = certify(-rows / 1000, rows % 10 * (rows > 500) < 9, -np.linspace(0, 1, 51), 0.02, 0.05)
    >>> found.threshold, found.accepted, found.errors, round(found.risk_bound, 4)
    (-0.54, 541, 4, 0.0168)
    """
    above = Above.from_rows(confidence, is_correct, thresholds)
    last_among, count = above.tests(max_risk, delta), len(thresholds)
    last = last_among(count if possible is None else possible)
    if last is None:
        is_taken = last_among(count) is not None
        advice = TAKEN[aim] if is_taken else advice_for(above.n, above.accepted, above.errors, max_risk, delta, aim)
        return Certificate(aim, NOTHING, above.n, 0, 0, delta, max_risk, group, advice)
    floor = int(np.searchsorted(above.accepted, AT_HOME * above.n))
    if thresholds[-1] > -math.inf and floor < last and last_among(floor + 1) == floor:
        last = floor
    return above.certificate(aim, last, float(thresholds[last]), delta, max_risk, group)


def certify_true_classes(
    confidence: Floats, is_correct: Bools, names: NDArray[np.str_], thresholds: Floats, max_risk: float, delta: float
) -> tuple[Certificate, ...]:
    """Return the certificates of the true classes (n,), at the lowest threshold at which all of them pass.

    The number of a class's rows that are wrong above a threshold is binomial among all its rows, and only grows where
    the threshold falls. So the sequence is tested from its start, and the classes need not share delta: what is
    promised of all together fails only where the class that is the first to break its risk passes there (an
    intersection-union test: Berger, 1982). A class of too few rows is left out, and its certificate says so.
    """
    needed = rows_needed(max_risk, delta)
    counts = {
        str(name): Above.from_rows(confidence[names == name], is_correct[names == name], thresholds)
        for name in np.unique(names)
    }
    p_values = [tail(above.errors, above.n, max_risk) for above in counts.values() if above.n >= needed]
    last = None
    if p_values:
        passes = by_p_values(np.max(p_values, axis=0))
        last, _ = last_passing([Start(0, delta, delta)], len(thresholds), passes)

    def certificate(name: str, above: Above) -> Certificate:
        if last is not None and above.n >= needed:
            return above.certificate(TRUE_CLASS, last, float(thresholds[last]), delta, max_risk, name)
        promise = f"{as_percent(max_risk, EXACT)} at delta {delta:g}"
        few = f"{above.n:,} rows are too few for {promise}, which takes at least {needed:,}"
        return Certificate(
            TRUE_CLASS, NOTHING, above.n, 0, 0, delta, max_risk, name, few if above.n < needed else UNFIT
        )

    return tuple(certificate(name, above) for name, above in counts.items())


def conformal_p_values(confidence: Floats, of_errors: Floats, n: int) -> Floats:
    """Return p-values that each prediction is wrong, (m,), in (0, 1].

    ``of_errors`` (e,) are the confidences of those of n calibration rows that are wrong, in ascending order. Of a wrong
    prediction from the same source, the p-value is at most p with probability p, its being wrong included (Jin &
    Candès, "Selection by Prediction with Conformal p-values", 2023, with the score that is infinite for correct rows).

    >>> conformal_p_values(np.array([0.9, 0.5, 0.1]), np.array([0.2, 0.5]), n=9)
    array([0.1, 0.2, 0.3])
    """
    at_least = len(of_errors) - np.searchsorted(of_errors, confidence, side="left")
    return np.asarray((1 + at_least) / (n + 1))


def selected(p_values: Floats, max_risk: float) -> NDArray[np.bool_]:
    """Return which of a batch are accepted, (m,), by Benjamini & Hochberg (1995) at ``max_risk``.

    >>> selected(np.array([0.01, 0.2, 0.03, 0.9]), 0.05)
    array([ True, False, False, False])
    >>> selected(np.array([0.01, 0.2, 0.02, 0.9]), 0.05)
    array([ True, False,  True, False])
    """
    ordered = np.sort(p_values)
    steps = np.arange(1, len(ordered) + 1) / max(1, len(ordered))
    passing = np.flatnonzero(ordered <= max_risk * steps)
    return np.asarray(p_values <= ordered[passing[-1]]) if len(passing) else np.zeros(len(p_values), dtype=np.bool_)
