"""What a linear probe and a small net think that see the features of both nets side by side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.estimators.log_space import log_probabilities
from steepslope.evidence.second_opinion import probe_columns
from steepslope.evidence.states import Floats, State, arrays_fit, reference_rows
from steepslope.outputs import ClassifierOutputs

ARRAYS = ("features", "auxiliary")
PENALTY = (
    1e-2  # more than an auxiliary probe's: the classifier's features are surer of its training labels than of others
)


def fit_joint(reference: ClassifierOutputs) -> State:
    """Fit both to the reference's labels."""
    from steepslope.estimators.linear import fit_standardised_softmax
    from steepslope.estimators.small_net import fit_small_net

    rows = reference_rows(reference)
    columns = np.concatenate([np.asarray(reference.require(name)[rows], dtype=np.float32) for name in ARRAYS], axis=1)
    labels, num_classes = reference.labels[rows], reference.num_classes
    weights, bias = fit_standardised_softmax(columns, labels, num_classes, PENALTY)
    return {"weights": weights, "bias": bias, **fit_small_net(columns, labels, num_classes)}


def valid_joint(state: State, num_classes: int) -> bool:
    """Say whether a state is such a pair for as many classes."""
    shapes: dict[str, tuple[int | None, ...]] = {
        "weights": (None, num_classes), "bias": (num_classes,), "inner": (None, None), "inner_bias": (None,),
        "outer": (None, num_classes), "outer_bias": (num_classes,),
    }  # fmt: skip
    if not arrays_fit(state, shapes):
        return False
    width, hidden = state["inner"].shape
    return bool(len(state["weights"]) == width and len(state["inner_bias"]) == len(state["outer"]) == hidden)


def joint_columns(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return the columns of each of the two, (m, 2·3)."""
    predictions = outputs.predictions[rows]
    return np.concatenate([probe_columns(logits, predictions) for logits in _logits(outputs, rows, state)], axis=1)


def joint_opinions(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    """Return the log-probabilities of both, (m, 2, K)."""
    return np.stack([log_probabilities(logits) for logits in _logits(outputs, rows, state)], axis=1)


def _logits(outputs: ClassifierOutputs, rows: slice, state: State) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from steepslope.estimators.small_net import small_net_logits

    parts = [np.asarray(outputs.require(name)[rows], dtype=np.float64) for name in ARRAYS]
    columns = np.concatenate(parts, axis=1)
    if columns.shape[1] != len(state["weights"]):
        found = " + ".join(str(part.shape[1]) for part in parts)
        raise SteepslopeError(f"features and auxiliary: expected {len(state['weights'])} columns in all, found {found}")
    linear = columns @ state["weights"].astype(np.float64) + state["bias"]
    return linear, small_net_logits(columns, state)
