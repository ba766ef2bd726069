"""The classifier's own opinion: its most probable classes, whichever they are.

How the prediction stands when the image is changed a little.

How the prediction stands when units of the net are dropped.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.evidence.states import Floats, State
from steepslope.numerics.log_space import log_odds_of, log_probabilities, top_log_odds
from steepslope.outputs import ClassifierOutputs

TOP = 10


def logit_columns(outputs: ClassifierOutputs, rows: slice, _: State) -> NDArray[Any]:
    """Return the prediction's log-odds, and the top classes' logits and log-probabilities, each sorted.

    Shape (m, 1 + 2·min(K, 10)). Sorting makes the columns the same for any numbering of the classes.
    """
    logits = np.asarray(outputs.logits[rows], dtype=np.float64)
    count = min(TOP, logits.shape[1])
    top = -np.sort(np.partition(-logits, count - 1, axis=1)[:, :count], axis=1)
    log_total = np.log(np.exp(logits - top[:, :1]).sum(axis=1, keepdims=True)) + top[:, :1]
    return np.column_stack([top_log_odds(logits), top, top - log_total])


def logit_opinions(outputs: ClassifierOutputs, rows: slice, _: State) -> NDArray[np.float64]:
    """Return the classifier's own log-probabilities, (m, 1, K)."""
    return log_probabilities(np.asarray(outputs.logits[rows], dtype=np.float64))[:, None]


def view_columns(outputs: ClassifierOutputs, rows: slice, _: State) -> Floats:
    """Return the predicted class's log-odds in each view, their mean, least and spread, and the fraction that agree.

    Shape (m, V + 4).
    """
    return agreement_columns(np.asarray(outputs.require("views")[rows], dtype=np.float64), outputs.predictions[rows])


def agreement_columns(logits: NDArray[np.float64], predictions: NDArray[np.int64]) -> Floats:
    """Return the columns of some opinions' logits (m, V, K) on the predictions (m,)."""
    m, count, num_classes = logits.shape
    odds = log_odds_of(logits.reshape(m * count, num_classes), np.repeat(predictions, count)).reshape(m, count)
    agree = (logits.argmax(axis=2) == predictions[:, None]).mean(axis=1)
    return np.column_stack([odds, odds.mean(axis=1), odds.min(axis=1), odds.std(axis=1), agree])


def view_opinions(outputs: ClassifierOutputs, rows: slice, _: State) -> NDArray[np.float64]:
    """Return the log-probabilities in each view, (m, V, K)."""
    logits = np.asarray(outputs.require("views")[rows], dtype=np.float64)
    return log_probabilities(logits.reshape(-1, logits.shape[2])).reshape(logits.shape)


def dropout_columns(outputs: ClassifierOutputs, rows: slice, _: State) -> Floats:
    """Return the predicted class's log-odds under the mean of the passes, and its probability's spread, (m, 2)."""
    passes = np.asarray(outputs.require("dropout")[rows], dtype=np.float64)
    predictions = outputs.predictions[rows]
    spread = passes[np.arange(len(passes)), 1, predictions]
    return np.column_stack([log_odds_of(passes[:, 0], predictions), spread])


def dropout_opinions(outputs: ClassifierOutputs, rows: slice, _: State) -> NDArray[np.float64]:
    """Return the log of the mean probabilities of the passes, (m, 1, K)."""
    return np.asarray(outputs.require("dropout")[rows, :1], dtype=np.float64)
