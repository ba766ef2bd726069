"""Products of matrices by PyTorch, whose threads all else here runs on.

NumPy has threads of its own for them, which keep spinning when the product is done: what PyTorch does next then takes
several times as long (LOG.md).
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


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
