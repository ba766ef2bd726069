"""From confidences and errors on calibration rows to the threshold of largest coverage that can be promised.

Fixed-sequence testing (Bauer, 1991; Angelopoulos et al., "Learn then Test", 2021): thresholds are fixed before the
labels are seen, and tested from the highest down. Each is tested at the level at which the sequence starts, as long as
all before it have passed, so it costs nothing to test many.

For one batch, conformal selection (Jin & Candès, 2023) promises an expected fraction of errors instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.checks import require, whole
from steepslope.errors import SteepslopeError, explained
from steepslope.gate.certificate import EXACT, NOTHING, Aim, Certificate, as_percent, rows_needed, tail

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]
THRESHOLDS = 400  # more gain nothing (LOG.md)
BORNE = 3  # errors that the first threshold has to bear: with fewer, one unlucky row ends the sequence (LOG.md)
LEAST_SPLIT = 10
STEP = 1.05  # by which risks and numbers of rows are tried for advice
MOST_STEPS = 120
TAKEN = "too few predictions lie below all that are accepted, or too many of those are right"
EARLY = 3 / 8  # of the rows: where the first start would accept more, there is no second (LOG.md)


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

    ``confidence`` (n,) are those of any rows like them, such as the oracle's fit set. The last threshold, −∞, accepts
    everything. There are at most ``most``, a whole number >= 2.

    >>> threshold_sequence([0.1, 0.2, 0.3], most=4)
    array([ 0.3,  0.2,  0.1, -inf])
    """
    require("most", most, whole(2))
    limits = np.finfo(np.float64)
    values = np.sort(np.clip(numbers(confidence, "confidence"), limits.min / 2, limits.max / 2))
    places = np.linspace(len(values) - 1, 0, most - 1) if len(values) else np.zeros(0)
    inside = np.interp(places, np.arange(len(values)), values) if len(values) else places
    return np.append(np.unique(inside)[::-1], -np.inf)


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


def first_rows(n: int, risk: float, delta: float) -> int:
    """Return how many of n rows the first threshold that is tested has to accept, at least.

    As many as bear three errors, or fewer where that would be more than half of all rows; at least
    as many as it takes to promise anything. It does not depend on labels.

    >>> first_rows(10_000, 0.02, 0.05), first_rows(500, 0.02, 0.05), first_rows(100, 0.02, 0.05)
    (386, 236, 149)
    """
    for errors in range(BORNE, -1, -1):
        needed = rows_needed(risk, delta, errors)
        if needed <= n / 2:
            return needed
    return rows_needed(risk, delta)


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

    def times(self, factor: float) -> Above:
        """Return the counts as so many times as many rows would have them, at the same rates."""
        scaled = (np.round(factor * counts).astype(np.int64) for counts in (self.accepted, self.errors))
        return Above(round(factor * self.n), *scaled)

    def last_passing(self, risk: float, delta: float, possible: int | None = None) -> int | None:
        """Return the last threshold of the sequence, or of its first ``possible`` ones, that passes its test, or None.

        Each is tested at the share of ``delta`` at whose start the sequence begins, together with the shares of all
        starts from which it has passed on without a break (the fallback procedure: Wiens, 2003).
        """
        p_values, starts = tail(self.errors, self.accepted, risk), self._starts(risk, delta)
        ends = [*(place for place, _ in starts[1:]), len(p_values)]
        level, last, most = 0.0, None, len(p_values) if possible is None else possible
        for (place, share), end in zip(starts, ends, strict=True):
            level += share
            run = int(np.argmin(np.append(p_values[place:end] <= level, False)))
            last = min(place + run, most) - 1 if run and place < most else last
            level = level if run == end - place else 0.0
        return last

    def any_passes(self, risk: float, delta: float) -> bool:
        """Return whether a threshold at which a sequence starts passes: without that, none does."""
        starts = [(place, share) for place, share in self._starts(risk, delta) if place < len(self.accepted)]
        return any(bool(tail(self.errors[one], self.accepted[one], risk) <= share) for one, share in starts)

    def _starts(self, risk: float, delta: float) -> list[tuple[int, float]]:
        """Return the thresholds at which the sequence starts, and their shares of delta; whatever the labels are.

        The first accepts few rows, the second half of all: where errors are as frequent among the most trusted rows as
        among others, such as those of wrong labels, few rows seldom pass. Where the first is not far above the second,
        there is but one. Where the risk rises with coverage, rows beyond the first threshold of too high a risk are
        wrong at least as often as those above it, so the promise is exact wherever the tests start.
        """
        early, late = rows_needed(risk, delta / 2, BORNE), math.ceil(self.n / 2)
        first, second = (int(np.searchsorted(self.accepted, rows)) for rows in (early, late))
        if early <= EARLY * self.n and first < second < len(self.accepted):
            return [(first, delta / 2), (second, delta / 2)]
        return [(int(np.searchsorted(self.accepted, first_rows(self.n, risk, delta))), delta)]


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
    lowest of the first ``possible`` ones, whatever that depends on.

    >>> rows = np.arange(1000)
    >>> found = certify(-rows / 1000, rows % 10 * (rows > 500) < 9, -np.linspace(0, 1, 51), 0.02, 0.05)
    >>> found.threshold, found.accepted, found.errors, round(found.risk_bound, 4)
    (-0.54, 541, 4, 0.0168)
    """
    above = Above.from_rows(confidence, is_correct, thresholds)
    last = above.last_passing(max_risk, delta, possible)
    if last is None:
        is_taken = above.last_passing(max_risk, delta) is not None
        advice = TAKEN if is_taken else _advice(above, max_risk, delta, aim)
        return Certificate(aim, NOTHING, above.n, 0, 0, delta, max_risk, group, advice)
    return above.certificate(aim, last, float(thresholds[last]), delta, max_risk, group)


def _advice(above: Above, risk: float, delta: float, aim: Aim) -> str:
    """Return why nothing can be promised, and how many rows or which risk would do, as far as these rows tell."""
    needed, parts = rows_needed(risk, delta), []
    promise, most = f"{as_percent(risk, EXACT)} at delta {delta:g}", above.accepted.max(initial=0)
    if above.n < needed:
        takes = f"takes at least {needed:,} accepted ones, all of them right"
        parts.append(f"{above.n:,} rows are too few for {promise}, which {takes}")
    elif most < needed:
        accepted = f"the thresholds accept at most {most:,} of {above.n:,} rows"
        parts.append(f"{accepted}, and {promise} takes at least {needed:,}")
    else:
        which, wrong = ("least", "right") if aim == "rejection" else ("most", "wrong")
        among = f"among the {which} trusted of {above.n:,} rows"
        parts.append(f"{among} too many are {wrong} for {as_percent(risk, EXACT)}")
    factors = (STEP**step for step in range(1, MOST_STEPS))
    enough = next((one for one in factors if above.times(one).any_passes(risk, delta)), None)
    risks = (risk * STEP**step for step in range(1, MOST_STEPS) if risk * STEP**step < 1)
    possible = next((one for one in risks if above.any_passes(one, delta)), None)
    if enough is not None and above.errors.any():
        parts.append(f"about {10 * max(1, round(above.n * (enough - 1) / 10)):,} more rows like these would do")
    elif above.n < needed:
        parts.append(f"give {needed - above.n:,} more rows to count on, or more")
    if possible is not None:
        parts.append(f"of rows like these, a risk of about {as_percent(possible, 2)} could be promised")
    return "; ".join(parts)


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
