"""The table of metrics, as Markdown and for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from steepslope.evaluation import BOUNDS, Row, verdict
from steepslope.metrics.intervals import Estimate

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
# Short enough for a terminal of 80 columns.
TERMINAL_TITLES = ("score", "AUC", "FPR95", "AUPR-E", "AUPR-S", "TPR", "TNR", "AURC‰", "AUGRC‰", "ΔAUC")
SCALES: dict[str, float] = {"aurc": 1000, "augrc": 1000}


def heading(rows: Sequence[Row]) -> str:
    """Return the line above the table: what is common to all rows."""
    accuracy = rows[0].metrics["accuracy"]["value"]
    errors = round(rows[0].n * (1 - accuracy))
    return f"{rows[0].n:,} predictions, {errors:,} wrong (accuracy {100 * accuracy:.2f} %)"


def cells(row: Row) -> list[str]:
    """Return the row's name and its numbers, in percent, each with its interval."""
    name = row.name if row.loss in (None, row.name) else f"{row.name} ({row.loss})"
    numbers = [cell(row.metrics[key], SCALES.get(key, 100)) for key in COLUMNS]
    return [name, *numbers, cell(row.delta_auc_vs_mcp, 100, sign="+")]


def cell(estimate: Estimate, scale: float, sign: str = "") -> str:
    """Format an estimate.

    >>> cell({"value": 0.921, "low": 0.915, "high": 0.93}, 100)
    '92.1 [91.5, 93.0]'
    """
    if math.isnan(estimate["value"]):
        return "–"
    value, low, high = (f"{scale * estimate[bound]:{sign}.1f}" for bound in BOUNDS)
    return value if math.isnan(estimate["low"]) else f"{value} [{low}, {high}]"


def titles() -> list[str]:
    """Return the column titles."""
    return ["score", *COLUMNS.values(), "ΔAUC to MCP"]


def markdown(rows: Sequence[Row]) -> str:
    """Return heading, table and verdicts as Markdown."""
    lines = [titles(), ["---"] + ["---:"] * (len(COLUMNS) + 1), *map(cells, rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    words = "\n".join(f"- {verdict(row)}" for row in rows[1:])
    note = "In percent, with 95 % bootstrap intervals; TPR and TNR at each score's own threshold."
    return f"{heading(rows)}\n\n{table}\n\n{note}\n\n{words}\n".rstrip() + "\n"


def terminal(rows: Sequence[Row]) -> Table:
    """Return the table for a terminal: values only, so that it fits."""
    table = Table(title=heading(rows), title_justify="left", title_style="", box=SIMPLE_HEAD, pad_edge=False)
    for index, title in enumerate(TERMINAL_TITLES):
        table.add_column(title, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(row.name, *(number.split(" [")[0] for number in cells(row)[1:]))
    return table
