"""How well several confidences rank the same predictions: metrics with intervals, and their paired differences."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from steepslope.errors import SteepslopeError
from steepslope.metrics import measures_at, rank_rows, resample_all
from steepslope.numerics import Bools, Floats

COMPARED = ("auc", "aurc")
DIGITS = 5


def measured_lines(
    lines: Mapping[str, Floats],
    is_correct: Bools,
    rivals: Collection[str],
    metrics: Collection[str] = COMPARED,
    seed: int = 0,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Return the metrics of each line with intervals, and its paired differences to the rivals that are among them.

    Raises
    ------
    SteepslopeError
        If no prediction is wrong, or none right.
    """
    if is_correct.all() or not is_correct.any():
        raise SteepslopeError("expected errors and correct predictions among the judged rows, found one kind alone")
    measures = {name: measure for name, measure in measures_at(np.nan, np.nan).items() if name in metrics}
    tables = [(rank_rows(confidence, is_correct), measures) for confidence in lines.values()]
    resampled = dict(zip(lines, resample_all(tables, resamples, seed), strict=True))
    numbers: dict[str, dict[str, Any]] = {}
    for name, of_line in resampled.items():
        numbers[name] = {metric: _short_estimate(estimate) for metric, estimate in of_line.estimates().items()}
        for rival in rivals:
            if rival != name and rival in lines:
                differences = of_line.minus(resampled[rival])
                numbers[name][f"minus {rival}"] = {metric: _short_estimate(differences[metric]) for metric in COMPARED}
    return numbers


def _short_estimate(estimate: Mapping[str, Any]) -> list[float]:
    """Return the value and the limits of an estimate, with few digits."""
    return [round(float(estimate[key]), DIGITS) for key in ("value", "low", "high") if key in estimate]
