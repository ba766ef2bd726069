"""The scales of answers' confidences: log-odds of being right, learnt on a fit set if they are not probabilities.

Confidences in [0, 1] are kept. Of percentages, log-probabilities or grades from 1 to 5 only the order is used: their
ranks among those of the fit set become log-odds, around the log-odds of all its answers. An answer without a confidence
is assumed to be right as often as others in the fit set that have none.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from steepslope.numerics.array_shapes import require_arrays
from steepslope.numerics.formulas import Array, constant, float64, namespace_of, quiet
from steepslope.oracle.evidence.states import State
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.answers import (
    LOGITS,
    PROBABILITIES,
    are_answers,
    are_off_scale,
    orders_of_answers,
    require_scales,
    strength_of_order,
)
from steepslope.outputs.arrays import OPINION

Floats = NDArray[np.float64]
KNOTS = 17  # the log-odds are linear between these
PRIOR_ROWS = 5.0  # the accuracy of all answers counts as this many rows without a confidence
UNSCALED = np.array([-1.0, 1.0])  # the knots, and their values, of confidences in [0, 1]
SHAPES = {"knots": "float64 k", "values": "float64 k", "missing": "float64 1"}


def fit_answer_scales(outputs: ClassifierOutputs) -> dict[str, State]:
    """Return scales by array name, for the arrays of labelled outputs that hold answers other than probabilities."""
    labels, scales = outputs.require_labels(), {}
    for name, array in _arrays_of_answers(outputs).items():
        rows = np.flatnonzero(array.max(axis=1) > 0)
        order, has = orders_of_answers(array[rows])
        right = array.argmax(axis=1)[rows] == labels[rows]
        is_order = bool(are_off_scale(array, PROBABILITIES).any())
        if is_order or not has.all():
            scales[name] = _fit_scale(order[has], right, has, is_order)
    return scales


def require_scale_of_fit_set(outputs: ClassifierOutputs, scales: Mapping[str, State], inputs: Collection[str]) -> None:
    """Raise if answers among the ``inputs`` are on another scale, where the fit set's confidences were in [0, 1]."""
    ordered = {name for name, scale in scales.items() if not np.array_equal(scale["knots"], UNSCALED)}
    answers = _arrays_of_answers(outputs)
    require_scales(answers, {name: PROBABILITIES for name in answers if name in {*inputs} - ordered}, "fit set")


def _arrays_of_answers(outputs: ClassifierOutputs) -> dict[str, NDArray[Any]]:
    arrays = {name: array for name, array in outputs.arrays.items() if name == LOGITS or name.startswith(OPINION)}
    return {name: array for name, array in arrays.items() if are_answers(array)}


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
    """Return the arrays of answers (m, K) that have a scale, on that scale: their logits then mean probabilities."""
    return {name: _on_scale(arrays[name], state) for name, state in scales.items() if name in arrays}


@quiet
def _on_scale(logits: Array, state: State) -> Array:
    xp, chance = namespace_of(logits), np.log(logits.shape[1] - 1)
    order, has = orders_of_answers(logits)
    knots, values = (constant(state[name], order) for name in ("knots", "values"))
    slopes = (values[1:] - values[:-1]) / (knots[1:] - knots[:-1])
    # the first piece goes on below, the last above
    ends = xp.maximum(order - knots[-1], xp.zeros_like(order)), xp.minimum(order - knots[0], xp.zeros_like(order))
    within = xp.minimum(xp.maximum(order[:, None] - knots[:-1], xp.zeros_like(slopes)), knots[1:] - knots[:-1])
    found = values[0] + xp.sum(within * slopes, axis=1) + ends[0] * slopes[-1] + ends[1] * slopes[0]
    found = xp.where(has, found, constant(state["missing"], found)[0]) + chance
    return xp.where(logits > 0, strength_of_order(found)[:, None], float64(logits))
