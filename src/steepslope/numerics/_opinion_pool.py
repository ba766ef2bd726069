"""Pools of opinions on classes: a logarithmic one (conditional logit), a linear one, and a regression on who agrees.

The logarithmic pool is p(class | opinions) ∝ exp(Σ weight · log-probability), a product of powers of the opinions. Each
opinion has one weight >= 0 for all classes, so none counts against its own answer (McFadden, "Conditional Logit
Analysis of Qualitative Choice Behavior", 1974). No class has its own offset, because the confusions of familiar data
mislead elsewhere.
"""

from dataclasses import dataclass
from itertools import repeat

import numpy as np
from scipy.special import expit, softmax

from steepslope.numerics._formulas import Array, constant, float64, log_softmax, logsumexp, namespace_of, quiet
from steepslope.numerics._linear import minimise_by_lbfgs
from steepslope.numerics._log_space import top_log_odds
from steepslope.numerics._types import Bools, Counts, Floats, Values


@dataclass(frozen=True, eq=False)
class OpinionPool:
    """A logarithmic pool: ``weights`` (V,), and the offset ``others`` (1,) of a last candidate for all others."""

    weights: Floats
    others: Floats

    @quiet
    def utilities(self, opinions: Array) -> Array:
        """Return the candidates' unnormalised log-probabilities, (m, V, C) -> (m, C)."""
        xp = namespace_of(opinions)
        weights = constant(self.weights, opinions)
        weighted = xp.sum(float64(opinions) * weights[:, None], axis=1)
        return weighted + self._of_last(opinions)

    def _of_last(self, opinions: Array) -> Array:
        """Return the offset of each candidate, (C,): 0 except for the last."""
        offsets = np.zeros(opinions.shape[2])
        offsets[-1] = self.others[0]
        return constant(offsets, opinions)

    @quiet
    def log_odds(self, opinions: Array) -> Array:
        """Return the log-odds that the first candidate, the prediction, is right, (m, V, C) -> (m,)."""
        utilities = self.utilities(opinions)
        return utilities[:, 0] - logsumexp(utilities[:, 1:])

    def contributions(self, opinions: Floats) -> Floats:
        """Return what each opinion adds to the log-odds, (m, V, C) -> (m, V): how much it prefers the first candidate.

        It is compared with the pool's runner-up. What all further candidates take away is not included.
        """
        rival = 1 + self.utilities(opinions)[:, 1:].argmax(axis=1)
        gaps = opinions[:, :, 0] - opinions[np.arange(len(rival)), :, rival]
        return np.asarray(gaps * self.weights)


class LinearPool(OpinionPool):
    """A linear opinion pool (Stone, "The Opinion Pool", 1961): p(class) = Σ weight · probability, with given weights.

    No opinion has a veto, so the pool also works with opinions that are too sure. An opinion that a row lacks is all
    zeros, and has no weight there.
    """

    @quiet
    def utilities(self, opinions: Array) -> Array:
        """Return the candidates' unnormalised log-probabilities, (m, V, C) -> (m, C)."""
        xp = namespace_of(opinions)
        shares = constant(np.log(self.weights), opinions)
        lacking = xp.all(opinions == 0, axis=2, keepdims=True)
        weighted = log_softmax(float64(opinions), axis=2) + shares[:, None]
        return logsumexp(xp.where(lacking, -np.inf, weighted)) + self._of_last(opinions)

    def contributions(self, opinions: Floats) -> Floats:
        """Return what each opinion adds to the log-odds, (m, V, C) -> (m, V); their sum is the log-odds.

        It is how much more probable the opinion finds the first candidate than all others together, times one number
        for each row (from the logarithmic mean, as in index decomposition: Ang, 2005).
        """
        shares = softmax(opinions, axis=2) * self.weights[:, None] * (opinions != 0).any(axis=2, keepdims=True)
        shares[:, :, -1] *= np.exp(self.others)
        first = shares[:, :, 0]
        advantage = first - shares[:, :, 1:].sum(axis=2)
        gap = advantage.sum(axis=1)
        with np.errstate(invalid="ignore"):
            scale = np.where(gap == 0, 1 / first.sum(axis=1), self.log_odds(opinions) / gap)
        return np.asarray(advantage * scale[:, None])


class AgreementPool(OpinionPool):
    """A logistic regression on whether others agree with the prediction, and on how sure they are.

    ``weights`` (1 + 3J,) has the weight of the classifier's log-odds, and three for each of J others: of agreement (½
    or −½, and 0 in rows that lack the opinion), of the log-odds of the other's own class if it agrees, and of minus
    these if not. ``others`` (1,) is the offset. Of each other's three opinions in (m, 1 + 3J, C), the first is its own.
    """

    @quiet
    def log_odds(self, opinions: Array) -> Array:
        """Return the log-odds that the first candidate, the prediction, is right, (m, V, C) -> (m,)."""
        columns = _agreement_columns(opinions)
        return columns @ constant(self.weights, columns) + constant(self.others, columns)[0]

    def contributions(self, opinions: Floats) -> Floats:
        """Return what each column adds to the log-odds, (m, V, C) -> (m, V), without the offset."""
        return np.asarray(_agreement_columns(opinions) * self.weights)


def _agreement_columns(opinions: Array) -> Array:
    """Return the columns of an :class:`AgreementPool`, float64 (m, V, C) -> (m, V)."""
    xp = namespace_of(opinions)
    values = float64(opinions)
    columns = [values[:, 0, 0] - logsumexp(values[:, 0, 1:])]
    for place in range(1, opinions.shape[1], 3):
        said = values[:, place]
        rival = xp.max(said[:, 1:], axis=1)
        surely = top_log_odds(said)
        agrees = float64(said[:, 0] > rival)
        differs = float64(rival > said[:, 0])
        columns += [(agrees - differs) / 2, agrees * surely, -differs * surely]
    return xp.stack(columns, axis=1)


def fit_agreement_pool(opinions: Floats, is_correct: Bools, strength: float) -> AgreementPool:
    """Return the pool with the least cross entropy on rows (n,), with a ridge of ``strength`` rows on others' weights.

    No weight is below 0, so none counts against its own answer.
    """
    columns = _agreement_columns(opinions)
    scale = np.sqrt(np.square(columns).mean(axis=0))
    scale[scale == 0] = 1
    scale[0] = 1
    strengths = np.full(len(scale) + 1, strength)
    strengths[[0, -1]] = 1
    found = fit_shrunken_regression(columns / scale, is_correct, strengths)
    return AgreementPool(found[:-1] / scale, found[-1:])


def fit_shrunken_regression(columns: Floats, is_correct: Bools, strengths: Floats) -> Floats:
    """Return the weights >= 0 of columns (n, k), then an offset, (k + 1,), of a logistic regression of correctness.

    A ridge of ``strengths`` (k + 1,) rows shrinks it to the first column alone.
    """
    count = columns.shape[1]
    inputs = np.column_stack([columns, np.ones(len(columns))])
    mean = np.eye(count + 1)[0]
    ridge = strengths / len(columns)

    def objective(weights: Floats) -> tuple[float, Floats]:
        logits = inputs @ weights
        loss = np.logaddexp(0, np.where(is_correct, -logits, logits)).mean()
        pull = ridge * (weights - mean)
        gradient = (expit(logits) - is_correct) @ inputs / len(inputs) + pull
        return float(loss + pull @ (weights - mean) / 2), gradient

    bounds = [*repeat((0, None), count), (None, None)]
    return minimise_by_lbfgs(objective, mean, bounds, maxiter=500)


def fit_opinion_pool(
    opinions: Values,
    classes: Counts,
    labels: Counts,
    num_classes: int,
    penalty: float,
    row_weights: Floats | None = None,
) -> OpinionPool:
    """Return the pool with the least cross entropy with the labels, shrunk by a ridge to its first opinion alone.

    ``opinions`` (n, V, C) are log-probabilities of the candidate ``classes`` (n, C). Rows have ``row_weights`` (n,), by
    default equal ones. The ridge is ``penalty`` / 2 times the squared distance of the parameters from a weight of 1 for
    the first opinion and 0 for everything else. L-BFGS-B fits in at most 500 iterations; the problem is convex. A last
    candidate with the number ``num_classes`` stands for all other classes, and for labels that are no candidate;
    without it, its offset stays 0.
    """
    candidates = classes.shape[1]
    is_label = classes == labels[:, None]
    target = np.where(is_label.any(axis=1), is_label.argmax(axis=1), candidates - 1)
    rows = np.arange(len(labels))
    count = opinions.shape[1]
    inputs = np.ascontiguousarray(opinions.swapaxes(1, 2), dtype=np.float64).reshape(-1, count)
    shares = np.full(len(labels), 1 / len(labels))
    if row_weights is not None:
        shares = row_weights / row_weights.sum()
    prior = np.eye(count + 1)[0]

    def objective(parameters: Floats) -> tuple[float, Floats]:
        utilities = (inputs @ parameters[:count]).reshape(-1, candidates)
        utilities[:, -1] += parameters[count]
        logs = log_softmax(utilities)
        residual = np.exp(logs)
        residual[rows, target] -= 1
        residual *= shares[:, None]
        gradient = np.append(inputs.T @ residual.ravel(), residual[:, -1].sum())
        gradient += penalty * (parameters - prior)
        loss = -logs[rows, target] @ shares + penalty / 2 * np.square(parameters - prior).sum()
        return float(loss), gradient

    start = np.append(np.full(count, 1 / count), 0.0)
    has_others = (classes[:, -1] == num_classes).all()
    of_others = (None, None) if has_others else (0, 0)
    found = minimise_by_lbfgs(objective, start, [*repeat((0, None), count), of_others], maxiter=500)
    return OpinionPool(found[:count], found[count:])
