"""One evaluation: all that a report shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steepslope.evaluation.rows import Row, table_rows
from steepslope.evaluation.score import Predictions, Resources, Scored, score_predictions
from steepslope.metrics.groups import Groups

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
    resources: Resources | None = None,
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
