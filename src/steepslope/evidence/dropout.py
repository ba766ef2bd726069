"""How the prediction stands when units of the net are dropped."""

import numpy as np
from numpy.typing import NDArray

from steepslope.estimators.log_space import log_odds_of
from steepslope.evidence.states import Floats, State
from steepslope.outputs import ClassifierOutputs


def dropout_columns(outputs: ClassifierOutputs, rows: slice, _: State) -> Floats:
    """Return the predicted class's log-odds under the mean of the passes, and its probability's spread, (m, 2)."""
    passes = np.asarray(outputs.require("dropout")[rows], dtype=np.float64)
    predictions = outputs.predictions[rows]
    spread = passes[np.arange(len(passes)), 1, predictions]
    return np.column_stack([log_odds_of(passes[:, 0], predictions), spread])


def dropout_opinions(outputs: ClassifierOutputs, rows: slice, _: State) -> NDArray[np.float64]:
    """Return the log of the mean probabilities of the passes, (m, 1, K)."""
    return np.asarray(outputs.require("dropout")[rows, :1], dtype=np.float64)
