"""What a linear probe on a foreign backbone thinks of the prediction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steepslope.evidence.states import Floats, State
from steepslope.evidence.views import agreement_columns
from steepslope.log_space import log_probabilities
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.mcp import top_log_odds

MOST_REFERENCES = 100_000
PENALTY = 1e-3


def fit_probe(reference: ClassifierOutputs) -> State:
    """Fit a multinomial logistic regression from the foreign features to the labels; ridge 10⁻³ on unit columns."""
    from steepslope.training.linear import fit_softmax

    rows = np.linspace(0, len(reference) - 1, min(len(reference), MOST_REFERENCES)).round().astype(np.int64)
    features = np.asarray(reference.require("foreign")[rows], dtype=np.float32)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale == 0] = 1
    weights, bias = fit_softmax((features - mean) / scale, reference.labels[rows], reference.num_classes, PENALTY)
    return {"weights": weights / scale[:, None], "bias": bias - (mean / scale) @ weights}


def opinion_columns(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return the probe's log-odds of the predicted class, of its own best class, and whether they agree, (m, 3)."""
    logits = _logits(outputs, rows, state)
    of_prediction = agreement_columns(logits[:, None], outputs.predictions[rows])[:, [0, -1]]
    return np.column_stack([of_prediction, top_log_odds(logits)])


def second_opinions(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    """Return the probe's log-probabilities, (m, 1, K)."""
    return log_probabilities(_logits(outputs, rows, state))[:, None]


def _logits(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    foreign = np.asarray(outputs.require("foreign")[rows], dtype=np.float64)
    return np.asarray(foreign @ state["weights"].astype(np.float64) + state["bias"])
