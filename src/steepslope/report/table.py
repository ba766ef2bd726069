"""The main table: one row a score, every metric."""

from __future__ import annotations

from collections.abc import Sequence

from steepslope.evaluation.rows import BASELINE, Row
from steepslope.report.grid import UNDEFINED, Cell, Grid, estimate_cell

COLUMNS: dict[str, str] = {
    "auc": "AUC ↑",
    "fpr_at_95tpr": "FPR-95%-TPR ↓",
    "aupr_error": "AUPR-Error ↑",
    "aupr_success": "AUPR-Success ↑",
    "tpr": "TPR ↑",
    "tnr": "TNR ↑",
    "aurc": "AURC ×1000 ↓",
    "augrc": "AUGRC ×1000 ↓",
}
SCALES: dict[str, float] = {"aurc": 1000, "augrc": 1000, "e_aurc": 1000}
# Short enough for a terminal of 80 columns.
TERMINAL_TITLES = ("score", "AUC", "FPR95", "AUPR-E", "AUPR-S", "TPR", "TNR", "AURC‰", "AUGRC‰", "ΔAUC")


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
    return Grid("", ["score", *COLUMNS.values(), "ΔAUC to MCP"], [cells(row) for row in rows], note)


def cells(row: Row) -> list[Cell]:
    """Return the row's name and its numbers, each with its interval."""
    name = Cell(row.name) if row.loss in (None, row.name) else Cell(row.name, f"({row.loss})")
    numbers = [estimate_cell(row.metrics[key], SCALES.get(key, 100)) for key in COLUMNS]
    return [name, *numbers, UNDEFINED if row.name == BASELINE else estimate_cell(row.delta_auc, sign="+")]


def difference_grid(rows: Sequence[Row]) -> Grid:
    """Return each metric's paired difference to MCP, with p; empty where there is nothing to compare."""
    compared = [row for row in rows if row.vs_mcp is not None and row.name != BASELINE]
    lines = [[Cell(row.name), *(_difference(row, key) for key in COLUMNS)] for row in compared]
    note = "Paired on the same resamples; in brackets the 95 % interval, then the two-sided p of no difference."
    return Grid("Difference to MCP", ["score", *COLUMNS.values()], lines, note)


def _difference(row: Row, key: str) -> Cell:
    difference = row.vs_mcp[key] if row.vs_mcp else None
    if difference is None or difference["value"] != difference["value"]:
        return UNDEFINED
    cell = estimate_cell(difference, SCALES.get(key, 100), sign="+")
    return cell if difference["p"] != difference["p"] else Cell(cell.text, f"{cell.aside} p {difference['p']:.3f}")
