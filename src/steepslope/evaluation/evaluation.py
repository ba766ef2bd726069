"""One evaluation, which the report reads: predictions, confidences and rows; and what they mean, in sentences."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.evaluation.rows import Row, table_rows
from steepslope.evaluation.score import BASELINE, NOTHING, Predictions, Resources, Scored, score_predictions
from steepslope.metrics.groups import Groups
from steepslope.metrics.intervals import BOUNDS

Ids = Callable[[NDArray[np.int64]], list[str]]


def row_numbers(rows: NDArray[np.int64]) -> list[str]:
    """Name rows by their numbers."""
    return [str(row) for row in rows]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions, the confidences of every score, and a row for each; ``ids`` names some of the predictions."""

    predictions: Predictions
    scored: Sequence[Scored]
    rows: Sequence[Row]
    title: str = ""
    ids: Ids = row_numbers


def evaluate_predictions(
    predictions: Predictions,
    names: Sequence[str],
    resources: Resources = NOTHING,
    *,
    groups: Groups | None = None,
    paper: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
    title: str = "",
    ids: Ids = row_numbers,
) -> Evaluation:
    """Score predictions by names of scores and folders of oracles, and evaluate each score.

    ``groups`` adds coverage and risk by group, and ``paper`` the metrics as the paper's code computes them. The seed
    fixes the ``bootstrap`` resamples. What may be wrong is what :func:`score_predictions` and :func:`table_rows` name.
    """
    scored = score_predictions(names, predictions, resources)
    rows = table_rows(scored, predictions, groups=groups, paper=paper, bootstrap=bootstrap, seed=seed)
    return Evaluation(predictions, scored, rows, title, ids)


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
        return f"{row.name} differs from MCP by {value} AUC points; without resamples it is not known if by luck."
    if delta["low"] > 0:
        return f"{row.name} ranks better than MCP ({points})."
    if delta["high"] < 0:
        return f"{row.name} does NOT beat MCP: it ranks worse ({points})."
    return f"{row.name} does not beat MCP: no significant difference ({points})."
