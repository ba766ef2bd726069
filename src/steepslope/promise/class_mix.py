"""A promise about target rows that come in another mix of classes than the calibration rows.

A weight W tells how many times as often a row comes as it does among the calibration rows. Let A be whether a row is
accepted, and L whether its prediction is wrong. At most r of the accepted rows are wrong exactly if Z = W·A·(L − r) has
a mean of at most 0. The test bets on that: the e-value, a product of 1 − ν·Z over all rows, has a mean of at most 1 if
the mean of Z is 0 or more, so it reaches 1/δ with a probability of at most δ (Markov's inequality; Waudby-Smith &
Ramdas, arXiv 2010.09686). The bet ν is chosen without looking at the rows that are bet on, except for the counts of the
classes under a mix. It is the one that bears the most errors at the coverage that a threshold was made for. Under a
mix, a few rows that are set aside tell how much of each class a threshold accepts, and how often that is wrong.

Under another mix of the classes, a row of class y has the weight q[y]·n / n[y]: q[y] is the share of the class among
target rows, and n[y] of the n rows are of it. The counts n[y] may vary: given them, the mean of the e-value is a
product over all rows, of 1 − ν·(the mean of Z in the row's class). By the inequality of arithmetic and geometric means
it is at most 1 if the mean of Z over all rows is 0 or more, which is so where more than r of the accepted are wrong
under the mix q.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.promise.certificate import (
    EDGE,
    EXACT,
    NOTHING,
    Certificate,
    Weighted,
    as_percent,
    log_e_value_of_strata,
)
from steepslope.promise.rows import LabelledRows
from steepslope.promise.sequence import StartThreshold, last_passing_in_sequence, passes_by_p_value
from steepslope.promise.target import Target, last_passing_on_target

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
SIZES = np.geomspace(0.003, 0.99, 120)  # of bets, over the largest that cannot lose more than all
BORNE = 6  # errors that the first start threshold has to bear (LOG.md)
EARLY = 0.5  # of the rows: a first start threshold that accepts more bears fewer errors, if it has to
FURTHER = 2.0  # a start threshold accepts so many times the rows of the one before it (LOG.md)
MOST_START_THRESHOLDS = 3
MULTIPLES = np.geomspace(1.05, 30, 48)  # of the rows, among which the least is found that would do
LATEST = 30.0  # power of the coverage; a class that is accepted later is taken to be accepted so late
ASSUMED = 4.0  # average rows that each class gets next to its own that are set aside (LOG.md)


@dataclass(frozen=True, eq=False)
class Weights:
    """The weight of each row, (n,): that of its stratum, by the place ``index`` (n,) among ``names`` and ``values``.

    ``late`` and ``rates`` (s,) are what bets assume of the strata; the promise holds even if that is wrong. A threshold
    that accepts a part c of all rows is assumed to accept c ** ``late`` of the rows of a stratum, and ``rates`` tell
    how often these are wrong, up to a common factor. ``target`` is what an estimated mix was estimated on.
    """

    names: tuple[str, ...]
    values: Floats
    index: Counts
    mix: Mapping[str, float]
    late: Floats
    rates: Floats
    target: Target | None = None

    @classmethod
    def of_mix(cls, true_classes: NDArray[np.str_], mix: Mapping[str, float], target: Target | None = None) -> Self:
        """Return the weights that make rows of known classes (n,) as frequent as a mix, shares by class, wants them.

        Classes that the mix does not name have no share.

        >>> Weights.of_mix(np.array(["a", "a", "a", "b"]), {"a": 0.5, "b": 0.5}).of_rows.round(2)
        array([0.67, 0.67, 0.67, 2.  ])
        """
        names, index, counts = np.unique(true_classes, return_inverse=True, return_counts=True)
        shares = np.array([mix.get(str(name), 0.0) for name in names])
        lacking = [name for name, share in mix.items() if share > 0 and name not in {*names.tolist()}]
        if lacking:
            expected = f"expected calibration rows of each class that has a share, found none of {lacking[0]}"
            raise SteepslopeError(expected, "class_mix")
        values, alike = shares * len(index) / counts, np.ones(len(names))
        return cls(tuple(names.tolist()), values, index, dict(mix), alike, alike, target)

    def learning(self, rows: LabelledRows, thresholds: Floats) -> Self:
        """Return the same weights, with what bets assume estimated on rows (m,) that were set aside.

        Let U be the lowest coverage at which a row is accepted. If U is at most c with probability c ** a, then −log U
        is exponential with the rate a (Lehmann, 1953). That rate is estimated for each class.
        """
        rows = rows.subset(np.isin(rows.require_true_classes(), self.names))
        index, count = np.searchsorted(self.names, rows.require_true_classes()), len(self.names)
        first = np.searchsorted(-thresholds, -rows.confidence).clip(max=len(thresholds) - 1)
        of_class = np.bincount(index, minlength=count) + ASSUMED
        late = of_class / (np.bincount(index, -np.log((first + 1) / len(thresholds)), count) + ASSUMED)
        is_wrong = ~rows.is_correct
        usual = (is_wrong.sum() + 1) / (len(index) + 2)
        rates = (np.bincount(index, is_wrong, count) + ASSUMED * usual) / of_class
        return replace(self, late=late.clip(max=LATEST), rates=rates)

    @property
    def of_rows(self) -> Floats:
        """The weight of each row, (n,)."""
        return self.values[self.index]

    def thinned(self, seed: int) -> Counts:
        """Return rows that are drawn like target rows: each is kept in proportion to its weight, or not."""
        draws = np.random.default_rng(seed).random(len(self.index))
        return np.flatnonzero(draws * self.values.max() < self.of_rows)

    def resampled(self, seed: int) -> Counts:
        """Return n rows that are drawn again in proportion to their weights, to learn from all of them."""
        n = len(self.index)
        return np.sort(np.random.default_rng(seed).choice(n, n, p=self.of_rows / self.of_rows.sum()))

    def counted_above(self, rows: LabelledRows, thresholds: Floats) -> tuple[Counts, Counts]:
        """Return how many rows of each stratum each threshold accepts, and how many of these are wrong, (t, s) each."""
        first = np.searchsorted(-thresholds, -rows.confidence)  # the threshold from which on a row is accepted
        shape = len(thresholds) + 1, len(self.names)
        accepted, errors = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        np.add.at(accepted, (first, self.index), 1)
        np.add.at(errors, (first, self.index), ~rows.is_correct)
        return accepted[:-1].cumsum(axis=0), errors[:-1].cumsum(axis=0)


def class_mix_bets(
    weights: Weights, count: int, risk: float, level: float, times: float = 1.0
) -> tuple[Floats, Floats]:
    """Return for each of so many thresholds the bet that bears the most errors, and how many it bears, (t,).

    The thresholds are at even steps of coverage, up to all rows. It is of so many ``times`` the rows.
    """
    fractions = np.bincount(weights.index) / len(weights.index)
    sizes, coverage = SIZES / weights.values.max(), (np.arange(count) + 1) / count
    accepted = fractions * coverage[:, None] ** weights.late
    wrong = accepted * weights.rates
    wrong /= wrong.sum(axis=1, keepdims=True)
    gain = np.log1p(np.outer(weights.values, sizes) * risk)
    loss = gain - np.log1p(-np.outer(weights.values, sizes) * (1 - risk))
    borne = (times * len(weights.index) * accepted @ gain + math.log(level)) / (wrong @ loss)
    best = borne.argmax(axis=1)
    return sizes[best], borne.max(axis=1)


def class_mix_start_thresholds(borne: Floats, delta: float) -> list[StartThreshold]:
    """Return where tests start, by how many errors each threshold bears, (t,); they share delta.

    The first one bears six errors, or fewer where that would be more than half of all rows; each further one accepts
    twice as many rows. There are at most three, none beyond half of the rows but for the first, and none at all where
    no threshold would pass even if all were right.
    """
    bearing = [np.flatnonzero(borne >= errors) for errors in range(BORNE, -1, -1)]
    early = [int(places[0]) for places in bearing if len(places) and places[0] < EARLY * len(borne)]
    places = [early[0]] if early else [int(places[0]) for places in bearing[-1:] if len(places)]
    most = EARLY * len(borne)  # later ones cost more than they gain (LOG.md)
    while places and len(places) < MOST_START_THRESHOLDS and (further := int(FURTHER * (places[-1] + 1))) < most:
        places.append(further)
    return StartThreshold.sharing(places, delta)


@dataclass(frozen=True, eq=False)
class MixCounts:
    """How many rows of each stratum each threshold accepts, and how many of these are wrong, (t, s) each.

    ``weights`` are those of the rows; ``risk`` and ``delta`` what is to be promised.
    """

    accepted: Counts
    errors: Counts
    weights: Weights
    risk: float
    delta: float

    def last_passing(self, times: float = 1.0) -> tuple[int | None, float]:
        """Return the last threshold that passes, None if none does, and its bet.

        It is what would pass if all counts were so many ``times`` as high. There is one bet for each threshold, the
        best at the lowest level, so that what passes at a level passes at a higher one.
        """
        count, level = len(self.accepted), self.delta / MOST_START_THRESHOLDS
        sizes, borne = class_mix_bets(self.weights, count, self.risk, level, times)
        values = self.weights.values
        log_e_values = times * log_e_value_of_strata(self.accepted, self.errors, values, self.risk, sizes)
        passes = passes_by_p_value(np.exp(-log_e_values.clip(min=0)))  # by Markov's inequality
        passed, _ = last_passing_in_sequence(class_mix_start_thresholds(borne, self.delta), count, passes)
        return passed, EDGE if passed is None else float(sizes[passed])

    def rows_to_add(self) -> int | None:
        """Return how many more rows make a promise, if as many of them are wrong; None for more than 30 times."""
        times = next((times for times in MULTIPLES.tolist() if self.last_passing(times)[0] is not None), None)
        return None if times is None else math.ceil((times - 1) * len(self.weights.index))

    def sample_size(self) -> str:
        """Return why nothing can be promised, and how many more rows would do, as far as these rows tell."""
        weights = self.weights
        n, largest = len(weights.index), int(weights.values.argmax())
        of_largest = np.bincount(weights.index)[largest]
        promise = f"{as_percent(self.risk, EXACT)} at delta {self.delta:g}"
        parts = [
            f"among the most trusted of {n:,} rows too many are wrong, or rows are too few, for {promise}",
            f"each of the {of_largest:,} rows of {weights.names[largest]} counts {weights.values[largest]:.3g} times",
        ]
        if weights.target is not None:
            parts.append("an estimated mix takes some hundreds of rows of each class, a named one (class_mix) fewer")
        elif more := self.rows_to_add():
            enough = f"about {more:,} more rows like these would do if as many of them are wrong"
            parts.append(f"{enough}, fewer if more are of that kind")
        else:
            parts.append("from so few rows, the number needed cannot be estimated")
        return "; ".join(parts)


def certify_class_mix(
    rows: LabelledRows, weights: Weights, thresholds: Floats, max_risk: float, delta: float
) -> Certificate:
    """Return the certificate of the lowest threshold that keeps the risk to ``max_risk`` where rows (n,) have weights.

    >>> places = np.arange(3000)
    >>> weights = Weights.of_mix(np.where(places % 3 < 1, "a", "b"), {"a": 0.5, "b": 0.5})
    >>> rows = LabelledRows.of(-places / 3000, places % 10 * (places > 1500) < 9)
    >>> found = certify_class_mix(rows, weights, -np.linspace(0, 1, 51), 0.02, 0.05)
    >>> found.threshold, round(found.coverage, 3), round(found.risk_bound, 4)
    (-0.56, 0.56, 0.0189)
    """
    accepted, errors = weights.counted_above(rows, thresholds)
    counts = MixCounts(accepted, errors, weights, max_risk, delta)
    n, m, bet, bound = len(rows), 0, EDGE, None
    if weights.target is None:
        place, bet = counts.last_passing()
    else:
        m = len(weights.target.on_target)
        place, bound = last_passing_on_target(rows, weights.target, thresholds, max_risk, delta)
    nothing = np.zeros(len(weights.names), dtype=np.int64)
    above = (nothing, nothing) if place is None else (accepted[place], errors[place])
    columns = [tuple(column.tolist()) for column in (weights.values, np.bincount(weights.index), *above)]
    weighted = Weighted(bet, weights.mix, m, bound, weights.names, *columns)
    if place is None:
        return Certificate("risk", NOTHING, n, 0, 0, delta, max_risk, None, counts.sample_size(), weighted=weighted)
    if thresholds[-1] > -math.inf:  # the highest that accepts the same rows
        lowest = rows.confidence.min(where=rows.confidence >= thresholds[place], initial=NOTHING)
        place = int((lowest < thresholds).sum())
    total, wrong = (int(column.sum()) for column in above)
    return Certificate("risk", float(thresholds[place]), n, total, wrong, delta, max_risk, weighted=weighted)
