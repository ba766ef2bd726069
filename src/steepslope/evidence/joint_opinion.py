"""What a linear probe and a small net think that see the features of both nets side by side."""

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence.second_opinion import probe_columns
from steepslope.evidence.states import Floats, State, references, require_arrays
from steepslope.numerics.linear import fit_standardised_softmax
from steepslope.numerics.log_space import log_probabilities
from steepslope.numerics.matrices import affine
from steepslope.numerics.small_net import fit_small_net, small_net_logits
from steepslope.outputs import ClassifierOutputs

INPUTS = ("features", "auxiliary")
WIDTH = 512  # of the net's hidden layer, where rows are many
# More than an auxiliary probe's: the classifier's features are surer of its training labels than of others.
PENALTY = 1e-2


def fit_joint(reference: ClassifierOutputs) -> State:
    """Fit both to the reference's labels."""
    known = references(reference)
    columns = np.concatenate([known.require(name) for name in INPUTS], axis=1)
    labels, num_classes = known.require_labels(), known.num_classes
    weights, bias = fit_standardised_softmax(columns, labels, num_classes, PENALTY)
    return {"weights": weights, "bias": bias, **fit_small_net(columns, labels, num_classes, WIDTH)}


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
