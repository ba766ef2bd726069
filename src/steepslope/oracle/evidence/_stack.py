"""A stacker: a logistic regression that predicts the class from all classifiers' log-probabilities and the features.

It learns from the labels of the fit set. Unlike a pool, it has separate weights for each class. So it learns which
classifier to believe about which class, and which classes are predicted too often. It overfits more easily, so a pool
weights it as one opinion among others (Wolpert, "Stacked Generalization", 1992).
"""

import math
from collections.abc import Sequence

import numpy as np

from steepslope.errors import SteepslopeError
from steepslope.numerics import (
    Array,
    Counts,
    Singles,
    Softmax,
    clipped,
    constant,
    fit_softmax,
    fit_standardised_softmax,
    float64,
    is_class,
    log_softmax,
    namespace_of,
    quiet,
    require_arrays,
    require_width,
    standardised,
)
from steepslope.oracle.evidence._states import (
    MOST_REFERENCES,
    State,
    classes_of_state,
    fold_of_rows,
    numbered_labels,
    references,
)
from steepslope.outputs import VOTE, ClassifierOutputs
from steepslope.scores import Rows, require_finite_rows, rows_of

PENALTIES = (1e-1, 1e-2, 1e-3)  # strengths of the ridge, from which one is chosen
FLOOR = math.log(1e-4)  # the least log-probability that it sees: forests and votes give −∞
MOST_WEIGHTS = 100_000  # columns × classes
MOST_VALUES = 10**8  # rows × columns that it learns from
LEAST_ROWS = 10  # that have all opinions: from fewer, nothing is learnt


def stacked_arrays(outputs: ClassifierOutputs, opinions: Sequence[str]) -> tuple[str, ...] | None:
    """Return the arrays that a stacker with these opinions sees; None if it would need too many weights.

    Features are left out if only with them it would need too many.
    """
    classes = outputs.num_classes
    arrays = ("logits", *opinions)
    width = len(arrays) * classes
    if outputs.features is not None and (width + outputs.features.shape[1]) * classes <= MOST_WEIGHTS:
        return (*arrays, "features")
    if width * classes <= MOST_WEIGHTS:
        return arrays
    return None


@quiet
def fit_stack(outputs: ClassifierOutputs, arrays: Sequence[str]) -> State:
    """Learn from the rows that have all opinions, with the ridge that has the least loss on a held-out fifth.

    With too few such rows, all classes get the same probability.

    Raises
    ------
    SteepslopeError
        If a feature is NaN or infinite.
    """
    width = sum(math.prod(outputs.require(name).shape[1:]) for name in arrays)
    outputs = references(outputs, min(MOST_REFERENCES, MOST_VALUES // width))
    rows = rows_of(outputs, arrays, slice(None))
    complete = np.flatnonzero(~_rows_not_stacked(rows, arrays))
    labels, classes = numbered_labels(outputs)
    columns = stacked_columns(rows, arrays).astype(np.float32)[complete]
    labels = labels[complete]
    if len(labels) < LEAST_ROWS:
        return {"weights": np.zeros((columns.shape[1], classes), np.float32), "bias": np.zeros(classes)}
    require_finite_rows("features", columns, 0)
    inputs = standardised(columns)
    penalty, start = _best_ridge(inputs.columns, labels, classes)
    weights, bias = fit_standardised_softmax(inputs, labels, classes, penalty, start)
    return {"weights": weights, "bias": bias}


def _best_ridge(columns: Singles, labels: Counts, classes: int) -> tuple[float, Softmax | None]:
    """Return the penalty with the least loss on a held-out fifth, stratified by class, and the weights for the rest.

    The strongest penalty is first. Each next one starts at the weights of the last, and the first that is worse ends
    the search.
    """
    is_tried = fold_of_rows(labels, 0) == 0
    places = labels[is_tried][:, None]
    best = PENALTIES[0]
    least = math.inf
    fitted = None
    for penalty in PENALTIES:
        weights, bias = fit_softmax(columns[~is_tried], labels[~is_tried], classes, penalty, fitted)
        logs = log_softmax(columns[is_tried] @ weights + bias)
        loss = -float(np.take_along_axis(logs, places, 1).mean())
        if not loss < least:
            break
        best = penalty
        least = loss
        fitted = (weights, bias)
    return best, fitted


def check_stack(state: State, num_classes: int) -> None:
    """Raise unless a state has weights for that number of classes, or for one more, for out-of-class rows."""
    count = classes_of_state(num_classes, len(state.get("bias", ())))
    require_arrays(state, {"weights": f"float32 w {count}", "bias": f"float32|float64 {count}"})


def stack_opinions(rows: Rows, state: State, arrays: Sequence[str]) -> Array:
    """Return the stacker's log-probabilities, (m, 1, K).

    A row that lacks an opinion gets NaN, which a pool ignores. Any other row with NaN or infinite features gets
    infinity, which the caller refuses.
    """
    columns = stacked_columns(rows, arrays)
    require_width(columns, len(state["weights"]), "what is stacked")
    xp = namespace_of(columns)
    weights = constant(state["weights"], columns)
    bias = constant(state["bias"], columns)
    logs = log_softmax(columns @ float64(weights) + float64(bias))
    logs = xp.where(xp.isnan(logs), np.inf, logs)
    return xp.where(_rows_not_stacked(rows, arrays)[:, None], np.nan, logs)[:, None]


def no_stack_columns(rows: Rows, state: State) -> Array:
    """Raise: a stacker has no columns, because it learns from labels that columns for the same rows must not know."""
    raise SteepslopeError("expected evidence with columns, found one that only has opinions on the classes")


def stacked_columns(rows: Rows, arrays: Sequence[str]) -> Array:
    """Return the arrays side by side, float64 (m, w), as a stacker sees them; a missing opinion is NaN."""
    classes = rows["logits"].shape[1]
    parts = [_stacked_array(rows[name], name, classes) for name in arrays]
    return namespace_of(rows["logits"]).concat(parts, axis=1)


def _stacked_array(values: Array, name: str, classes: int) -> Array:
    if name == "features":
        return float64(values)
    if name.startswith(VOTE):  # K if the classifier lacks the class, -1 if there is no vote
        xp = namespace_of(values)
        logs = xp.where(is_class(values, classes), float64(xp.zeros(())), FLOOR)
        return xp.where((values < 0)[:, None], np.nan, logs)
    return clipped(log_softmax(float64(values)), FLOOR)


def _rows_not_stacked(rows: Rows, arrays: Sequence[str]) -> Array:
    """Return which rows lack an opinion, booleans (m,)."""
    xp = namespace_of(rows["logits"])
    lacking = xp.zeros_like(rows["logits"][:, 0], dtype=xp.bool)
    for name in arrays:
        if name.startswith(VOTE):
            lacking = lacking | (rows[name] < 0)
        elif name not in ("logits", "features"):
            lacking = lacking | xp.any(xp.isnan(rows[name]), axis=1)
    return lacking
