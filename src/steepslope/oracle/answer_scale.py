"""What confidences of answers are worth: log-odds of being right, learnt of a fit set where their scale says nothing.

Confidences in [0, 1] are kept. Percentages, log-probabilities or 1 to 5 have an order alone: their ranks among the fit
set's become log-odds, around those of all its answers. Without a confidence, an answer is as often right as others of
the fit set that have none.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from steepslope.errors import SteepslopeError
from steepslope.numerics.array_shapes import require_arrays
from steepslope.numerics.formulas import Array, constant, float64, namespace_of, quiet
from steepslope.oracle.evidence.states import State
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.answers import (
    HIGHEST_ORDER,
    LOWEST_ORDER,
    MISSING,
    NEAR,
    are_answers,
    order_of_strength,
    strength_of_order,
)
from steepslope.outputs.arrays import OPINION

Floats = NDArray[np.float64]
KNOTS = 17  # between which the log-odds are straight
PRIOR_ROWS = 5.0  # how often all answers are right counts as much, where some have no confidence
LOGITS, MISSED = "logits", 1.5 * MISSING
UNSCALED = np.array([-1.0, 1.0])  # the knots, and their values, of confidences in [0, 1]
SHAPES = {"knots": "float64 k", "values": "float64 k", "missing": "float64 1"}


def fit_answer_scales(outputs: ClassifierOutputs) -> dict[str, State]:
    """Return the scale of each array of labelled outputs that holds answers on no scale of probabilities, by name."""
    labels, scales = outputs.require_labels(), {}
    for name, array in _arrays_of_answers(outputs).items():
        rows, order, has, outside = _places_on_scale(array)
        right = array.argmax(axis=1)[rows] == labels[rows]
        if outside.any() or not has.all():
            scales[name] = _fit_scale(order[has], right, has, is_order=bool(outside.any()))
    return scales


def require_scale_of_fit_set(outputs: ClassifierOutputs, scales: Mapping[str, State], inputs: Collection[str]) -> None:
    """Raise if answers among the ``inputs`` are on another scale, where the fit set's confidences were in [0, 1]."""
    for name, array in _arrays_of_answers(outputs).items():
        rows, _, _, outside = _places_on_scale(array)
        if name in inputs and outside.any() and (name not in scales or np.array_equal(scales[name]["knots"], UNSCALED)):
            found = f"found another scale in row {rows[outside.argmax()]}"
            raise SteepslopeError(f"expected confidences in [0, 1], as those of the fit set, {found}", name)


def _arrays_of_answers(outputs: ClassifierOutputs) -> dict[str, NDArray[Any]]:
    arrays = {name: array for name, array in outputs.arrays.items() if name == LOGITS or name.startswith(OPINION)}
    return {name: array for name, array in arrays.items() if are_answers(array)}


def _places_on_scale(array: NDArray[Any]) -> tuple[NDArray[np.int64], Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the rows with an answer, the order of its confidence, whether it has any, and whether outside [0, 1]."""
    rows = np.flatnonzero(array.max(axis=1) > 0)
    strength = array.max(axis=1)[rows].astype(np.float64)
    order, has = order_of_strength(strength) - np.log(array.shape[1] - 1), strength > MISSED
    return rows, order, has, has & ((order < LOWEST_ORDER - NEAR) | (order > HIGHEST_ORDER + NEAR))


def _fit_scale(order: Floats, right: NDArray[np.bool_], has: NDArray[np.bool_], is_order: bool) -> State:
    overall = float((right.sum() + 1) / (len(right) + 2))
    missing = (right[~has].sum() + PRIOR_ROWS * overall) / ((~has).sum() + PRIOR_ROWS)
    knots = values = UNSCALED
    if is_order:
        ranked = np.sort(order)
        knots = np.unique(np.quantile(ranked, np.linspace(0, 1, KNOTS)))
        below, until = (np.searchsorted(ranked, knots, side) for side in ("left", "right"))
        values = logit((below + until + 1) / (2 * len(ranked) + 2)) + logit(overall)
    if len(knots) == 1:
        knots, values = np.append(knots, knots + 1), np.append(values, values + 1)
    return {"knots": knots, "values": values, "missing": np.array([logit(missing)])}


def check_answer_scale(state: State) -> None:
    """Raise unless a state is a scale."""
    require_arrays(state, SHAPES)


def on_answer_scales(arrays: Mapping[str, Array], scales: Mapping[str, State]) -> dict[str, Array]:
    """Return those arrays of answers, (m, K), that have a scale, on that: their made logits mean probabilities."""
    return {name: _on_scale(arrays[name], state) for name, state in scales.items() if name in arrays}


@quiet
def _on_scale(logits: Array, state: State) -> Array:
    xp, chance = namespace_of(logits), np.log(logits.shape[1] - 1)
    strength = xp.max(float64(logits), axis=1)
    order = order_of_strength(strength) - chance
    knots, values = (constant(state[name], strength) for name in ("knots", "values"))
    slopes = (values[1:] - values[:-1]) / (knots[1:] - knots[:-1])
    # the first piece goes on below, the last above
    ends = xp.maximum(order - knots[-1], xp.zeros_like(order)), xp.minimum(order - knots[0], xp.zeros_like(order))
    within = xp.minimum(xp.maximum(order[:, None] - knots[:-1], xp.zeros_like(slopes)), knots[1:] - knots[:-1])
    found = values[0] + xp.sum(within * slopes, axis=1) + ends[0] * slopes[-1] + ends[1] * slopes[0]
    found = xp.where(strength < MISSED, constant(state["missing"], found)[0], found) + chance
    return xp.where(logits > 0, strength_of_order(found)[:, None], float64(logits))
