"""What a small net thinks that sees the classifier's features alone: no further forward pass is needed.

On clean training rows it knows hardly more than the classifier. On their augmented copies it learns what the features
look like where the classifier begins to err.
"""

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence.second_opinion import probe_columns
from steepslope.evidence.states import Floats, State, references, require_arrays
from steepslope.numerics.log_space import log_probabilities
from steepslope.numerics.small_net import NAMES, fit_small_net, small_net_logits
from steepslope.outputs import ClassifierOutputs

WIDTH = 1024  # of the hidden layer, where rows are many; wider gains nothing (LOG.md)


def fit_feature_opinion(reference: ClassifierOutputs) -> State:
    """Fit the net to the reference's labels."""
    known = references(reference)
    return fit_small_net(known.require_features(), known.require_labels(), known.num_classes, WIDTH)


def check_feature_opinion(state: State, num_classes: int) -> None:
    """Raise unless a state is such a net for as many classes."""
    hidden = len(state.get("inner_bias", ()))
    shapes = (None, hidden), (hidden,), (hidden, num_classes), (num_classes,)
    require_arrays(state, dict(zip(NAMES, shapes, strict=True)), double=("inner_bias",))


def feature_opinion_columns(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
    """Return its log-odds of the predicted class, whether it agrees, and its own class's log-odds, (m, 3)."""
    return probe_columns(_logits(outputs, rows, state), outputs.predictions[rows])


def feature_opinions(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    """Return its log-probabilities, (m, 1, K)."""
    return log_probabilities(_logits(outputs, rows, state))[:, None]


def _logits(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    features = np.asarray(outputs.require_features()[rows], dtype=np.float64)
    if features.shape[1] != len(state["inner"]):
        raise SteepslopeError(f"expected {len(state['inner'])} columns, found {features.shape[1]}", "features")
    return small_net_logits(features, state)
