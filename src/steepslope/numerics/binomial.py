"""Exact intervals of fractions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import beta

Floats = NDArray[np.float64]


def clopper_pearson(counts: ArrayLike, totals: ArrayLike, level: float) -> tuple[Floats, Floats]:
    """Return both ends of the interval of each fraction, each missed with probability ``level`` at most.

    The method is that of Clopper & Pearson (1934). The ends are float64 in [0, 1], with the broadcast shape of
    ``counts`` and ``totals``; they are 0 and 1 if a total is 0.

    >>> [end.round(3).tolist() for end in clopper_pearson([8, 0], [10, 0], 0.025)]
    [[0.444, 0.0], [0.975, 1.0]]
    """
    some, others = np.broadcast_arrays(np.asarray(counts, dtype=np.float64), np.subtract(totals, counts))
    low, high = beta.ppf(level, some, others + 1), beta.ppf(1 - level, some + 1, others)
    return np.where(some > 0, low, 0.0), np.where(others > 0, high, 1.0)
