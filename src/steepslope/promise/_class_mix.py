"""A promise about target rows whose class mix differs from that of the calibration rows (label shift).

Each class y has a share q[y] among the target rows, and n[y] of the n calibration rows. A calibration row of class y
gets the weight W = q[y]·n / n[y]: it counts as W target rows. Let A be 1 for an accepted row and else 0, and L 1
for a wrong prediction and else 0. At most a fraction r of the accepted target rows are wrong exactly if the mean of
Z = W·A·(L − r) is at most 0.

The test bets on that. The e-value is the product of 1 − ν·Z over all rows. If the mean of Z is 0 or more, the e-value
has a mean of at most 1, so it reaches 1/δ with a probability of at most δ (Markov's inequality; Waudby-Smith & Ramdas,
arXiv 2010.09686). This also holds given the counts n[y]: the mean of the e-value is then a product over all rows, of
1 − ν·(the mean of Z in the row's class). By the inequality of arithmetic and geometric means it is at most 1.

The bet ν is chosen without the rows that are bet on, except for the counts of the classes. It is the bet that passes
with the most errors at the coverage that a threshold is made for. A few rows that are set aside tell how much of each
class a threshold accepts, and how often these are wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from steepslope.errors import SteepslopeError
from steepslope.numerics import Counts, Floats
from steepslope.promise._certificate import (
    EDGE,
    EXACT,
    NOTHING,
    Certificate,
    Weighted,
    as_percent,
    log_e_value_of_strata,
)
from steepslope.promise._rows import LabelledRows, Names
from steepslope.promise._sequence import FixedSequence, StartThreshold
from steepslope.promise._target import Target, last_passing_on_target

SIZES = np.geomspace(0.003, 0.99, 120)  # bets, as parts of the largest that cannot lose more than everything
BORNE = 6  # errors with which the first start threshold has to pass: with three, one error of a rare class ends all
_EARLY = 0.5  # share of the rows; a first start threshold beyond it may pass with fewer errors
FURTHER = 2.0  # the ratio of the rows that successive start thresholds accept
_MOST_START_THRESHOLDS = 3  # those beyond half of the rows cost more than they gain
MULTIPLES = np.geomspace(1.05, 30, 48)  # of the rows, that are tried for advice
_LATEST = 30.0  # the largest power of the coverage at which a class is assumed to be accepted
_ASSUMED = 4.0  # average rows that are added to those of each class that were set aside; 1 to 16 are as good


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of calibration rows (n,) for a class ``mix``.

    A row's weight is that of its class: ``index`` (n,) is the class's place among ``names`` and ``values`` (s,).
    ``late`` and ``rates`` (s,) are what bets assume about the classes; the promise holds even if they are wrong. A
    threshold that accepts a fraction c of all rows is assumed to accept c ** ``late`` of a class. ``rates`` are
    proportional to the error rates of the accepted. ``target`` has the target rows if the mix was estimated.
    """

    names: tuple[str, ...]
    values: Floats
    index: Counts
    mix: Mapping[str, float]
    late: Floats
    rates: Floats
    target: Target | None = None

    @classmethod
    def of_mix(cls, true_classes: Names, mix: Mapping[str, float], target: Target | None = None) -> Self:
        """Return the weights that give rows (n,), whose classes are known, the shares of a mix.

        Classes that the mix does not name have no share.

        >>> Weights.of_mix(np.array(["a", "a", "a", "b"]), {"a": 0.5, "b": 0.5}).of_rows.round(2)
        array([0.67, 0.67, 0.67, 2.  ])
        """
        names, index, counts = np.unique(true_classes, return_inverse=True, return_counts=True)
        shares = np.array([mix.get(str(name), 0.0) for name in names])
        known = {*names.tolist()}
        for name, share in mix.items():
            if share > 0 and name not in known:
                expected = f"expected calibration rows of each class that has a share, found none of {name}"
                raise SteepslopeError(expected, "class_mix")
        values = shares * len(index) / counts
        alike = np.ones(len(names))
        return cls(tuple(names.tolist()), values, index, dict(mix), alike, alike, target)

    def learning(self, rows: LabelledRows, thresholds: Floats) -> Self:
        """Return the same weights, with the bets' assumptions estimated on rows (m,) that were set aside.

        Let U be the lowest coverage at which a row is accepted. If U is at most c with probability c ** a, then −log U
        is exponential with the rate a (Lehmann, 1953). This rate is estimated for each class.
        """
        rows = rows.subset(np.isin(rows.require_true_classes(), self.names))
        count = len(self.names)
        index = np.searchsorted(self.names, rows.require_true_classes())
        first = np.searchsorted(-thresholds, -rows.confidence).clip(max=len(thresholds) - 1)
        of_class = np.bincount(index, minlength=count) + _ASSUMED
        lowest_coverage = (first + 1) / len(thresholds)
        late = of_class / (np.bincount(index, -np.log(lowest_coverage), count) + _ASSUMED)
        is_wrong = ~rows.is_correct
        usual = (is_wrong.sum() + 1) / (len(index) + 2)
        rates = (np.bincount(index, is_wrong, count) + _ASSUMED * usual) / of_class
        return replace(self, late=late.clip(max=_LATEST), rates=rates)

    @property
    def of_rows(self) -> Floats:
        """The weight of each row, (n,)."""
        return self.values[self.index]

    def thinned(self, seed: int) -> Counts:
        """Return the numbers of rows that are drawn as target rows: each is kept in proportion to its weight."""
        draws = np.random.default_rng(seed).random(len(self.index))
        return np.flatnonzero(draws * self.values.max() < self.of_rows)

    def resampled(self, seed: int) -> Counts:
        """Return the numbers of n rows, drawn with replacement in proportion to their weights."""
        n = len(self.index)
        return np.sort(np.random.default_rng(seed).choice(n, n, p=self.of_rows / self.of_rows.sum()))

    def counted_above(self, rows: LabelledRows, thresholds: Floats) -> tuple[Counts, Counts]:
        """Return how many rows of each class each threshold accepts, and how many of these are wrong, (t, s) each."""
        first = np.searchsorted(-thresholds, -rows.confidence)  # the first threshold that accepts a row
        accepted = np.zeros((len(thresholds) + 1, len(self.names)), dtype=np.int64)
        errors = np.zeros_like(accepted)
        np.add.at(accepted, (first, self.index), 1)
        np.add.at(errors, (first, self.index), ~rows.is_correct)
        return accepted[:-1].cumsum(axis=0), errors[:-1].cumsum(axis=0)


def _class_mix_bets(
    weights: Weights, count: int, risk: float, level: float, times: float = 1.0
) -> tuple[Floats, Floats]:
    """Return the best bet for each of t thresholds, and with how many errors it passes at a level, float64 (t,) each.

    The thresholds are at even steps of coverage, up to all rows. The rows are assumed to be ``times`` as many.
    """
    fractions = np.bincount(weights.index) / len(weights.index)
    sizes = SIZES / weights.values.max()
    coverage = (np.arange(count) + 1) / count
    accepted = fractions * coverage[:, None] ** weights.late
    wrong = accepted * weights.rates
    wrong /= wrong.sum(axis=1, keepdims=True)
    stakes = np.outer(weights.values, sizes)
    gain = np.log1p(stakes * risk)
    loss = gain - np.log1p(-stakes * (1 - risk))
    borne = (times * len(weights.index) * accepted @ gain + math.log(level)) / (wrong @ loss)
    best = borne.argmax(axis=1)
    return sizes[best], borne.max(axis=1)


def _class_mix_start_thresholds(borne: Floats, delta: float) -> list[StartThreshold]:
    """Return the start thresholds, which share delta, given with how many errors each threshold passes, (t,).

    The first one passes with six errors, or with fewer if it would accept more than half of the rows. Each further one
    accepts twice as many rows. There are at most three, and only the first may accept more than half of the rows. There
    is none if no threshold passes even without errors.
    """
    early = _EARLY * len(borne)
    places: list[int] = []
    for errors in range(BORNE, -1, -1):
        bearing = np.flatnonzero(borne >= errors)
        if len(bearing) and (bearing[0] < early or errors == 0):
            places.append(int(bearing[0]))
            break
    while places and len(places) < _MOST_START_THRESHOLDS:
        further = int(FURTHER * (places[-1] + 1))
        if further >= early:
            break
        places.append(further)
    return StartThreshold.sharing(places, delta)


@dataclass(frozen=True, eq=False)
class _MixCounts:
    """How many rows of each class each threshold accepts, and how many of these are wrong, (t, s) each.

    ``weights`` are those of the rows; ``risk`` and ``delta`` are to be promised.
    """

    accepted: Counts
    errors: Counts
    weights: Weights
    risk: float
    delta: float

    def last_passing(self, times: float = 1.0) -> tuple[int | None, float]:
        """Return the place of the last threshold that passes, None if none does, and its bet.

        All counts are multiplied by ``times``. Each threshold has one bet, the best at the lowest level, so a threshold
        that passes at a level passes at any higher one.
        """
        count = len(self.accepted)
        level = self.delta / _MOST_START_THRESHOLDS
        sizes, borne = _class_mix_bets(self.weights, count, self.risk, level, times)
        values = self.weights.values
        log_e_values = times * log_e_value_of_strata(self.accepted, self.errors, values, self.risk, sizes)
        p_values = np.exp(-log_e_values.clip(min=0))  # by Markov's inequality
        passed = FixedSequence(_class_mix_start_thresholds(borne, self.delta), p_values).last_passing()
        return passed, EDGE if passed is None else float(sizes[passed])

    def sample_size(self) -> str:
        """Return why nothing can be promised, and how many more rows would do, as far as these rows tell."""
        weights = self.weights
        n = len(weights.index)
        largest = int(weights.values.argmax())
        of_largest = np.bincount(weights.index)[largest]
        promise = f"{as_percent(self.risk, EXACT)} at delta {self.delta:g}"
        few = f"among the most trusted of {n:,} rows too many are wrong, or rows are too few, for {promise}"
        counts = f"counts {weights.values[largest]:.3g} times"
        advice = f"even {MULTIPLES[-1]:g} times as many rows like these would not do"
        if weights.target is not None:
            advice = "an estimated mix takes some hundreds of rows of each class, a named one (class_mix) fewer"
        else:
            for times in MULTIPLES.tolist():
                if self.last_passing(times)[0] is not None:
                    more = f"about {math.ceil((times - 1) * n):,} more rows like these"
                    advice = f"{more} would do if as many of them are wrong, fewer if more are of that kind"
                    break
        return f"{few}; each of the {of_largest:,} rows of {weights.names[largest]} {counts}; {advice}"


def certify_class_mix(
    rows: LabelledRows, weights: Weights, thresholds: Floats, max_risk: float, delta: float
) -> Certificate:
    """Return the certificate of the lowest threshold that keeps the risk to ``max_risk``, for rows (n,) with weights.

    >>> places = np.arange(3000)
    >>> weights = Weights.of_mix(np.where(places % 3 < 1, "a", "b"), {"a": 0.5, "b": 0.5})
    >>> rows = LabelledRows.of(-places / 3000, places % 10 * (places > 1500) < 9)
    >>> promise = certify_class_mix(rows, weights, -np.linspace(0, 1, 51), 0.02, 0.05)
    >>> promise.threshold, round(promise.coverage, 3), round(promise.risk_bound, 4)
    (-0.56, 0.56, 0.0189)
    """
    counts = _MixCounts(*weights.counted_above(rows, thresholds), weights, max_risk, delta)
    n = len(rows)
    m = 0
    bet = EDGE
    bound = None
    if weights.target is None:
        place, bet = counts.last_passing()
    else:
        m = len(weights.target.on_target)
        place, bound = last_passing_on_target(rows, weights.target, thresholds, max_risk, delta)
    accepted = np.zeros(len(weights.names), np.int64)
    errors = accepted
    threshold = NOTHING
    advice = ""
    if place is None:
        advice = counts.sample_size()
    else:
        accepted = counts.accepted[place]
        errors = counts.errors[place]
        threshold = float(thresholds[_highest_alike(rows, thresholds, place)])
    columns = [tuple(column.tolist()) for column in (weights.values, np.bincount(weights.index), accepted, errors)]
    weighted = Weighted(bet, weights.mix, m, bound, weights.names, *columns)
    total = int(accepted.sum())
    wrong = int(errors.sum())
    return Certificate("risk", threshold, n, total, wrong, delta, max_risk, None, advice, weighted=weighted)


def _highest_alike(rows: LabelledRows, thresholds: Floats, place: int) -> int:
    """Return the place of the highest threshold that accepts the same rows, if the sequence ends above −∞."""
    if thresholds[-1] == -math.inf:
        return place
    lowest = rows.confidence.min(where=rows.confidence >= thresholds[place], initial=NOTHING)
    return int((lowest < thresholds).sum())
