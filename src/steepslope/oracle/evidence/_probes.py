"""Opinions of probes and small nets that are fitted to the features of one net, or of both.

``feature_opinion`` is a small net on the classifier's own features, and needs no further forward pass. On clean
training rows it knows hardly more than the classifier. On their augmented copies it learns what features look like when
the classifier begins to err. ``second_opinion`` is a linear probe on an auxiliary backbone. ``joint_opinion`` is a
probe and a net on the features of both nets side by side.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from steepslope.errors import SteepslopeError
from steepslope.numerics import (
    NAMES,
    Array,
    ArrayDict,
    constant,
    fit_small_net,
    fit_standardised_softmax,
    float64,
    log_softmax,
    namespace_of,
    require_arrays,
    require_width,
    small_net_logits,
    standardised,
)
from steepslope.oracle.evidence._opinions import opinion_on_prediction
from steepslope.oracle.evidence._states import State, classes_of_state, numbered_labels, references
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import Rows

COMPONENTS = 256  # of an auxiliary backbone's features, or of both nets': a fit takes a fraction of the time


def fit_probes(reference: ClassifierOutputs, arrays: Sequence[str], penalty: float | None, width: int | None) -> State:
    """Fit a multinomial logistic regression with a ridge, a small net of some width, or both, to a reference's labels.

    If the columns include features of an auxiliary backbone, the fit uses their principal components, which takes a
    fraction of the time. The resulting weights are for all columns.
    """
    known = references(reference)
    parts = [known.require(name) for name in arrays]
    columns: Any = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    if "auxiliary" in arrays:
        columns = standardised(columns, COMPONENTS)
    labels, num_classes = numbered_labels(known)
    state: ArrayDict = {}
    if penalty is not None:
        state["weights"], state["bias"] = fit_standardised_softmax(columns, labels, num_classes, penalty)
    if width is not None:
        state |= fit_small_net(columns, labels, num_classes, width)
    return state


def check_probes(state: State, num_classes: int, linear: bool, net: bool) -> None:
    """Raise unless a state is a linear probe, a net, or both, on these classes, or on these and "none of them"."""
    bias = state.get("bias" if linear else "outer_bias", ())
    num_classes = classes_of_state(num_classes, len(bias))
    expected = {}
    if linear:
        expected = {"weights": f"float32 w {num_classes}", "bias": f"float32|float64 {num_classes}"}
    if net:
        shapes = "float64 w", "float32 w h", "float32 h", f"float32 h {num_classes}", f"float32 {num_classes}"
        expected |= dict(zip(NAMES, shapes, strict=True))
    require_arrays(state, expected)


def probe_columns(rows: Rows, state: State, arrays: Sequence[str]) -> Array:
    """Return three columns for each probe or net on some arrays, (m, 3) or (m, 6).

    They are its log-odds of the predicted class, whether it agrees, and the log-odds of its own class.
    """
    predictions = rows["predictions"]
    columns = []
    for logits in _logits_of_probes(rows, state, arrays):
        columns += opinion_on_prediction(logits, predictions)
    return namespace_of(predictions).stack(columns, axis=1)


def probe_opinions(rows: Rows, state: State, arrays: Sequence[str]) -> Array:
    """Return the log-probabilities of each probe or net on some arrays, (m, 1, K) or (m, 2, K)."""
    logs = [log_softmax(logits) for logits in _logits_of_probes(rows, state, arrays)]
    return namespace_of(logs[0]).stack(logs, axis=1)


def _logits_of_probes(rows: Rows, state: State, arrays: Sequence[str]) -> list[Array]:
    """Return the logits, (m, K) each, of the probe and of the net in a state."""
    parts = [float64(rows[name]) for name in arrays]
    columns = namespace_of(parts[0]).concat(parts, axis=1)
    width = len(state["weights" if "weights" in state else "inner"])
    if len(parts) == 1:
        require_width(columns, width, arrays[0])
    elif columns.shape[1] != width:
        sizes = " + ".join(str(part.shape[1]) for part in parts)
        raise SteepslopeError(f"{' and '.join(arrays)}: expected {width} columns in all, found {sizes}")
    logits = []
    if "weights" in state:
        weights = constant(state["weights"], columns)
        bias = constant(state["bias"], columns)
        logits.append(columns @ float64(weights) + bias)
    if "inner" in state:
        logits.append(small_net_logits(columns, state))
    return logits
