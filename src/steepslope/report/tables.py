"""The tables of an evaluation, as grids: the main one, and the details below it.

The table that a page begins with: every metric of every score, with its differences, and what each column means.

Classes and groups over all scores: who is served worse, and which labels are taken for which.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from steepslope.metrics.intervals import Difference
from steepslope.metrics.measures import METRICS, SEPARABILITY, Metric, table_metrics
from steepslope.metrics.paper import PAPER_METRICS
from steepslope.metrics.selective import GroupRisk, group_risks
from steepslope.outputs import ClassifierOutputs
from steepslope.report.confidences import BASELINE, Scored
from steepslope.report.evaluation import Evaluation, Row
from steepslope.report.grid import UNDEFINED, Cell, Grid, estimate_cell, number_cell
from steepslope.report.sentences import by_luck, clearly

DELTA = "ΔAUC to MCP"


def headings() -> list[str]:
    """Return the titles of the metrics' columns."""
    return [metric.heading for metric in table_metrics().values()]


def terminal_titles() -> list[str]:
    """Return the titles of :func:`main_grid`, short enough for a terminal of 80 columns."""
    return ["score", *(metric.terminal_heading for metric in table_metrics().values()), "ΔAUC"]


def main_grid(rows: Sequence[Row]) -> Grid:
    """Return every metric with its interval, and the paired difference of the AUC to MCP's."""
    known = any(not math.isnan(estimate["low"]) for row in rows for estimate in row.metrics.values())
    intervals = "with 95 % bootstrap intervals" if known else "without intervals, for lack of resamples"
    note = f"In percent, AURC and AUGRC in thousandths, {intervals}; TPR and TNR at each score's own threshold."
    if rows[0].clusters is not None:
        note += f" Whole clusters were resampled, of which there are {rows[0].clusters:,}."
    if rows[0].lacking:
        note += f" {rows[0].lacking:,} bootstrap replicates lacked an error or a correct prediction and were left out."
    return Grid("", ["score", *headings(), DELTA], [_main_cells(row) for row in rows], note)


def _main_cells(row: Row) -> list[Cell]:
    loss = "" if row.loss in (None, row.name) else f"({row.loss})"
    warning = f"◄ FITTED ON {row.fit_rows:,} OF THESE ROWS" if row.fit_rows else ""
    title = Cell(row.name, f"{loss} {warning}".strip())
    numbers = [estimate_cell(row.metrics[name], metric.scale) for name, metric in table_metrics().items()]
    return [title, *numbers, UNDEFINED if row.name == BASELINE else estimate_cell(row.delta_auc, sign="+")]


def detail_grids(rows: Sequence[Row]) -> list[Grid]:
    """Return all tables below the main one that have rows."""
    grids = [
        difference_grid(rows),
        further_grid(rows),
        risk_grid(rows),
        coverage_grid(rows),
        confusion_grid(rows),
        cut_grid(rows),
    ]
    grids += [separability_grid(rows), paper_grid(rows)]
    return [grid for grid in grids if grid.rows]


def _score_grid(title: str, columns: Iterable[str], cells: Mapping[str, Iterable[Cell]], note: str = "") -> Grid:
    """Return a table with a row for each score that has cells."""
    lines = [[Cell(name), *some] for name, some in cells.items()]
    return Grid(title, ["score", *columns], [line for line in lines if len(line) > 1], note)


def difference_grid(rows: Sequence[Row]) -> Grid:
    """Return each metric's paired difference to MCP, with p; empty where there is nothing to compare."""
    cells = {row.name: list(_difference_cells(row.vs_mcp or {})) for row in rows if row.name != BASELINE}
    note = "Paired on the same resamples; in brackets the 95 % interval, then the two-sided p of no difference."
    comparisons = sum(cell.aside != "" for line in cells.values() for cell in line)
    if comparisons:
        note += f" {by_luck(comparisons)}."
    return _score_grid("Difference to MCP", headings(), cells, note)


def _difference_cells(differences: Mapping[str, Difference]) -> Iterator[Cell]:
    for name, difference in differences.items():
        if METRICS[name].in_table:
            cell = estimate_cell(difference, METRICS[name].scale, sign="+")
            known = not (math.isnan(difference["value"]) or math.isnan(difference["p"]))
            yield Cell(cell.text, f"{cell.aside} p {difference['p']:.3f}") if known else cell


def further_grid(rows: Sequence[Row]) -> Grid:
    """Return the metrics that the main table has no column for, but for the accuracy, which all rows share."""
    further = {name: metric for name, metric in METRICS.items() if not metric.in_table and name != "accuracy"}
    cells = {row.name: [estimate_cell(row.metrics[name], one.scale) for name, one in further.items()] for row in rows}
    note = "How far the AURC is above that of the perfect ranking; NAURC in percent of what a random ranking's is."
    return _score_grid("Beside the perfect ranking", [one.heading for one in further.values()], cells, note)


def risk_grid(rows: Sequence[Row]) -> Grid:
    """Return the selective risk at each coverage."""
    cells = {row.name: map(estimate_cell, row.risk_at_coverage.values()) for row in rows}
    note = "Errors among the most confident fraction of the predictions, in percent."
    return _score_grid("Risk at coverage", [f"{percent} %" for percent in rows[0].risk_at_coverage], cells, note)


def coverage_grid(rows: Sequence[Row]) -> Grid:
    """Return the coverage at each risk."""
    cells = {row.name: map(estimate_cell, row.coverage_at_risk.values()) for row in rows}
    note = "Largest fraction of predictions that a threshold accepts with at most this fraction of errors here."
    return _score_grid("Coverage at risk", [f"≤ {percent} %" for percent in rows[0].coverage_at_risk], cells, note)


def confusion_grid(rows: Sequence[Row]) -> Grid:
    """Return the four counts at each score's own threshold."""
    cells = {row.name: [Cell(f"{count:,}") for count in row.confusion.values()] for row in rows if row.confusion}
    columns = ["trusted, correct", "trusted, wrong", "not trusted, correct", "not trusted, wrong"]
    note = "Numbers of predictions. Trusted: with a confidence above the score's own threshold."
    return _score_grid("Confusion at each score's own threshold", columns, cells, note)


def cut_grid(rows: Sequence[Row]) -> Grid:
    """Return TPR and TNR at ½ and at the cuts of the steep slope loss."""
    cells = {row.name: [number_cell(rate) for cut in row.cuts.values() for rate in cut.values()] for row in rows}
    cuts = next((row.cuts for row in rows if row.cuts), {})
    columns = [f"{name.upper()} at p > {cut:.3g}" for cut, rates in cuts.items() for name in rates]
    own = [f"{row.name} at {row.natural_cut:.3g}" for row in rows if row.natural_cut is not None]
    note = "The steep slope loss trusts where P(correct) > α⁻/(α⁺+α⁻): part of its TNR is this cut"
    note += f" ({', '.join(own)}). " if own else ". "
    note += "The other losses at the same cut are its fair comparison; its own sigmoid is no probability."
    return _score_grid("At one half, and at the cut of the steep slope loss", columns, cells, note)


def separability_grid(rows: Sequence[Row]) -> Grid:
    """Return how far apart the confidences of correct and of wrong predictions lie."""
    cells = {row.name: [number_cell(value, 1, 3) for value in row.separability.values()] for row in rows}
    note = "Between the Gaussians of correct and wrong predictions, on the scale that ranks."
    return _score_grid("Separability", [metric.heading for metric in SEPARABILITY.values()], cells, note)


def paper_grid(rows: Sequence[Row]) -> Grid:
    """Return the metrics as the authors' code computed them."""
    cells = {row.name: _paper_cells(row.paper) for row in rows if row.paper}
    note = "Float32 sigmoids, errors ranked by high confidence, a grid of thresholds, TCP's errors cut at 1/K."
    columns = [metric.title for metric in PAPER_METRICS.values()]
    return _score_grid("As the paper's code computes them", columns, cells, note)


def _paper_cells(values: Mapping[str, float]) -> list[Cell]:
    return [number_cell(values.get(name), metric.scale, 2) for name, metric in PAPER_METRICS.items()]


DIFFERENCES = ("auc", "aurc")
LOOKS = {0: "", 1: "better", -1: "worse"}
NO_BREAK = "\N{NO-BREAK SPACE}"
TO_MCP, TO_BEST = f"to{NO_BREAK}MCP", "to best single"
MORE_DEFINITIONS = {
    "score": "What gives the confidence: a post-hoc score by its name, or an oracle by its folder's.",
    "group": "A class, or a group of predictions that a column names.",
    "n": "The number of predictions.",
    "accuracy": "The fraction of correct predictions, in percent.",
    "errors": "The number of wrong predictions.",
    "pair": "The label, and what was predicted in its place.",
}


def summary_grid(rows: Sequence[Row]) -> Grid:
    """Return the main table, with differences to MCP and, where there are others, to the best single score."""
    main = main_grid(rows)
    known = len(main.columns) - 1  # without its own difference
    best = any(row.vs_best_single for row in rows)
    columns = ["score", *map(_short, table_metrics().values()), *summary_headings(best)]
    lines = [[*line[:known], *_differences(row, best)] for line, row in zip(main.rows, rows, strict=True)]
    return Grid("Scores", columns, lines, f"{main.note} Differences are paired: ▲ is clearly better, ▼ clearly worse.")


def _short(metric: Metric) -> str:
    return f"{metric.terminal_heading}{NO_BREAK}{'↑' if metric.higher_is_better else '↓'}"


def summary_headings(best: bool) -> list[str]:
    """Return the titles of the columns of differences."""
    return [
        f"Δ{_short(METRICS[name])} {to}" for to in ((TO_MCP, TO_BEST) if best else (TO_MCP,)) for name in DIFFERENCES
    ]


def _differences(row: Row, best: bool) -> list[Cell]:
    to_mcp = {} if row.vs_mcp is None or row.name == BASELINE else row.vs_mcp
    to_best = {} if row.vs_best_single is None else row.vs_best_single.differences
    return [difference_cell(METRICS[name], some.get(name)) for some in ((to_mcp, to_best) if best else (to_mcp,))
            for name in DIFFERENCES]  # fmt: skip


def difference_cell(metric: Metric, difference: Difference | None) -> Cell:
    """Return a difference with its interval, and whether that is clearly better or worse."""
    if difference is None:
        return UNDEFINED
    return estimate_cell(difference, metric.scale, "+")._replace(look=LOOKS[clearly(metric, difference)])


def definitions(grids: Sequence[Grid]) -> dict[str, str]:
    """Return what each column of some tables means, by its heading; where nothing is known, the note of its table."""
    known = {**_of_metrics({**METRICS, **SEPARABILITY}), **MORE_DEFINITIONS}
    notes = {heading: grid.note for grid in reversed(grids) for heading in grid.columns[1:] if grid.note}
    used = dict.fromkeys(chain.from_iterable(grid.columns for grid in grids))
    meanings = notes | known
    return {heading: meanings[heading] for heading in used if heading in meanings}


def _of_metrics(metrics: Mapping[str, Metric]) -> dict[str, str]:
    found: dict[str, str] = {}
    for metric in metrics.values():
        unit = ", in thousandths" if metric.scale > 100 else ", in percent" if metric.scale == 100 else ""
        better = "Higher" if metric.higher_is_better else "Lower"
        name = "" if metric.terminal_heading.rstrip("‰") == metric.title else f"{metric.title}. "
        text = f"{name}{metric.definition.rstrip('.')}{unit}. {better} is better."
        found |= {metric.heading: text, _short(metric): text}
        for to, whose in ((TO_MCP, "MCP's"), (TO_BEST, "that of the best single score by AURC")):
            found[f"Δ{_short(metric)} {to}"] = (
                f"The difference of the {metric.title} to {whose} on the same resamples of the rows, with its 95 % "
                f"interval. {better} is better."
            )
    return found


MOST_GROUPS = 500  # of a table
LABEL = "label"
PAIRS = 20
WORSE = "◄ served worse"
NOTE = (
    "Of each score: the risk, which is the fraction of errors among what it trusts at its own threshold, and below it "
    "the coverage, which is the fraction that it trusts. Served worse: a higher risk than all other groups together, "
    "by Fisher's test at 5 %, which takes rows as independent, after Holm's correction for the number of groups, not "
    "for that of scores."
)


def class_grids(evaluation: Evaluation, leader: Scored) -> list[Grid]:
    """Return the tables of groups, of classes and of pairs of classes that have rows."""
    grids = [group_grid({row.name: row.groups for row in evaluation.rows if row.groups}, evaluation.grouped_by)]
    if evaluation.grouped_by != LABEL:
        grids.append(group_grid(_by_label(evaluation), LABEL))
    return [grid for grid in (*grids, pair_grid(evaluation, leader)) if grid is not None and grid.rows]


def _by_label(evaluation: Evaluation) -> dict[str, Sequence[GroupRisk]]:
    """Return the classes as each score that has a threshold serves them; nothing where there are no labels."""
    predictions = evaluation.predictions
    if not isinstance(predictions, ClassifierOutputs):
        return {}
    labels, names = predictions.require_labels(), predictions.classes
    return {
        one.name: group_risks(one.confidence, predictions.is_correct, labels, one.cut(), names=names)
        for one in evaluation.scored
        if not one.only_ranks
    }


def group_grid(served: Mapping[str, Sequence[GroupRisk]], by: str) -> Grid:
    """Return a row for each group, with the risk and the coverage of every score, by the scores' names.

    The groups that some score serves worse come first, those of the highest risk before others.
    """
    lines = sorted(zip(*served.values(), strict=True), key=_badness)
    columns = ["group", "n", "accuracy", *(f"risk, {name}" for name in served)]
    note = NOTE if len(lines) <= MOST_GROUPS else f"{NOTE} The {MOST_GROUPS:,} worst of {len(lines):,}."
    return Grid(f"By {by}", columns, [_line(groups) for groups in lines[:MOST_GROUPS]], note)


def _badness(groups: Sequence[GroupRisk]) -> tuple[float, float]:
    risks = [group.risk for group in groups if group.risk == group.risk]
    return min(group.p for group in groups), -max(risks, default=0.0)


def _line(groups: Sequence[GroupRisk]) -> list[Cell]:
    first = groups[0]
    return [Cell(first.group), Cell(f"{first.n:,}"), number_cell(first.accuracy), *map(_risk_cell, groups)]


def _risk_cell(group: GroupRisk) -> Cell:
    coverage = f"at {100 * group.coverage:.1f} %"
    text = number_cell(group.risk).text
    return Cell(text, f"{coverage} {WORSE}", "worse") if group.worse else Cell(text, coverage)


def pair_grid(evaluation: Evaluation, leader: Scored) -> Grid | None:
    """Return the pairs of label and prediction of which most errors are trusted; None without labels or errors.

    By the score that the report is about, if it has a threshold; else the pairs with most errors.
    """
    predictions = evaluation.predictions
    if not isinstance(predictions, ClassifierOutputs) or bool(predictions.is_correct.all()):
        return None
    wrong = np.flatnonzero(~predictions.is_correct)
    codes = (predictions.require_labels() * predictions.num_classes + predictions.predictions)[wrong]
    pairs, place = np.unique(codes, return_inverse=True)
    counts = np.bincount(place)
    known = [one for one in evaluation.scored if not one.only_ranks]
    trusted = {one.name: np.bincount(place, one.confidence[wrong] > one.cut(), len(pairs)).astype(int) for one in known}
    missed = trusted.get(leader.name, counts)
    order = np.lexsort((counts, missed))[::-1][:PAIRS]
    names = predictions.class_names
    lines = []
    for pair in order:
        label, predicted = (names[code] for code in divmod(int(pairs[pair]), predictions.num_classes))
        numbers = [Cell(f"{some[pair]:,}") for some in (counts, *trusted.values())]
        lines.append([Cell(f"{label} → {predicted}"), *numbers])
    note = "Label → prediction; of each score, how many of these errors it trusts at its own threshold."
    return Grid("Confusions that are missed most", ["pair", "errors", *(f"trusted by {name}" for name in trusted)],
                lines, note)  # fmt: skip
