"""The classifier's own opinion: its most probable classes, whichever they are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.estimators.log_space import log_probabilities, top_log_odds
from steepslope.evidence.states import State
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
