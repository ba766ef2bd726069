"""Whether estimates of P(correct) are right: predictions of like probability, and how many of them are correct."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from steepslope.evaluation.score import Scored
from steepslope.gate.binomial import interval
from steepslope.gate.probability import ProbabilityMap

GROUPS = 10
LEARNT_ON = 100_000  # rows at most: two numbers are learnt
AS_IT_IS, LEARNT, OF_GATE = "the confidence, taken as a probability", "a map learnt on the other half", "the gate's map"
ESTIMATES = (AS_IT_IS, LEARNT, OF_GATE)
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def estimates(scored: Scored, is_correct: Bools, seed: int = 0) -> dict[str, Floats]:
    """Return all estimates of P(correct) that a score gives, (n,) each, by what they are.

    They are its confidence, if that claims to be a probability, which the sigmoid of the steep slope loss does not; a
    map learnt on one half of these rows for the other, if each half has errors and correct predictions; and the map of
    a gate, if one ranks by this score.
    """
    found: dict[str, Floats] = {}
    if not scored.only_ranks and scored.natural_cut is None:
        found[AS_IT_IS] = scored.unit_confidence
    learnt = cross_fitted(scored, is_correct, seed)
    if learnt is not None:
        found[LEARNT] = learnt
    if scored.gates:
        found[OF_GATE] = scored.gates[0].p_correct(scored.confidence)
    return found


def cross_fitted(scored: Scored, is_correct: Bools, seed: int = 0) -> Floats | None:
    """Return P(correct) of each row, (n,), by a map learnt on the half that it is not in; None where that cannot be."""
    halves = np.random.default_rng(seed).permutation(len(is_correct)) % 2 == 0
    found = np.empty(len(is_correct))
    for half in (halves, ~halves):
        fitted = fitted_map(scored, is_correct, ~half)
        if fitted is None:
            return None
        found[half] = fitted(scored.confidence[half])
    return found


def fitted_map(scored: Scored, is_correct: Bools, rows: Bools) -> ProbabilityMap | None:
    """Return the map from confidence to P(correct) of some rows; None where they lack a side."""
    chosen = np.flatnonzero(rows)
    chosen = chosen[:: -(-len(chosen) // LEARNT_ON) or 1]
    right = is_correct[chosen]
    if right.all() or not right.any():
        return None
    return ProbabilityMap.of(scored.confidence[chosen], right, of_log_odds=scored.scale == "logit")


def reliability(probability: Floats, is_correct: Bools, independent: bool = True) -> list[Mapping[str, float]]:
    """Return ten groups of equal size by probability: its mean, and the fraction correct with its 95 % interval.

    The exact interval (Clopper & Pearson, 1934) is that of ``independent`` rows; for others it is the fraction alone.

    >>> reliability(np.repeat([0.2, 0.8], 50), np.arange(100) >= 50)[0]["observed"]
    0.0
    """
    order = np.argsort(probability, kind="stable")
    parts = [rows for rows in np.array_split(order, GROUPS) if len(rows)]
    return [_group(probability[rows], is_correct[rows], independent) for rows in parts]


def _group(probability: Floats, is_correct: Bools, independent: bool) -> Mapping[str, float]:
    observed = float(is_correct.mean())
    low, high = interval(int(is_correct.sum()), len(is_correct)) if independent else (observed, observed)
    numbers = {"predicted": float(probability.mean()), "observed": observed, "low": low, "high": high}
    return {name: round(value, 5) for name, value in numbers.items()}
