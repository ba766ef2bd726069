"""Every metric of a table with a percentile interval from resampled rows, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike

from steepslope.checks import SEED, require
from steepslope.errors import SteepslopeError, UndefinedMetricError
from steepslope.metrics import measures
from steepslope.metrics.curves import Floats, RankedRows, Ranking, rank_rows
from steepslope.metrics.measures import Measure


class Estimate(TypedDict):
    """A value and its interval; NaN where undefined or not asked for."""

    value: float
    low: float
    high: float


class Difference(Estimate):
    """A paired difference, its interval, and the two-sided p of no difference."""

    p: float


def measures_at(positive_threshold: float, negative_threshold: float) -> dict[str, Measure]:
    """Return the metrics of a table by their names in ``metrics.json``.

    A NaN threshold makes TPR or TNR undefined: such a score only ranks.
    """
    return {
        "accuracy": measures.accuracy_of,
        "auc": measures.auroc_of,
        "fpr_at_95tpr": partial(measures.fpr_at_tpr_of, tpr=0.95),
        "aupr_error": measures.aupr_error_of,
        "aupr_success": measures.aupr_success_of,
        "tpr": partial(measures.tpr_of, threshold=positive_threshold),
        "tnr": partial(measures.tnr_of, threshold=negative_threshold),
        "aurc": measures.aurc_of,
        "augrc": measures.augrc_of,
        "e_aurc": measures.e_aurc_of,
    }


def evaluate(
    confidence: ArrayLike,
    is_correct: ArrayLike,
    *,
    positive_threshold: float = 0.5,
    negative_threshold: float = 0.5,
    bootstrap: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Return every metric of a table as ``{"value", "low", "high"}``.

    Rows are resampled ``bootstrap`` times with replacement; the interval holds the central ``level`` of the
    resamples in which the metric is defined. Without errors, or without correct predictions, the metrics that
    compare the two are NaN. The same seed gives the same intervals.

    >>> table = evaluate([0.9, 0.8, 0.3, 0.6], [True, True, False, False], bootstrap=200)
    >>> table["auc"]["value"], table["tnr"]["value"]
    (1.0, 0.5)
    """
    table = measures_at(positive_threshold, negative_threshold)
    return resample(rank_rows(confidence, is_correct), table, bootstrap, seed).estimates(level)


def compare(
    confidence_a: ArrayLike,
    confidence_b: ArrayLike,
    is_correct: ArrayLike,
    *,
    thresholds_a: tuple[float, float] = (0.5, 0.5),
    thresholds_b: tuple[float, float] = (0.5, 0.5),
    bootstrap: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Difference]:
    """Return each metric of A minus that of B, both on the same resamples of the rows.

    ``thresholds_a`` and ``thresholds_b`` are (positive, negative). p is two-sided: twice the smaller share of
    resamples on one side of zero (ties count half), with one added so that it is never 0.
    """
    a = resample(rank_rows(confidence_a, is_correct), measures_at(*thresholds_a), bootstrap, seed)
    b = resample(rank_rows(confidence_b, is_correct), measures_at(*thresholds_b), bootstrap, seed)
    return a.minus(b, level)


@dataclass(frozen=True, eq=False)
class Resampled:
    """Every measure on all rows, and on each resample of them, (bootstrap,).

    ``lacking`` is the number of resamples without an error, or without a correct prediction.
    """

    values: dict[str, float]
    replicates: dict[str, Floats]
    lacking: int

    def estimates(self, level: float = 0.95) -> dict[str, Estimate]:
        """Return values with percentile intervals."""
        return {name: _estimate(value, self.replicates[name], level) for name, value in self.values.items()}

    def minus(self, other: Resampled, level: float = 0.95) -> dict[str, Difference]:
        """Return paired differences; both must come from the same rows, number of resamples and seed."""
        return {name: self._difference(other, name, level) for name in self.values}

    def _difference(self, other: Resampled, name: str, level: float) -> Difference:
        shifts = self.replicates[name] - other.replicates[name]
        estimate = _estimate(self.values[name] - other.values[name], shifts, level)
        return Difference(**estimate, p=_two_sided_p(shifts))


def resample(rows: RankedRows, table: Mapping[str, Measure], bootstrap: int, seed: int) -> Resampled:
    """Compute every measure of the table on the rows and on ``bootstrap`` resamples of them.

    Ranked rows of equal length that get the same number of resamples and seed get the same resamples.
    """
    require("seed", seed, SEED)
    if not isinstance(bootstrap, int) or bootstrap < 0:
        raise SteepslopeError(f"bootstrap: expected a number of replicates >= 0, found {bootstrap}")
    generator = np.random.default_rng(seed)
    n, lacking, drawn = len(rows.place), 0, []
    for _ in range(bootstrap):
        ranking = rows.ranking(generator.integers(n, size=n))
        lacking += ranking.n_correct in (0, n)
        drawn.append(measure(ranking, table))
    replicates = {name: np.array([values[name] for values in drawn]) for name in table}
    return Resampled(measure(rows.ranking(), table), replicates, lacking)


def measure(ranking: Ranking, table: Mapping[str, Measure]) -> dict[str, float]:
    """Return each metric, NaN where it is undefined."""
    return {name: _or_nan(function, ranking) for name, function in table.items()}


def _or_nan(function: Measure, ranking: Ranking) -> float:
    try:
        return function(ranking)
    except UndefinedMetricError:
        return math.nan


def _estimate(value: float, replicates: Floats, level: float) -> Estimate:
    if not 0 < level < 1:
        raise SteepslopeError(f"level: expected a share in (0, 1), found {level}")
    defined = replicates[~np.isnan(replicates)]
    if len(defined) == 0 or math.isnan(value):
        return Estimate(value=value, low=math.nan, high=math.nan)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value=value, low=float(low), high=float(high))


def _two_sided_p(shifts: Floats) -> float:
    defined = shifts[~np.isnan(shifts)]
    if len(defined) == 0:
        return math.nan
    below = np.sum(defined < 0) + 0.5 * np.sum(defined == 0)
    return float(min(1.0, 2 * (min(below, len(defined) - below) + 1) / (len(defined) + 1)))
