"""A classifier's inputs as features of an oracle, where they are a table of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from steepslope.errors import SteepslopeError, explained

Floats = NDArray[np.float64]
NUMBERS = "biuf"  # kinds of arrays
COLUMNS = 2  # dimensions of a table


@dataclass(frozen=True, eq=False)
class Standardiser:
    """The mean and the standard deviation of each column, (d,) each."""

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, X: Any) -> Standardiser | None:
        """Learn both from a table of numbers (n, d); return None for text, sparse matrices and mixed columns.

        >>> Standardiser.of([[1.0, 5.0], [3.0, 5.0]]).columns([[1.0, np.nan]])
        array([[-1.,  0.]])
        >>> Standardiser.of(["a text", "another"]) is None
        True
        """
        table = _table(X)
        if table is None or 0 in table.shape:
            return None
        known = np.isfinite(table)
        count = np.maximum(1, known.sum(axis=0))
        mean = table.sum(axis=0, where=known) / count
        scale = np.sqrt(np.square(table - mean, where=known, out=np.zeros_like(table)).sum(axis=0) / count)
        return cls(mean, np.where(scale > 0, scale, 1.0))

    def columns(self, X: Any) -> Floats:
        """Return a table standardised, (n, d); what is missing or infinite is 0, the mean."""
        with explained("expected the numbers that it was fitted on", "X", (TypeError, ValueError)):
            table = np.asarray(_of_frame(X), dtype=np.float64)
        if table.ndim != COLUMNS or table.shape[1] != len(self.mean):
            raise SteepslopeError(f"expected {len(self.mean)} columns, found shape {table.shape}", "X")
        return np.asarray(np.where(np.isfinite(table), (table - self.mean) / self.scale, 0.0))


def _table(X: Any) -> Floats | None:
    """Return a table of numbers as float64, None if it is none."""
    if issparse(X):
        return None
    try:
        array = np.asarray(_of_frame(X))
    except ValueError:  # rows of different lengths
        return None
    return array.astype(np.float64) if array.dtype.kind in NUMBERS and array.ndim == COLUMNS else None


def _of_frame(X: Any) -> Any:
    """Return a frame of pandas as floats, where all its columns are numbers or booleans; anything else as it is."""
    if not hasattr(X, "select_dtypes"):
        return X
    numbers = X.select_dtypes(["number", "bool"])
    return X.to_numpy(dtype=np.float64, na_value=np.nan) if numbers.shape[1] == X.shape[1] else X
