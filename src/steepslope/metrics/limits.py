"""From bootstrap replicates to the limits of an interval and to p: arithmetic on one value and its replicates.

A rate (accuracy, TPR, TNR, FPR, risk at coverage) is a fraction of counted rows, and gets the bias-corrected
percentile interval (Efron 1987). An area (AUC, AUPR, AURC, AUGRC) is a mean over few errors, and is skew: it gets the
Student interval of its logit, with the replicates' standard deviation. A difference of areas is nearly symmetric, and
gets the percentile interval with levels widened to those of Student's t (Hesterberg 2015).

``units`` is the number of independent rows or clusters of the rarer kind, errors or correct predictions: so many
observations stand behind the standard deviation.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri, stdtr, stdtrit

from steepslope.metrics.curves import Floats

Limits = tuple[float, float]
UNDEFINED: Limits = (math.nan, math.nan)


class Levels(NamedTuple):
    """How the quantile of a standard normal becomes a level of the replicates' quantiles.

    ``bias`` is z₀ of the bias-corrected percentile, ``units`` those of Student's t; None keeps the normal.
    """

    bias: float = 0.0
    units: int | None = None

    def limits(self, replicates: Floats, level: float) -> Limits:
        """Return the quantiles of the replicates, (B,), that hold the central ``level`` between them."""
        z = widened(-float(ndtri((1 - level) / 2)), self.units)
        low, high = np.quantile(replicates, ndtr([2 * self.bias - z, 2 * self.bias + z]))
        return float(low), float(high)

    def p(self, replicates: Floats) -> float:
        """Return the two-sided p, in (0, 1]: one less the highest level at which :meth:`limits` exclude 0."""
        ordered = np.sort(replicates)
        above, below = (_level_of_zero(side) for side in (ordered, -ordered[::-1]))
        z = max(2 * self.bias - ndtri(above), -2 * self.bias - ndtri(below))
        return min(1.0, 2 * float(ndtr(-narrowed(float(z), self.units))))


def widened(z: float, units: int | None) -> float:
    """Return the quantile of Student's t with ``units`` - 1 degrees of freedom that has the normal's tail.

    It is also multiplied by √(units / (units - 1)): replicates vary less than samples by this factor.

    >>> round(widened(1.96, None), 2), round(widened(1.96, 35), 2), round(widened(1.96, 3), 1)
    (1.96, 2.06, 5.3)
    """
    if units is None:
        return z
    m = max(units, 2)
    return -float(stdtrit(m - 1, ndtr(-z))) * math.sqrt(m / (m - 1))


def narrowed(z: float, units: int | None) -> float:
    """Return the inverse of :func:`widened`.

    >>> round(narrowed(widened(1.96, 35), 35), 2)
    1.96
    """
    if units is None:
        return z
    m = max(units, 2)
    return -float(ndtri(stdtr(m - 1, -z * math.sqrt((m - 1) / m))))


def rate_levels(value: float, replicates: Floats) -> Levels:
    """Return the levels with the bias of the replicates' median; replicates equal to the value count one half."""
    count = len(replicates)
    equal = np.isclose(replicates, value, rtol=0, atol=1e-12)  # differences of equal rates differ in the last digit
    below = np.sum((replicates < value) & ~equal) + 0.5 * np.sum(equal)
    return Levels(bias=float(ndtri(np.clip(below / count, 0.5 / count, 1 - 0.5 / count))))


def area_limits(value: float, replicates: Floats, level: float, units: int) -> Limits:
    """Return the Student interval on the scale of the logit, inside (0, 1).

    A replicate of 0 or 1, which has no logit, counts as the most extreme that has one. Without such, or where the
    value itself is 0 or 1, these are the widened percentiles.
    """
    inside = replicates[(replicates > 0) & (replicates < 1)]
    if not (0 < value < 1 and len(inside)):
        return Levels(units=units).limits(replicates, level)
    deviation = float(logit(np.clip(replicates, inside.min(), inside.max())).std())
    z = widened(-float(ndtri((1 - level) / 2)), units)
    low, high = expit(logit(value) + np.array([-z, z]) * deviation)
    return float(low), float(high)


def _level_of_zero(ordered: Floats) -> float:
    """Return the highest level whose quantile is not above 0, at least 1 / (B + 1), since B replicates tell no more."""
    count, first = len(ordered), int(np.searchsorted(ordered, 0, side="right"))
    if first == count:
        return 1.0
    level = 0.0
    if first:
        last, gap = ordered[first - 1], ordered[first] - ordered[first - 1]
        level = (first - 1 - last / gap) / (count - 1)
    return max(float(level), 1 / (count + 1))
