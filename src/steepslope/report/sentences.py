"""What the rows of an evaluation mean, in sentences: the headline, what it rests on, and a sentence on each score."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from steepslope.metrics.intervals import BOUNDS, Difference
from steepslope.metrics.measures import METRICS, PERCENT, Metric
from steepslope.metrics.selective import holm
from steepslope.oracle.base import FEW_ERRORS
from steepslope.report.confidences import BASELINE
from steepslope.report.evaluation import Row

UNUSUAL = 0.05


WORDS = {1: "better", 0: "no significant difference", -1: "clearly BELOW it"}


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


FOUND_AT = "fpr_at_95tpr"  # the errors that are found are the others


SIGNIFICANT = 0.05


BY_LUCK = f"below about {FEW_ERRORS}, all numbers depend on luck"


class Remark(NamedTuple):
    """What a number rests on; ``warns`` where it makes the number doubtful."""

    text: str
    warns: bool = False


def leader(rows: Sequence[Row]) -> Row:
    """Return the row that a report is about: the score of least AURC beside MCP; the first row where none has one."""
    others = [row for row in rows if row.name != BASELINE and not np.isnan(row.metrics["aurc"]["value"])]
    return min(others, key=lambda row: row.metrics["aurc"]["value"], default=rows[0])


def headline(rows: Sequence[Row]) -> str:
    """Return the sentence on the best score: how many errors it finds where 95 % of the correct are trusted.

    Whether it is better than MCP is judged by AURC, by which it was chosen, after Holm's correction for the number of
    scores among which it was.
    """
    best, first = leader(rows), rows[0]
    if np.isnan(best.metrics[FOUND_AT]["value"]):
        return "Nothing can be compared: that needs both errors and correct predictions."
    found = f"{best.name} finds {_found(best)} of the errors while trusting at least 95 % of the correct predictions"
    if best is first or best.vs_mcp is None:
        return f"{found}."
    return f"{found}; {first.name.upper()} finds {_found(first)}{_ending(best, rows)}"


def _found(row: Row) -> str:
    return f"{100 * (1 - row.metrics[FOUND_AT]['value']):.0f} %"


def _ending(best: Row, rows: Sequence[Row]) -> str:
    """Return what is to be said of the difference: clear by AURC, or not."""
    others = [row for row in rows if row.name != BASELINE]
    known = {
        row.name: row.vs_mcp["aurc"]["p"] for row in others if row.vs_mcp and not np.isnan(row.vs_mcp["aurc"]["p"])
    }
    assert best.vs_mcp is not None
    difference, more = best.vs_mcp["aurc"], -best.vs_mcp[FOUND_AT]["value"]
    if best.name not in known:
        return ". Without resamples it is not known whether this is luck."
    corrected = dict(zip(known, holm(np.array(list(known.values()))), strict=True))
    if corrected[best.name] >= SIGNIFICANT:
        return ". By AURC the difference may be luck."
    if difference["value"] > 0:
        return ". By AURC, MCP is clearly better."
    return "." if more > 0 else ". By AURC it is clearly better all the same."


def remarks(rows: Sequence[Row]) -> list[Remark]:
    """Return what the numbers rest on: rows, errors, how the best was chosen, and whatever makes them doubtful."""
    return [*_of_rows(rows), *_of_choice(rows), *_of_shift(rows), *_of_fit_rows(rows)]


def _of_rows(rows: Sequence[Row]) -> Iterator[Remark]:
    first = rows[0]
    errors = round(first.n * (1 - first.metrics["accuracy"]["value"]))
    yield Remark(heading(rows))
    if first.clusters is not None:
        yield Remark(f"{first.clusters:,} clusters, which were resampled as wholes")
    rare, side = min((errors, "wrong"), (first.n - errors, "correct"))
    if first.clusters is not None and first.units < min(rare, FEW_ERRORS):
        yield Remark(f"only {first.units} clusters with a {side} prediction: {BY_LUCK}", warns=True)
    elif rare < FEW_ERRORS:
        yield Remark(f"only {rare} {side} prediction{'' if rare == 1 else 's'}: {BY_LUCK}", warns=True)


def _of_choice(rows: Sequence[Row]) -> Iterator[Remark]:
    others = sum(row.name != BASELINE for row in rows)
    if others > 1:
        yield Remark(f"chosen among {others} by AURC on these rows, which makes its lead look larger than it is")


def _of_shift(rows: Sequence[Row]) -> Iterator[Remark]:
    for row in rows:
        if row.handed_over is not None and row.handed_over.usual is not None:
            part, usual = row.handed_over.part, row.handed_over.usual
            unlike = looks_unlike(part, usual)
            look = "unlike" if unlike else "like"
            how = f"handed over by {100 * part:.0f} % on average, {100 * usual:.0f} % in its fit set"
            yield Remark(f"to {row.name} these images look {look} those it was fitted on ({how})", unlike)


def _of_fit_rows(rows: Sequence[Row]) -> Iterator[Remark]:
    for row in rows:
        if row.fit_rows:
            yield Remark(
                f"{row.name} was fitted on {row.fit_rows:,} of these rows: its numbers are too good", warns=True
            )


def heading(rows: Sequence[Row]) -> str:
    """Return the line above the main table: what is common to all rows."""
    accuracy = rows[0].metrics["accuracy"]["value"]
    errors = round(rows[0].n * (1 - accuracy))
    return f"{rows[0].n:,} predictions, {errors:,} wrong (accuracy {100 * accuracy:.2f} %)"
