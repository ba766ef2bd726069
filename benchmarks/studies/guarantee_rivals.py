"""Ways to a threshold with a promise: ours, and those that others published, on the same rows."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr
from scipy.stats import binom

from steepslope.gate.certificate import tail
from steepslope.gate.certify import Above, split_rows, threshold_sequence
from steepslope.gate.starts import first_rows

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
EVEN = np.linspace(0, 0.99, 100)  # MAPIE's own thresholds


@dataclass(frozen=True, eq=False)
class Draw:
    """Calibration rows (n,), and the confidences of others (m,), which have no labels; ``seed`` is of what is drawn."""

    confidence: Floats
    is_correct: Bools
    others: Floats
    seed: int

    @cached_property
    def thresholds(self) -> Floats:
        """The sequence that the others fix, (t,), highest first."""
        return threshold_sequence(self.others)

    @cached_property
    def above(self) -> Above:
        """The counts above each threshold of that sequence."""
        return Above.from_rows(self.confidence, self.is_correct, self.thresholds)

    @cached_property
    def without_others(self) -> tuple[Floats, Above]:
        """A sequence that some of the rows fix, and the counts of the remaining rows."""
        fixing, counted = split_rows(len(self.confidence), self.seed)
        sequence = threshold_sequence(self.confidence[fixing])
        return sequence, Above.from_rows(self.confidence[counted], self.is_correct[counted], sequence)

    @cached_property
    def distinct(self) -> tuple[Floats, Above]:
        """The rows' own confidences, highest first, each once a row, (n,), and the counts above them."""
        sequence = -np.sort(-self.confidence)
        return sequence, Above.from_rows(self.confidence, self.is_correct, sequence)


Rival = Callable[[Draw, float, float], float]  # from a draw, a risk and delta to a threshold; ∞ accepts nothing


def ours(draw: Draw, risk: float, delta: float) -> float:
    """Test a sequence of thresholds that other rows fix, by exact tails, from the highest down."""
    last = draw.above.last_passing(risk, delta)
    return math.inf if last is None else float(draw.thresholds[last])


def ours_alone(draw: Draw, risk: float, delta: float) -> float:
    """Let 2√n of the rows fix the sequence, and calibrate on the others."""
    sequence, above = draw.without_others
    last = above.last_passing(risk, delta)
    return math.inf if last is None else float(sequence[last])


def selection_with_guaranteed_risk(draw: Draw, risk: float, delta: float) -> float:
    """Search the sorted confidences by halving, each step's bound at delta / ⌈log₂ n⌉.

    Algorithm 1 of Geifman & El-Yaniv, "Selective Classification for Deep Neural Networks", 2017. Of its steps, whose
    bounds hold together, the one of largest coverage whose bound is within the risk is taken.
    """
    sequence, above = draw.distinct
    n = len(sequence)
    steps = max(1, math.ceil(math.log2(n)))
    low, high, found = 1, n, math.inf  # places from the least confident, 1…n, as in the paper
    for _ in range(steps):
        place = n - math.ceil((low + high) / 2)
        if tail(above.errors[place], above.accepted[place], risk) <= delta / steps:
            high, found = n - place, min(found, float(sequence[place]))
        else:
            low = n - place
    return found


def hoeffding_bentkus(draw: Draw, risk: float, delta: float) -> float:
    """Test our sequence, from where we begin, by the bounds of Hoeffding and Bentkus in place of exact tails.

    Bates et al., "Distribution-Free, Risk-Controlling Prediction Sets", 2021, Section 3.1.2.
    """
    above = draw.above
    first = int(np.searchsorted(above.accepted, first_rows(above.n, risk, delta)))
    accepted, errors = above.accepted[first:], above.errors[first:]
    rate = np.minimum(errors / np.maximum(accepted, 1), risk)
    divergence = rel_entr(rate, risk) + rel_entr(1 - rate, 1 - risk)
    p_values = np.minimum(np.exp(-accepted * divergence), math.e * binom.cdf(errors, accepted, risk))
    run = int(np.argmin(np.append(p_values <= delta, False)))
    return float(draw.thresholds[first + run - 1]) if run else math.inf


def bonferroni(draw: Draw, risk: float, delta: float) -> float:
    """Test each of our thresholds by its exact tail at its part of delta."""
    passing = np.flatnonzero(tail(draw.above.errors, draw.above.accepted, risk) <= delta / len(draw.thresholds))
    return float(draw.thresholds[passing[-1]]) if len(passing) else math.inf


def mapie_as_it_comes(draw: Draw, risk: float, delta: float) -> float:
    """Control precision with MAPIE at 100 even thresholds, by Bonferroni and Holm: its defaults."""
    return _mapie(draw, risk, delta, list_predict_params=_reached(draw))


def mapie_fixed_sequence(draw: Draw, risk: float, delta: float) -> float:
    """Control precision with MAPIE at its 100 thresholds as a fixed sequence, from the highest on."""
    return _mapie(draw, risk, delta, list_predict_params=_reached(draw), fwer_method="fixed_sequence")


def mapie_on_our_sequence(draw: Draw, risk: float, delta: float) -> float:
    """Control precision with MAPIE at our thresholds as a fixed sequence, from where we begin."""
    first = int(np.searchsorted(draw.above.accepted, first_rows(draw.above.n, risk, delta)))
    sequence = np.maximum(draw.thresholds[first:], 0.0)[::-1]
    return (
        _mapie(draw, risk, delta, list_predict_params=sequence, fwer_method="fixed_sequence")
        if len(sequence)
        else math.inf
    )


def _reached(draw: Draw) -> Floats:
    """Return MAPIE's own thresholds without those that accept nothing, whose p-values are NaN and end Holm's test."""
    return EVEN[: np.searchsorted(EVEN, draw.confidence.max(), side="right")]


def _mapie(draw: Draw, risk: float, delta: float, **options: object) -> float:
    """Return the threshold of MAPIE's controller, for which being correct is the positive class."""
    mapie = importlib.import_module("mapie.risk_control")  # not among our dependencies
    controller = mapie.BinaryClassificationController(
        lambda values: np.stack([1 - values, values], axis=1), "precision", 1 - risk, 1 - delta, **options
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where nothing can be promised, and where a threshold accepts nothing
        controller.calibrate(draw.confidence, draw.is_correct)
    return math.inf if controller.best_predict_param is None else float(controller.best_predict_param)


RIVALS: dict[str, Rival] = {
    "ours": ours,
    "ours, no other rows": ours_alone,
    "SGR": selection_with_guaranteed_risk,
    "Hoeffding-Bentkus": hoeffding_bentkus,
    "Bonferroni": bonferroni,
}
MAPIE: dict[str, Rival] = {
    "MAPIE": mapie_as_it_comes,
    "MAPIE, fixed sequence": mapie_fixed_sequence,
    "MAPIE, our sequence": mapie_on_our_sequence,
}
