"""A consensus of opinions on classes: a conditional logit, fitted to convergence.

p(class | opinions) ∝ exp(Σ weight · log-probability + offset of the class): the product of the opinions' powers. One
weight >= 0 an opinion, so that none counts against what it says, whatever the number of classes (McFadden, "Conditional
Logit Analysis of Qualitative Choice Behavior", 1974).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Consensus:
    """``weights`` (V,) of the opinions, and ``offsets`` (K + 1,) of the classes and of all that are not listed."""

    weights: Floats
    offsets: Floats

    def utilities(self, opinions: NDArray[Any], classes: NDArray[np.int64]) -> Floats:
        """Return the candidates' unnormalised log-probabilities, (m, V, C) and (m, C) -> (m, C)."""
        weighted = np.einsum("mvc,v->mc", opinions, self.weights, dtype=np.float64)
        return np.asarray(weighted + self.offsets[classes])

    def log_odds(self, opinions: NDArray[Any], classes: NDArray[np.int64]) -> Floats:
        """Return the log-odds that the first candidate, the prediction, is right, (m,)."""
        utilities = self.utilities(opinions, classes)
        return np.asarray(utilities[:, 0] - logsumexp(utilities[:, 1:], axis=1))


def fit_consensus(
    opinions: NDArray[Any], classes: NDArray[np.int64], labels: NDArray[np.int64], num_classes: int, penalty: float
) -> Consensus:
    """Return the consensus of least cross entropy with the labels and a ridge of ``penalty`` / 2 on all parameters.

    L-BFGS-B finds it, in at most 500 iterations; the problem is convex.

    A label that is no candidate is the last of them, which stands for all others.
    """
    import torch

    listed = classes == labels[:, None]
    target = torch.from_numpy(np.where(listed.any(axis=1), listed.argmax(axis=1), classes.shape[1] - 1))
    data, numbers = torch.from_numpy(opinions).double(), torch.from_numpy(classes)
    count = opinions.shape[1]

    def objective(values: Floats) -> tuple[float, Floats]:
        parameters = torch.from_numpy(values.copy()).requires_grad_()
        utilities = torch.einsum("mvc,v->mc", data, parameters[:count]) + parameters[count:][numbers]
        loss = torch.nn.functional.cross_entropy(utilities, target) + penalty / 2 * parameters.square().sum()
        (gradient,) = torch.autograd.grad(loss, parameters)
        return float(loss.detach()), gradient.numpy()

    start = np.zeros(count + num_classes + 1)
    start[:count] = 1 / count
    bounds = [(0, None)] * count + [(None, None)] * (num_classes + 1)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}).x
    return Consensus(found[:count], found[count:])
