"""How the prediction stands when the image is changed a little."""

import numpy as np
from numpy.typing import NDArray

from steepslope.estimators.log_space import log_odds_of, log_probabilities
from steepslope.evidence.states import Floats, State
from steepslope.outputs import ClassifierOutputs


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
