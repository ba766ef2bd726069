"""From rows to tables: the main one, those of details, those of classes and groups, and what each column means."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from steepslope.metrics.intervals import Difference
from steepslope.metrics.measures import METRICS, SEPARABILITY, Metric, table_metrics
from steepslope.metrics.selective import GroupRisk, group_risks
from steepslope.outputs import ClassifierOutputs
from steepslope.report.confidences import BASELINE, Scored
from steepslope.report.evaluation import KNOWN_COVERAGE, VS_BEST, Evaluation, Row
from steepslope.report.grid import UNDEFINED, Cell, Grid, estimate_cell, number_cell
from steepslope.report.runs import RunScore
from steepslope.report.sentences import by_luck_sentence, clear_sign

DELTA = "ΔAUC to MCP"
LOOKS = {0: "", 1: "better", -1: "worse"}
NO_BREAK = "\N{NO-BREAK SPACE}"
TO_MCP, TO_BEST = f"to{NO_BREAK}MCP", "to best single"
MOST_GROUPS = 500  # of a table
LABEL = "label"
PAIRS = 20
WORSE = "◄ served worse"
OF_GROUPS = (
    "Of each score: the risk, which is the fraction of errors among what it trusts at its own threshold, and below it "
    "the coverage, which is the fraction that it trusts. Served worse: a higher risk than all other groups together, "
    "by Fisher's test at 5 %, which takes rows as independent, after Holm's correction for the number of groups, not "
    "for that of scores."
)
MORE_DEFINITIONS = {
    "score": "What gives the confidence: a post-hoc score by its name, or an oracle by its folder's.",
    "group": "A class, or a group of predictions that a column names.",
    "n": "The number of predictions.",
    "accuracy": "The fraction of correct predictions, in percent.",
    "errors": "The number of wrong predictions.",
    "pair": "The label, and what was predicted in its place.",
}


def metric_table_cells(score: Row | RunScore, metrics: Mapping[str, Metric]) -> list[Cell]:
    """Return metrics with their intervals, and the paired difference of the AUC to MCP's."""
    delta = UNDEFINED if score.name == BASELINE else estimate_cell(score.delta_auc, sign="+")
    return [*(estimate_cell(score.metrics[name], metric.scale) for name, metric in metrics.items()), delta]


def metric_table_headings() -> list[str]:
    """Return the titles of the metrics' columns."""
    return [metric.heading for metric in table_metrics().values()]


def terminal_table_titles() -> list[str]:
    """Return the titles of :func:`main_table`, short enough for a terminal of 80 columns."""
    return ["score", *(metric.terminal_heading for metric in table_metrics().values()), "ΔAUC"]


def main_table(rows: Sequence[Row]) -> Grid:
    """Return every metric with its interval, and the paired difference of the AUC to MCP's."""
    known = any(estimate["low"] == estimate["low"] for row in rows for estimate in row.metrics.values())
    intervals = "with 95 % bootstrap intervals" if known else "without intervals, for lack of resamples"
    note = f"In percent, AURC and AUGRC in thousandths, {intervals}; TPR and TNR at each score's own threshold."
    clusters, lacking = rows[0].resampled.clusters, rows[0].resampled.lacking
    if clusters is not None:
        note += f" Whole clusters were resampled, of which there are {clusters:,}."
    if lacking:
        note += f" {lacking:,} bootstrap replicates lacked an error or a correct prediction and were left out."
    names = [Cell(row.name, "" if row.loss in (None, row.name) else f"({row.loss})") for row in rows]
    lines = [[name, *metric_table_cells(row, table_metrics())] for name, row in zip(names, rows, strict=True)]
    return Grid("", ["score", *metric_table_headings(), DELTA], lines, note)


def summary_table(rows: Sequence[Row]) -> Grid:
    """Return the main table, with differences to MCP and, where there are others, to the best single score."""
    main = main_table(rows)
    rivals = [TO_MCP, TO_BEST] if any(row.vs_best_single for row in rows) else [TO_MCP]
    differences = [f"Δ{_short_table_heading(METRICS[name])} {rival}" for rival in rivals for name in VS_BEST]
    columns = ["score", *map(_short_table_heading, table_metrics().values()), *differences]
    lines = []
    for row, line in zip(rows, main.rows, strict=True):
        to_mcp = row.vs_mcp if row.vs_mcp is not None and row.name != BASELINE else {}
        to_best = row.vs_best_single.differences if row.vs_best_single is not None else {}
        added = [difference_table_cell(METRICS[name], some.get(name)) for some in (to_mcp, to_best) for name in VS_BEST]
        lines.append([*line[:-1], *added[: len(differences)]])
    paired = "Differences (Δ) are paired: ▲ is clearly better, ▼ clearly worse. The best single score is so by AURC."
    return Grid("Scores", columns, lines, f"{main.note} {paired}")


def _short_table_heading(metric: Metric) -> str:
    return f"{metric.terminal_heading}{NO_BREAK}{'↑' if metric.higher_is_better else '↓'}"


def difference_table_cell(metric: Metric, difference: Difference | None) -> Cell:
    """Return a difference with its interval, and whether that is clearly better or worse."""
    if difference is None:
        return UNDEFINED
    return estimate_cell(difference, metric.scale, "+")._replace(look=LOOKS[clear_sign(metric, difference)])


def table_cell_with_p(metric: Metric, difference: Difference) -> Cell:
    """Return a difference with its interval and, next to that, its p if there is one."""
    cell = estimate_cell(difference, metric.scale, "+")
    return cell if np.isnan(difference["p"]) else cell._replace(aside=f"{cell.aside} p {difference['p']:.3f}")


def detail_tables(rows: Sequence[Row]) -> list[Grid]:
    """Return all tables below the main one that have rows."""
    grids = [
        unknown_rows_table(rows),
        difference_table(rows),
        *_further_tables(rows),
        cut_table(rows),
        _separability_table(rows),
    ]
    return [grid for grid in grids if grid.rows]


def _score_table(
    title: str, columns: Iterable[str], rows: Iterable[Row], cells: Callable[[Row], Iterable[Cell]], note: str
) -> Grid:
    """Return a table with a line for each row that has cells."""
    lines = [[Cell(row.name), *cells(row)] for row in rows]
    return Grid(title, ["score", *columns], [line for line in lines if len(line) > 1], note)


def unknown_rows_table(rows: Sequence[Row]) -> Grid:
    """Return what each score makes of the out-of-class rows; empty where there are none."""
    n, share = next(((row.unknown.n, row.unknown.share) for row in rows if row.unknown), (0, 0.0))
    note = f"{n:,} of {rows[0].n:,} rows ({100 * share:.1f} %) are out-of-class: each counts as an error. "
    note += f"Of them, how many are accepted where a threshold accepts {KNOWN_COVERAGE} % of the known rows; the AUC "
    note += "among the known rows alone; and that of the correct ones against the unknown. In percent."

    def cells(row: Row) -> list[Cell]:
        if row.unknown is None:
            return []
        return [*map(number_cell, (row.unknown.accepted, row.unknown.auc_known, row.unknown.auc_unknown))]

    columns = f"accepted at {KNOWN_COVERAGE} % of known", "AUC among known", "AUC, correct against unknown"
    return _score_table("Out-of-class inputs", columns, rows, cells, note)


def difference_table(rows: Sequence[Row]) -> Grid:
    """Return each metric's paired difference to MCP, with p; empty where there is nothing to compare."""

    def cells(row: Row) -> list[Cell]:
        differences = row.vs_mcp or {}
        return [table_cell_with_p(metric, differences[name]) for name, metric in table_metrics().items() if differences]

    others = [row for row in rows if row.name != BASELINE]
    note = "Paired on the same resamples; in brackets the 95 % interval, then the two-sided p of no difference."
    comparisons = sum(cell.aside != "" for row in others for cell in cells(row))
    note += f" {by_luck_sentence(comparisons)}." if comparisons else ""
    return _score_table("Difference to MCP", metric_table_headings(), others, cells, note)


def _further_tables(rows: Sequence[Row]) -> list[Grid]:
    """Return further metrics but the accuracy, which all rows share, and operating points."""
    further = {name: metric for name, metric in METRICS.items() if not metric.in_table and name != "accuracy"}
    return [
        _score_table(
            "Beside the perfect ranking", [one.heading for one in further.values()], rows,
            lambda row: [estimate_cell(row.metrics[name], one.scale) for name, one in further.items()],
            "How far the AURC is above that of the perfect ranking; NAURC in percent of what a random ranking's is.",
        ),
        _score_table(
            "Risk at coverage", [f"{percent} %" for percent in rows[0].risk_at_coverage], rows,
            lambda row: map(estimate_cell, row.risk_at_coverage.values()),
            "Errors among the most confident fraction of the predictions, in percent.",
        ),
        _score_table(
            "Coverage at risk", [f"≤ {percent} %" for percent in rows[0].coverage_at_risk], rows,
            lambda row: map(estimate_cell, row.coverage_at_risk.values()),
            "Largest fraction of predictions that a threshold accepts with at most this fraction of errors here.",
        ),
    ]  # fmt: skip


def cut_table(rows: Sequence[Row]) -> Grid:
    """Return TPR and TNR at ½ and at the cuts of the steep slope loss."""
    cuts = next((row.cuts for row in rows if row.cuts), {})
    columns = [f"{name.upper()} at p > {cut:.3g}" for cut, rates in cuts.items() for name in rates]
    own_cuts = [f"{row.name} at {row.natural_cut:.3g}" for row in rows if row.natural_cut is not None]
    note = "The steep slope loss trusts where P(correct) > α⁻/(α⁺+α⁻): part of its TNR is this cut"
    note += f" ({', '.join(own_cuts)}). " if own_cuts else ". "
    note += "The other losses at the same cut are its fair comparison; its own sigmoid is no probability."
    title = "At one half, and at the cut of the steep slope loss"
    return _score_table(
        title, columns, rows, lambda row: map(number_cell, chain(*map(dict.values, row.cuts.values()))), note
    )


def _separability_table(rows: Sequence[Row]) -> Grid:
    """Return how far the confidences of correct and of wrong predictions lie apart."""
    return _score_table(
        "Separability",
        [metric.heading for metric in SEPARABILITY.values()],
        rows,
        lambda row: [number_cell(value, 1, 3) for value in row.separability.values()],
        "Between the Gaussians of correct and wrong predictions, on the scale that ranks.",
    )


def table_definitions(grids: Sequence[Grid]) -> dict[str, str]:
    """Return what each column of some tables means, by its heading; where nothing is known, the note of its table."""
    meanings = {heading: grid.note for grid in reversed(grids) for heading in grid.columns[1:] if grid.note}
    for metric in (*METRICS.values(), *SEPARABILITY.values()):
        unit = ", in thousandths" if metric.scale > 100 else ", in percent" if metric.scale == 100 else ""
        better = f"{'Higher' if metric.higher_is_better else 'Lower'} is better."
        name = "" if metric.terminal_heading.rstrip("‰") == metric.title else f"{metric.title}. "
        definition = f"{name}{metric.definition.rstrip('.')}{unit}. {better}"
        meanings |= {metric.heading: definition, _short_table_heading(metric): definition}
    meanings |= MORE_DEFINITIONS
    used = dict.fromkeys(chain.from_iterable(grid.columns for grid in grids))
    return {heading: meanings[heading] for heading in used if heading in meanings}


def class_tables(evaluation: Evaluation, leader: Scored) -> list[Grid]:
    """Return the tables of groups, of classes and of pairs of classes that have rows."""
    grids = [group_table({row.name: row.groups for row in evaluation.rows if row.groups}, evaluation.grouped_by)]
    predictions = evaluation.predictions
    known = [one for one in evaluation.rows if not one.only_ranks]
    labels = predictions.require_labels()
    if evaluation.grouped_by != LABEL:
        by_label = {
            one.name: group_risks(
                one.confidence, predictions.is_correct, labels, one.cut(), names=predictions.label_names
            )
            for one in known
        }
        grids.append(group_table(by_label, LABEL))
    if not predictions.is_correct.all():
        grids.append(_class_pair_table(predictions, known, leader))
    return [grid for grid in grids if grid.rows]


def group_table(served: Mapping[str, Sequence[GroupRisk]], by: str) -> Grid:
    """Return a row for each group, with the risk and the coverage of every score, by the scores' names.

    The groups that some score serves worse come first, those of the highest risk before others.
    """

    def badness(groups: Sequence[GroupRisk]) -> tuple[float, float]:
        return min(group.p for group in groups), -max((group.risk for group in groups if group.risk >= 0), default=0.0)

    lines = sorted(zip(*served.values(), strict=True), key=badness)
    columns = ["group", "n", "accuracy", *(f"risk, {name}" for name in served)]
    note = OF_GROUPS if len(lines) <= MOST_GROUPS else f"{OF_GROUPS} The {MOST_GROUPS:,} worst of {len(lines):,}."
    rows = [
        [Cell(one.group), Cell(f"{one.n:,}"), number_cell(one.accuracy), *map(_risk_table_cell, (one, *others))]
        for one, *others in lines[:MOST_GROUPS]
    ]
    return Grid(f"By {by}", columns, rows, note)


def _risk_table_cell(group: GroupRisk) -> Cell:
    coverage, text = f"at {100 * group.coverage:.1f} %", number_cell(group.risk).text
    return Cell(text, f"{coverage} {WORSE}", "worse") if group.worse else Cell(text, coverage)


def _class_pair_table(predictions: ClassifierOutputs, scored: Sequence[Scored], leader: Scored) -> Grid:
    """Return the pairs of label and prediction of which most errors are trusted.

    By the score that the report is about, if it has a threshold; else the pairs with most errors.
    """
    wrong, names = np.flatnonzero(~predictions.is_correct), predictions.label_names
    codes = (predictions.require_labels() * predictions.num_classes + predictions.predictions)[wrong]
    pairs, place = np.unique(codes, return_inverse=True)
    counts = np.bincount(place)
    trusted = {
        score.name: np.bincount(place, score.confidence[wrong] > score.cut(), len(pairs)).astype(int)
        for score in scored
    }
    order = np.lexsort((counts, trusted.get(leader.name, counts)))[::-1][:PAIRS]
    labels = (divmod(int(code), predictions.num_classes) for code in pairs[order])  # also of -1, unknown
    lines = [
        [
            Cell(f"{names[label]} → {names[predicted]}"),
            *(Cell(f"{some[pair]:,}") for some in (counts, *trusted.values())),
        ]
        for pair, (label, predicted) in zip(order, labels, strict=True)
    ]
    note = "Label → prediction; of each score, how many of these errors it trusts at its own threshold."
    return Grid("Confusions that are missed most", ["pair", "errors", *(f"trusted by {name}" for name in trusted)],
                lines, note)  # fmt: skip
