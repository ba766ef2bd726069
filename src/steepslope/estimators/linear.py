"""Linear models fitted on all rows at once by L-BFGS, to convergence or for a given number of iterations."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steepslope.estimators.lbfgs import minimise
from steepslope.estimators.standardising import standardised
from steepslope.losses import cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]


def fit_linear(
    columns: NDArray[np.float64], target: NDArray[Any], loss: Loss, penalty: float
) -> tuple[NDArray[np.float64], float]:
    """Return weights (w,) and bias that minimise the mean loss of columns @ weights + bias, plus a ridge.

    The ridge is ``penalty`` / 2 · |weights|². A loss that is not convex starts from cross entropy's minimum, so the
    result depends on nothing but the data.
    """
    inputs, goal = torch.from_numpy(columns), torch.from_numpy(target)

    def fitted(loss: Loss, start: NDArray[np.float64]) -> NDArray[np.float64]:
        def objective(parameters: Tensor) -> Tensor:
            weights, bias = parameters[:-1], parameters[-1]
            return loss(inputs @ weights + bias, goal).mean() + penalty / 2 * weights.square().sum()

        return minimise(objective, start, maxiter=500)

    found = np.zeros(columns.shape[1] + 1)
    if target.dtype == bool:
        found = fitted(cross_entropy, found)
    if loss is not cross_entropy:
        found = fitted(loss, found)
    return found[:-1], float(found[-1])


def fit_standardised_softmax(
    columns: NDArray[Any], labels: NDArray[np.int64], num_classes: int, penalty: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights (w, K) and bias (K,) of :func:`fit_softmax` on standardised columns, for the columns."""
    inputs = standardised(columns)
    weights, bias = inputs.for_originals(*fit_softmax(inputs.columns, labels, num_classes, penalty))
    return weights.astype(np.float32), bias.astype(np.float32)


def fit_softmax(
    columns: NDArray[np.float32], labels: NDArray[np.int64], num_classes: int, penalty: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weights (w, K) and bias (K,) of a multinomial logistic regression, with the same ridge.

    It stops after 100 iterations, when the loss falls by less than 10⁻⁷ of itself at the latest.
    """
    inputs, target = torch.from_numpy(columns), torch.from_numpy(labels)
    shape = columns.shape[1] + 1, num_classes

    def objective(parameters: Tensor) -> Tensor:
        both = parameters.view(shape)
        logits = torch.addmm(both[-1], inputs, both[:-1])
        ridge = penalty / 2 * both[:-1].square().sum()
        return torch.nn.functional.cross_entropy(logits, target) + ridge

    start = np.zeros(shape[0] * num_classes, dtype=np.float32)
    both = minimise(objective, start, maxiter=100, ftol=1e-7).astype(np.float32).reshape(shape)
    return both[:-1], both[-1]
