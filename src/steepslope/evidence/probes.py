"""What probes and small nets think that are fitted to features, of one net or of both.

``feature_opinion`` is a small net on the classifier's own features, and needs no further forward pass. On clean
training rows it knows hardly more than the classifier; on their augmented copies it learns what the features look like
where the classifier begins to err. ``second_opinion`` is a linear probe on an auxiliary backbone, ``joint_opinion`` a
probe and a net on the features of both nets side by side.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.evidence.states import State, references, require_arrays
from steepslope.numerics.linear import fit_standardised_softmax
from steepslope.numerics.log_space import log_odds_of, top_log_odds
from steepslope.numerics.neighbors import require_width
from steepslope.numerics.small_net import NAMES, fit_small_net, small_net_logits
from steepslope.numerics.tensors import tensor
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.score import Rows

PROBE_PENALTY = 1e-3  # the ridge of a probe on the auxiliary features, on columns of deviation 1
FEATURE_WIDTH = 1024  # of the hidden layer, where rows are many; wider gains nothing (LOG.md)
BOTH = ("features", "auxiliary")
JOINT_WIDTH = 512
# More than an auxiliary probe's: the classifier's features are surer of its training labels than of others.
JOINT_PENALTY = 1e-2


def fit_probe(reference: ClassifierOutputs) -> State:
    """Fit a multinomial logistic regression from the auxiliary features to the labels."""
    known = references(reference)
    auxiliary, labels = known.require("auxiliary"), known.require_labels()
    weights, bias = fit_standardised_softmax(auxiliary, labels, known.num_classes, PROBE_PENALTY)
    return {"weights": weights, "bias": bias}


def check_probe(state: State, num_classes: int) -> None:
    """Raise unless a state is a probe on as many classes."""
    require_arrays(state, {"weights": (None, num_classes), "bias": (num_classes,)}, double=("bias",))


def fit_feature_opinion(reference: ClassifierOutputs) -> State:
    """Fit the net to the reference's labels."""
    known = references(reference)
    return fit_small_net(known.require_features(), known.require_labels(), known.num_classes, FEATURE_WIDTH)


def check_feature_opinion(state: State, num_classes: int) -> None:
    """Raise unless a state is such a net for as many classes."""
    hidden = len(state.get("inner_bias", ()))
    shapes = (None, hidden), (hidden,), (hidden, num_classes), (num_classes,)
    require_arrays(state, dict(zip(NAMES, shapes, strict=True)), double=("inner_bias",))


def fit_joint(reference: ClassifierOutputs) -> State:
    """Fit a probe and a net to the reference's labels."""
    known = references(reference)
    columns = np.concatenate([known.require(name) for name in BOTH], axis=1)
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


def probe_columns(rows: Rows, state: State, arrays: Sequence[str]) -> Tensor:
    """Return what each probe or net on some arrays thinks: three columns, (m, 3) or (m, 6).

    They are its log-odds of the predicted class, whether it agrees, and its own class's log-odds.
    """
    predictions, parts = rows["predictions"], []
    for logits in _logits(rows, state, arrays):
        agrees = (logits.argmax(dim=1) == predictions).double()
        parts += [log_odds_of(logits, predictions), agrees, top_log_odds(logits)]
    return torch.stack(parts, dim=1)


def probe_opinions(rows: Rows, state: State, arrays: Sequence[str]) -> Tensor:
    """Return the log-probabilities of each probe or net on some arrays, (m, 1, K) or (m, 2, K)."""
    return torch.stack([logits.log_softmax(dim=1) for logits in _logits(rows, state, arrays)], dim=1)


def _logits(rows: Rows, state: State, arrays: Sequence[str]) -> list[Tensor]:
    """Return the logits, (m, K) each, of the probe and of the net that a state has."""
    parts = [rows[name].double() for name in arrays]
    columns, width = torch.cat(parts, dim=1), len(state["weights" if "weights" in state else "inner"])
    if len(parts) == 1:
        require_width(columns, width, arrays[0])
    elif columns.shape[1] != width:
        sizes = " + ".join(str(part.shape[1]) for part in parts)
        raise SteepslopeError(f"{' and '.join(arrays)}: expected {width} columns in all, found {sizes}")
    logits = []
    if "weights" in state:
        logits.append(columns @ tensor(state["weights"]).double() + tensor(state["bias"]))
    if "inner" in state:
        logits.append(small_net_logits(columns, state))
    return logits
