"""What a linear probe on other features than the classifier's thinks of the prediction.

On a foreign backbone's features alone it is a second opinion; on both nets' features side by side, a joint one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence.states import Floats, State, arrays_fit
from steepslope.evidence.views import agreement_columns
from steepslope.log_space import log_probabilities
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.mcp import top_log_odds

MOST_REFERENCES = 100_000
PENALTY = 1e-3
JOINT = ("features", "foreign")
JOINT_PENALTY = 1e-2  # the classifier's features are surer of the references' labels than they are of others'
Arrays = tuple[str, ...]


def fit_probe(reference: ClassifierOutputs, arrays: Arrays = ("foreign",), penalty: float = PENALTY) -> State:
    """Fit a multinomial logistic regression from the features to the labels, with a ridge on unit columns."""
    from steepslope.training.linear import fit_standardised_softmax

    rows = np.linspace(0, len(reference) - 1, min(len(reference), MOST_REFERENCES)).round().astype(np.int64)
    features = _side_by_side(reference, rows, arrays)
    weights, bias = fit_standardised_softmax(features, reference.labels[rows], reference.num_classes, penalty)
    return {"weights": weights, "bias": bias}


def valid_probe(state: State, num_classes: int) -> bool:
    """Say whether a state is a probe on as many classes."""
    return arrays_fit(state, {"weights": (None, num_classes), "bias": (num_classes,)})


def opinion_columns(outputs: ClassifierOutputs, rows: slice, state: State, arrays: Arrays = ("foreign",)) -> Floats:
    """Return the probe's log-odds of the predicted class, of its own best class, and whether they agree, (m, 3)."""
    logits = _logits(outputs, rows, state, arrays)
    of_prediction = agreement_columns(logits[:, None], outputs.predictions[rows])[:, [0, -1]]
    return np.column_stack([of_prediction, top_log_odds(logits)])


def second_opinions(
    outputs: ClassifierOutputs, rows: slice, state: State, arrays: Arrays = ("foreign",)
) -> NDArray[np.float64]:
    """Return the probe's log-probabilities, (m, 1, K)."""
    return log_probabilities(_logits(outputs, rows, state, arrays))[:, None]


def _logits(outputs: ClassifierOutputs, rows: slice, state: State, arrays: Arrays) -> NDArray[np.float64]:
    features = _side_by_side(outputs, rows, arrays).astype(np.float64)
    if features.shape[1] != len(state["weights"]):
        names = " and ".join(arrays)
        raise SteepslopeError(f"{names}: expected {len(state['weights'])} columns, found {features.shape[1]}")
    return np.asarray(features @ state["weights"].astype(np.float64) + state["bias"])


def _side_by_side(outputs: ClassifierOutputs, rows: slice | NDArray[np.int64], arrays: Arrays) -> NDArray[Any]:
    return np.concatenate([np.asarray(outputs.require(name)[rows]) for name in arrays], axis=1)
