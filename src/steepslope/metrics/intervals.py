"""The bootstrap: every metric with a percentile interval from resampled rows, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from steepslope.checks import SEED, number, require, whole
from steepslope.errors import UndefinedMetricError
from steepslope.metrics.curves import Floats, RankedRows, rank_rows
from steepslope.metrics.measures import Measure, measures_at

Key = TypeVar("Key", bound=Hashable)
BOUNDS: tuple[Literal["value", "low", "high"], ...] = ("value", "low", "high")  # of an estimate, without p


class Estimate(TypedDict):
    """A value and its interval; NaN where undefined, or without resamples."""

    value: float
    low: float
    high: float


class Difference(Estimate):
    """A paired difference, its interval, and the two-sided p of no difference."""

    p: float


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
    """Return every metric in :data:`METRICS <steepslope.metrics.METRICS>` as ``{"value", "low", "high"}``.

    Rows are resampled ``bootstrap`` times with replacement; the interval holds the central ``level`` of the
    resamples in which the metric is defined. Without errors, or without correct predictions, the metrics that
    compare the two are NaN. The same seed gives the same intervals.

    >>> table = evaluate([0.9, 0.8, 0.3, 0.6], [True, True, False, False], bootstrap=200)
    >>> table["auc"]["value"], table["tnr"]["value"]
    (1.0, 0.5)
    """
    measures = measures_at(positive_threshold, negative_threshold)
    return resample(rank_rows(confidence, is_correct), measures, bootstrap, seed).estimates(level)


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

    ``thresholds_a`` and ``thresholds_b`` are (positive, negative). p is two-sided: twice the smaller fraction of
    resamples on one side of zero (ties count half), with one added so that it is never 0.
    """
    a = resample(rank_rows(confidence_a, is_correct), measures_at(*thresholds_a), bootstrap, seed)
    b = resample(rank_rows(confidence_b, is_correct), measures_at(*thresholds_b), bootstrap, seed)
    return a.minus(b, level)


@dataclass(frozen=True, eq=False)
class Resampled(Generic[Key]):
    """Every measure on all rows, and on each resample of them, (bootstrap,), by the measures' keys.

    ``lacking`` is the number of resamples without an error, or without a correct prediction.
    """

    values: dict[Key, float]
    replicates: dict[Key, Floats]
    lacking: int

    def estimates(self, level: float = 0.95) -> dict[Key, Estimate]:
        """Return values with percentile intervals."""
        return {key: _estimate(value, self.replicates[key], level) for key, value in self.values.items()}

    def minus(self, other: Resampled[Key], level: float = 0.95) -> dict[Key, Difference]:
        """Return paired differences; both must come from the same rows, number of resamples and seed."""
        values = {key: value - other.values[key] for key, value in self.values.items()}
        shifts = {key: replicates - other.replicates[key] for key, replicates in self.replicates.items()}
        estimates = Resampled(values, shifts, self.lacking).estimates(level)
        return {key: Difference(**estimate, p=_two_sided_p(shifts[key])) for key, estimate in estimates.items()}


def resample(rows: RankedRows, measures: Mapping[Key, Measure], bootstrap: int, seed: int) -> Resampled[Key]:
    """Compute every measure on the rows and on ``bootstrap`` resamples of them.

    Ranked rows of equal length that get the same number of resamples and seed get the same resamples.
    """
    require("seed", seed, SEED)
    require("bootstrap", bootstrap, whole(0))
    generator = np.random.default_rng(seed)
    n, lacking, drawn = len(rows.place), 0, []
    for _ in range(bootstrap):
        ranking = rows.ranking(generator.integers(n, size=n))
        lacking += ranking.n_correct in (0, n)
        drawn.append(values_of(measures, ranking))
    replicates = {key: np.array([values[key] for values in drawn]) for key in measures}
    return Resampled(values_of(measures, rows.ranking()), replicates, lacking)


def values_of(functions: Mapping[Key, Callable[..., float]], *arguments: Any) -> dict[Key, float]:
    """Return what each function gives for the arguments, NaN where it is undefined."""
    values = dict.fromkeys(functions, math.nan)
    for key, function in functions.items():
        with suppress(UndefinedMetricError):
            values[key] = function(*arguments)
    return values


def _estimate(value: float, replicates: Floats, level: float) -> Estimate:
    require("level", level, number(1e-6, 1 - 1e-6))  # in (0, 1)
    defined = replicates[~np.isnan(replicates)]
    low = high = math.nan
    if len(defined) and not math.isnan(value):
        low, high = map(float, np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]))
    return Estimate(value=value, low=low, high=high)


def _two_sided_p(shifts: Floats) -> float:
    defined = shifts[~np.isnan(shifts)]
    if len(defined) == 0:
        return math.nan
    below = np.sum(defined < 0) + 0.5 * np.sum(defined == 0)
    return float(min(1.0, 2 * (min(below, len(defined) - below) + 1) / (len(defined) + 1)))
