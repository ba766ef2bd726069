"""What the classifier itself thinks: of the image, of its views, and where units of the net are dropped."""

import torch
from torch import Tensor

from steepslope.numerics.log_space import log_odds_of, top_log_odds
from steepslope.oracle.evidence.states import State
from steepslope.scores.score import Rows

TOP = 10


def feature_columns(rows: Rows, _: State) -> Tensor:
    """Return the classifier's penultimate features, (m, d)."""
    return rows["features"]


def logit_columns(rows: Rows, _: State) -> Tensor:
    """Return the prediction's log-odds, and the top classes' logits and log-probabilities, each sorted.

    Shape (m, 1 + 2·min(K, 10)). Sorting makes the columns the same for any numbering of the classes.
    """
    logits = rows["logits"]
    top = logits.topk(min(TOP, logits.shape[1]), dim=1).values
    log_total = (logits - top[:, :1]).exp().sum(dim=1, keepdim=True).log() + top[:, :1]
    return torch.cat([top_log_odds(logits)[:, None], top, top - log_total], dim=1)


def logit_opinions(rows: Rows, _: State) -> Tensor:
    """Return the classifier's own log-probabilities, (m, 1, K)."""
    return rows["logits"].log_softmax(dim=1)[:, None]


def view_columns(rows: Rows, _: State) -> Tensor:
    """Return the predicted class's log-odds in each view, their mean, least and spread, and the fraction that agree.

    Shape (m, V + 4).
    """
    logits, predictions = rows["views"].double(), rows["predictions"]
    odds = torch.stack([log_odds_of(view, predictions) for view in logits.unbind(dim=1)], dim=1)
    agree = (logits.argmax(dim=2) == predictions[:, None]).double().mean(dim=1)
    spread = odds.std(dim=1, correction=0)
    return torch.cat([odds, torch.stack([odds.mean(dim=1), odds.amin(dim=1), spread, agree], dim=1)], dim=1)


def view_opinions(rows: Rows, _: State) -> Tensor:
    """Return the log-probabilities in each view, (m, V, K)."""
    return rows["views"].double().log_softmax(dim=2)


def dropout_columns(rows: Rows, _: State) -> Tensor:
    """Return the predicted class's log-odds under the mean of the passes, and its probability's spread, (m, 2)."""
    passes, predictions = rows["dropout"].double(), rows["predictions"]
    spread = passes[:, 1].gather(1, predictions[:, None])[:, 0]
    return torch.stack([log_odds_of(passes[:, 0], predictions), spread], dim=1)


def dropout_opinions(rows: Rows, _: State) -> Tensor:
    """Return the log of the mean probabilities of the passes, (m, 1, K)."""
    return rows["dropout"][:, :1].double()
