"""A promise about rows that come in another mix of classes than the calibration rows.

A weight W tells how many times as often a row comes as it does among the calibration rows. Let A be whether a row is
accepted, and L whether its prediction is wrong. At most r of the accepted rows are wrong exactly if Z = W·A·(L − r) has
a mean of at most 0. The test bets on that: the fortune, a product of 1 − ν·Z over all rows, has a mean of at most 1 if
the mean of Z is 0 or more, so it reaches 1/δ with a probability of at most δ (Markov's inequality; Waudby-Smith &
Ramdas, arXiv 2010.09686). The bet ν is chosen without looking at the rows that are bet on, except for the counts of the
classes under a mix. It is the one that bears the most errors at the coverage that a threshold was made for. Under a
mix, a few rows that are set aside tell how much of each class a threshold accepts, and how often that is wrong.

Under another mix of the classes, a row of class y has the weight q[y]·n / n[y]: q[y] is the share of the class to come,
and n[y] of the n rows are of it. The counts n[y] may vary: given them, the mean of the fortune is a product over all
rows, of 1 − ν·(the mean of Z in the row's class). By the inequality of arithmetic and geometric means it is at most 1
if the mean of Z over all rows is 0 or more, which is so where more than r of the accepted are wrong under the mix q.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from steepslope.errors import SteepslopeError, explained
from steepslope.files.folders import field
from steepslope.promise.exact_target import last_of_runs, last_passing_exact
from steepslope.promise.target import Target

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Bools = NDArray[np.bool_]
SIZES = np.geomspace(0.003, 0.99, 120)  # of bets, over the largest that cannot lose more than all
BORNE = 6  # errors that the first threshold has to bear (LOG.md)
EARLY = 0.5  # of the rows: a first threshold that accepts more bears fewer errors, if it has to
FURTHER = 2.0  # a start accepts so many times the rows of the one before it (LOG.md)
MOST_STARTS = 3
MULTIPLES = np.geomspace(1.05, 30, 48)  # of the rows, among which the least is found that would do
EDGE = 1e-12
LATEST = 30.0  # power of the coverage; a class that is accepted later is taken to be accepted so late
ASSUMED = 4.0  # average rows that each class gets beside its own that are set aside (LOG.md)


@dataclass(frozen=True)
class Stratum:
    """Rows of one class: how many there are, are accepted, and are accepted although they are wrong."""

    name: str
    weight: float
    rows: int
    accepted: int
    errors: int


@dataclass(frozen=True)
class Weighted:
    """What was counted in each stratum of the calibration rows, and the bet by which the threshold was tested.

    ``mix`` has the shares of the classes. If it was estimated, ``target`` is the number of rows without labels, and
    ``bound`` the bound of the risk; otherwise they are 0 and None.
    """

    strata: tuple[Stratum, ...]
    bet: float
    mix: Mapping[str, float]
    target: int = 0
    bound: float | None = None

    def _column(self, name: str) -> Floats:
        return np.array([getattr(one, name) for one in self.strata], dtype=np.float64)

    @property
    def coverage(self) -> float:
        """The fraction of weighted rows that is accepted, in [0, 1]."""
        weights = self._column("weight")
        return float(weights @ self._column("accepted") / (weights @ self._column("rows")))

    @property
    def risk(self) -> float:
        """The fraction of accepted weighted rows that is wrong, in [0, 1]; 0 of none."""
        weights = self._column("weight")
        accepted = float(weights @ self._column("accepted"))
        return float(weights @ self._column("errors")) / accepted if accepted else 0.0

    def risk_bound(self, delta: float) -> float:
        """Return the least risk that is excluded with confidence 1 − delta, by the same bet; 1 where none is."""
        if self.bound is not None:
            return self.bound

        def gain(risk: float) -> float:
            accepted, errors, weights = (self._column(name) for name in ("accepted", "errors", "weight"))
            return float(log_fortune(accepted, errors, weights, risk, self.bet)) + math.log(delta)

        return 1.0 if gain(1.0) < 0 else float(brentq(gain, 0.0, 1.0, xtol=EDGE)) + EDGE

    def as_json(self) -> dict[str, Any]:
        """Return what JSON holds of it: columns of the strata."""
        columns = {name: [getattr(one, name) for one in self.strata] for name in Stratum.__dataclass_fields__}
        return {"bet": self.bet, "mix": dict(self.mix), "target": self.target, "bound": self.bound, **columns}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], path: Path) -> Self:
        """Return what JSON holds."""
        columns = [field(content, name, list, path) for name in Stratum.__dataclass_fields__]
        bet, mix = float(field(content, "bet", (int, float), path)), field(content, "mix", dict, path)
        target, bound = field(content, "target", int, path), field(content, "bound", (int, float, type(None)), path)
        with explained("expected strata of the calibration rows, found something else", path, (TypeError, ValueError)):
            strata = tuple(
                Stratum(str(name), float(weight), *map(int, counts))
                for name, weight, *counts in zip(*columns, strict=True)
            )
        fits = strata and mix and all(0 <= one.errors <= one.accepted <= one.rows and one.weight >= 0 for one in strata)
        if not (fits and bet > 0 and bet * max(one.weight for one in strata) <= 1):
            raise SteepslopeError("expected strata of the calibration rows, found impossible numbers", path)
        if content.get("asymptotic"):  # of an earlier version: it may break more often than its certificate says
            raise SteepslopeError("expected an exact promise, found an asymptotic one: calibrate again", path)
        return cls(strata, bet, mix, target, bound)


@dataclass(frozen=True, eq=False)
class Outlook:
    """What bets assume about the rows of each weight, (s,) each. The promise holds even if that is wrong.

    ``fractions`` tell which part of all rows has each weight. A threshold that accepts a part c of all rows is assumed
    to accept c ** ``late`` of the rows of a weight. ``rates`` tell how often those accepted are wrong, up to a common
    factor.
    """

    fractions: Floats
    late: Floats
    rates: Floats

    @classmethod
    def alike(cls, fractions: Floats) -> Self:
        """Return the one in which rows of all weights are accepted, and wrong, equally often."""
        return cls(fractions, np.ones_like(fractions), np.ones_like(fractions))


@dataclass(frozen=True, eq=False)
class Weights:
    """The weight of each row, (n,): that of its stratum, by the place ``index`` (n,) among ``names`` and ``values``.

    ``target`` is what an estimated mix was estimated on.
    """

    names: tuple[str, ...]
    values: Floats
    index: Counts
    mix: Mapping[str, float]
    outlook: Outlook
    target: Target | None = None

    @classmethod
    def of_mix(cls, true_classes: NDArray[np.str_], mix: Mapping[str, float]) -> Self:
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
        values = shares * len(index) / counts
        return cls(tuple(names.tolist()), values, index, dict(mix), Outlook.alike(counts / len(index)))

    def learning(
        self, true_classes: NDArray[np.str_], confidence: Floats, is_correct: Bools, thresholds: Floats
    ) -> Self:
        """Return the weights of a mix, with the outlook that is estimated on rows (m,) that were set aside.

        Let U be the lowest coverage at which a row is accepted. If U is at most c with probability c ** a, then −log U
        is exponential with the rate a (Lehmann, 1953). That rate is estimated for each class.
        """
        known = np.isin(true_classes, self.names)
        index, count = np.searchsorted(self.names, true_classes[known]), len(self.names)
        first = np.searchsorted(-thresholds, -confidence[known]).clip(max=len(thresholds) - 1)
        rows = np.bincount(index, minlength=count) + ASSUMED
        late = rows / (np.bincount(index, -np.log((first + 1) / len(thresholds)), count) + ASSUMED)
        is_wrong = ~is_correct[known]
        usual = (is_wrong.sum() + 1) / (len(index) + 2)
        rates = (np.bincount(index, is_wrong, count) + ASSUMED * usual) / rows
        return replace(self, outlook=replace(self.outlook, late=late.clip(max=LATEST), rates=rates))

    @property
    def of_rows(self) -> Floats:
        """The weight of each row, (n,)."""
        return self.values[self.index]

    def thinned(self, seed: int) -> Counts:
        """Return rows that are drawn as those to come: each is kept in proportion to its weight, or not."""
        draws = np.random.default_rng(seed).random(len(self.index))
        return np.flatnonzero(draws * self.values.max() < self.of_rows)

    def resampled(self, seed: int) -> Counts:
        """Return n rows that are drawn again in proportion to their weights, to learn from all of them."""
        n = len(self.index)
        return np.sort(np.random.default_rng(seed).choice(n, n, p=self.of_rows / self.of_rows.sum()))


def log_fortune(
    accepted: Floats | Counts, errors: Floats | Counts, weights: Floats, risk: float, bet: ArrayLike
) -> Floats:
    """Return the logarithms of fortunes, (…), by how many rows of strata are accepted, (…, s), and of these wrong.

    The weights are (s,), the bets (…).
    """
    stakes = np.multiply.outer(np.asarray(bet), weights)
    right = (accepted - errors) * np.log1p(stakes * risk)
    return np.asarray((right + errors * np.log1p(-stakes * (1 - risk))).sum(axis=-1))


def bets(weights: Weights, count: int, risk: float, level: float, times: float = 1.0) -> tuple[Floats, Floats]:
    """Return for each of so many thresholds the bet that bears the most errors, and how many it bears, (t,).

    The thresholds are at even steps of coverage, up to all rows. It is of so many ``times`` the rows.
    """
    outlook = weights.outlook
    sizes, coverage = SIZES / weights.values.max(), (np.arange(count) + 1) / count
    accepted = outlook.fractions * coverage[:, None] ** outlook.late
    wrong = accepted * outlook.rates
    wrong /= wrong.sum(axis=1, keepdims=True)
    gain = np.log1p(np.outer(weights.values, sizes) * risk)
    loss = gain - np.log1p(-np.outer(weights.values, sizes) * (1 - risk))
    borne = (times * len(weights.index) * accepted @ gain + math.log(level)) / (wrong @ loss)
    best = borne.argmax(axis=1)
    return sizes[best], borne.max(axis=1)


def starts(borne: Floats) -> list[int]:
    """Return where tests begin, places in the sequence, by how many errors each threshold bears, (t,).

    The first one bears six errors, or fewer where that would be more than half of all rows; each further one accepts
    twice as many rows. There are at most three, none beyond half of the rows but for the first, and none at all where
    no threshold would pass even if all were right.
    """
    bearing = [np.flatnonzero(borne >= errors) for errors in range(BORNE, -1, -1)]
    early = [int(places[0]) for places in bearing if len(places) and places[0] < EARLY * len(borne)]
    places = [early[0]] if early else [int(places[0]) for places in bearing[-1:] if len(places)]
    most = EARLY * len(borne)  # later ones cost more than they gain (LOG.md)
    while places and len(places) < MOST_STARTS and (further := int(FURTHER * (places[-1] + 1))) < most:
        places.append(further)
    return places


def last_passing(
    confidence: Floats, is_correct: Bools, weights: Weights, thresholds: Floats, risk: float, delta: float
) -> tuple[int | None, Weighted]:
    """Return the last threshold of the sequence that passes, None if none does, and what was counted above it."""
    accepted, errors = counted_above(confidence, is_correct, weights, thresholds)
    bet, bound, target = EDGE, None, weights.target
    if target is None:
        passed, bet = passing(accepted, errors, weights, risk, delta)
    else:
        passed, bound = last_passing_exact(confidence, is_correct, target, thresholds, risk, delta)
    rows = np.bincount(weights.index, minlength=len(weights.names))
    above = [np.zeros_like(rows)] * 2 if passed is None else [accepted[passed], errors[passed]]
    strata = zip(weights.names, weights.values.tolist(), *(one.tolist() for one in (rows, *above)), strict=True)
    estimated = (0, None) if target is None else (len(target.coming), bound)
    return passed, Weighted(tuple(Stratum(*one) for one in strata), bet, weights.mix, *estimated)


def passing(
    accepted: Counts, errors: Counts, weights: Weights, risk: float, delta: float, times: float = 1.0
) -> tuple[int | None, float]:
    """Return the last threshold that passes, None if none does, and its bet.

    ``accepted`` and ``errors`` (t, s) are counted above the thresholds; of so many ``times`` the rows, it is what would
    pass if all counts were so many times as high. There is one bet for each threshold, the best at the lowest level, so
    that what passes at a level passes at a higher one.
    """
    sizes, borne = bets(weights, len(accepted), risk, delta / MOST_STARTS, times)
    fortunes = times * log_fortune(accepted, errors, weights.values, risk, sizes)
    passed, _ = last_of_runs(starts(borne), len(accepted), delta, lambda at, level: fortunes[at] >= -math.log(level))
    return passed, EDGE if passed is None else float(sizes[passed])


def rows_to_add(
    confidence: Floats, is_correct: Bools, weights: Weights, thresholds: Floats, risk: float, delta: float
) -> int | None:
    """Return how many more rows make a promise, if as many of them are wrong; None if it takes more than 30 times."""
    counts = counted_above(confidence, is_correct, weights, thresholds)
    for times in map(float, MULTIPLES):
        if passing(*counts, weights, risk, delta, times)[0] is not None:
            return math.ceil((times - 1) * len(confidence))
    return None


def counted_above(confidence: Floats, is_correct: Bools, weights: Weights, thresholds: Floats) -> tuple[Counts, Counts]:
    """Return how many rows of each stratum each threshold accepts, and how many of these are wrong, (t, s) each."""
    order = np.argsort(-confidence, kind="stable")
    ends = np.searchsorted(-confidence[order], -thresholds, side="right")
    shape = len(thresholds), len(weights.names)
    accepted, errors = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for place, rows in enumerate(np.split(order, ends)[:-1]):
        wrong = rows[~is_correct[rows]]
        for counts, some in ((accepted, rows), (errors, wrong)):
            counts[place] = np.bincount(weights.index[some], minlength=shape[1])
    return accepted.cumsum(axis=0), errors.cumsum(axis=0)
