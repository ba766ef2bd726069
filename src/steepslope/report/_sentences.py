"""What the rows of an evaluation mean, in sentences: the headline, what it rests on, and a sentence on each score."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np

from steepslope.metrics import BOUNDS, METRICS, PERCENT, Difference, Estimate, Metric, holm_corrected
from steepslope.oracle import FEW_ERRORS
from steepslope.promise import EXACT, as_percent
from steepslope.report._confidences import BASELINE
from steepslope.report._evaluation import KNOWN_COVERAGE, Gated, Row

_FOUND_AT = "fpr_at_95tpr"  # the errors that are found are the others
_SIGNIFICANT = 0.05
_UNUSUAL = 0.05
_BY_LUCK = f"below about {FEW_ERRORS}, all numbers depend on luck"
_NO_TEST = "WARNING: its threshold was found on these rows, so this is no test of it."
_AGAINST_BEST = {1: "better", 0: "no significant difference", -1: "clearly BELOW it"}


class Remark(NamedTuple):
    """What a number rests on; ``warns`` where it makes the number doubtful, ``broken`` where a promise is not kept."""

    text: str
    warns: bool = False
    broken: bool = False


def headline_row(rows: Sequence[Row]) -> Row:
    """Return the row that a report is about: the score of least AURC next to MCP; the first row where none has one."""
    others = [row for row in rows if row.name != BASELINE and not np.isnan(row.metrics["aurc"]["value"])]
    return min(others, key=lambda row: row.metrics["aurc"]["value"], default=rows[0])


def headline_sentence(rows: Sequence[Row]) -> str:
    """Return the sentence on the best score: how many errors it finds where 95 % of the correct are trusted.

    Whether it is better than MCP is judged by AURC, by which it was chosen, after Holm's correction for the number of
    scores among which it was.
    """
    best = headline_row(rows)
    if np.isnan(best.metrics[_FOUND_AT]["value"]):
        return "Nothing can be compared: that needs both errors and correct predictions."
    finding = (
        f"{best.name} finds {_errors_found(best)} of the errors while trusting at least 95 % of the correct predictions"
    )
    first = rows[0]
    if best is first or best.vs_mcp is None:
        return f"{finding}."
    verdict = _aurc_sentence(best, best.vs_mcp, rows)
    return f"{finding}; {first.name.upper()} finds {_errors_found(first)}. {verdict}".rstrip()


def _errors_found(row: Row) -> str:
    return f"{100 * (1 - row.metrics[_FOUND_AT]['value']):.0f} %"


def names_sentence(rows: Sequence[Row]) -> str:
    """Return what the names in the headline stand for: MCP, and an oracle."""
    best = headline_row(rows)
    meanings = []
    if rows[0].name == BASELINE:
        meanings.append("MCP is the classifier's own confidence, its largest softmax probability.")
    if best.loss is not None:
        meanings.append(f"{best.name} is an oracle: a second model, trained on the classifier's errors on other rows.")
    return " ".join(meanings)


def _aurc_sentence(best: Row, to_mcp: Mapping[str, Difference], rows: Sequence[Row]) -> str:
    """Return what has to be said of the difference to MCP next to the errors that are found."""
    if np.isnan(to_mcp["aurc"]["p"]):
        return "Without resamples it is not known whether this is luck."
    p = {row.name: row.vs_mcp["aurc"]["p"] for row in rows[1:] if row.vs_mcp}
    if best.name not in _significant_by_holm(p):
        return "By AURC the difference may be luck."
    if to_mcp["aurc"]["value"] > 0:
        return "By AURC, MCP is clearly better."
    if to_mcp[_FOUND_AT]["value"] < 0:
        return ""
    return "By AURC it is clearly better all the same."


def heading_sentence(rows: Sequence[Row]) -> str:
    """Return the line above the main table: what is common to all rows."""
    unknown = rows[0].unknown
    return count_sentence(rows[0].n, rows[0].wrong, 0 if unknown is None else unknown.n)


def count_sentence(n: int, wrong: int, unknown: int = 0) -> str:
    """Return how many predictions there are, and how many of them are wrong; apart, those of unknown inputs.

    >>> print(count_sentence(2_000, 300), count_sentence(2_000, 300, 200), sep="; ")
    2,000 predictions, 300 wrong (accuracy 85.00 %); 2,000 predictions, 300 wrong (accuracy 85.00 %): 100 of known \
classes, 200 unknown (10.0 % of all)
    """
    count = f"{n:,} predictions, {wrong:,} wrong (accuracy {100 * ((n - wrong) / n):.2f} %)"
    if not unknown:
        return count
    return f"{count}: {wrong - unknown:,} of known classes, {unknown:,} unknown ({100 * unknown / n:.1f} % of all)"


def remark_sentences(rows: Sequence[Row]) -> list[Remark]:
    """Return what the numbers rest on: rows, errors, how the best was chosen, and whatever makes them doubtful."""
    remarks = [Remark(heading_sentence(rows))]
    for row in rows:
        remarks += [Remark(_gate_sentence(row, gated), broken=gated.is_broken) for gated in row.gated]
    remarks += _remarks_on_luck(rows[0])
    others = sum(row.name != BASELINE for row in rows)
    if others > 1:
        lead = f"chosen among {others} by AURC on these rows, which makes its lead look larger than it is"
        remarks.append(Remark(lead))
    for row in rows:
        if row.handed_over and row.handed_over.usual is not None:
            remarks.append(Remark(_handover_sentence(row)[:-1], _looks_unlike_fit_set(*row.handed_over)))
    return remarks


def _remarks_on_luck(first: Row) -> Iterator[Remark]:
    """Yield how many clusters there are, and whether there are too few of them, or too few errors."""
    rare, side = min((first.wrong, "wrong"), (first.n - first.wrong, "correct"))
    clusters = first.resampled.clusters
    if clusters is not None:
        yield Remark(f"{clusters:,} clusters, which were resampled as wholes")
        units = first.resampled.units
        if units < min(rare, FEW_ERRORS):
            yield Remark(f"only {units} clusters with a {side} prediction: {_BY_LUCK}", warns=True)
            return
    if rare < FEW_ERRORS:
        yield Remark(f"only {rare} {side} prediction{'' if rare == 1 else 's'}: {_BY_LUCK}", warns=True)


def evaluation_sentences(rows: Sequence[Row]) -> list[str]:
    """Return a sentence for each row but MCP's, further ones for oracles where they apply, and one on the luck.

    The last are on the out-of-class inputs, if there are any, and on gates.
    """
    if rows[0].name != BASELINE:
        return [f"{rows[0].name} cannot be compared with MCP: that needs logits."]
    lines: list[str] = []
    for row in rows[1:]:
        lines += _score_sentences(row)
    lines += luck_sentence({row.name: row.delta_auc["p"] for row in rows[1:]})
    lines += _unknown_rows_sentence(rows)
    for row in rows:
        lines += [_gate_sentence(row, gated) for gated in row.gated]
    return lines


def _gate_sentence(row: Row, gated: Gated) -> str:
    sentence = f"The gate that ranks by {row.name} accepts {gated.accepted:,} of {row.n:,} rows"
    if gated.accepted:
        wrong = f"{gated.wrong:,} of them wrong ({100 * gated.wrong / gated.accepted:.1f} %)"
        sentence += f" ({100 * gated.accepted / row.n:.1f} %), {wrong}"
    promise = "nothing" if gated.promised is None else f"at most {as_percent(gated.promised, EXACT)}"
    sentence += f"; it promises {promise}"
    if gated.weighted:
        sentence += " of rows that come in another mix"
    if gated.own:
        return f"{sentence}. {_NO_TEST}"
    return f"{sentence}."


def _unknown_rows_sentence(rows: Sequence[Row]) -> list[str]:
    accepted = []
    for row in rows:
        if row.unknown is not None and not np.isnan(row.unknown.accepted):
            accepted.append(f"{row.name} {100 * row.unknown.accepted:.1f} %")
    if not accepted:
        return []
    where = f"Where {KNOWN_COVERAGE} % of the known rows are accepted"
    return [f"{where}, these shares of the unknown rows are accepted too, all of them wrong: {', '.join(accepted)}."]


def _score_sentences(row: Row) -> Iterator[str]:
    yield _mcp_sentence(row.name, row.delta_auc)
    best = row.vs_best_single
    if best is not None:
        named = best.differences.items()
        if not np.isnan([difference["value"] for _, difference in named]).any():
            differences = ", ".join(difference_sentence(name, one, _AGAINST_BEST) for name, one in named)
            yield f"{row.name} against {best.score}, the best single score by AURC: {differences}."
    if row.handed_over is not None:
        yield _handover_sentence(row)
    if row.opinions:
        counted = ", ".join(f"{name} (on {100 * part:.0f} % of the rows)" for name, part in row.opinions.items())
        yield f"{row.name} counts the opinions of others: {counted}."


def _mcp_sentence(name: str, delta: Estimate) -> str:
    """Return the sentence on a score's AUC next to MCP's, by ``delta``; it counts if its interval excludes 0."""
    value, low, high = (f"{100 * delta[bound]:+.1f}" for bound in BOUNDS)
    points = f"{value} AUC points, 95 % interval {low} to {high}"
    if np.isnan(delta["value"]):
        return f"{name} cannot be compared with MCP: AUC needs both errors and correct predictions."
    if np.isnan(delta["low"]):
        return f"{name} differs from MCP by {value} AUC points; without resamples it is not known if by luck."
    if delta["low"] > 0:
        return f"{name} ranks better than MCP ({points})."
    if delta["high"] < 0:
        return f"{name} does NOT beat MCP: it ranks worse ({points})."
    return f"{name} does not beat MCP: no significant difference ({points})."


def _handover_sentence(row: Row) -> str:
    """Return how many rows look unfamiliar to an oracle, each counted by how far; empty where it never hands over."""
    if row.handed_over is None:
        return ""
    part, usual = row.handed_over
    unfamiliar = f"{row.name}: {100 * part:.0f} % of the rows look unfamiliar and use a simpler fallback"
    if usual is None:
        return f"{unfamiliar}."
    sign = "a sign" if _looks_unlike_fit_set(part, usual) else "no sign"
    return f"{unfamiliar} ({100 * usual:.0f} % in fitting): {sign} of shift."


def _looks_unlike_fit_set(part: float, usual: float | None) -> bool:
    """Return whether rows look unlike the fit set's by the mean of how far they are handed over, both in [0, 1].

    They do where that is more than twice what is usual and 5 points: less can be the luck of few rows.
    """
    return usual is not None and part > 2 * usual + _UNUSUAL


def _significant_by_holm(p: Mapping[str, float]) -> list[str]:
    """Return the names whose defined p is below .05 after Holm's correction for their number."""
    known = {name: value for name, value in p.items() if not np.isnan(value)}
    clear = holm_corrected(np.array([*known.values()])) < _SIGNIFICANT
    return [*compress(known, clear)]


def luck_sentence(p: Mapping[str, float], rival: str = "MCP", resamples: int | None = None) -> list[str]:
    """Return a sentence on how many of several comparisons would seem significant by luck, and which really are.

    With the number of ``resamples`` it says if these are too few for any to be.
    """
    count = int(np.sum(~np.isnan([*p.values()])))
    if count < 2:
        return []
    names = ", ".join(_significant_by_holm(p))
    verdict = f"these differ: {names}" if names else "none differs"
    if resamples is not None and count * 2 / (resamples + 1) >= _SIGNIFICANT:
        verdict += f" ({resamples:,} resamples are too few for so many comparisons)"
    return [f"{by_luck_sentence(count, rival)}; after Holm's correction for their number (p < .05) {verdict}."]


def by_luck_sentence(comparisons: int, rival: str = "MCP") -> str:
    """Return how many of some comparisons with a rival would be called significant if there were no difference.

    >>> by_luck_sentence(7)
    '7 comparisons with MCP: without any true difference about 0.35 of the intervals would exclude 0 by luck'
    """
    lucky = f"about {comparisons / 20:.2g} of the intervals would exclude 0 by luck"
    return f"{comparisons} comparisons with {rival}: without any true difference {lucky}"


def clear_sign(metric: Metric, difference: Difference) -> int:
    """Return 1 if a difference is clearly for the better by its metric, -1 if for the worse, 0 if it may be luck.

    It is clear if its interval excludes 0; where that is undefined, nothing is.
    """
    sign = int(difference["low"] > 0) - int(difference["high"] < 0)
    if metric.higher_is_better:
        return sign
    return -sign


def difference_sentence(name: str, difference: Difference, phrases: Mapping[int, str]) -> str:
    """Return what is clear of a metric's difference, by the ``phrases`` for better (1), unclear (0) and worse (-1)."""
    metric = METRICS[name]
    value, low, high = (f"{metric.scale * difference[bound]:+.1f}" for bound in BOUNDS)
    unit = "points" if metric.scale == PERCENT else "thousandths"
    if np.isnan(difference["low"]):
        return f"{metric.title} {value} {unit}, without resamples it is not known if by luck"
    verdict = phrases[clear_sign(metric, difference)]
    return f"{verdict} by {metric.title} ({value} {unit}, 95 % interval {low} to {high})"
