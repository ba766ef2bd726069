"""The scales of answers' confidences: log-odds of being right, learnt on a fit set.

Of any confidences, probabilities too, only the order is used: the log-odds of their ranks among those of the fit set,
which a regression calibrates. So a service's confidences may be squared or multiplied by 100, and the same answers are
trusted. An answer without a confidence is assumed to be right as often as others in the fit set that have none.
"""

from collections.abc import Mapping

import numpy as np
from scipy.special import logit

from steepslope.numerics import Array, Bools, Floats, constant, fit_calibration, float64, namespace_of, quiet
from steepslope.oracle.evidence import State, knots_among, ranks_among
from steepslope.outputs import (
    LOGITS,
    OPINION,
    UNSAID,
    ClassifierOutputs,
    are_answers,
    orders_of_answers,
    require_scales,
    scale_of_orders,
    strength_of_order,
)

_KNOTS = 257  # the log-odds are linear between these, which are confidences of the fit set
_PRIOR_ROWS = 5.0  # the accuracy of all answers counts as this many rows without a confidence
_BEYOND = 1.0  # how log-odds go on beyond the confidences of the fit set: as the order does, like a probability's
_NOTHING_KNOWN = np.zeros(1)  # the only knot, and its value, where no answer has a confidence
SHAPES_OF_SCALE = {"knots": "float64 k", "values": "float64 k", "missing": "float64 1"}


def fit_answer_scales(outputs: ClassifierOutputs) -> dict[str, State]:
    """Return scales by array name, for the arrays of labelled outputs that hold answers."""
    labels = outputs.require_labels()
    scales = {}
    for name, array in outputs.arrays.items():
        if (name == LOGITS or name.startswith(OPINION)) and are_answers(array):
            rows = np.flatnonzero(array.max(axis=1) > UNSAID)
            order, has = orders_of_answers(array[rows])
            is_right = array.argmax(axis=1)[rows] == labels[rows]
            scales[name] = _fit_scale(order[has], is_right, has)
    return scales


def require_scale_of_fit_set(outputs: ClassifierOutputs, scales: Mapping[str, State]) -> None:
    """Raise if the arrays that held answers in the fit set hold none, or are on another scale than all of these."""
    known = {}
    for name, state in scales.items():
        if name in outputs.arrays:
            known[name] = scale_of_orders(state["knots"][[1, -2]])
    require_scales(outputs.arrays, known, "fit set")


def _fit_scale(order: Floats, is_right: Bools, has: Bools) -> State:
    overall = float((is_right.sum() + 1) / (len(is_right) + 2))
    missing = (is_right[~has].sum() + _PRIOR_ROWS * overall) / ((~has).sum() + _PRIOR_ROWS)
    knots = values = _NOTHING_KNOWN
    if len(order):
        ranked = np.sort(order)
        knots = knots_among(ranked, _KNOTS)
        slope, offset = fit_calibration(logit(ranks_among(ranked, order)) + logit(overall), is_right[has])
        values = slope * (logit(ranks_among(ranked, knots)) + logit(overall)) + offset
    return {"knots": _with_ends(knots), "values": _with_ends(values), "missing": np.array([logit(missing)])}


def _with_ends(values: Floats) -> Floats:
    """Return values with one more at each end, by which the log-odds go on as the order does."""
    return np.concatenate([values[:1] - _BEYOND, values, values[-1:] + _BEYOND])


def on_answer_scales(arrays: Mapping[str, Array], scales: Mapping[str, State]) -> dict[str, Array]:
    """Return the arrays of answers (m, K) that have a scale, on that scale: their logits then mean probabilities."""
    return {name: _on_scale(arrays[name], state) for name, state in scales.items() if name in arrays}


@quiet
def _on_scale(logits: Array, state: State) -> Array:
    xp = namespace_of(logits)
    chance = np.log(logits.shape[1] - 1)
    order, has = orders_of_answers(logits)
    knots = constant(state["knots"], order)
    values = constant(state["values"], order)
    slopes = (values[1:] - values[:-1]) / (knots[1:] - knots[:-1])
    piece = xp.sum(order[:, None] >= knots[1:-1], axis=1)  # the first and the last go on
    log_odds = values[piece] + slopes[piece] * (order - knots[piece])
    missing = constant(state["missing"], order)[0]
    strength = strength_of_order(xp.where(has, log_odds, missing) + chance)
    return xp.where(logits > UNSAID, UNSAID + strength[:, None], float64(logits))
