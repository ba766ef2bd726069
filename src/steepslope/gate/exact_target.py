"""A promise about a mix of classes that is estimated, which holds for any number of rows.

Let Z = A·(L − r) be whether a row is accepted, times its error less r, q the unknown shares of the classes to come, and
h any function of the predicted class. With t the mean of h among the rows to come, the mean of Z there is the sum over
classes y of q[y] times the mean of Z − h(ŷ) + t in the class. Two fortunes, one of each source of rows, have a mean of
at most 1 where that is 0 or more:

- on m rows of the target, the product of 1 − λ·(h(ŷ) − t);
- on n calibration rows, the product of 1 − ν·W·(Z − h(ŷ) + t), where W = q[y]·n / n[y], as under a known mix
  (:mod:`steepslope.gate.importance`).

Neither q nor t is known, but both lie within intervals, but for a small part of delta: t by an empirical Bernstein
bound (Maurer & Pontil, arXiv 0907.3740), and q by those of how often each class is predicted as what, and of what is
predicted for the target (as Si et al., arXiv 2310.12964, for prediction sets). The test passes where the product of the
fortunes is large for all q and t within these. It is concave in t, and a sum of concave functions of each q[y], so it
is least at an end, and no less than chords tell. With h close to what makes the means in the classes 0, and λ·m = ν·n,
neither matters much: what is lost by not knowing the mix is small, though the intervals are wide.

Anything may be chosen on other rows: a third of the calibration rows of each class and a quarter of the target tell h,
ν, and where the sequence of thresholds starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise, takewhile
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from steepslope.errors import NoMixError
from steepslope.gate.target import INSTEAD, NO_MIX, Target

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Bools = NDArray[np.bool_]
CHOOSING = 3, 4  # one in so many calibration rows of each class, and target rows, tells what to bet (LOG.md)
OF_SHARES, OF_MEAN = 0.1, 0.05  # of delta: that the shares, and the mean of h, are within their intervals
SIZES = 0.1, 0.2, 0.35, 0.5, 0.7  # of bets, over the largest that cannot lose more than all
SURE = 1.5  # tests begin where the logarithm of the fortune is expected to be so many times what passes
MOST_H = 2.0  # h is at least −2r, and at most 1
RISKS = 41  # steps from the promised risk down to 0, of which the last that is excluded is the bound
INVERTIBLE = 1e-2
ROUNDS = 8  # in which intervals of the shares narrow one another
EXPECTED = 6.0  # standard errors by which shares are expected not to be known
STEP = 8  # thresholds, of which one tells what to bet on all of them, and where to begin


@dataclass(frozen=True, eq=False)
class Shares:
    """Between what the share of each class is, (K,) each."""

    low: Floats
    high: Floats

    @classmethod
    def of(cls, confusion: Floats, coming: Floats, delta: float) -> Self:
        """Return them by rows of each true class that are predicted as each, (K, S), and target rows that are, (S,).

        With probability 1 − delta all are within these. Of each predicted class there are at least as many as the
        shares and the confusion make it, and at most: each such bound narrows each share, given the ends of the others,
        for some rounds. Raise where no shares would do.
        """
        level = delta / 2 / (confusion.size + coming.size)
        (least, most), (fewest, many) = (
            clopper_pearson(counts, counts.sum(axis=-1, keepdims=True), level) for counts in (confusion, coming)
        )
        ordered = np.sort(most, axis=0)
        of_others = np.where(most == ordered[-1], ordered[-2], ordered[-1])
        low, high = np.zeros(len(most)), np.ones(len(most))
        for _ in range(ROUNDS):
            room = np.divide(many - low @ least, least, out=np.full_like(least, np.inf), where=least > 0)
            high = np.minimum(high, (low[:, None] + room).min(axis=1))
            lacking = (fewest - (high @ most - high[:, None] * most)) / most
            above = np.divide(fewest - of_others, most - of_others, out=np.zeros_like(most), where=most > of_others)
            low = np.maximum(low, np.maximum(lacking, above).max(axis=1))
            high, low = np.minimum(high, 1 - (low.sum() - low)), np.maximum(low, 1 - (high.sum() - high))
        if (low > high).any():
            raise NoMixError(f"{NO_MIX}. {INSTEAD}", "target")
        return cls(low, high)

    def least_sum(self, at_low: Floats, at_high: Floats) -> float:
        """Return the least that a sum of concave functions can be, (K,) at both ends, no less than by their chords."""
        width = self.high - self.low
        slope = np.divide(at_high - at_low, width, out=np.zeros_like(width), where=width > 0)
        order = slope.argsort()
        filled = np.cumsum(width[order]).clip(max=max(0.0, 1 - self.low.sum()))
        return float(at_low.sum() + slope[order] @ np.diff(filled, prepend=0.0))


def clopper_pearson(counts: Floats, totals: Floats, level: float) -> tuple[Floats, Floats]:
    """Return both ends of intervals of fractions, each missed with probability ``level`` at most; (…) like counts.

    >>> [end.round(3).item() for end in clopper_pearson(np.array([5.0]), np.array([100.0]), 0.025)]
    [0.016, 0.113]
    """
    low = np.where(counts > 0, beta.ppf(level, np.maximum(counts, 0.5), totals - counts + 1), 0.0)
    high = np.where(counts < totals, beta.ppf(1 - level, counts + 1, np.maximum(totals - counts, 0.5)), 1.0)
    return low, high


@dataclass(frozen=True)
class Bet:
    """The function h of the predicted class, (S,), and ν: what is put on each calibration row."""

    h: Floats
    size: float


@dataclass(frozen=True, eq=False)
class Half:
    """Calibration rows (n,) and target rows (m,): what is true of the first, and what is predicted of both.

    ``counts`` are those of all rows for which they stand: of the rows that are bet on, where these are others.
    """

    true: Counts
    predicted: Counts
    coming: Counts
    shape: tuple[int, int]
    counts: tuple[int, int]

    @cached_property
    def confusion(self) -> Floats:
        """How many rows of each true class are predicted as each, (K, S)."""
        cells = np.bincount(self.true * self.shape[1] + self.predicted, minlength=self.shape[0] * self.shape[1])
        return cells.reshape(self.shape).astype(np.float64)

    @cached_property
    def of_class(self) -> Floats:
        """How many rows of each true class there are, (K,)."""
        return np.asarray(self.confusion.sum(axis=1))

    @cached_property
    def inverse(self) -> Floats:
        """The inverse of how often each true class is predicted as what, (S, K)."""
        return np.asarray(np.linalg.pinv(self.confusion / self.of_class[:, None], rcond=INVERTIBLE))

    @cached_property
    def target(self) -> Floats:
        """For how many target rows each class is predicted, (S,)."""
        return np.bincount(self.coming, minlength=self.shape[1]).astype(np.float64)

    @cached_property
    def kinds(self) -> tuple[Counts, Counts, Counts]:
        """The true and the predicted class of each kind of row that there is, (c,) each, and which kind rows are."""
        kinds, index = np.unique(self.true * self.shape[1] + self.predicted, return_inverse=True)
        true, predicted = np.divmod(kinds, self.shape[1])
        return true, predicted, index

    def outcomes(self, accepted: Bools, is_correct: Bools) -> Counts:
        """Return how many rows of each kind are not accepted, accepted rightly, and accepted wrongly, (c, 3)."""
        outcome = np.where(accepted, np.where(is_correct, 1, 2), 0)
        return np.bincount(3 * self.kinds[2] + outcome, minlength=3 * len(self.kinds[0])).reshape(-1, 3)

    def means_of_h(self, h: Floats, delta: float) -> Floats:
        """Return between what the mean of h is among the rows to come, (2,), with probability 1 − delta."""
        m, width = len(self.coming), float(np.ptp(h))
        mean = self.target @ h / m
        variance, level = self.target @ (h - mean) ** 2 / (m - 1), math.log(4 / delta)
        off = math.sqrt(2 * variance * level / m) + 7 * width * level / (3 * (m - 1))
        return np.asarray(np.clip([mean - off, mean + off], h.min(), h.max()))

    def log_fortune(self, outcomes: Counts, risk: float, bet: Bet, shares: Shares, means: Floats) -> float:
        """Return the least that the logarithm of the fortunes' product can be, −∞ where one could lose all.

        That is for all ``shares``, and all means of h between the ends (e,).
        """
        true, predicted, _ = self.kinds
        n, m = self.counts
        weights = [one * len(self.true) / self.of_class for one in (shares.low, shares.high)]
        size = bet.size * n / m
        most = max(
            bet.size * weights[1].max() * (1 - risk - bet.h.min() + means.max()), size * (bet.h.max() - means.min())
        )
        if most >= 1:
            return -math.inf
        values = np.array([0, -risk, 1 - risk]) - bet.h[predicted, None]
        least = math.inf
        for mean in means:
            gains = (outcomes * np.log1p(-bet.size * some[true, None] * (values + mean)) for some in weights)
            ends = (np.bincount(true, one.sum(axis=1), len(self.of_class)).astype(np.float64) for one in gains)
            of_target = self.target @ np.log1p(-size * (bet.h - mean))
            least = min(least, m / len(self.coming) * of_target + n / len(self.true) * shares.least_sum(*ends))
        return least

    def best_bet(self, outcomes: Counts, risk: float, shares: Shares) -> tuple[Bet, float]:
        """Return the bet that promises most, by the rows themselves, and the logarithm of the fortune to expect."""
        means = np.bincount(self.kinds[0], outcomes @ np.array([0, -risk, 1 - risk]), self.shape[0]) / self.of_class
        h = np.clip(self.inverse @ means, -MOST_H * risk, 1.0)
        mean = self.target @ h / len(self.coming)
        largest = (shares.high / self.of_class).max() * len(self.true) * (1 - risk - h.min() + mean)
        bets = [Bet(h, part / largest) for part in SIZES]
        fortunes = [self.log_fortune(outcomes, risk, bet, shares, np.array([mean])) for bet in bets]
        best = int(np.argmax(fortunes))
        return bets[best], fortunes[best]


@dataclass(frozen=True, eq=False)
class Sides:
    """The rows that choose what to bet, those that are bet on, and what is known of the shares of the classes.

    ``ours`` (n,) are the calibration rows that choose. ``expected`` are the shares as far as rows that choose tell.
    """

    ours: Bools
    choosing: Half
    tested: Half
    shares: Shares
    expected: Shares

    @classmethod
    def of(cls, target: Target, delta: float) -> Self:
        """Return them; the same rows choose each time."""
        draw, shape = np.random.default_rng(0), (len(target.names), len(target.inverse))
        order = draw.permutation(len(target.true))
        order = order[target.true[order].argsort(kind="stable")]
        begins = np.searchsorted(target.true[order], target.true[order])
        ours = np.zeros(len(order), dtype=np.bool_)
        ours[order] = (np.arange(len(order)) - begins) % CHOOSING[0] == 0
        theirs = draw.permutation(len(target.coming)) % CHOOSING[1] == 0
        counts = int((~ours).sum()), int((~theirs).sum())
        choosing, tested, both = (
            Half(target.true[rows], target.predicted[rows], target.coming[coming], shape, counts)
            for rows, coming in ((ours, theirs), (~ours, ~theirs), (slice(None), slice(None)))
        )
        shares = Shares.of(both.confusion, both.target, OF_SHARES * delta)
        m = len(target.coming)
        estimate = (choosing.target @ choosing.inverse / len(choosing.coming)).clip(0, 1)
        off = EXPECTED * np.sqrt((estimate + 1 / m) / m + estimate**2 / both.of_class)
        return cls(ours, choosing, tested, shares, Shares((estimate - off).clip(0), (estimate + off).clip(max=1)))

    def bet(self, accepted: Bools, is_correct: Bools, risk: float) -> tuple[Bet, float]:
        """Return what to bet where some of the calibration rows (n,) are accepted, and the fortune to expect."""
        outcomes = self.choosing.outcomes(accepted[self.ours], is_correct[self.ours])
        return self.choosing.best_bet(outcomes, risk, self.expected)

    def passes(self, accepted: Bools, is_correct: Bools, risk: float, bet: Bet, level: float) -> bool:
        """Return whether at most ``risk`` of the accepted are wrong among the rows to come, by a bet at a level."""
        outcomes = self.tested.outcomes(accepted[~self.ours], is_correct[~self.ours])
        means = self.tested.means_of_h(bet.h, OF_MEAN * level)
        return self.tested.log_fortune(outcomes, risk, bet, self.shares, means) >= needed(level)


def needed(level: float) -> float:
    """Return the logarithm of the fortune that passes at a level."""
    return -math.log(level * (1 - OF_SHARES - OF_MEAN))


def last_of_runs(
    begun: list[int], count: int, delta: float, passes: Callable[[int, float], bool]
) -> tuple[int | None, float]:
    """Return the last of so many hypotheses in a sequence that passes, None if none does, and at which level it did.

    Tests begin at each of the places with its share of delta, and go on until one fails. Where a run reaches the next
    one, it takes its level along (the fallback procedure: Wiens, 2003).
    """
    passed, at, level = None, delta, 0.0
    for start, end in pairwise([*begun, count]):
        level += delta / len(begun)
        place = next((place for place in range(start, end) if not passes(place, level)), end)
        passed, at = (place - 1, level) if place > start else (passed, at)
        level = level if place == end else 0.0
    return passed, at


def last_passing_exact(
    confidence: Floats, is_correct: Bools, target: Target, thresholds: Floats, risk: float, delta: float
) -> tuple[int | None, float]:
    """Return the last threshold whose risk among the rows to come is at most ``risk``, and its bound; None if none is.

    The thresholds were fixed without a look at labels. Tests begin where they are expected to pass, and again where
    that is expected the most.
    """
    sides, some = Sides.of(target, delta), range(0, len(thresholds), STEP)
    bets, fortunes = zip(*(sides.bet(confidence >= thresholds[at], is_correct, risk) for at in some), strict=True)
    surest = int(np.argmax(fortunes))
    first = int(np.argmax(np.append(fortunes[:surest], np.inf) >= SURE * needed(delta / 2)))

    def passes(place: int, level: float, at_most: float = risk) -> bool:
        return sides.passes(confidence >= thresholds[place], is_correct, at_most, bets[place // STEP], level)

    passed, level = last_of_runs(sorted({some[first], some[surest]}), len(thresholds), delta, passes)
    if passed is None:
        return None, 1.0
    return passed, list(takewhile(partial(passes, passed, level), np.linspace(risk, 0, RISKS).tolist()))[-1]
