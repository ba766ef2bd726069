"""Ways to a threshold with a promise: ours, and those that others published, on the same rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr
from scipy.stats import binom

from steepslope.numerics import binomial_tail
from steepslope.promise import Above, promised_threshold, rows_needed, threshold_sequence
from steepslope_lab.benchmark import promises

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


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


Rival = Callable[[Draw, float, float], float]  # from a draw, a risk and delta to a threshold; ∞ accepts nothing


def ours(draw: Draw, risk: float, delta: float) -> float:
    """Test a sequence of thresholds that other rows fix, by exact tails, from the highest down."""
    last = draw.above.tests(risk, delta).last_passing()
    return math.inf if last is None else float(draw.thresholds[last])


def ours_alone(draw: Draw, risk: float, delta: float) -> float:
    """Let 2√n of the rows fix the sequence, and calibrate on the others."""
    return promised_threshold(draw.confidence, draw.is_correct, risk, delta, draw.seed)


def selection_with_guaranteed_risk(draw: Draw, risk: float, delta: float) -> float:
    """Search the sorted confidences by halving (Geifman & El-Yaniv, 2017)."""
    return promises.selection_with_guaranteed_risk(draw.confidence, draw.is_correct, risk, delta)


def first_rows(n: int, risk: float, delta: float) -> int:
    """Return how many of n rows the first threshold of a sequence with one start has to accept, at least.

    As many as it takes to pass with three errors, or fewer errors if that would be more than half of all rows.
    """
    needed = [rows_needed(risk, delta, errors) for errors in (3, 2, 1, 0)]
    return next((rows for rows in needed if rows <= n / 2), needed[-1])


def hoeffding_bentkus(draw: Draw, risk: float, delta: float) -> float:
    """Test our sequence, from one start, by the bounds of Hoeffding and Bentkus in place of exact tails.

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
    passing = np.flatnonzero(
        binomial_tail(draw.above.errors, draw.above.accepted, risk) <= delta / len(draw.thresholds)
    )
    return float(draw.thresholds[passing[-1]]) if len(passing) else math.inf


def mapie_as_it_comes(draw: Draw, risk: float, delta: float) -> float:
    """Control precision with MAPIE at 100 even thresholds, by Bonferroni and Holm: its defaults."""
    return promises.mapie_threshold(draw.confidence, draw.is_correct, risk, delta)


def mapie_fixed_sequence(draw: Draw, risk: float, delta: float) -> float:
    """Control precision with MAPIE at its 100 thresholds as a fixed sequence, from the highest on."""
    return promises.mapie_threshold(draw.confidence, draw.is_correct, risk, delta, fwer_method="fixed_sequence")


def mapie_on_our_sequence(draw: Draw, risk: float, delta: float) -> float:
    """Control precision with MAPIE at our thresholds as a fixed sequence, from one start."""
    first = int(np.searchsorted(draw.above.accepted, first_rows(draw.above.n, risk, delta)))
    sequence = np.maximum(draw.thresholds[first:], 0.0)[::-1]
    if not len(sequence):
        return math.inf
    return promises.mapie_threshold(
        draw.confidence, draw.is_correct, risk, delta, list_predict_params=sequence, fwer_method="fixed_sequence"
    )


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
