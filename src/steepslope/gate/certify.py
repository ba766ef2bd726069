"""From confidences and errors on calibration rows to the threshold of largest coverage that can be promised."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.gate.binomial import as_percent, rows_needed, tail
from steepslope.gate.certificate import EXACT, NOTHING, Aim, Certificate
from steepslope.gate.sequence import BORNE, first_rows

Counts = NDArray[np.int64]
STEP = 1.05  # by which risks and numbers of rows are tried for advice
MOST_STEPS = 120
TAKEN = "too few predictions lie below all that are accepted, or too many of those are right"
EARLY = 3 / 8  # of the rows: where the first start would accept more, there is no second (LOG.md)


@dataclass(frozen=True, eq=False)
class Above:
    """How many of n calibration rows each threshold of a sequence accepts, and how many of these are wrong, (t,)."""

    n: int
    accepted: Counts
    errors: Counts

    @classmethod
    def of(
        cls, confidence: NDArray[np.float64], is_correct: NDArray[np.bool_], thresholds: NDArray[np.float64]
    ) -> "Above":
        """Count rows with a confidence of at least each threshold; ties are accepted as a whole."""
        order = np.argsort(-confidence, kind="stable")
        accepted = np.searchsorted(-confidence[order], -thresholds, side="right").astype(np.int64)
        wrong = np.concatenate([[0], np.cumsum(~is_correct[order], dtype=np.int64)])
        return cls(len(confidence), accepted, wrong[accepted])

    def times(self, factor: float) -> "Above":
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
    confidence: NDArray[np.float64],
    is_correct: NDArray[np.bool_],
    thresholds: NDArray[np.float64],
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
    above = Above.of(confidence, is_correct, thresholds)
    last = above.last_passing(max_risk, delta, possible)
    if last is None:
        is_taken = above.last_passing(max_risk, delta) is not None
        advice = TAKEN if is_taken else _advice(above, max_risk, delta, aim)
        return Certificate(aim, NOTHING, above.n, 0, 0, delta, max_risk, group, advice)
    counts = int(above.accepted[last]), int(above.errors[last])
    return Certificate(aim, float(thresholds[last]), above.n, *counts, delta, max_risk, group)


def _advice(above: Above, risk: float, delta: float, aim: Aim) -> str:
    """Return why nothing can be promised, and how many rows or which risk would do, as far as these rows tell."""
    needed, parts = rows_needed(risk, delta), []
    if above.n < needed:
        parts.append(
            f"{above.n:,} rows are too few for {as_percent(risk, EXACT)} at delta {delta:g}, which takes at least "
            f"{needed:,} accepted ones, all of them right"
        )
    elif above.accepted.max(initial=0) < needed:
        parts.append(
            f"the thresholds accept at most {above.accepted.max(initial=0):,} of {above.n:,} rows, and "
            f"{as_percent(risk, EXACT)} at delta {delta:g} takes at least {needed:,}"
        )
    else:
        which, wrong = ("least", "right") if aim == "rejection" else ("most", "wrong")
        parts.append(
            f"among the {which} trusted of {above.n:,} rows too many are {wrong} for {as_percent(risk, EXACT)}"
        )
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
