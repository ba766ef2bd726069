"""A consensus of opinions on classes: a conditional logit, fitted to convergence.

p(class | opinions) ∝ exp(Σ weight · log-probability): the product of the opinions' powers. One weight >= 0 an opinion,
so that none counts against what it says, whatever the number of classes (McFadden, "Conditional Logit Analysis of
Qualitative Choice Behavior", 1974). No class has an offset of its own: how often each is confused is true of familiar
data only, and misleads elsewhere.
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
    """``weights`` (V,) of the opinions; ``others`` (1,), the offset of a last candidate that stands for all others."""

    weights: Floats
    others: Floats

    def utilities(self, opinions: NDArray[Any]) -> Floats:
        """Return the candidates' unnormalised log-probabilities, (m, V, C) -> (m, C)."""
        weighted = np.einsum("mvc,v->mc", opinions, self.weights, dtype=np.float64)
        weighted[:, -1] += self.others[0]
        return np.asarray(weighted)

    def log_odds(self, opinions: NDArray[Any]) -> Floats:
        """Return the log-odds that the first candidate, the prediction, is right, (m,)."""
        utilities = self.utilities(opinions)
        return np.asarray(utilities[:, 0] - logsumexp(utilities[:, 1:], axis=1))


def fit_consensus(
    opinions: NDArray[Any], classes: NDArray[np.int64], labels: NDArray[np.int64], num_classes: int, penalty: float
) -> Consensus:
    """Return the consensus of least cross entropy with the labels and a ridge of ``penalty`` / 2 on all parameters.

    L-BFGS-B finds it on one thread, in at most 500 iterations; the problem is convex. A label that is no candidate is
    the last of them, which then has the number ``num_classes`` and stands for all others; else its offset stays 0.
    """
    import torch

    from steepslope.utilities.seeding import single_thread

    listed = classes == labels[:, None]
    target = torch.from_numpy(np.where(listed.any(axis=1), listed.argmax(axis=1), classes.shape[1] - 1))
    data, count = torch.from_numpy(opinions).double(), opinions.shape[1]
    last = torch.nn.functional.one_hot(torch.tensor(classes.shape[1] - 1), classes.shape[1]).double()

    def objective(values: Floats) -> tuple[float, Floats]:
        parameters = torch.from_numpy(values.copy()).requires_grad_()
        utilities = torch.einsum("mvc,v->mc", data, parameters[:count]) + parameters[count] * last
        loss = torch.nn.functional.cross_entropy(utilities, target) + penalty / 2 * parameters.square().sum()
        (gradient,) = torch.autograd.grad(loss, parameters)
        return float(loss.detach()), gradient.numpy()

    start = np.array([1 / count] * count + [0.0])
    free = bool((classes[:, -1] == num_classes).all())
    bounds = [(0, None)] * count + [(None, None) if free else (0, 0)]
    with single_thread():
        found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}).x
    return Consensus(found[:count], found[count:])
