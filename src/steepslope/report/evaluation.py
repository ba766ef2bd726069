"""One evaluation, which the report reads: predictions, confidences and rows; and what they mean, in sentences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.metrics.groups import Groups, holm
from steepslope.metrics.intervals import BOUNDS, Difference
from steepslope.metrics.measures import METRICS, PERCENT, Metric
from steepslope.report.confidences import BASELINE, NOTHING, Predictions, Resources, Scored, score_predictions
from steepslope.report.rows import Row, table_rows

Ids = Callable[[NDArray[np.int64]], list[str]]
UNUSUAL = 0.05
WORDS = {1: "better", 0: "no significant difference", -1: "clearly BELOW it"}


def row_numbers(rows: NDArray[np.int64]) -> list[str]:
    """Name rows by their numbers."""
    return [str(row) for row in rows]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions, the confidences of every score, and a row for each.

    ``ids`` names some of the predictions. ``clusters`` (n,) are the labels of those that were resampled as a whole.
    ``grouped_by`` is what the groups of the rows are grouped by, if there are any; ``cautions`` is what else a reader
    has to know of these rows.
    """

    predictions: Predictions
    scored: Sequence[Scored]
    rows: Sequence[Row]
    title: str = ""
    ids: Ids = row_numbers
    clusters: ArrayLike | None = None
    grouped_by: str = ""
    cautions: Sequence[str] = ()


def evaluate_predictions(
    predictions: Predictions,
    names: Sequence[str],
    resources: Resources = NOTHING,
    *,
    groups: Groups | None = None,
    paper: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
    clusters: ArrayLike | None = None,
    title: str = "",
    ids: Ids = row_numbers,
) -> Evaluation:
    """Score predictions by names of scores and folders of oracles, and evaluate each score.

    ``groups`` adds coverage and risk by group, and ``paper`` the metrics as the paper's code computes them. The seed
    fixes the ``bootstrap`` resamples, of rows or of whole ``clusters``, labels (n,). What may be wrong is what
    :func:`score_predictions` and :func:`table_rows` name.
    """
    scored = score_predictions(names, predictions, resources)
    rows = table_rows(
        scored, predictions, groups=groups, paper=paper, bootstrap=bootstrap, seed=seed, clusters=clusters
    )
    return Evaluation(predictions, scored, rows, title, ids, clusters, "" if groups is None else groups.by)


def verdicts(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each row but MCP's, further ones for oracles where they apply, and one on the luck."""
    if rows[0].name != BASELINE:
        return [f"{rows[0].name} cannot be compared with MCP: that needs logits."]
    parts = fitted_here, verdict, verdict_on_best, standardised, handed_over
    sentences = [part(row) for row in rows[1:] for part in parts]
    return [*filter(None, sentences), *_luck_among(rows[1:])]


def _luck_among(rows: Sequence[Row]) -> list[str]:
    """Return a sentence on how many of several comparisons would seem significant by luck, and which really are."""
    compared = [row for row in rows if not np.isnan(row.delta_auc["p"])]
    if len(compared) < 2:
        return []
    corrected = holm(np.array([row.delta_auc["p"] for row in compared]))
    kept = [row.name for row, p in zip(compared, corrected, strict=True) if p < 0.05]
    return [
        f"{by_luck(len(compared))}; after Holm's correction for their number (p < .05) "
        f"{'none differs' if not kept else 'these differ: ' + ', '.join(kept)}."
    ]


def by_luck(comparisons: int, rival: str = "MCP") -> str:
    """Return how many of some comparisons with a rival would be called significant if there were no difference.

    >>> by_luck(7)
    '7 comparisons with MCP: without any true difference about 0.35 of the intervals would exclude 0 by luck'
    """
    lucky = f"about {comparisons / 20:.2g} of the intervals would exclude 0 by luck"
    return f"{comparisons} comparisons with {rival}: without any true difference {lucky}"


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


def verdict_on_best(row: Row) -> str:
    """Return the sentence on an oracle against the best single score; none where there is but MCP, or no AUC."""
    best = row.vs_best_single
    if best is None or any(np.isnan(one["value"]) for one in best.differences.values()):
        return ""
    parts = ", ".join(compared(name, one) for name, one in best.differences.items())
    return f"{row.name} against {best.score}, the best single score by AURC: {parts}."


def fitted_here(row: Row) -> str:
    """Return a warning on what was fitted on some of the rows; none for others."""
    if not row.fit_rows:
        return ""
    seen = f"{row.fit_rows:,} of these {row.n:,} rows"
    return f"WARNING: {row.name} was fitted on {seen}, so its numbers are better than they will be on others."


def standardised(row: Row) -> str:
    """Return the sentence on an oracle whose auxiliary features were standardised anew; none for others."""
    if not row.standardised:
        return ""
    return f"{row.name} sees auxiliary features that were standardised anew on these {row.n:,} rows."


def handed_over(row: Row) -> str:
    """Return the sentence on how many rows an oracle hands over; none where it never does.

    Rows count by how far they are handed over.
    """
    if row.handed_over is None:
        return ""
    part, usual = row.handed_over.part, row.handed_over.usual
    hands = f"{row.name} hands {100 * part:.0f} % of its rows over to what needs no second backbone"
    if usual is None:
        return f"{hands}."
    look = "unlike" if looks_unlike(part, usual) else "like"
    return f"{hands} (its fit set: {100 * usual:.0f} %): these images look {look} those it was fitted on."


def looks_unlike(part: float, usual: float) -> bool:
    """Return whether rows look unlike the fit set's by the mean of how far they are handed over, both in [0, 1].

    They do where that is more than twice what is usual and 5 points: less can be the luck of few rows.
    """
    return part > 2 * usual + UNUSUAL


def clearly(metric: Metric, difference: Difference) -> int:
    """Return 1 if a difference is clearly for the better by its metric, -1 if for the worse, 0 if it may be luck.

    It is clear if its interval excludes 0; where that is undefined, nothing is.
    """
    low, high = difference["low"], difference["high"]
    sign = int(low > 0) - int(high < 0)
    return sign if metric.higher_is_better else -sign


def compared(name: str, difference: Difference, words: Mapping[int, str] = WORDS) -> str:
    """Return what is clear of a metric's difference, by one of the ``words`` for better, unclear and worse."""
    metric = METRICS[name]
    value, low, high = (f"{metric.scale * difference[bound]:+.1f}" for bound in BOUNDS)
    unit = "points" if metric.scale == PERCENT else "thousandths"
    if np.isnan(difference["low"]):
        return f"{metric.title} {value} {unit}, without resamples it is not known if by luck"
    return f"{words[clearly(metric, difference)]} by {metric.title} ({value} {unit}, 95 % interval {low} to {high})"
