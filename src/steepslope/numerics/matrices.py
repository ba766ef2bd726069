"""Products of matrices by PyTorch, whose threads all else here runs on.

NumPy has threads of its own for them, which keep spinning when the product is done: what PyTorch does next then takes
several times as long (LOG.md).

Principal components: few numbers for a row that keep most of what tells rows apart.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh


def affine(columns: NDArray[Any], weights: NDArray[Any], bias: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return ``columns`` (m, w) by ``weights`` (w, K), plus a ``bias`` (K,): (m, K), in the type of the columns.

    >>> affine(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.ones(1))
    array([[12.]])
    """
    given = [np.ascontiguousarray(one) for one in (columns, weights, bias) if one is not None]  # in one order: on some
    rows, *others = map(torch.from_numpy, given)  # machines another order of the same weights is rounded otherwise
    first, *second = (one.to(rows.dtype) for one in others)
    product: NDArray[Any] = torch.addmm(second[0], rows, first).numpy() if second else torch.mm(rows, first).numpy()
    return product


Floats = NDArray[np.float64]


def principal_components(rows: NDArray[Any], count: int) -> tuple[Floats, Floats, Floats]:
    """Return the mean (w,) of rows (n, w), the directions (w, c) in which they vary most, and the variances there (c,).

    ``c`` is ``count``, or less where there are fewer rows or columns. The largest variance comes last.

    >>> mean, directions, variances = principal_components(np.array([[0.0, 1.0], [4.0, 1.0]]), 1)
    >>> mean.tolist(), np.abs(directions).round(6).tolist(), variances.tolist()
    ([2.0, 1.0], [[1.0], [0.0]], [8.0])
    """
    values = torch.from_numpy(np.array(rows, dtype=np.float64))  # a copy: torch wants none that is mapped for reading
    mean = values.mean(dim=0)
    centred = values - mean
    covariance = (centred.T @ centred / (len(values) - 1)).numpy()
    width, kept = len(covariance), min(count, len(values) - 1, len(covariance))
    variances, directions = eigh(covariance, subset_by_index=(width - kept, width - 1))
    return mean.numpy(), directions, variances
