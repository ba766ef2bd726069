"""What a classifier predicts of rows that it has not seen: each fold by a clone that is fitted to the others."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import _safe_indexing

from steepslope.deploy.responses import Responses


def out_of_fold(
    estimator: Any,
    X: Any,
    y: NDArray[Any],
    folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    classes: NDArray[Any],
    params: Mapping[str, Any],
) -> Responses:
    """Return the responses to all rows, each from the clone that has not seen it; ``params`` are those of ``fit``.

    A frozen classifier is its own clone, and is not fitted.
    """
    parts = []
    for others, rows in folds:
        seen = rows_of(params, others, len(y))
        fitted = clone(estimator).fit(_safe_indexing(X, others), y[others], **seen)
        parts.append(Responses.of(fitted, _safe_indexing(X, rows), classes))
    return Responses.joined(parts, [rows for _, rows in folds])


def rows_of(params: Mapping[str, Any], rows: NDArray[np.int64], n: int) -> dict[str, Any]:
    """Return parameters of ``fit`` for some of n rows: cut where they hold a value a row, else as they are.

    >>> rows_of({"sample_weight": [0.5, 1.0, 2.0], "verbose": True}, np.array([0, 2]), n=3)
    {'sample_weight': [0.5, 2.0], 'verbose': True}
    """
    return {name: _safe_indexing(value, rows) if _count(value) == n else value for name, value in params.items()}


def _count(value: Any) -> int | None:
    """Return how many rows an array, a frame, a sparse matrix or a list has; None of anything else."""
    if isinstance(value, str | bytes | Mapping):
        return None
    shape = getattr(value, "shape", ())
    return int(shape[0]) if shape else len(value) if hasattr(value, "__len__") else None
