"""From confidences and errors on calibration rows to the threshold of largest coverage that can be promised.

Fixed-sequence testing (Bauer, 1991; Angelopoulos et al., "Learn then Test", 2021): thresholds are fixed before the
labels are seen, and tested from the highest down, as long as all before have passed, so it costs nothing to test many.
It starts again at further start thresholds: ``starts``.

For one batch, conformal selection (Jin & Candès, 2023) promises an expected fraction of errors instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.checks import require, whole
from steepslope.errors import SteepslopeError, explained
from steepslope.promise.certificate import EXACT, NOTHING, TRUE_CLASS, Aim, Certificate, as_percent, rows_needed, tail
from steepslope.promise.importance import Weights, last_passing, rows_to_add
from steepslope.promise.sample_size import advice_for
from steepslope.promise.start_thresholds import starts

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
THRESHOLDS = 400  # more gain nothing (LOG.md)
LEAST_SPLIT = 10
BELOW = 4.0 ** np.arange(-5, 1)  # distances of thresholds below all confidences, in ranges of the confidences
AT_HOME = 0.99  # share of the calibration rows: a gate that accepted all would accept any rows (LOG.md)
TAKEN = {  # why the thresholds that are possible are none of those that pass
    "rejection": "too few predictions lie below all that are accepted, or too many of those are right",
    "risk": "the promises of the true classes leave only thresholds that accept too few, or too many wrong ones",
}
UNFIT = "even at the highest threshold too many of a true class are accepted under another label"


def numbers(values: ArrayLike, place: str) -> Floats:
    """Return values as float64 (m,), one alone as (1,); raise at a place unless they are numbers, none of them NaN."""
    with explained("expected numbers (m,)", place, (TypeError, ValueError)):
        found = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if found.ndim != 1:
        raise SteepslopeError(f"expected numbers (m,), found shape {found.shape}", place)
    if np.isnan(found).any():
        rows = np.flatnonzero(np.isnan(found))
        raise SteepslopeError(f"expected numbers (m,), none of them NaN, found NaN in row {rows[0]}", place)
    return found


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


def split_rows(n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the rows 0…n−1 into those that fix a sequence, 2√n of them, and those that are calibrated on."""
    order = np.random.default_rng(seed).permutation(n)
    count = min(n // 2, max(LEAST_SPLIT, round(2 * math.sqrt(n))))
    return np.sort(order[:count]), np.sort(order[count:])


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

    def last_passing(self, risk: float, delta: float, possible: int | None = None) -> int | None:
        """Return the last threshold of the sequence, or of its first ``possible`` ones, that passes its test, or None.

        Tests begin at a start threshold, and go on beyond the next one until one fails; then they begin at the next.
        """
        p_values, begun = tail(self.errors, self.accepted, risk), starts(self.accepted, self.n, risk, delta)
        last, most = None, len(p_values) if possible is None else possible
        ends, goes_on = [*(start.place for start in begun), len(p_values)][1:], False
        for start, end in zip(begun, ends, strict=True):
            begins = goes_on or p_values[start.place] <= start.after_failure
            passes = p_values[start.place : end] <= start.level
            run = int(np.argmin(np.append(passes, False))) if begins else 0
            last = min(start.place + run, most) - 1 if run and start.place < most else last
            goes_on = run == end - start.place
        return last


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
    last = above.last_passing(max_risk, delta, possible)
    if last is None:
        is_taken = above.last_passing(max_risk, delta) is not None
        advice = TAKEN[aim] if is_taken else advice_for(above.n, above.accepted, above.errors, max_risk, delta, aim)
        return Certificate(aim, NOTHING, above.n, 0, 0, delta, max_risk, group, advice)
    floor = int(np.searchsorted(above.accepted, AT_HOME * above.n))
    if thresholds[-1] > -math.inf and floor < last and above.last_passing(max_risk, delta, floor + 1) == floor:
        last = floor
    return above.certificate(aim, last, float(thresholds[last]), delta, max_risk, group)


def certify_weighted(
    confidence: Floats, is_correct: Bools, weights: Weights, thresholds: Floats, max_risk: float, delta: float
) -> Certificate:
    """Return the certificate of the lowest threshold that keeps the risk to ``max_risk`` where rows have weights.

    >>> rows = np.arange(3000)
    >>> weights = Weights.of_mix(np.where(rows % 3 < 1, "a", "b"), {"a": 0.5, "b": 0.5})
    >>> is_correct = rows % 10 * (rows > 1500) < 9
    >>> found = certify_weighted(-rows / 3000, is_correct, weights, -np.linspace(0, 1, 51), 0.02, 0.05)
    >>> found.threshold, round(found.coverage, 3), round(found.risk_bound, 4)
    (-0.56, 0.56, 0.0189)
    """
    place, weighted = last_passing(confidence, is_correct, weights, thresholds, max_risk, delta)
    n = len(confidence)
    if place is not None and thresholds[-1] > -math.inf:  # the highest that accepts the same rows
        place = int((confidence.min(where=confidence >= thresholds[place], initial=NOTHING) < thresholds).sum())
    if place is not None:
        accepted, errors = (sum(getattr(one, name) for one in weighted.strata) for name in ("accepted", "errors"))
        counts = n, accepted, errors, delta, max_risk
        return Certificate("risk", float(thresholds[place]), *counts, weighted=weighted)
    largest = max(weighted.strata, key=lambda one: one.weight)
    promise = f"{as_percent(max_risk, EXACT)} at delta {delta:g}"
    reason = f"among the most trusted of {n:,} rows too many are wrong, or rows are too few, for {promise}"
    heaviest = f"each of the {largest.rows:,} rows of {largest.name} counts {largest.weight:.3g} times"
    parts = [reason, heaviest]
    if weights.target is not None:
        parts.append("an estimated mix takes some hundreds of rows of each class, a named one (class_mix) fewer")
    elif more := rows_to_add(confidence, is_correct, weights, thresholds, max_risk, delta):
        parts.append(
            f"about {more:,} more rows like these would do if as many of them are wrong, fewer if more are of that kind"
        )
    else:
        parts.append("these rows do not tell how many more would do")
    advice = "; ".join(parts)
    return Certificate("risk", NOTHING, n, 0, 0, delta, max_risk, None, advice, weighted=weighted)


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
    passing = [tail(one.errors, one.n, max_risk) <= delta for one in counts.values() if one.n >= needed]
    run = int(np.argmin(np.append(np.logical_and.reduce(passing), False))) if passing else 0

    def certificate(name: str, above: Above) -> Certificate:
        if run and above.n >= needed:
            return above.certificate(TRUE_CLASS, run - 1, float(thresholds[run - 1]), delta, max_risk, name)
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
