"""Linear models fitted to convergence on all rows at once, by L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from steepslope.losses import cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]


def fit_linear(
    columns: NDArray[np.float64], target: NDArray[Any], loss: Loss, penalty: float
) -> tuple[NDArray[np.float64], float]:
    """Return weights (w,) and bias that minimise the mean loss of columns @ weights + bias, plus a ridge.

    The ridge is ``penalty`` / 2 · |weights|². A loss that is not convex starts from cross entropy's minimum, so the
    result depends on nothing but the data.
    """
    data = torch.from_numpy(columns), torch.from_numpy(target)
    if target.dtype == bool:
        start = _minimised(np.zeros(columns.shape[1] + 1), *data, cross_entropy, penalty)
    else:
        start = np.zeros(columns.shape[1] + 1)
    found = start if loss is cross_entropy else _minimised(start, *data, loss, penalty)
    return found[:-1], float(found[-1])


def _minimised(
    start: NDArray[np.float64], columns: Tensor, target: Tensor, loss: Loss, penalty: float
) -> NDArray[np.float64]:
    def objective(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parameters = torch.from_numpy(values.copy()).requires_grad_()
        weights, bias = parameters[:-1], parameters[-1]
        value = loss(columns @ weights + bias, target).mean() + penalty / 2 * weights.square().sum()
        (gradient,) = torch.autograd.grad(value, parameters)
        return float(value.detach()), gradient.numpy()

    return np.asarray(minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x)


def fit_softmax(
    columns: NDArray[np.float32], labels: NDArray[np.int64], num_classes: int, penalty: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights (w, K) and bias (K,) of a multinomial logistic regression, with the same ridge."""
    data, target = torch.from_numpy(columns), torch.from_numpy(labels)
    width = columns.shape[1]

    def objective(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parameters = torch.from_numpy(values.astype(np.float32)).view(width + 1, num_classes).requires_grad_()
        logits = torch.addmm(parameters[-1], data, parameters[:-1])
        ridge = penalty / 2 * parameters[:-1].square().sum()
        value = torch.nn.functional.cross_entropy(logits, target) + ridge
        (gradient,) = torch.autograd.grad(value, parameters)
        return float(value.detach()), gradient.numpy().astype(np.float64).ravel()

    start = np.zeros((width + 1) * num_classes)
    options = {"maxiter": 100, "ftol": 1e-7}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x.astype(np.float32)
    both = found.reshape(width + 1, num_classes)
    return both[:-1], both[-1]
