"""What an evaluation says in words: whether each score beats MCP at ranking."""

from collections.abc import Sequence

import numpy as np

from steepslope.evaluation.rows import Row
from steepslope.evaluation.score import BASELINE
from steepslope.metrics.intervals import BOUNDS


def verdicts(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each row but MCP's."""
    if rows[0].name != BASELINE:
        return [f"{rows[0].name} cannot be compared with MCP: that needs logits."]
    return [verdict(row) for row in rows[1:]]


def verdict(row: Row) -> str:
    """Return the sentence on one row; a difference counts if its interval excludes 0."""
    delta = row.delta_auc
    value, low, high = (f"{100 * delta[bound]:+.1f}" for bound in BOUNDS)
    points = f"{value} AUC points, 95 % interval {low} to {high}"
    if np.isnan(delta["value"]):
        return f"{row.name} cannot be compared with MCP: AUC needs both errors and correct predictions."
    if np.isnan(delta["low"]):
        return f"{row.name} differs from MCP by {value} AUC points; without resamples nobody can say if by luck."
    if delta["low"] > 0:
        return f"{row.name} ranks better than MCP ({points})."
    if delta["high"] < 0:
        return f"{row.name} does NOT beat MCP: it ranks worse ({points})."
    return f"{row.name} does not beat MCP: no significant difference ({points})."
