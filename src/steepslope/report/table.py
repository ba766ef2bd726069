"""The main table: one row a score, every metric."""

from collections.abc import Sequence

from steepslope.evaluation.rows import Row
from steepslope.evaluation.score import BASELINE
from steepslope.metrics.measures import METRICS, table_metrics
from steepslope.report.grid import UNDEFINED, Cell, Grid, estimate_cell

DELTA = "ΔAUC to MCP"


def headings() -> list[str]:
    """Return the titles of the metrics' columns."""
    return [metric.heading for metric in table_metrics().values()]


def terminal_titles() -> list[str]:
    """Return the titles of :func:`main_grid`, short enough for a terminal of 80 columns."""
    return ["score", *(metric.terminal_heading for metric in table_metrics().values()), "ΔAUC"]


def heading(rows: Sequence[Row]) -> str:
    """Return the line above the table: what is common to all rows."""
    accuracy = rows[0].metrics["accuracy"]["value"]
    errors = round(rows[0].n * (1 - accuracy))
    return f"{rows[0].n:,} predictions, {errors:,} wrong (accuracy {100 * accuracy:.2f} %)"


def main_grid(rows: Sequence[Row]) -> Grid:
    """Return every metric with its interval, and the paired difference of the AUC to MCP's."""
    note = "In percent, with 95 % bootstrap intervals; TPR and TNR at each score's own threshold."
    lacking = rows[0].lacking
    if lacking:
        note += f" {lacking:,} bootstrap replicates lacked an error or a correct prediction and were left out."
    return Grid("", ["score", *headings(), DELTA], [cells(row) for row in rows], note)


def cells(row: Row) -> list[Cell]:
    """Return the row's name and its numbers, each with its interval."""
    title = Cell(row.name) if row.loss in (None, row.name) else Cell(row.name, f"({row.loss})")
    numbers = [estimate_cell(row.metrics[name], metric.scale) for name, metric in table_metrics().items()]
    return [title, *numbers, UNDEFINED if row.name == BASELINE else estimate_cell(row.delta_auc, sign="+")]


def difference_grid(rows: Sequence[Row]) -> Grid:
    """Return each metric's paired difference to MCP, with p; empty where there is nothing to compare."""
    compared = [row for row in rows if row.vs_mcp is not None and row.name != BASELINE]
    lines = [[Cell(row.name), *(_difference(row, name) for name in table_metrics())] for row in compared]
    note = "Paired on the same resamples; in brackets the 95 % interval, then the two-sided p of no difference."
    return Grid("Difference to MCP", ["score", *headings()], lines, note)


def _difference(row: Row, name: str) -> Cell:
    difference = row.vs_mcp[name] if row.vs_mcp else None
    if difference is None or difference["value"] != difference["value"]:
        return UNDEFINED
    cell = estimate_cell(difference, METRICS[name].scale, sign="+")
    return cell if difference["p"] != difference["p"] else Cell(cell.text, f"{cell.aside} p {difference['p']:.3f}")
