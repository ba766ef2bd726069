"""Linear models fitted on all rows at once by L-BFGS, to convergence or for as many iterations as is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from steepslope.losses import cross_entropy
from steepslope.utilities.blocks import blocks

Loss = Callable[[Tensor, Tensor], Tensor]
CONSTANT = 1e-6  # a deviation below this share of the mean is rounding


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


def fit_standardised_softmax(
    columns: NDArray[Any], labels: NDArray[np.int64], num_classes: int, penalty: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights (w, K) and bias (K,) of :func:`fit_softmax` on standardised columns, for the columns."""
    mean, scale = moments(columns)
    standardised = columns.astype(np.float32)
    standardised -= mean.astype(np.float32)
    standardised /= scale.astype(np.float32)
    weights, bias = fit_softmax(standardised, labels, num_classes, penalty)
    own = weights / scale[:, None]
    return own.astype(np.float32), (bias - mean @ own).astype(np.float32)


def moments(columns: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each column's mean, and what to divide it by."""
    mean = columns.mean(axis=0, dtype=np.float64)
    squares = sum(np.square(columns[rows] - mean).sum(axis=0) for rows in blocks(len(columns), 4_096))
    return mean, scale_of(mean, np.sqrt(squares / len(columns)))


def scale_of(mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what to divide columns by: 1 where one is constant, but for rounding, which would be blown up."""
    return np.where(deviation > CONSTANT * np.abs(mean), deviation, 1.0)


def fit_softmax(
    columns: NDArray[np.float32], labels: NDArray[np.int64], num_classes: int, penalty: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights (w, K) and bias (K,) of a multinomial logistic regression, with the same ridge.

    It stops after 100 iterations, when the loss falls by less than 10⁻⁷ of itself at the latest.
    """
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
