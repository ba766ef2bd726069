"""A stacker: what a logistic regression thinks that learns from the fit set's labels, on all that is known of a row.

It sees the log-probabilities of the classifier and of other classifiers, and the features. Unlike a pool, it has
weights of its own for each class: it learns whom to believe about which class, and which classes are told too often.
That is true of familiar data, so it is one opinion among those that a pool weighs (Wolpert, "Stacked Generalization",
1992).
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.evidence.states import State, numbered, references, with_unknown
from steepslope.numerics.array_shapes import require_arrays
from steepslope.numerics.linear import fit_standardised_softmax
from steepslope.numerics.neighbors import require_width
from steepslope.numerics.tensors import tensor
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.arrays import VOTE
from steepslope.scores.score import Rows, rows_of

PENALTIES = (1e-3, 1e-2, 1e-1)  # of the ridge, of which one is chosen
TRIED_ON = 5  # every so manieth row, on which the penalty is chosen
FLOOR = math.log(1e-4)  # of log-probabilities: those of forests and of votes may be −∞
MOST_WEIGHTS = 100_000  # columns × classes


def stacked_arrays(outputs: ClassifierOutputs, opinions: Sequence[str]) -> tuple[str, ...] | None:
    """Return what a stacker of some opinions sees of outputs: features, too, if they fit; None if it is too wide."""
    classes, arrays = outputs.num_classes, ("logits", *opinions)
    width = len(arrays) * classes
    if outputs.features is not None and (width + outputs.features.shape[1]) * classes <= MOST_WEIGHTS:
        return (*arrays, "features")
    return arrays if width * classes <= MOST_WEIGHTS else None


def fit_stack(outputs: ClassifierOutputs, arrays: Sequence[str]) -> State:
    """Learn from the rows that lack none of the arrays; the ridge is the one of least loss on a fifth of them.

    Without any such row, it thinks that all classes are alike.
    """
    known = references(outputs)
    labels, classes = numbered(known)
    columns = stacked_columns(rows_of(known, arrays, slice(None)), arrays)
    complete = np.flatnonzero(~columns.isnan().any(dim=1).numpy())
    given, labels = columns.float().numpy()[complete], labels[complete]
    if not len(labels):
        return {"weights": np.zeros((columns.shape[1], classes), np.float32), "bias": np.zeros(classes)}
    tried = np.arange(len(labels)) % TRIED_ON == 0
    losses = {}
    for penalty in PENALTIES:
        found = fit_standardised_softmax(given[~tried], labels[~tried], classes, penalty)
        logits = torch.from_numpy(given[tried] @ found[0] + found[1])
        losses[penalty] = float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels[tried])))
    weights, bias = fit_standardised_softmax(given, labels, classes, min(PENALTIES, key=lambda one: losses[one]))
    return {"weights": weights, "bias": bias}


def check_stack(state: State, num_classes: int) -> None:
    """Raise unless a state is of as many classes, or of none of them as one more."""
    count = with_unknown(num_classes, len(state.get("bias", ())))
    require_arrays(state, {"weights": f"float32 w {count}", "bias": f"float32|float64 {count}"})


def stack_opinions(rows: Rows, state: State, arrays: Sequence[str]) -> Tensor:
    """Return its log-probabilities, (m, 1, K); NaN in rows that lack an opinion."""
    columns = stacked_columns(rows, arrays)
    require_width(columns, len(state["weights"]), "what is stacked")
    logits = columns @ tensor(state["weights"]).double() + tensor(state["bias"]).double()
    return logits.log_softmax(dim=1)[:, None]


def no_columns(rows: Rows, state: State) -> Tensor:
    """Raise: it has learnt from the labels of the rows, which a column of the same rows must not know."""
    raise SteepslopeError("expected evidence with columns, found a stacker, which has an opinion on classes alone")


def stacked_columns(rows: Rows, arrays: Sequence[str]) -> Tensor:
    """Return what it sees of rows, float64 (m, w): NaN in what a row lacks."""
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
