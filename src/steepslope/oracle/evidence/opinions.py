"""What other classifiers, or people, think of the same inputs; a row may lack any of these opinions.

Each opinion comes with two more. One is the classifier's own, in the rows that lack it, so that a pool can learn how
much more the classifier counts there. The other is the mean of both probabilities: a pool multiplies, and a factor near
0 is a veto, which is wrong of classifiers that are too sure; a mean has none.
"""

import math

import numpy as np
import torch
from torch import Tensor

from steepslope.numerics.array_shapes import require_arrays
from steepslope.numerics.log_space import log_odds_of, top_log_odds
from steepslope.numerics.tensors import tensor
from steepslope.oracle.evidence.states import State
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.score import Rows

LIKELIHOOD = "likelihood"
PRIOR = 5.0  # rows: what is known of a class's votes before any is seen


def fit_votes(outputs: ClassifierOutputs, array: str) -> State:
    """Learn the likelihood of each vote given the true class, float64 (K + 1, K), from labels.

    The vote K is for another class. Before its own rows are seen, a class is voted for as often as all classes are on
    average, and the other votes are alike: so few rows of a class tell little.
    """
    count = outputs.num_classes
    votes, labels = np.asarray(outputs.require(array)), outputs.require_labels()
    counted = np.flatnonzero((votes >= 0) & (labels >= 0))
    table = np.zeros((count + 1, count))
    np.add.at(table, (votes[counted], labels[counted]), 1)
    agreeing = (np.trace(table[:count]) + 1) / (table.sum() + 1 + count)
    expected = np.full((count + 1, count), (1 - agreeing) / count)
    expected[np.arange(count), np.arange(count)] = agreeing
    return {LIKELIHOOD: np.log((table + PRIOR * expected) / (table.sum(axis=0) + PRIOR))}


def check_votes(state: State, num_classes: int) -> None:
    """Raise unless a state is the likelihood of votes on as many classes."""
    require_arrays(state, {LIKELIHOOD: f"float64 {num_classes + 1} {num_classes}"})


def vote_opinions(rows: Rows, state: State, array: str) -> Tensor:
    """Return the log-likelihood of each vote by class, the classifier's opinion where there is none, and the mean.

    They are (m, 3, K).
    """
    votes = rows[array]
    return _opinions_with_own(rows, tensor(state[LIKELIHOOD])[votes.clamp_min(0)], votes < 0)


def net_opinions(rows: Rows, _: State, array: str) -> Tensor:
    """Return the other's log-probabilities, the classifier's opinion where there are none, and the mean, (m, 3, K)."""
    given = rows[array].double()
    lacking = given.isnan().any(dim=1)
    return _opinions_with_own(rows, torch.where(lacking[:, None], 0.0, given).log_softmax(dim=1), lacking)


def _opinions_with_own(rows: Rows, opinions: Tensor, lacking: Tensor) -> Tensor:
    """Put the classifier's own opinion next to others, and the mean of both probabilities.

    What is not there is NaN, which counts for nothing: the others and the mean in rows that lack them, else its own.
    """
    own, nothing = rows["logits"].log_softmax(dim=1), lacking[:, None]
    mean = torch.stack([own, opinions.log_softmax(dim=1)]).logsumexp(dim=0) - math.log(2)
    said, averaged = (torch.where(nothing, torch.nan, one) for one in (opinions, mean))
    return torch.stack([said, torch.where(nothing, own, torch.nan), averaged], dim=1)


def vote_columns(rows: Rows, _: State, array: str) -> Tensor:
    """Return whether each vote agrees with the prediction, and which rows have none, (m, 2).

    What votes tell of classes is learnt from labels, which a column of the same rows must not know.
    """
    votes = rows[array]
    return torch.stack([votes == rows["predictions"], votes < 0], dim=1).double()


def opinion_columns(rows: Rows, state: State, array: str) -> Tensor:
    """Return the opinion's log-odds of the predicted class, whether it agrees, and its own class's log-odds, (m, 4).

    The last column tells which rows lack the opinion; there the others are 0.
    """
    opinions = net_opinions(rows, state, array)[:, 0]
    lacking = opinions.isnan().any(dim=1)
    known = torch.where(lacking[:, None], 0.0, opinions)
    agrees = (known.argmax(dim=1) == rows["predictions"]).double()
    columns = torch.stack([log_odds_of(known, rows["predictions"]), agrees, top_log_odds(known)], dim=1)
    return torch.cat([torch.where(lacking[:, None], 0.0, columns), lacking.double()[:, None]], dim=1)
