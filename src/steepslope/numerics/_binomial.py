"""Counts of errors: exact tails, bounds and intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta, binom

from steepslope.numerics._types import Floats


def binomial_tail(errors: ArrayLike, accepted: ArrayLike, risk: float) -> Floats:
    """Return the probability of at most ``errors`` errors among ``accepted`` rows, each wrong with chance ``risk``.

    It is the p-value against the hypothesis that the risk is ``risk`` or more; 1 for no rows.

    >>> binomial_tail([0, 1], [59, 59], 0.05).round(3)
    array([0.048, 0.199])
    """
    return np.asarray(binom.cdf(errors, accepted, risk))


def clopper_pearson(counts: ArrayLike, totals: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """Return both ends of the interval of each fraction, each missed with probability ``level`` at most.

    The method is that of Clopper & Pearson (1934). The ends are float64 in [0, 1], with the broadcast shape of
    ``counts`` and ``totals``; they are 0 and 1 if a total is 0.

    >>> [end.round(3).tolist() for end in clopper_pearson([8, 0], [10, 0], 0.025)]
    [[0.444, 0.0], [0.975, 1.0]]
    """
    some, others = np.broadcast_arrays(np.asarray(counts, dtype=np.float64), np.subtract(totals, counts))
    low = beta.ppf(level, some, others + 1)
    high = beta.ppf(1 - level, some + 1, others)
    return np.where(some > 0, low, 0.0), np.where(others > 0, high, 1.0)


def risk_bound(errors: int, accepted: int, delta: float) -> float:
    """Return the upper bound of the risk with confidence 1 − delta (Clopper & Pearson, 1934); 1 for no rows.

    >>> round(risk_bound(0, 59, 0.05), 4), risk_bound(0, 0, 0.05)
    (0.0495, 1.0)
    """
    return float(clopper_pearson(errors, accepted, delta)[1])


def binomial_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a fraction of n rows (Clopper & Pearson, 1934).

    >>> binomial_interval(0, 0), tuple(round(bound, 3) for bound in binomial_interval(8, 10))
    ((0.0, 1.0), (0.444, 0.975))
    """
    low, high = clopper_pearson(successes, n, (1 - level) / 2)
    return float(low), float(high)
