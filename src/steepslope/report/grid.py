"""A table of cells, and its two renderings: Markdown, and a terminal's."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from steepslope.metrics.intervals import BOUNDS, Estimate


class Cell(NamedTuple):
    """The text of a cell, and what stands beside or below it: an interval, or a remark."""

    text: str
    aside: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.aside}".rstrip()


UNDEFINED = Cell("–")


class Grid(NamedTuple):
    """A titled table; the first column names the rows, ``note`` explains it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def estimate_cell(estimate: Estimate, scale: float = 100, sign: str = "") -> Cell:
    """Format a value with its interval.

    >>> str(estimate_cell({"value": 0.921, "low": 0.915, "high": 0.93}))
    '92.1 [91.5, 93.0]'
    """
    if math.isnan(estimate["value"]):
        return UNDEFINED
    value, low, high = (f"{scale * estimate[bound]:{sign}.1f}" for bound in BOUNDS)
    return Cell(value) if math.isnan(estimate["low"]) else Cell(value, f"[{low}, {high}]")


def number_cell(value: float | None, scale: float = 100, digits: int = 1) -> Cell:
    """Format a value, or a dash where it is undefined.

    >>> str(number_cell(0.5)), str(number_cell(float("nan")))
    ('50.0', '–')
    """
    return UNDEFINED if value is None or math.isnan(value) else Cell(f"{scale * value:.{digits}f}")


def markdown(grid: Grid) -> str:
    """Return the table in Markdown, under a heading if it has a title."""
    texts = [[str(cell) for cell in row] for row in grid.rows]
    lines = [list(grid.columns), ["---"] + ["---:"] * (len(grid.columns) - 1), *texts]
    escaped = [[text.replace("|", "\\|") for text in line] for line in lines]
    table = "\n".join(f"| {' | '.join(line)} |" for line in escaped)
    return "\n\n".join(part for part in (f"## {grid.title}" if grid.title else "", table, grid.note) if part)


def terminal(grid: Grid, titles: Sequence[str]) -> Table:
    """Return the table for a terminal: with short titles and without what stands beside, so that it fits."""
    table = Table(title=grid.title, title_justify="left", title_style="", box=SIMPLE_HEAD, pad_edge=False)
    for index, title in enumerate(titles):
        table.add_column(title, justify="right" if index else "left", overflow="fold")
    for row in grid.rows:
        table.add_row(*(Text(cell.text) for cell in row))
    return table
