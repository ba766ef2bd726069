"""Columns of mean 0 and deviation 1, and the way back from what is fitted to them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.utilities.blocks import blocks

CONSTANT = 1e-6  # a deviation below this fraction of the mean is rounding


@dataclass(frozen=True, eq=False)
class Standardised:
    """``columns`` float32 (n, w), of mean 0 and deviation 1, and the ``mean`` and ``scale`` (w,) of the originals."""

    columns: NDArray[np.float32]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def for_originals(self, weights: NDArray[Any], bias: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return weights (w, K) and bias (K,) that give on the originals what the given ones give on the columns."""
        own = weights / self.scale[:, None]
        return own, bias - self.mean @ own


def standardised(columns: NDArray[Any]) -> Standardised:
    """Standardise columns (n, w); a constant one becomes 0."""
    mean, scale = moments(columns)
    changed = columns.astype(np.float32)
    changed -= mean.astype(np.float32)
    changed /= scale.astype(np.float32)
    return Standardised(changed, mean, scale)


def moments(columns: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each column's mean, and what to divide it by, (w,) both."""
    mean = columns.mean(axis=0, dtype=np.float64)
    squares = sum(np.square(columns[rows] - mean).sum(axis=0) for rows in blocks(len(columns), 4_096))
    return mean, scale_of(mean, np.sqrt(squares / len(columns)))


def scale_of(mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what to divide columns by: 1 where one is constant but for rounding, which would be blown up."""
    return np.where(deviation > CONSTANT * np.abs(mean), deviation, 1.0)
