"""Opinions of other classifiers, or people, on the same inputs; a row may lack any of them.

Each opinion comes with two more. The first is the classifier's own, in the rows that lack the opinion, so a pool can
learn how much more the classifier counts there. The second is the mean of both probabilities. A pool multiplies, so a
factor near 0 is a veto, which does harm if a classifier is too sure. A mean has no veto.
"""

import math

import numpy as np

from steepslope.numerics import (
    Array,
    clipped,
    constant,
    float64,
    log_odds_of,
    log_softmax,
    logsumexp,
    namespace_of,
    require_arrays,
    top_log_odds,
)
from steepslope.oracle.evidence._states import State
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import Rows

_LIKELIHOOD = "likelihood"
_PRIOR = 5.0  # rows: the weight of the prior for a class's votes


def fit_votes(outputs: ClassifierOutputs, array: str) -> State:
    """Learn the likelihood of each vote given the true class, float64 (K + 1, K), from labels.

    The vote K is for any other class. The prior for each class is the average over all classes: correct votes as often
    as on average, and all other votes equally often. So few rows of a class change little.
    """
    count = outputs.num_classes
    votes = np.asarray(outputs.require(array))
    labels = outputs.require_labels()
    counted = np.flatnonzero((votes >= 0) & (labels >= 0))
    table = np.zeros((count + 1, count))
    np.add.at(table, (votes[counted], labels[counted]), 1)
    agreeing = (np.trace(table[:count]) + 1) / (table.sum() + 1 + count)
    expected = np.full((count + 1, count), (1 - agreeing) / count)
    np.fill_diagonal(expected, agreeing)
    return {_LIKELIHOOD: np.log((table + _PRIOR * expected) / (table.sum(axis=0) + _PRIOR))}


def check_votes(state: State, num_classes: int) -> None:
    """Raise unless a state is the likelihood of votes for that number of classes."""
    require_arrays(state, {_LIKELIHOOD: f"float64 {num_classes + 1} {num_classes}"})


def vote_opinions(rows: Rows, state: State, array: str) -> Array:
    """Return the log-likelihood of each vote by class, the classifier's opinion in rows without a vote, and the mean.

    The shape is (m, 3, K).
    """
    votes = rows[array]
    likelihood = constant(state[_LIKELIHOOD], votes)
    return _opinions_with_own(rows, likelihood[clipped(votes, 0)], votes < 0)


def net_opinions(rows: Rows, _: State, array: str) -> Array:
    """Return the other's log-probabilities, the classifier's in rows without them, and the mean of both, (m, 3, K)."""
    logits = float64(rows[array])
    xp = namespace_of(logits)
    lacking = xp.any(xp.isnan(logits), axis=1)
    known = xp.where(lacking[:, None], 0.0, logits)
    return _opinions_with_own(rows, log_softmax(known), lacking)


def _opinions_with_own(rows: Rows, opinions: Array, lacking: Array) -> Array:
    """Return others' opinions with the classifier's own and the mean of both probabilities, (m, 3, K).

    A missing opinion is NaN, which has no weight. In rows that lack the other's, only the classifier's own is there; in
    all other rows it is missing.
    """
    xp = namespace_of(lacking)
    own = log_softmax(rows["logits"])
    is_lacking = lacking[:, None]
    mean = logsumexp(xp.stack([own, log_softmax(opinions)], axis=0), axis=0) - math.log(2)
    of_others = xp.where(is_lacking, np.nan, opinions)
    instead = xp.where(is_lacking, own, np.nan)
    mean = xp.where(is_lacking, np.nan, mean)
    return xp.stack([of_others, instead, mean], axis=1)


def vote_columns(rows: Rows, _: State, array: str) -> Array:
    """Return whether each vote agrees with the prediction, and which rows have no vote, (m, 2).

    The meaning of votes is learnt from labels, which a column for the same rows must not know.
    """
    votes = rows[array]
    return float64(namespace_of(votes).stack([votes == rows["predictions"], votes < 0], axis=1))


def opinion_columns(rows: Rows, state: State, array: str) -> Array:
    """Return the opinion's log-odds of the predicted class, whether it agrees, and its own class's log-odds, (m, 4).

    The last column marks the rows that lack the opinion; the others are 0 there.
    """
    opinions = net_opinions(rows, state, array)[:, 0]
    xp = namespace_of(opinions)
    lacking = xp.any(xp.isnan(opinions), axis=1)
    known = xp.where(lacking[:, None], 0.0, opinions)
    columns = xp.stack(opinion_on_prediction(known, rows["predictions"]), axis=1)
    columns = xp.where(lacking[:, None], 0.0, columns)
    return xp.concat([columns, float64(lacking)[:, None]], axis=1)


def opinion_on_prediction(logits: Array, predictions: Array) -> list[Array]:
    """Return the log-odds of the prediction, whether an opinion agrees, and its own class's log-odds, (m,) each."""
    agrees = float64(logits.argmax(1) == predictions)
    return [log_odds_of(logits, predictions), agrees, top_log_odds(logits)]
