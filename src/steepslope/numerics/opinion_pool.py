"""Pools of opinions on classes: a logarithmic one, a conditional logit that is fitted to convergence; and a linear one.

p(class | opinions) ∝ exp(Σ weight · log-probability): the product of the opinions' powers. Each opinion has one weight
>= 0, whatever the number of classes, so that none counts against its own answer (McFadden, "Conditional Logit Analysis
of Qualitative Choice Behavior", 1974). No class has an offset of its own: how often each is confused is true of
familiar data only, and misleads elsewhere.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from steepslope.numerics.linear import minimise_by_lbfgs
from steepslope.numerics.tensors import on_arrays, tensor

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OpinionPool:
    """``weights`` (V,) of the opinions; ``others`` (1,), the offset of a last candidate that stands for all others."""

    weights: Floats
    others: Floats

    @on_arrays
    def utilities(self, opinions: Tensor) -> Tensor:
        """Return the candidates' unnormalised log-probabilities, (m, V, C) -> (m, C)."""
        last = torch.arange(opinions.shape[2]) == opinions.shape[2] - 1
        weighted = (opinions.double() * tensor(self.weights)[:, None]).sum(dim=1)
        return weighted + tensor(self.others) * last

    @on_arrays
    def log_odds(self, opinions: Tensor) -> Tensor:
        """Return the log-odds that the first candidate, the prediction, is right, (m, V, C) -> (m,)."""
        utilities: Tensor = self.utilities(opinions)
        return utilities[:, 0] - utilities[:, 1:].logsumexp(dim=1)

    def contributions(self, opinions: Floats) -> Floats:
        """Return what each opinion adds to the log-odds, (m, V, C) -> (m, V): how much it prefers the first candidate.

        That is to the pool's runner-up; what all further candidates take away comes on top.
        """
        rival = 1 + self.utilities(opinions)[:, 1:].argmax(axis=1)[:, None]
        gaps = opinions[:, :, 0] - np.take_along_axis(opinions, rival[:, None], axis=2)[:, :, 0]
        found: Floats = gaps * self.weights
        return found


class LinearPool(OpinionPool):
    """A linear opinion pool (Stone, "The Opinion Pool", 1961): p(class) = Σ weight · probability, with given weights.

    No opinion has a veto, so it also works with opinions that are too sure. An opinion of zeros alone, which a row
    lacks, has no weight there.
    """

    @on_arrays
    def utilities(self, opinions: Tensor) -> Tensor:
        """Return the candidates' unnormalised log-probabilities, (m, V, C) -> (m, C)."""
        last = torch.arange(opinions.shape[2]) == opinions.shape[2] - 1
        lacking = (opinions == 0).all(dim=2, keepdim=True)
        weighted = opinions.double().log_softmax(dim=2) + tensor(self.weights).log()[:, None]
        return torch.where(lacking, -torch.inf, weighted).logsumexp(dim=1) + tensor(self.others) * last

    def contributions(self, opinions: Floats) -> Floats:
        """Return what each opinion adds to the log-odds, (m, V, C) -> (m, V): together they are the log-odds.

        That is by how much more probable it finds the first candidate than all others together, times one number a row
        (the logarithmic mean's, as in index decomposition: Ang, 2005).
        """
        shares = softmax(opinions, axis=2) * self.weights[:, None] * (opinions != 0).any(axis=2, keepdims=True)
        shares[:, :, -1] *= np.exp(self.others)
        first, others = shares[:, :, 0], shares[:, :, 1:].sum(axis=2)
        gap = (first - others).sum(axis=1)
        with np.errstate(invalid="ignore"):
            scale = np.where(gap == 0, 1 / first.sum(axis=1), self.log_odds(opinions) / gap)
        found: Floats = (first - others) * scale[:, None]
        return found


def fit_opinion_pool(
    opinions: NDArray[Any],
    classes: NDArray[np.int64],
    labels: NDArray[np.int64],
    num_classes: int,
    penalty: float,
    row_weights: NDArray[np.float64] | None = None,
) -> OpinionPool:
    """Return the pool of least cross entropy with the labels, and a ridge that shrinks it to its first opinion alone.

    ``opinions`` (n, V, C) are log-probabilities of the candidate ``classes`` (n, C); the rows count by ``row_weights``
    (n,), by default the same. The ridge is ``penalty`` / 2 times the squared distance of the parameters from a weight
    of 1 for the first opinion and 0 for all else. L-BFGS-B fits in at most 500 iterations; the problem is convex. A
    label that is no candidate is the last of them, which then has the number ``num_classes`` and stands for all others;
    else its offset stays 0.
    """
    listed = classes == labels[:, None]
    target = torch.from_numpy(np.where(listed.any(axis=1), listed.argmax(axis=1), classes.shape[1] - 1))
    inputs, count = torch.from_numpy(opinions).double(), opinions.shape[1]
    shares = torch.full((len(labels),), 1 / len(labels), dtype=torch.float64)
    if row_weights is not None:
        shares = torch.from_numpy(row_weights / row_weights.sum())
    last = torch.nn.functional.one_hot(torch.tensor(classes.shape[1] - 1), classes.shape[1]).double()
    prior = torch.zeros(count + 1, dtype=torch.float64)
    prior[0] = 1

    def objective(parameters: torch.Tensor) -> torch.Tensor:
        utilities = torch.einsum("mvc,v->mc", inputs, parameters[:count]) + parameters[count] * last
        loss = torch.nn.functional.cross_entropy(utilities, target, reduction="none") @ shares
        return loss + penalty / 2 * (parameters - prior).square().sum()

    start = np.array([1 / count] * count + [0.0])
    free = bool((classes[:, -1] == num_classes).all())
    bounds = [(0, None)] * count + [(None, None) if free else (0, 0)]
    found = minimise_by_lbfgs(objective, start, bounds, maxiter=500)
    return OpinionPool(found[:count], found[count:])
