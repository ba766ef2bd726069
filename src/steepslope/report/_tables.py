"""From rows to tables: the main one, those of details, those of classes and groups, and what each column means."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import chain

import numpy as np

from steepslope.metrics import (
    METRICS,
    SEPARABILITY,
    Difference,
    Estimate,
    GroupRisk,
    Metric,
    group_risks,
    table_metrics,
)
from steepslope.outputs import ClassifierOutputs
from steepslope.report._confidences import BASELINE, Scored
from steepslope.report._evaluation import KNOWN_COVERAGE, VS_BEST, Evaluation, Row
from steepslope.report._grid import UNDEFINED, Cell, Grid, estimate_cell, number_cell
from steepslope.report._runs import RunScore
from steepslope.report._sentences import by_luck_sentence, clear_sign

DELTA = "ΔAUC to MCP"
_LOOKS = {0: "", 1: "better", -1: "worse"}
_NO_BREAK = "\N{NO-BREAK SPACE}"
_MOST_GROUPS = 500  # of a table
_LABEL = "label"
_PAIRS = 20
_OF_GROUPS = (
    "Of each score: the risk, which is the fraction of errors among what it trusts at its own threshold, and below it "
    "the coverage, which is the fraction that it trusts. Served worse: a higher risk than all other groups together, "
    "by Fisher's test at 5 %, which takes rows as independent, after Holm's correction for the number of groups, not "
    "for that of scores."
)
_MORE_DEFINITIONS = {
    "score": "What gives the confidence: a post-hoc score by its name, or an oracle by its folder's.",
    "group": "A class, or a group of predictions that a column names.",
    "n": "The number of predictions.",
    "accuracy": "The fraction of correct predictions, in percent.",
    "errors": "The number of wrong predictions.",
    "pair": "The label, and what was predicted in its place.",
}


def metric_table_cells(score: Row | RunScore, metrics: Mapping[str, Metric]) -> list[Cell]:
    """Return metrics with their intervals, and the paired difference of the AUC to MCP's."""
    cells = [estimate_cell(score.metrics[name], metric.scale) for name, metric in metrics.items()]
    if score.name == BASELINE:
        return [*cells, UNDEFINED]
    return [*cells, estimate_cell(score.delta_auc, sign="+")]


def _metric_headings() -> list[str]:
    return [metric.heading for metric in table_metrics().values()]


def terminal_table_titles() -> list[str]:
    """Return the titles of :func:`main_table`, short enough for a terminal of 80 columns."""
    return ["score", *(metric.terminal_heading for metric in table_metrics().values()), "ΔAUC"]


def main_table(rows: Sequence[Row]) -> Grid:
    """Return every metric with its interval, and the paired difference of the AUC to MCP's."""
    lines = []
    for row in rows:
        loss = "" if row.loss in (None, row.name) else f"({row.loss})"
        lines.append([Cell(row.name, loss), *metric_table_cells(row, table_metrics())])
    return Grid("", ["score", *_metric_headings(), DELTA], lines, _main_note(rows))


def _main_note(rows: Sequence[Row]) -> str:
    intervals = "without intervals, for lack of resamples"
    if any(_has_interval(row.metrics.values()) for row in rows):
        intervals = "with 95 % bootstrap intervals"
    note = f"In percent, AURC and AUGRC in thousandths, {intervals}; TPR and TNR at each score's own threshold."
    resampled = rows[0].resampled
    if resampled.clusters is not None:
        note += f" Whole clusters were resampled, of which there are {resampled.clusters:,}."
    if resampled.lacking:
        note += (
            f" {resampled.lacking:,} bootstrap replicates lacked an error or a correct prediction and were left out."
        )
    return note


def _has_interval(estimates: Iterable[Estimate]) -> bool:
    return not np.isnan([estimate["low"] for estimate in estimates]).all()


def summary_table(rows: Sequence[Row]) -> Grid:
    """Return the main table, with differences to MCP and, where there are others, to the best single score."""
    rivals = [f"to{_NO_BREAK}MCP"]
    if any(row.vs_best_single for row in rows):
        rivals.append("to best single")
    columns = ["score", *map(_short_heading, table_metrics().values())]
    for rival in rivals:
        columns += [f"Δ{_short_heading(METRICS[name])} {rival}" for name in VS_BEST]
    main = main_table(rows)
    lines = []
    for row, cells in zip(rows, main.rows, strict=True):
        line = [*cells[:-1], *_difference_cells(None if row.name == BASELINE else row.vs_mcp)]
        if len(rivals) > 1:
            line += _difference_cells(row.vs_best_single and row.vs_best_single.differences)
        lines.append(line)
    paired = "Differences (Δ) are paired: ▲ is clearly better, ▼ clearly worse. The best single score is so by AURC."
    return Grid("Scores", columns, lines, f"{main.note} {paired}")


def _short_heading(metric: Metric) -> str:
    return f"{metric.terminal_heading}{_NO_BREAK}{'↑' if metric.higher_is_better else '↓'}"


def _difference_cells(differences: Mapping[str, Difference] | None) -> list[Cell]:
    """Return differences with their intervals, and whether these are clearly better or worse."""
    cells = []
    for name in VS_BEST:
        cell = UNDEFINED
        if differences is not None:
            look = _LOOKS[clear_sign(METRICS[name], differences[name])]
            cell = estimate_cell(differences[name], METRICS[name].scale, "+")._replace(look=look)
        cells.append(cell)
    return cells


def table_cell_with_p(metric: Metric, difference: Difference) -> Cell:
    """Return a difference with its interval and, next to that, its p if there is one."""
    cell = estimate_cell(difference, metric.scale, "+")
    if np.isnan(difference["p"]):
        return cell
    return cell._replace(aside=f"{cell.aside} p {difference['p']:.3f}")


def detail_tables(rows: Sequence[Row]) -> list[Grid]:
    """Return all tables below the main one that have rows."""
    grids = [
        _unknown_rows_table(rows),
        _difference_table(rows),
        _further_metrics_table(rows),
        _risk_table(rows),
        _coverage_table(rows),
        _cut_table(rows),
        _separability_table(rows),
    ]
    return [grid for grid in grids if grid.rows]


def _unknown_rows_table(rows: Sequence[Row]) -> Grid:
    """Return what each score makes of the out-of-class rows; empty where there are none."""
    first = rows[0].unknown
    if first is None:  # of the same rows, all scores know which are out-of-class
        return Grid("", [], [])
    lines = []
    for row in rows:
        if row.unknown is not None:
            counted = (row.unknown.accepted, row.unknown.auc_known, row.unknown.auc_unknown)
            lines.append([Cell(row.name), *map(number_cell, counted)])
    note = (
        f"{first.n:,} of {rows[0].n:,} rows ({100 * first.share:.1f} %) are out-of-class: each counts as an error. "
        f"Of them, how many are accepted where a threshold accepts {KNOWN_COVERAGE} % of the known rows; the AUC among "
        "the known rows alone; and that of the correct ones against the unknown. In percent."
    )
    columns = ["score", f"accepted at {KNOWN_COVERAGE} % of known", "AUC among known", "AUC, correct against unknown"]
    return Grid("Out-of-class inputs", columns, lines, note)


def _difference_table(rows: Sequence[Row]) -> Grid:
    """Return each metric's paired difference to MCP, with p; empty where there is nothing to compare."""
    lines = []
    comparisons = 0
    for row in rows:
        if row.name != BASELINE and row.vs_mcp:
            metrics = table_metrics().items()
            cells = [table_cell_with_p(metric, row.vs_mcp[name]) for name, metric in metrics]
            comparisons += sum(cell.aside != "" for cell in cells)
            lines.append([Cell(row.name), *cells])
    note = "Paired on the same resamples; in brackets the 95 % interval, then the two-sided p of no difference."
    if comparisons:
        note += f" {by_luck_sentence(comparisons)}."
    return Grid("Difference to MCP", ["score", *_metric_headings()], lines, note)


def _further_metrics_table(rows: Sequence[Row]) -> Grid:
    """Return further metrics but the accuracy, which all rows share."""
    further = {name: metric for name, metric in METRICS.items() if not metric.in_table and name != "accuracy"}
    lines = []
    for row in rows:
        cells = [estimate_cell(row.metrics[name], metric.scale) for name, metric in further.items()]
        lines.append([Cell(row.name), *cells])
    columns = ["score", *(metric.heading for metric in further.values())]
    note = "How far the AURC is above that of the perfect ranking; NAURC in percent of what a random ranking's is."
    return Grid("Beside the perfect ranking", columns, lines, note)


def _risk_table(rows: Sequence[Row]) -> Grid:
    columns = ["score", *(f"{percent} %" for percent in rows[0].risk_at_coverage)]
    lines = [[Cell(row.name), *map(estimate_cell, row.risk_at_coverage.values())] for row in rows]
    note = "Errors among the most confident fraction of the predictions, in percent."
    return Grid("Risk at coverage", columns, lines, note)


def _coverage_table(rows: Sequence[Row]) -> Grid:
    columns = ["score", *(f"≤ {percent} %" for percent in rows[0].coverage_at_risk)]
    lines = [[Cell(row.name), *map(estimate_cell, row.coverage_at_risk.values())] for row in rows]
    note = "Largest fraction of predictions that a threshold accepts with at most this fraction of errors here."
    return Grid("Coverage at risk", columns, lines, note)


def _cut_table(rows: Sequence[Row]) -> Grid:
    """Return TPR and TNR at ½ and at the cuts of the steep slope loss."""
    columns = ["score"]
    lines = []
    for row in rows:
        if row.cuts:
            columns = ["score"]
            line = [Cell(row.name)]
            for cut, rates in row.cuts.items():
                columns += [f"{name.upper()} at p > {cut:.3g}" for name in rates]
                line += map(number_cell, rates.values())
            lines.append(line)
    own_cuts = ", ".join(f"{row.name} at {row.natural_cut:.3g}" for row in rows if row.natural_cut is not None)
    if own_cuts:
        own_cuts = f" ({own_cuts})"
    note = (
        f"The steep slope loss trusts where P(correct) > α⁻/(α⁺+α⁻): part of its TNR is this cut{own_cuts}. The other "
        "losses at the same cut are its fair comparison; its own sigmoid is no probability."
    )
    return Grid("At one half, and at the cut of the steep slope loss", columns, lines, note)


def _separability_table(rows: Sequence[Row]) -> Grid:
    """Return how far the confidences of correct and of wrong predictions lie apart."""
    cell = partial(number_cell, scale=1, digits=3)
    lines = [[Cell(row.name), *map(cell, row.separability.values())] for row in rows]
    columns = ["score", *(metric.heading for metric in SEPARABILITY.values())]
    note = "Between the Gaussians of correct and wrong predictions, on the scale that ranks."
    return Grid("Separability", columns, lines, note)


def table_definitions(grids: Sequence[Grid]) -> dict[str, str]:
    """Return what each column of some tables means, by its heading; where nothing is known, the note of its table."""
    meanings: dict[str, str] = {}
    for grid in reversed(grids):
        if grid.note:
            meanings |= dict.fromkeys(grid.columns[1:], grid.note)
    for metric in (*METRICS.values(), *SEPARABILITY.values()):
        definition = _metric_definition(metric)
        meanings |= {metric.heading: definition, _short_heading(metric): definition}
    meanings |= _MORE_DEFINITIONS
    used = dict.fromkeys(chain.from_iterable(grid.columns for grid in grids))
    return {heading: meanings[heading] for heading in used if heading in meanings}


def _metric_definition(metric: Metric) -> str:
    definition = metric.definition.rstrip(".")
    if metric.terminal_heading.rstrip("‰") != metric.title:
        definition = f"{metric.title}. {definition}"
    if metric.scale > 100:
        definition += ", in thousandths"
    elif metric.scale == 100:
        definition += ", in percent"
    return f"{definition}. {'Higher' if metric.higher_is_better else 'Lower'} is better."


def class_tables(evaluation: Evaluation, leader: Scored) -> list[Grid]:
    """Return the tables of groups, of classes and of pairs of classes that have rows."""
    groups = {row.name: row.groups for row in evaluation.rows if row.groups}
    grids = [_group_table(groups, evaluation.grouped_by)]
    predictions = evaluation.predictions
    with_cut = [row for row in evaluation.rows if not row.only_ranks]
    if evaluation.grouped_by != _LABEL:
        by_label = {}
        for row in with_cut:
            by_label[row.name] = group_risks(
                row.confidence,
                predictions.is_correct,
                predictions.require_labels(),
                row.cut(),
                names=predictions.label_names,
            )
        grids.append(_group_table(by_label, _LABEL))
    if not predictions.is_correct.all():
        grids.append(_class_pair_table(predictions, with_cut, leader))
    return [grid for grid in grids if grid.rows]


def _group_table(served: Mapping[str, Sequence[GroupRisk]], by: str) -> Grid:
    """Return a row for each group, with the risk and the coverage of every score, by the scores' names.

    The groups that some score serves worse come first, those of the highest risk before others.
    """
    groups = sorted(zip(*served.values(), strict=True), key=_badness)
    note = _OF_GROUPS
    if len(groups) > _MOST_GROUPS:
        note += f" The {_MOST_GROUPS:,} worst of {len(groups):,}."
    lines = []
    for of_scores in groups[:_MOST_GROUPS]:
        group = of_scores[0]
        line = [Cell(group.group), Cell(f"{group.n:,}"), number_cell(group.accuracy)]
        lines.append([*line, *map(_risk_cell, of_scores)])
    columns = ["group", "n", "accuracy", *(f"risk, {name}" for name in served)]
    return Grid(f"By {by}", columns, lines, note)


def _badness(of_scores: Sequence[GroupRisk]) -> tuple[float, float]:
    """Return what sorts the groups that are served worst to the front: the least p, the highest risk."""
    risks = [group.risk for group in of_scores if not np.isnan(group.risk)]
    return min(group.p for group in of_scores), -max(risks, default=0.0)


def _risk_cell(group: GroupRisk) -> Cell:
    risk = number_cell(group.risk).text
    coverage = f"at {100 * group.coverage:.1f} %"
    if group.worse:
        return Cell(risk, f"{coverage} ◄ served worse", "worse")
    return Cell(risk, coverage)


def _class_pair_table(predictions: ClassifierOutputs, scored: Sequence[Scored], leader: Scored) -> Grid:
    """Return the pairs of label and prediction of which most errors are trusted.

    By the score that the report is about, if it has a threshold; else the pairs with most errors.
    """
    wrong = np.flatnonzero(~predictions.is_correct)
    codes = predictions.require_labels() * predictions.num_classes + predictions.predictions
    pairs, place, errors = np.unique(codes[wrong], return_inverse=True, return_counts=True)
    trusted = {}
    for score in scored:
        accepts = score.confidence[wrong] > score.cut()
        trusted[score.name] = np.bincount(place, accepts, len(pairs)).astype(int)
    by_leader = np.asarray(trusted.get(leader.name, errors))
    order = np.lexsort((errors, by_leader))[::-1][:_PAIRS]
    names = predictions.label_names
    lines = []
    for pair in order:
        label, predicted = divmod(int(pairs[pair]), predictions.num_classes)  # also of −1, unknown
        counts = [Cell(f"{of_pairs[pair]:,}") for of_pairs in (errors, *trusted.values())]
        lines.append([Cell(f"{names[label]} → {names[predicted]}"), *counts])
    note = "Label → prediction; of each score, how many of these errors it trusts at its own threshold."
    columns = ["pair", "errors", *(f"trusted by {name}" for name in trusted)]
    return Grid("Confusions that are missed most", columns, lines, note)
