"""A table as text cells, and its two renderings: Markdown, and a terminal's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from steepslope.evaluation import BOUNDS
from steepslope.metrics.intervals import Estimate

UNDEFINED = "–"


@dataclass(frozen=True)
class Grid:
    """A titled table of text; the first column names the rows, ``note`` explains it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def estimate_cell(estimate: Estimate, scale: float = 100, sign: str = "") -> str:
    """Format a value with its interval.

    >>> estimate_cell({"value": 0.921, "low": 0.915, "high": 0.93})
    '92.1 [91.5, 93.0]'
    """
    if math.isnan(estimate["value"]):
        return UNDEFINED
    value, low, high = (f"{scale * estimate[bound]:{sign}.1f}" for bound in BOUNDS)
    return value if math.isnan(estimate["low"]) else f"{value} [{low}, {high}]"


def number_cell(value: float | None, scale: float = 100, digits: int = 1) -> str:
    """Format a value, or a dash where it is undefined.

    >>> number_cell(0.5), number_cell(float("nan"))
    ('50.0', '–')
    """
    return UNDEFINED if value is None or math.isnan(value) else f"{scale * value:.{digits}f}"


def markdown(grid: Grid) -> str:
    """Return the table in Markdown, under a heading if it has a title."""
    lines = [grid.columns, ["---"] + ["---:"] * (len(grid.columns) - 1), *grid.rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    table = "\n".join(f"| {' | '.join(line)} |" for line in escaped)
    return "\n\n".join(part for part in (f"## {grid.title}" if grid.title else "", table, grid.note) if part)


def terminal(grid: Grid, titles: Sequence[str]) -> Table:
    """Return the table for a terminal: short titles, and values without intervals, so that it fits."""
    table = Table(title=grid.title, title_justify="left", title_style="", box=SIMPLE_HEAD, pad_edge=False)
    for index, title in enumerate(titles):
        table.add_column(title, justify="right" if index else "left", overflow="fold")
    for name, *numbers in grid.rows:
        table.add_row(name.split(" (")[0], *(number.split(" [")[0] for number in numbers))
    return table
