"""What gates promise on a trial's rows: how much they accept, and how often their promise breaks.

Calibration rows are drawn from the judged rows with replacement, so that the risk on all of these is the exact truth.
Ours and those that others published, on the same draws; a new way is a function and an entry in ``WAYS``.
"""

import importlib
import math
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.numerics import binomial_tail
from steepslope.promise import Above, Way, outcome_of_promise, promised_threshold
from steepslope_lab.benchmark.lines import MCP, Ranked

RISKS = 0.02, 0.05
EVEN = np.linspace(0, 0.99, 100)  # MAPIE's own thresholds
DOWN = np.linspace(0.9, 0, 91)  # the first accepts a tenth of the rows: of fewer, hardly anything can be promised
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def selection_with_guaranteed_risk(
    confidence: Floats, is_correct: Bools, risk: float, delta: float, seed: int = 0
) -> float:
    """Search the sorted confidences by halving, each step's bound at delta / ⌈log₂ n⌉.

    Algorithm 1 of Geifman & El-Yaniv, "Selective Classification for Deep Neural Networks", 2017. Of its steps, whose
    bounds hold together, the one of largest coverage whose bound is within the risk is taken.
    """
    sequence = -np.sort(-confidence)
    above = Above.from_rows(confidence, is_correct, sequence)
    n = len(sequence)
    steps = max(1, math.ceil(math.log2(n)))
    low, high, found = 1, n, math.inf  # places from the least confident, 1…n, as in the paper
    for _ in range(steps):
        place = n - math.ceil((low + high) / 2)
        if binomial_tail(above.errors[place], above.accepted[place], risk) <= delta / steps:
            high, found = n - place, min(found, float(sequence[place]))
        else:
            low = n - place
    return found


def mapie_threshold(
    confidence: Floats, is_correct: Bools, risk: float, delta: float, seed: int = 0, **options: Any
) -> float:
    """Control precision with MAPIE, for which being correct is the positive class: at 100 even thresholds, by default.

    Of these, those that accept nothing are left out: their p-values are NaN, which ends Holm's test. ``options`` are
    others of MAPIE's controller, such as ``fwer_method``, or ``list_predict_params`` for other thresholds.
    """
    reached = EVEN[: np.searchsorted(EVEN, confidence.max(), side="right")]
    controller = importlib.import_module("mapie.risk_control").BinaryClassificationController(
        lambda values: np.stack([1 - values, values], axis=1),
        "precision",
        1 - risk,
        1 - delta,
        **{"list_predict_params": reached, **options},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where nothing can be promised, and where a threshold accepts nothing
        controller.calibrate(confidence, is_correct)
    return math.inf if controller.best_predict_param is None else float(controller.best_predict_param)


def mapie_threshold_in_sequence(
    confidence: Floats, is_correct: Bools, risk: float, delta: float, seed: int = 0
) -> float:
    """Let MAPIE test even ranks from the highest down, as we do, in place of all of them by Holm's rule."""
    options = {"fwer_method": "fixed_sequence", "list_predict_params": DOWN}
    return mapie_threshold(confidence, is_correct, risk, delta, seed, **options)


OURS, MAPIE, MAPIE_SEQUENCE = "ours", "MAPIE", "MAPIE, in sequence"
WAYS: dict[str, Way] = {OURS: promised_threshold, "SGR": selection_with_guaranteed_risk}
if find_spec("mapie"):  # which is not among our dependencies
    WAYS |= {MAPIE: mapie_threshold, MAPIE_SEQUENCE: mapie_threshold_in_sequence}


def promised_by_gates(lines: Mapping[str, Ranked], others_of: str, seed: int) -> dict[str, Any]:
    """Return by line, way and risk the mean coverage, and the part of draws whose promise breaks.

    All lines are gated by our way; MCP and the line ``others_of`` by all ways. MAPIE sees ranks in [0, 1), since its
    thresholds are even steps there.
    """
    outcomes: dict[str, Any] = {}
    for line, ranked in lines.items():
        for way in WAYS if line in (MCP, others_of) else (OURS,):
            rows = confidences_as_ranks(ranked) if way in (MAPIE, MAPIE_SEQUENCE) else ranked
            outcomes.setdefault(line, {})[way] = {
                f"{risk:g}": outcome_of_promise(*rows, risk, seed, WAYS[way]) for risk in RISKS
            }
    return outcomes


def confidences_as_ranks(ranked: Ranked) -> Ranked:
    """Return the same order in [0, 1); equal confidences stay equal.

    >>> confidences_as_ranks(Ranked(np.array([7.0, -2.0, 7.0, 9.0]), np.ones(4, np.bool_))).confidence
    array([0.25, 0.  , 0.25, 0.75])
    """
    order = np.searchsorted(np.sort(ranked.confidence), ranked.confidence, side="left")
    return Ranked(order / len(order), ranked.is_correct)
