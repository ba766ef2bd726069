"""The bootstrap: every metric with an interval from resampled rows or clusters, paired differences, and p-values.

A rate (accuracy, TPR, TNR, FPR, risk at coverage) is a fraction of counted rows. It gets the bias-corrected percentile
interval (Efron 1987). An area (AUC, AUPR, AURC, AUGRC) is a mean over few errors, so its distribution is skewed. It
gets the Student interval of its logit, with the replicates' standard deviation. A difference of areas is nearly
symmetric. It gets the percentile interval with levels widened to those of Student's t (Hesterberg 2015).

``units`` is the number of independent rows or clusters of the rarer kind, errors or correct predictions. These are the
observations that the standard deviation is based on.

The intervals cover the randomness of the test rows, not that of the fit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtr, ndtri, stdtr, stdtrit

from steepslope.errors import SEED, SteepslopeError, UndefinedMetricError, number, require, whole
from steepslope.metrics._measures import METRICS, Measure, measures_at
from steepslope.metrics._ranking import Floats, RankedRows, Ranking, rank_rows
from steepslope.numerics import blocks

Limits = tuple[float, float]
UNDEFINED: Limits = (math.nan, math.nan)


class Levels(NamedTuple):
    """How a quantile of the standard normal becomes a level of the replicates' quantiles.

    ``bias`` is z₀ of the bias-corrected percentile, ``units`` are those of Student's t; None keeps the normal.
    """

    bias: float = 0.0
    units: int | None = None

    def limits(self, replicates: Floats, level: float) -> Limits:
        """Return the quantiles of the replicates, (B,), that hold the central ``level`` between them."""
        z = _widened_quantile(-float(ndtri((1 - level) / 2)), self.units)
        low, high = np.quantile(replicates, ndtr([2 * self.bias - z, 2 * self.bias + z]))
        return float(low), float(high)

    def p(self, replicates: Floats) -> float:
        """Return the two-sided p, in (0, 1]: one minus the highest level at which :meth:`limits` exclude 0."""
        ordered = np.sort(replicates)
        above, below = (_interval_level_of_zero(side) for side in (ordered, -ordered[::-1]))
        z = max(2 * self.bias - ndtri(above), -2 * self.bias - ndtri(below))
        return min(1.0, 2 * float(ndtr(-_narrowed_quantile(float(z), self.units))))


def _widened_quantile(z: float, units: int | None) -> float:
    """Return the quantile of Student's t with ``units`` − 1 degrees of freedom that has the same tail as z.

    It is also multiplied by √(units / (units − 1)), because replicates vary less than samples by this factor.

    >>> [round(_widened_quantile(1.96, units), 2) for units in (None, 35, 3)]
    [1.96, 2.06, 5.27]
    """
    if units is None:
        return z
    m = max(units, 2)
    return -float(stdtrit(m - 1, ndtr(-z))) * math.sqrt(m / (m - 1))


def _narrowed_quantile(z: float, units: int | None) -> float:
    """Return the inverse of :func:`_widened_quantile`.

    >>> round(_narrowed_quantile(_widened_quantile(1.96, 35), 35), 2)
    1.96
    """
    if units is None:
        return z
    m = max(units, 2)
    return -float(ndtri(stdtr(m - 1, -z * math.sqrt((m - 1) / m))))


def _interval_levels_of_rate(value: float, replicates: Floats) -> Levels:
    """Return the levels with the median bias of the replicates; replicates equal to the value count one half."""
    count = len(replicates)
    equal = np.isclose(replicates, value, rtol=0, atol=1e-12)  # differences of equal rates differ in the last digit
    below = np.sum((replicates < value) & ~equal) + 0.5 * np.sum(equal)
    return Levels(bias=float(ndtri(np.clip(below / count, 0.5 / count, 1 - 0.5 / count))))


def _interval_of_area(value: float, replicates: Floats, level: float, units: int) -> Limits:
    """Return the Student interval on the scale of the logit, inside (0, 1).

    A replicate of 0 or 1, which has no logit, counts as the most extreme one that has. If no replicate has a logit, or
    the value itself is 0 or 1, the interval is that of the widened percentiles.
    """
    inside = replicates[(replicates > 0) & (replicates < 1)]
    if not (0 < value < 1 and len(inside)):
        return Levels(units=units).limits(replicates, level)
    deviation = float(logit(np.clip(replicates, inside.min(), inside.max())).std())
    z = _widened_quantile(-float(ndtri((1 - level) / 2)), units)
    low, high = expit(logit(value) + np.array([-z, z]) * deviation)
    return float(low), float(high)


def _interval_level_of_zero(ordered: Floats) -> float:
    """Return the highest level whose quantile is not above 0; at least 1 / (B + 1), the resolution of B replicates."""
    count, first = len(ordered), int(np.searchsorted(ordered, 0, side="right"))
    if first == count:
        return 1.0
    level = 0.0
    if first:
        last, gap = ordered[first - 1], ordered[first] - ordered[first - 1]
        level = (first - 1 - last / gap) / (count - 1)
    return max(float(level), 1 / (count + 1))


_Key = TypeVar("_Key", bound=Hashable)
Codes = NDArray[np.intp]
BLOCK = 50  # replicates that share a random generator
BLOCK_DRAWS = 2**15  # rows that are drawn and counted at a time
ONE = np.uint8(1)
ROWS_FOR_THREADS = 10_000  # fewer rows are counted faster than threads are started
MOST_THREADS = 8
_LEVEL = number(1e-6, 1 - 1e-6)  # in (0, 1)
BOUNDS: tuple[Literal["value", "low", "high"], ...] = ("value", "low", "high")  # of an estimate, without p


class Estimate(TypedDict):
    """A value and its interval; NaN if undefined, or without resamples."""

    value: float
    low: float
    high: float


class Difference(Estimate):
    """A paired difference, its interval, and the two-sided p-value of no difference."""

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
    clusters: ArrayLike | None = None,
) -> dict[str, Estimate]:
    """Return every metric in :data:`METRICS <steepslope.metrics.METRICS>` as ``{"value", "low", "high"}``.

    ``confidence`` and ``is_correct`` are (n,). Rows are resampled ``bootstrap`` times with replacement. Rates get the
    bias-corrected percentile interval, areas Student's on the scale of the logit
    (:mod:`steepslope.metrics._intervals`), from the resamples in which the metric is defined. Without errors, or
    without correct predictions, the metrics that compare the two are NaN. The same seed gives the same intervals. If
    rows depend on one another, such as photographs of one patient, pass ``clusters`` (n,), labels that dependent rows
    share. Whole clusters are then resampled.

    Raises
    ------
    SteepslopeError
        If an argument is out of range, or ``clusters`` are not n labels, at least two of them different.

    >>> table = evaluate([0.9, 0.8, 0.3, 0.6], [True, True, False, False], bootstrap=200)
    >>> table["auc"]["value"], table["tnr"]["value"]
    (1.0, 0.5)
    """
    measures = measures_at(positive_threshold, negative_threshold)
    return resample(rank_rows(confidence, is_correct), measures, bootstrap, seed, clusters).estimates(level)


def compare(
    confidence_a: ArrayLike,
    confidence_b: ArrayLike,
    is_correct: ArrayLike,
    *,
    bootstrap: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    clusters: ArrayLike | None = None,
) -> dict[str, Difference]:
    """Return each metric of A minus that of B, with an interval and p, both on the same resamples of the rows (n,).

    Rates are at a threshold of 0.5. ``clusters`` are those of :func:`evaluate`. p is two-sided, in (0, 1], and agrees
    with the interval: p < 0.05 if the 95 % interval excludes 0.

    >>> difference = compare([0.9, 0.8, 0.3, 0.6], [0.1, 0.2, 0.3, 0.4], [True, True, False, False], bootstrap=200)
    >>> difference["auc"]["value"]
    1.0
    """
    measures = measures_at(0.5, 0.5)
    a, b = (
        resample(rank_rows(confidence, is_correct), measures, bootstrap, seed, clusters)
        for confidence in (confidence_a, confidence_b)
    )
    return a.minus(b, level)


@dataclass(frozen=True, eq=False)
class Resampled(Generic[_Key]):
    """Every measure on all rows, and on each resample of them, (bootstrap,), by the measures' keys.

    ``lacking`` is the number of resamples without an error, or without a correct prediction. ``units`` is the number of
    rows or clusters with an error, or of those with a correct prediction, whichever is smaller. Keys that are areas in
    ``METRICS`` get the intervals of areas, and all others those of rates. ``clusters`` is the number of clusters; None
    if rows were resampled.
    """

    values: dict[_Key, float]
    replicates: dict[_Key, Floats]
    lacking: int
    units: int
    clusters: int | None = None

    def estimates(self, level: float = 0.95) -> dict[_Key, Estimate]:
        """Return the values with their intervals."""
        require("level", level, _LEVEL)
        estimates = {}
        for key, value in self.values.items():
            replicates, (low, high) = _defined_replicates(self.replicates[key]), UNDEFINED
            if not math.isnan(value) and len(replicates):
                if _is_area(key):
                    low, high = _interval_of_area(value, replicates, level, self.units)
                else:
                    low, high = _interval_levels_of_rate(value, replicates).limits(replicates, level)
            estimates[key] = Estimate(value=value, low=low, high=high)
        return estimates

    def minus(self, other: Resampled[_Key], level: float = 0.95) -> dict[_Key, Difference]:
        """Return paired differences; both must come from the same rows, clusters, number of resamples and seed."""
        require("level", level, _LEVEL)
        differences = {}
        for key, value in self.values.items():
            shift = value - other.values[key]
            shifts = _defined_replicates(self.replicates[key] - other.replicates[key])
            (low, high), p = UNDEFINED, math.nan
            if not math.isnan(shift) and len(shifts):
                levels = Levels(units=self.units) if _is_area(key) else _interval_levels_of_rate(shift, shifts)
                (low, high), p = levels.limits(shifts, level), levels.p(shifts)
            differences[key] = Difference(value=shift, low=low, high=high, p=p)
        return differences


def _is_area(key: Hashable) -> bool:
    return key in METRICS and METRICS[key].is_area


def _defined_replicates(replicates: Floats) -> Floats:
    return replicates[~np.isnan(replicates)]


def resample(
    rows: RankedRows, measures: Mapping[_Key, Measure], bootstrap: int, seed: int, clusters: ArrayLike | None = None
) -> Resampled[_Key]:
    """Compute every measure on the rows and on ``bootstrap`` resamples of them, or of their ``clusters`` (n,).

    The resamples depend only on the number of rows, the clusters, the number of resamples and the seed, not on the
    number of threads, for example. AUPR-Success treats copies of a row as
    :attr:`~steepslope.metrics.Ranking.precision_sum` says.
    """
    return resample_all([(rows, measures)], bootstrap, seed, clusters)[0]


def resample_all(
    tables: Sequence[tuple[RankedRows, Mapping[_Key, Measure]]],
    bootstrap: int,
    seed: int,
    clusters: ArrayLike | None = None,
) -> list[Resampled[_Key]]:
    """Compute the same for several rankings of the same rows, each with its measures; every resample is drawn once."""
    seed, bootstrap = require("seed", seed, SEED), require("bootstrap", bootstrap, whole(0))
    n = len(tables[0][0].order)
    codes = None if clusters is None else _cluster_codes(clusters, n)
    sizes = [min(BLOCK, bootstrap - start) for start in range(0, bootstrap, BLOCK)]

    def drawn(block: int) -> list[list[tuple[bool, dict[_Key, float]]]]:
        generator = np.random.default_rng([seed, block])
        drawn_units = n if codes is None else _cluster_count(codes)
        counts = (_resample_counts(drawn_units, generator) for _ in range(sizes[block]))
        draws = counts if codes is None else (of_clusters[codes] for of_clusters in counts)
        return [[_measured_resample(rows.ranking(times), measures) for rows, measures in tables] for times in draws]

    threads = min(os.cpu_count() or 1, MOST_THREADS) if n >= ROWS_FOR_THREADS else 1
    with ThreadPoolExecutor(threads) as pool:  # numpy works without Python's lock on many rows
        work = pool.map if threads > 1 else map
        resamples = list(chain.from_iterable(work(drawn, range(len(sizes)))))
    resampled = []
    for place, (rows, measures) in enumerate(tables):
        draws = [of_tables[place] for of_tables in resamples]
        by_key = {key: np.array([values[key] for _, values in draws]) for key in measures}
        units = min(len(side) if codes is None else len(np.unique(codes[side])) for side in rows.sides)
        values, lacking = values_of_measures(measures, rows.ranking()), sum(lacks for lacks, _ in draws)
        resampled.append(Resampled(values, by_key, lacking, units, None if codes is None else _cluster_count(codes)))
    return resampled


def _measured_resample(ranking: Ranking, measures: Mapping[_Key, Measure]) -> tuple[bool, dict[_Key, float]]:
    """Return whether there are no errors, or no correct predictions, and the measures' values."""
    return 0 in (ranking.n_correct, ranking.n_wrong), values_of_measures(measures, ranking)


def _cluster_codes(clusters: ArrayLike, n: int) -> Codes:
    labels = np.asarray(clusters)
    if labels.shape != (n,):
        raise SteepslopeError(f"expected {n} labels, one a prediction, found {labels.shape}", "clusters")
    distinct, codes = np.unique(labels, return_inverse=True)
    if len(distinct) < 2:
        raise SteepslopeError(f"expected at least two to resample, found {len(distinct)}", "clusters")
    return codes


def _cluster_count(codes: Codes) -> int:
    return int(codes.max()) + 1


def _resample_counts(n: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return how often each of n numbers is among n draws, uint8 (n,).

    The draws are made block by block, which gives the same numbers as all at once, and counted in bytes. Both stay in
    the processor's cache. A byte is enough: the probability that a number is drawn 256 times is below n / 256!.
    """
    counts = np.zeros(n, dtype=np.uint8)
    for rows in blocks(n, BLOCK_DRAWS):
        np.add.at(counts, generator.integers(n, size=rows.stop - rows.start), ONE)
    return counts


def values_of_measures(functions: Mapping[_Key, Callable[..., float]], *arguments: Any) -> dict[_Key, float]:
    """Return each function's value for the arguments, NaN if it is undefined."""
    values = dict.fromkeys(functions, math.nan)
    for key, function in functions.items():
        with suppress(UndefinedMetricError):
            values[key] = function(*arguments)
    return values
