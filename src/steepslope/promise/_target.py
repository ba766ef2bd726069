"""A class mix that is estimated from the predictions for target rows, which have no labels (label shift).

**Estimate.** If each class still looks as it did, and only its share differs, then any function Z of a row has the mean
Σ q[y]·v[y] among the target rows. q[y] is the share of class y there, and v[y] the mean of Z in the class. Let C[y, ŷ]
be how often a row of class y is predicted as ŷ. A function h of the predicted class with C h = v has the same mean. It
needs no labels, so it can be averaged over the target rows (black-box shift estimation: Lipton et al., arXiv
1802.03916). The mean of h on m target rows is random, and so are C and v on n calibration rows, where each row adds
W·(Z − h(ŷ)) with W = q[y] / p[y]. Sums of that many terms are nearly normal. The tests of whether a mix explains the
target rely on that. The promise does not: it holds for any number of rows.

**Promise.** Let A be 1 for an accepted row and else 0, L 1 for a wrong prediction and else 0, and r the promised risk.
At most a fraction r of the accepted are wrong exactly if the mean of Z = A·(L − r) is at most 0. Let q[y] be the
unknown share of class y among the target rows, ŷ the predicted class, h any function of it, and t the mean of h(ŷ)
among the target rows. Then the mean of Z there is the sum over y of q[y] times the mean of Z − h(ŷ) + t in class y. If
that is 0 or more, each of two products, called e-values, has a mean of at most 1:

- on m target rows, with a bet λ, the product of 1 − λ·(h(ŷ) − t);
- on n calibration rows, n[y] of them of class y, with a bet ν, the product of 1 − ν·W·(Z − h(ŷ) + t), where
  W = q[y]·n / n[y], as under a known mix (:mod:`steepslope.promise._class_mix`).

Neither q nor t is known. Intervals contain both, except with a probability that is a small part of delta: for t it is
an empirical Bernstein bound (Maurer & Pontil, arXiv 0907.3740). Those of q follow from Clopper–Pearson intervals of how
often each class is predicted as which, and of how often each is predicted on the target (as in Si et al., arXiv
2310.12964, for prediction sets). The test passes if, for all q and t within these intervals, the product of both
e-values is at least 1 over the rest of delta. The logarithm of this product is concave in t, and a sum of concave
functions of each q[y]. So its minimum over t lies at an end of the interval, and over q chords bound it from below.

Choose h so that Z − h(ŷ) has a mean near 0 in each class, and λ·m = ν·n. Then first-order changes of q and t cancel,
and the product depends little on either. The function h, the bet ν and the first threshold may be chosen freely on rows
that are not bet on: a third of the calibration rows of each class, and a quarter of the target rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy.stats import f

from steepslope.errors import NoMixError, SteepslopeError
from steepslope.numerics import Bools, Counts, Floats, clopper_pearson
from steepslope.promise._rows import LabelledRows, Names
from steepslope.promise._sequence import StartThreshold, last_passing_in_sequence

LEAST_ROWS = 30  # of each class, to estimate how often it is predicted as which
_LEAST_TARGET = 200
_SINGULAR = 1e-3  # the least singular value of the confusion with which predictions tell the classes apart
FLOOR = 1e-8  # of variances: a bin that one side never reaches has none, and yet tells
BINS = 5  # of confidences, to test whether a mix explains them
_ALPHA = 1e-3  # probability of refusing a target whose mix alone has changed
FAR = 4.0  # standard errors by which an estimated share may be below 0
_EVERY_ROW = 3  # one of so many calibration rows of each class chooses bets: with 2 or 5, up to 8 points less coverage
_EVERY_TARGET = 4  # likewise of the target rows
_OF_SHARES = 0.1  # part of delta: that the intervals of the shares miss
_OF_MEAN = 0.05  # part of delta: that the interval of the mean of h misses
SIZES = 0.1, 0.2, 0.35, 0.5, 0.7  # bets, as parts of the largest that cannot lose everything
SURE = 1.5  # tests begin where the expected log e-value is 1.5 times what is needed; a second run saves a bad start
_MOST_H = 2.0  # h is clipped to [−MOST_H·r, 1]
RISKS = 41  # risks from the promised one down to 0; the bound is the lowest for which the test still passes
_INVERTIBLE = 1e-2  # singular values below this part of the largest count as 0
_ROUNDS = 8  # of narrowing the intervals of the shares
EXPECTED = 6.0  # standard errors: half the width of the intervals that are assumed while bets are chosen
STEP = 8  # a bet is chosen at every eighth threshold, and used for eight thresholds

_NO_MIX = "no class mix explains the predictions for these rows"
_INSTEAD = "Label some of them, and calibrate on these"


@dataclass(frozen=True, eq=False)
class Target:
    """The classes of calibration rows, ``true`` (n,) and ``predicted`` (n,), and of target rows, ``on_target`` (m,).

    True classes are places among ``names`` (K,), predicted ones are places among the S classes that are predicted
    anywhere. ``inverse`` (S, K) inverts how often each true class is predicted as which. ``shares`` (K,) are estimated.
    """

    names: tuple[str, ...]
    true: Counts
    predicted: Counts
    on_target: Counts
    inverse: Floats
    shares: Floats

    @classmethod
    def of(cls, true_classes: Names, predicted: Names, on_target: Names) -> Self:
        """Estimate the mix from classes by name; raise if rows are too few, or predictions do not tell the classes."""
        if len(on_target) < _LEAST_TARGET:
            raise SteepslopeError(f"expected at least {_LEAST_TARGET} rows, found {len(on_target)}", "target")
        names, true, counts = np.unique(true_classes, return_inverse=True, return_counts=True)
        rarest = counts.argmin()
        if counts[rarest] < LEAST_ROWS:
            expected = f"expected at least {LEAST_ROWS} calibration rows of each class, to estimate a mix"
            raise SteepslopeError(f"{expected}, found {counts[rarest]} of {names[rarest]}", "target")
        seen, index = np.unique(np.concatenate([predicted, on_target]), return_inverse=True)
        lacking = np.setdiff1d(seen, names)
        if len(lacking):
            expected = "expected calibration rows of each class that is predicted, to estimate a mix"
            raise SteepslopeError(f"{expected}, found none of {lacking[0]}", "target")
        never = np.setdiff1d(names, seen)
        if len(never):
            expected = "expected classes that are predicted, to estimate a mix"
            raise SteepslopeError(f"{expected}, found rows of {never[0]}, which never is: name the mix", "target")
        ours, theirs = np.split(index, [len(predicted)])
        confusion = _confusion_counts(true, ours, (len(names), len(seen))) / counts[:, None]
        if np.linalg.svd(confusion, compute_uv=False).min() < _SINGULAR:
            found = "found some that are predicted alike: name the mix (class_mix)"
            raise SteepslopeError(f"expected predictions that tell the classes apart, {found}", "target")
        inverse = np.asarray(np.linalg.pinv(confusion), dtype=np.float64)
        shares = np.bincount(theirs, minlength=len(seen)) / len(theirs) @ inverse
        return cls(tuple(names.tolist()), true, ours, theirs, inverse, np.asarray(shares))

    @property
    def mix(self) -> dict[str, float]:
        """The estimated share of each class, none below 0."""
        shares = self.shares.clip(0)
        return dict(zip(self.names, (shares / shares.sum()).tolist(), strict=True))

    @property
    def weights(self) -> Floats:
        """How many times as frequent each class is as among the calibration rows, float64 (K,)."""
        return self.shares.clip(0) * len(self.true) / np.bincount(self.true)

    def moments(self, ours: Floats, theirs: Floats | None = None) -> tuple[Floats, Floats]:
        """Return the means (f,) of functions among the target rows, and the covariance of these estimates (f, f).

        ``ours`` (n, f) are the functions' values on the calibration rows. If ``theirs`` (m, f), those on the target
        rows, are given, the means are of the differences between what the mix explains and these.
        """
        totals = np.stack([np.bincount(self.true, column) for column in ours.T], axis=1)
        by_predicted = self.inverse @ (totals / np.bincount(self.true)[:, None])
        if theirs is None:
            values = by_predicted
            counts = np.bincount(self.on_target, minlength=len(by_predicted))
        else:
            values = by_predicted[self.on_target] - theirs
            counts = np.ones(len(theirs), np.int64)
        influence = self.weights[self.true, None] * (ours - by_predicted[self.predicted])
        of_target = np.cov(values, rowvar=False, ddof=0, aweights=counts) / len(self.on_target)
        of_ours = np.cov(influence, rowvar=False, ddof=0) / len(ours)
        return counts @ values / counts.sum(), np.atleast_2d(of_target + of_ours)

    def require_explained(self, confidence: Floats, on_target: Floats) -> None:
        """Raise if no class mix explains the target's predictions and confidences (m,)."""
        _, covariance = self.moments(np.eye(len(self.names))[self.true])
        errors = np.sqrt(np.diag(covariance))
        lowest = int((self.shares + FAR * errors).argmin())
        if self.shares[lowest] < -FAR * errors[lowest]:
            found = f"one with {100 * self.shares[lowest]:.1f} % of {self.names[lowest]} would"
            raise NoMixError(f"{_NO_MIX}: {found}. {_INSTEAD}", "target")
        p_value = self._p_value_of_confidences(confidence, on_target)
        if p_value < _ALPHA:
            raise NoMixError(f"{_NO_MIX}: their confidences differ (p = {p_value:.2g}). {_INSTEAD}", "target")

    def _p_value_of_confidences(self, confidence: Floats, on_target: Floats) -> float:
        """Return the p-value against the mix that confidences have, in bins, by Hotelling's test.

        The degrees of freedom are those of the rarest class, because the covariance is known no better than that.
        """
        both = np.concatenate([confidence, on_target])  # those of one side may all be equal
        edges = np.setdiff1d(np.quantile(both, np.arange(1, BINS) / BINS), [both.min()])
        d = len(edges)
        if d == 0:
            return 1.0
        bins = np.eye(d + 1)
        ours = bins[np.searchsorted(edges, confidence, side="right")]
        theirs = bins[np.searchsorted(edges, on_target, side="right")]
        means, covariance = self.moments(ours, theirs)
        statistic = means @ np.linalg.solve(covariance + FLOOR * np.eye(len(means)), means)
        rows = int(np.bincount(self.true).min())
        return float(f.sf(statistic * (rows - d) / (d * (rows - 1)), d, rows - d))


@dataclass(frozen=True, eq=False)
class Shares:
    """Intervals of the shares of the classes: their lower and their upper ends, (K,) each."""

    low: Floats
    high: Floats

    @classmethod
    def of(cls, confusion: Floats, on_target: Floats, delta: float) -> Self:
        """Return intervals that contain all shares at once with probability 1 − delta; raise if the counts allow none.

        ``confusion`` (K, S) counts the calibration rows of each true class by predicted class, and ``on_target`` (S,)
        the target rows by predicted class. The shares and the confusion imply how often each class is predicted on the
        target. That has to agree with the counts there, which narrows each share, given the ends of the others, for
        some rounds.
        """
        level = delta / 2 / (confusion.size + on_target.size)
        least, most = clopper_pearson(confusion, confusion.sum(axis=1, keepdims=True), level)
        fewest, many = clopper_pearson(on_target, on_target.sum(), level)
        nothing = np.zeros(most.shape[1])  # of others, where there is one class
        second, largest = np.sort(np.vstack([nothing, most]), axis=0)[-2:]
        of_others = np.where(most == largest, second, largest)
        low = np.zeros(len(most))
        high = np.ones(len(most))
        for _ in range(_ROUNDS):
            # At most: what the upper end of each prediction's count leaves if all others are at their lower ends.
            room = _divided(many - low @ least, least, math.inf)
            high = np.minimum(high, (low[:, None] + room).min(axis=1))
            # At least: what its lower end lacks if all others are at their upper ends, or are as the likeliest of them.
            lacking = (fewest - (high @ most - high[:, None] * most)) / most
            above = _divided(fewest - of_others, most - of_others, 0.0)
            low = np.maximum(low, np.maximum(lacking, above).max(axis=1))
            others_low = low.sum() - low
            others_high = high.sum() - high
            high = np.minimum(high, 1 - others_low)  # all shares add up to 1
            low = np.maximum(low, 1 - others_high)
        if (low > high).any():
            raise NoMixError(f"{_NO_MIX}. {_INSTEAD}", "target")
        return cls(low, high)

    def least_sum(self, at_low: Floats, at_high: Floats) -> float:
        """Return a lower bound of a sum of concave functions of the shares, given their values at both ends, (K,) each.

        It is the minimum over all shares, with each function replaced by its chord.
        """
        width = self.high - self.low
        slope = _divided(at_high - at_low, width, 0.0)
        order = slope.argsort()
        filled = np.cumsum(width[order]).clip(max=max(0.0, 1 - self.low.sum()))
        return float(at_low.sum() + slope[order] @ np.diff(filled, prepend=0.0))


def _divided(above: Floats, below: Floats, otherwise: float) -> Floats:
    """Return quotients, and another number where the divisor is not above 0."""
    return np.divide(above, below, out=np.full_like(below, otherwise), where=below > 0)


def _confusion_counts(true: Counts, predicted: Counts, shape: tuple[int, int]) -> Floats:
    """Return how many rows (n,) of each true class are predicted as which, (K, S)."""
    cells = np.bincount(true * shape[1] + predicted, minlength=shape[0] * shape[1])
    return cells.reshape(shape).astype(np.float64)


@dataclass(frozen=True)
class Bet:
    """The function h by predicted class, (S,), and the bet ν."""

    h: Floats
    size: float


@dataclass(frozen=True, eq=False)
class _RowSet:
    """The true and predicted classes of some calibration rows (n,), and the predicted classes of target rows (m,).

    ``shape`` has the numbers of true and of predicted classes, (K, S). ``counts`` has the numbers of calibration and of
    target rows that will be bet on; e-values are scaled to these numbers.
    """

    true: Counts
    predicted: Counts
    on_target: Counts
    shape: tuple[int, int]
    counts: tuple[int, int]

    @cached_property
    def confusion(self) -> Floats:
        """How many rows of each true class are predicted as which, (K, S)."""
        return _confusion_counts(self.true, self.predicted, self.shape)

    @cached_property
    def of_class(self) -> Floats:
        """How many rows of each true class there are, (K,)."""
        return np.asarray(self.confusion.sum(axis=1))

    @cached_property
    def inverse(self) -> Floats:
        """The inverse of how often each true class is predicted as which, (S, K)."""
        return np.asarray(np.linalg.pinv(self.confusion / self.of_class[:, None], rcond=_INVERTIBLE))

    @cached_property
    def target(self) -> Floats:
        """How many target rows are predicted as each class, (S,)."""
        return np.bincount(self.on_target, minlength=self.shape[1]).astype(np.float64)

    @cached_property
    def kinds(self) -> tuple[Counts, Counts, Counts]:
        """The true and the predicted class of each pair that occurs, (c,) each, and the pair of each row, (n,)."""
        kinds, index = np.unique(self.true * self.shape[1] + self.predicted, return_inverse=True)
        true, predicted = np.divmod(kinds, self.shape[1])
        return true, predicted, index

    def expected_shares(self, of_class: Floats, m: int) -> Shares:
        """Return intervals around the estimated shares, for ``of_class`` (K,) calibration rows and m target rows.

        A function of the predicted class whose mean is 1 in one class, and 0 in others, estimates the share of that
        class. Its mean squares among the rows bound the variances.
        """
        squares = self.inverse**2
        predicted = (self.target + 1) / (self.target + 1).sum()
        estimate = (predicted @ self.inverse).clip(0, 1)
        of_rows = estimate**2 / of_class @ (self.confusion / self.of_class[:, None] @ squares)
        off = EXPECTED * np.sqrt(predicted @ squares / m + of_rows)
        return Shares((estimate - off).clip(0), (estimate + off).clip(max=1))

    def outcomes(self, accepted: Bools, is_correct: Bools) -> Counts:
        """Return how many rows of each pair are not accepted, accepted and right, and accepted and wrong, (c, 3)."""
        outcome = np.where(accepted, np.where(is_correct, 1, 2), 0)
        pairs, _, index = self.kinds
        return np.bincount(3 * index + outcome, minlength=3 * len(pairs)).reshape(-1, 3)

    def means_of_h(self, h: Floats, delta: float) -> Floats:
        """Return an interval (2,) that contains the mean of h among the target rows with probability 1 − delta."""
        m = len(self.on_target)
        mean = self.target @ h / m
        variance = self.target @ (h - mean) ** 2 / (m - 1)
        level = math.log(4 / delta)
        width = float(np.ptp(h))
        off = math.sqrt(2 * variance * level / m) + 7 * width * level / (3 * (m - 1))
        return np.asarray(np.clip([mean - off, mean + off], h.min(), h.max()))

    def log_e_value(self, outcomes: Counts, risk: float, bet: Bet, shares: Shares, means: Floats) -> float:
        """Return a lower bound of the logarithm of the product of both e-values.

        It holds for all ``shares``, and all means of h between the ``means``. It is −∞ if a bet could lose more than
        everything.
        """
        true, predicted, _ = self.kinds
        n, m = self.counts
        at_low, at_high = (ends * len(self.true) / self.of_class for ends in (shares.low, shares.high))
        size = bet.size * n / m
        most_on_rows = bet.size * at_high.max() * (1 - risk - bet.h.min() + means.max())
        if max(most_on_rows, size * (bet.h.max() - means.min())) >= 1:
            return -math.inf
        values = _losses(risk) - bet.h[predicted, None]

        def of_classes(weights: Floats, mean: float) -> Floats:
            gains = outcomes * np.log1p(-bet.size * weights[true, None] * (values + mean))
            return np.bincount(true, gains.sum(axis=1), len(weights)).astype(np.float64)

        least = math.inf
        for mean in means:
            of_target = m / len(self.on_target) * (self.target @ np.log1p(-size * (bet.h - mean)))
            of_rows = shares.least_sum(of_classes(at_low, mean), of_classes(at_high, mean))
            least = min(least, of_target + n / len(self.true) * of_rows)
        return least

    def best_bet(self, outcomes: Counts, risk: float, shares: Shares) -> tuple[Bet, float]:
        """Return the bet with the largest log e-value on these rows, and that log e-value."""
        true, _, _ = self.kinds
        means = np.bincount(true, outcomes @ _losses(risk), self.shape[0]) / self.of_class
        h = np.clip(self.inverse @ means, -_MOST_H * risk, 1.0)
        mean = self.target @ h / len(self.on_target)
        largest = (shares.high / self.of_class).max() * len(self.true) * (1 - risk - h.min() + mean)
        bets = [Bet(h, part / largest) for part in SIZES]
        log_e_values = [self.log_e_value(outcomes, risk, bet, shares, np.array([mean])) for bet in bets]
        best = int(np.argmax(log_e_values))
        return bets[best], log_e_values[best]


def _losses(risk: float) -> Floats:
    """Return Z for a row that is not accepted, accepted and right, and accepted and wrong, (3,)."""
    return np.array([0, -risk, 1 - risk])


@dataclass(frozen=True, eq=False)
class _SplitRows:
    """The rows that choose bets, the rows that are bet on, and intervals of the classes' shares.

    ``chooses`` (n,) says which calibration rows choose. ``expected`` are the intervals estimated on rows that choose.
    """

    chooses: Bools
    choosing: _RowSet
    tested: _RowSet
    shares: Shares
    expected: Shares

    @classmethod
    def of(cls, target: Target, delta: float) -> Self:
        """Split the rows at random; the same rows choose each time."""
        draw = np.random.default_rng(0)
        order = draw.permutation(len(target.true))
        order = order[target.true[order].argsort(kind="stable")]
        begins = np.searchsorted(target.true[order], target.true[order])
        ours = np.zeros(len(order), dtype=np.bool_)
        ours[order] = (np.arange(len(order)) - begins) % _EVERY_ROW == 0
        m = len(target.on_target)
        theirs = draw.permutation(m) % _EVERY_TARGET == 0
        shape = (len(target.names), len(target.inverse))
        counts = (int((~ours).sum()), int((~theirs).sum()))

        def row_set(rows: Any, on_target: Any) -> _RowSet:
            return _RowSet(target.true[rows], target.predicted[rows], target.on_target[on_target], shape, counts)

        choosing = row_set(ours, theirs)
        both = row_set(slice(None), slice(None))
        shares = Shares.of(both.confusion, both.target, _OF_SHARES * delta)
        expected = choosing.expected_shares(both.of_class, m)
        return cls(ours, choosing, row_set(~ours, ~theirs), shares, expected)

    def bet(self, accepted: Bools, is_correct: Bools, risk: float) -> tuple[Bet, float]:
        """Return the bet for a threshold that accepts some calibration rows (n,), and the expected log e-value."""
        outcomes = self.choosing.outcomes(accepted[self.chooses], is_correct[self.chooses])
        return self.choosing.best_bet(outcomes, risk, self.expected)

    def passes(self, accepted: Bools, is_correct: Bools, risk: float, bet: Bet, level: float) -> bool:
        """Return whether the test passes at a level; then at most ``risk`` of the accepted target rows are wrong."""
        outcomes = self.tested.outcomes(accepted[~self.chooses], is_correct[~self.chooses])
        means = self.tested.means_of_h(bet.h, _OF_MEAN * level)
        return self.tested.log_e_value(outcomes, risk, bet, self.shares, means) >= _needed_on_target(level)


def _needed_on_target(level: float) -> float:
    """Return the least log e-value that passes at a level."""
    return -math.log(level * (1 - _OF_SHARES - _OF_MEAN))


def last_passing_on_target(
    rows: LabelledRows, target: Target, thresholds: Floats, risk: float, delta: float, possible: int | None = None
) -> tuple[int | None, float]:
    """Return the place of the last threshold that passes, None if none does, and the bound of its risk.

    A threshold that passes has at most ``risk`` among the target rows. The bound is that of this threshold alone. The
    thresholds were fixed without labels. One run of tests starts at the first threshold that is likely to pass, a
    second at the one most likely to pass. Only the first ``possible`` thresholds may be taken; their number may depend
    on the data.
    """
    split = _SplitRows.of(target, delta)
    chosen = [split.bet(rows.confidence >= threshold, rows.is_correct, risk) for threshold in thresholds[::STEP]]
    expected = [log_e_value for _, log_e_value in chosen]
    surest = int(np.argmax(expected))
    is_likely = np.append(expected[:surest], np.inf) >= SURE * _needed_on_target(delta / 2)
    places = {STEP * int(np.argmax(is_likely)), STEP * surest}

    def passes(place: int, level: float, at_most: float = risk) -> bool:
        bet, _ = chosen[place // STEP]
        return split.passes(rows.confidence >= thresholds[place], rows.is_correct, at_most, bet, level)

    start_thresholds = StartThreshold.sharing(sorted(places), delta)
    count = len(thresholds) if possible is None else possible
    passed, level = last_passing_in_sequence(start_thresholds, count, passes)
    if passed is None:
        return None, 1.0
    bound = risk
    for lower in np.linspace(risk, 0, RISKS)[1:-1].tolist():
        if not passes(passed, level, lower):
            break
        bound = lower
    return passed, bound
