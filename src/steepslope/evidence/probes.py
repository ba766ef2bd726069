"""What a linear probe on an auxiliary backbone thinks of the prediction.

What a small net thinks that sees the classifier's features alone: no further forward pass is needed.

On clean training rows it knows hardly more than the classifier. On their augmented copies it learns what the features
look like where the classifier begins to err.

What a linear probe and a small net think that see the features of both nets side by side.
"""

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence.classifier import agreement_columns
from steepslope.evidence.states import Floats, State, references, require_arrays
from steepslope.numerics.linear import affine, fit_standardised_softmax
from steepslope.numerics.log_space import log_probabilities, top_log_odds
from steepslope.numerics.small_net import NAMES, fit_small_net, small_net_logits
from steepslope.outputs import ClassifierOutputs

PROBE_PENALTY = 1e-3


def fit_probe(reference: ClassifierOutputs) -> State:
    """Fit a multinomial logistic regression from the auxiliary features to the labels; ridge 10⁻³ on unit columns."""
    known = references(reference)
    auxiliary, labels = known.require("auxiliary"), known.require_labels()
    weights, bias = fit_standardised_softmax(auxiliary, labels, known.num_classes, PROBE_PENALTY)
    return {"weights": weights, "bias": bias}


def check_probe(state: State, num_classes: int) -> None:
    """Raise unless a state is a probe on as many classes."""
    require_arrays(state, {"weights": (None, num_classes), "bias": (num_classes,)}, double=("bias",))


def opinion_columns(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return the columns of :func:`probe_columns`, (m, 3)."""
    return probe_columns(_probe_logits(outputs, rows, state), outputs.predictions[rows])


def probe_columns(logits: NDArray[np.float64], predictions: NDArray[np.int64]) -> Floats:
    """Return a probe's log-odds of the predicted class, whether it agrees, and its own class's log-odds, (m, 3)."""
    of_prediction = agreement_columns(logits[:, None], predictions)[:, [0, -1]]
    return np.column_stack([of_prediction, top_log_odds(logits)])


def second_opinions(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    """Return the probe's log-probabilities, (m, 1, K)."""
    return log_probabilities(_probe_logits(outputs, rows, state))[:, None]


def _probe_logits(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    auxiliary = np.asarray(outputs.require("auxiliary")[rows], dtype=np.float64)
    if auxiliary.shape[1] != len(state["weights"]):
        raise SteepslopeError(f"expected {len(state['weights'])} columns, found {auxiliary.shape[1]}", "auxiliary")
    return affine(auxiliary, state["weights"], state["bias"])


FEATURE_WIDTH = 1024  # of the hidden layer, where rows are many; wider gains nothing (LOG.md)


def fit_feature_opinion(reference: ClassifierOutputs) -> State:
    """Fit the net to the reference's labels."""
    known = references(reference)
    return fit_small_net(known.require_features(), known.require_labels(), known.num_classes, FEATURE_WIDTH)


def check_feature_opinion(state: State, num_classes: int) -> None:
    """Raise unless a state is such a net for as many classes."""
    hidden = len(state.get("inner_bias", ()))
    shapes = (None, hidden), (hidden,), (hidden, num_classes), (num_classes,)
    require_arrays(state, dict(zip(NAMES, shapes, strict=True)), double=("inner_bias",))


def feature_opinion_columns(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return its log-odds of the predicted class, whether it agrees, and its own class's log-odds, (m, 3)."""
    return probe_columns(_feature_logits(outputs, rows, state), outputs.predictions[rows])


def feature_opinions(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    """Return its log-probabilities, (m, 1, K)."""
    return log_probabilities(_feature_logits(outputs, rows, state))[:, None]


def _feature_logits(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    features = np.asarray(outputs.require_features()[rows], dtype=np.float64)
    if features.shape[1] != len(state["inner"]):
        raise SteepslopeError(f"expected {len(state['inner'])} columns, found {features.shape[1]}", "features")
    return small_net_logits(features, state)


INPUTS = ("features", "auxiliary")
JOINT_WIDTH = 512  # of the net's hidden layer, where rows are many
# More than an auxiliary probe's: the classifier's features are surer of its training labels than of others.
JOINT_PENALTY = 1e-2


def fit_joint(reference: ClassifierOutputs) -> State:
    """Fit both to the reference's labels."""
    known = references(reference)
    columns = np.concatenate([known.require(name) for name in INPUTS], axis=1)
    labels, num_classes = known.require_labels(), known.num_classes
    weights, bias = fit_standardised_softmax(columns, labels, num_classes, JOINT_PENALTY)
    return {"weights": weights, "bias": bias, **fit_small_net(columns, labels, num_classes, JOINT_WIDTH)}


def check_joint(state: State, num_classes: int) -> None:
    """Raise unless a state is such a pair for as many classes."""
    hidden, width = len(state.get("inner_bias", ())), len(state.get("weights", ()))
    require_arrays(state, {
        "weights": (None, num_classes), "bias": (num_classes,), "inner": (width, hidden), "inner_bias": (None,),
        "outer": (hidden, num_classes), "outer_bias": (num_classes,),
    }, double=("bias", "inner_bias"))  # fmt: skip


def joint_columns(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return the columns of each of the two, (m, 2·3)."""
    predictions = outputs.predictions[rows]
    return np.concatenate([probe_columns(logits, predictions) for logits in joint_logits(outputs, rows, state)], axis=1)


def joint_opinions(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    """Return the log-probabilities of both, (m, 2, K)."""
    return np.stack([log_probabilities(logits) for logits in joint_logits(outputs, rows, state)], axis=1)


def joint_logits(
    outputs: ClassifierOutputs, rows: slice, state: State
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the logits of the probe and of the net, (m, K) each."""
    parts = [np.asarray(outputs.require(name)[rows], dtype=np.float64) for name in INPUTS]
    columns = np.concatenate(parts, axis=1)
    if columns.shape[1] != len(state["weights"]):
        found = " + ".join(str(part.shape[1]) for part in parts)
        raise SteepslopeError(f"features and auxiliary: expected {len(state['weights'])} columns in all, found {found}")
    return affine(columns, state["weights"], state["bias"]), small_net_logits(columns, state)
