"""L-BFGS-B on an objective in torch, which supplies the gradient."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

Bounds = Sequence[tuple[float | None, float | None]]


def minimise(
    objective: Callable[[Tensor], Tensor], start: NDArray[np.floating[Any]], bounds: Bounds | None = None,
    **options: float,
) -> NDArray[np.float64]:  # fmt: skip
    """Return the parameters (p,) where the objective, a scalar of them, is least.

    The objective gets them in the type of ``start`` (p,); ``options`` are those of scipy's L-BFGS-B, such as
    ``maxiter``.

    >>> minimise(lambda x: (x - 3).square().sum(), np.zeros(2)).round(3)
    array([3., 3.])
    """

    def value_and_gradient(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parameters = torch.from_numpy(values.astype(start.dtype)).requires_grad_()
        value = objective(parameters)
        (gradient,) = torch.autograd.grad(value, parameters)
        return float(value.detach()), gradient.numpy().astype(np.float64)

    found = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x)
