"""How much a promise accepts and how often it breaks, over random calibration rows whose risk is known exactly."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from steepslope.numerics import Bools, Floats
from steepslope.promise._rows import split_rows
from steepslope.promise._sequence import Above, threshold_sequence

DELTA = 0.05
DRAWS = 100
MOST_CALIBRATED = 2_000
Way = Callable[[Floats, Bools, float, float, int], float]  # from rows, risk, delta and seed to a threshold, or ∞


def promised_threshold(confidence: Floats, is_correct: Bools, risk: float, delta: float, seed: int) -> float:
    """Return the threshold that a gate finds on rows (n,), or ∞: 2√n of them fix the sequence, the others test it."""
    fixing, counted = split_rows(len(confidence), seed)
    sequence = threshold_sequence(confidence[fixing])
    above = Above.from_rows(confidence[counted], is_correct[counted], sequence)
    last = above.tests(risk, delta).last_passing()
    if last is None:
        return math.inf
    return float(sequence[last])


def outcome_of_promise(
    confidence: Floats, is_correct: Bools, risk: float, seed: int = 0, threshold_by: Way = promised_threshold
) -> dict[str, Any]:
    """Return the mean ``coverage`` over random calibration rows, and the share of draws whose promise is ``broken``.

    Each draw takes 2,000 of the rows (n,) with replacement, or n/2 if that is less. So the risk on all n rows is the
    true one.
    """
    rng = np.random.default_rng(seed)
    n = len(confidence)
    count = min(MOST_CALIBRATED, n // 2)
    coverage = []
    broken = 0
    for draw in range(DRAWS):
        rows = rng.integers(n, size=count)
        threshold = threshold_by(confidence[rows], is_correct[rows], risk, DELTA, draw)
        accepted = (confidence >= threshold) & (threshold < math.inf)
        coverage.append(float(accepted.mean()))
        broken += bool(accepted.any() and (~is_correct[accepted]).mean() > risk)
    return {"coverage": round(float(np.mean(coverage)), 5), "broken": broken / DRAWS}
