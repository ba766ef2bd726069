"""What a linear probe on an auxiliary backbone thinks of the prediction."""

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence.classifier import agreement_columns
from steepslope.evidence.states import Floats, State, references, require_arrays
from steepslope.numerics.linear import fit_standardised_softmax
from steepslope.numerics.log_space import log_probabilities, top_log_odds
from steepslope.numerics.matrices import affine
from steepslope.outputs import ClassifierOutputs

PENALTY = 1e-3


def fit_probe(reference: ClassifierOutputs) -> State:
    """Fit a multinomial logistic regression from the auxiliary features to the labels; ridge 10⁻³ on unit columns."""
    known = references(reference)
    auxiliary, labels = known.require("auxiliary"), known.require_labels()
    weights, bias = fit_standardised_softmax(auxiliary, labels, known.num_classes, PENALTY)
    return {"weights": weights, "bias": bias}


def check_probe(state: State, num_classes: int) -> None:
    """Raise unless a state is a probe on as many classes."""
    require_arrays(state, {"weights": (None, num_classes), "bias": (num_classes,)}, double=("bias",))


def opinion_columns(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return the columns of :func:`probe_columns`, (m, 3)."""
    return probe_columns(_logits(outputs, rows, state), outputs.predictions[rows])


def probe_columns(logits: NDArray[np.float64], predictions: NDArray[np.int64]) -> Floats:
    """Return a probe's log-odds of the predicted class, whether it agrees, and its own class's log-odds, (m, 3)."""
    of_prediction = agreement_columns(logits[:, None], predictions)[:, [0, -1]]
    return np.column_stack([of_prediction, top_log_odds(logits)])


def second_opinions(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    """Return the probe's log-probabilities, (m, 1, K)."""
    return log_probabilities(_logits(outputs, rows, state))[:, None]


def _logits(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    auxiliary = np.asarray(outputs.require("auxiliary")[rows], dtype=np.float64)
    if auxiliary.shape[1] != len(state["weights"]):
        raise SteepslopeError(f"expected {len(state['weights'])} columns, found {auxiliary.shape[1]}", "auxiliary")
    return affine(auxiliary, state["weights"], state["bias"])
