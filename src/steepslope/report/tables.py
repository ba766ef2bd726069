"""The tables of an evaluation, as grids: the main one, and the details below it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from steepslope.evaluation.evaluation import by_luck
from steepslope.evaluation.rows import Row
from steepslope.evaluation.score import BASELINE
from steepslope.metrics.intervals import Difference
from steepslope.metrics.measures import METRICS, SEPARABILITY, table_metrics
from steepslope.metrics.paper import PAPER_METRICS
from steepslope.report.grid import UNDEFINED, Cell, Grid, estimate_cell, number_cell

DELTA = "ΔAUC to MCP"


def heading(rows: Sequence[Row]) -> str:
    """Return the line above the main table: what is common to all rows."""
    accuracy = rows[0].metrics["accuracy"]["value"]
    errors = round(rows[0].n * (1 - accuracy))
    return f"{rows[0].n:,} predictions, {errors:,} wrong (accuracy {100 * accuracy:.2f} %)"


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
