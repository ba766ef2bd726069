"""A stacker: a logistic regression on all that is known of a row, learnt from the labels of the fit set.

It sees the log-probabilities of the classifier and of other classifiers, and the features. Unlike a pool, it has
weights of its own for each class: it learns whom to believe about which class, and which classes are predicted too
often. That is true of familiar data, so it learns from no augmented copies, and it is one opinion among those that a
pool weighs (Wolpert, "Stacked Generalization", 1992).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.evidence.folds import fold_of
from steepslope.evidence.states import MOST_REFERENCES, State, numbered, references, with_unknown
from steepslope.numerics.array_shapes import require_arrays
from steepslope.numerics.linear import fit_softmax, fit_standardised_softmax, standardised
from steepslope.numerics.neighbors import require_width
from steepslope.numerics.tensors import tensor
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import VOTE
from steepslope.scores.score import Rows, require_finite_rows, rows_of

PENALTIES = (1e-3, 1e-2, 1e-1)  # of the ridge, of which one is chosen
FLOOR = math.log(1e-4)  # of log-probabilities: those of forests and of votes may be −∞
MOST_WEIGHTS = 100_000  # columns × classes
MOST_VALUES = 10**8  # rows × columns that it learns from
LEAST_ROWS = 10  # that lack nothing: of fewer, nothing is learnt


def stacked_arrays(outputs: ClassifierOutputs, opinions: Sequence[str]) -> tuple[str, ...] | None:
    """Return what a stacker of some opinions sees of outputs: features, too, if they fit; None if it is too wide."""
    classes, arrays = outputs.num_classes, ("logits", *opinions)
    width = len(arrays) * classes
    if outputs.features is not None and (width + outputs.features.shape[1]) * classes <= MOST_WEIGHTS:
        return (*arrays, "features")
    return arrays if width * classes <= MOST_WEIGHTS else None


def fit_stack(outputs: ClassifierOutputs, arrays: Sequence[str]) -> State:
    """Learn from the rows that lack no opinion; the ridge is the one of least loss on a fifth of them.

    With too few such rows, it thinks that all classes are alike.

    Raises
    ------
    SteepslopeError
        If a feature is NaN or infinite.
    """
    width = sum(math.prod(outputs.require(name).shape[1:]) for name in arrays)
    outputs = references(outputs, min(MOST_REFERENCES, MOST_VALUES // width))
    rows = rows_of(outputs, arrays, slice(None))
    complete = np.flatnonzero(~_lacking(rows, arrays).numpy())
    labels, classes = numbered(outputs)
    columns, labels = stacked_columns(rows, arrays).float()[complete], labels[complete]
    if len(labels) < LEAST_ROWS:
        return {"weights": np.zeros((columns.shape[1], classes), np.float32), "bias": np.zeros(classes)}
    require_finite_rows("features", columns, 0)
    inputs = standardised(columns.numpy())
    penalty = _penalty(inputs.columns, labels, classes)
    weights, bias = fit_standardised_softmax(inputs, labels, classes, penalty)
    return {"weights": weights, "bias": bias}


def _penalty(columns: NDArray[np.float32], labels: NDArray[np.int64], classes: int) -> float:
    """Return the penalty of least loss on a fifth of the rows, in which each class has its share."""
    is_tried = fold_of(labels, 0) == 0
    target, tried = torch.from_numpy(labels[is_tried]), torch.from_numpy(columns[is_tried])
    losses = {}
    for penalty in PENALTIES:
        weights, bias = map(tensor, fit_softmax(columns[~is_tried], labels[~is_tried], classes, penalty))
        losses[penalty] = float(torch.nn.functional.cross_entropy(tried @ weights + bias, target))
    return min(PENALTIES, key=lambda penalty: losses[penalty])


def check_stack(state: State, num_classes: int) -> None:
    """Raise unless a state is of as many classes, or of none of them as one more."""
    count = with_unknown(num_classes, len(state.get("bias", ())))
    require_arrays(state, {"weights": f"float32 w {count}", "bias": f"float32|float64 {count}"})


def stack_opinions(rows: Rows, state: State, arrays: Sequence[str]) -> Tensor:
    """Return its log-probabilities, (m, 1, K): NaN, which counts for nothing, in rows that lack an opinion.

    They are infinite, which is refused where they are read, in rows whose features are NaN or infinite.
    """
    columns = stacked_columns(rows, arrays)
    require_width(columns, len(state["weights"]), "what is stacked")
    logits = columns @ tensor(state["weights"]).double() + tensor(state["bias"]).double()
    logs = logits.log_softmax(dim=1)
    logs = torch.where(logs.isnan(), torch.inf, logs)
    return torch.where(_lacking(rows, arrays)[:, None], torch.nan, logs)[:, None]


def no_columns(rows: Rows, state: State) -> Tensor:
    """Raise: it has learnt from the labels of the rows, which a column of the same rows must not know."""
    raise SteepslopeError("expected evidence with columns, found a stacker, which has an opinion on classes alone")


def stacked_columns(rows: Rows, arrays: Sequence[str]) -> Tensor:
    """Return what it sees of rows, float64 (m, w), an array beside another: NaN in an opinion that a row lacks."""
    classes = rows["logits"].shape[1]
    return torch.cat([_of_array(rows[name], name, classes) for name in arrays], dim=1)


def _of_array(values: Tensor, name: str, classes: int) -> Tensor:
    if name == "features":
        return values.double()
    if name.startswith(VOTE):  # for the class K where the classifier lacks that class, -1 where there is none
        votes = torch.arange(classes) == values[:, None]
        logs = torch.where(votes, 0.0, FLOOR).double()
        return torch.where((values < 0)[:, None], torch.nan, logs)
    return values.double().log_softmax(dim=1).clamp_min(FLOOR)


def _lacking(rows: Rows, arrays: Sequence[str]) -> Tensor:
    """Return which rows lack an opinion, (m,)."""
    lacking = torch.zeros_like(rows["logits"][:, 0], dtype=torch.bool)
    for name in arrays:
        if name.startswith(VOTE):
            lacking = lacking | (rows[name] < 0)
        elif name not in ("logits", "features"):
            lacking = lacking | rows[name].isnan().any(dim=1)
    return lacking
