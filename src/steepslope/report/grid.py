"""A table of cells, and its two renderings: Markdown, and a terminal's."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from steepslope.metrics.intervals import BOUNDS, Estimate


class Cell(NamedTuple):
    """The text of a cell, and what stands beside or below it: an interval, or a remark.

    ``look`` is ``better`` or ``worse`` where the cell tells of a clear difference; it is shown by colour, beside words.
    """

    text: str
    aside: str = ""
    look: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.aside}".rstrip()


UNDEFINED = Cell("–")
GAP = 1  # between the columns of a terminal's table


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


def terminal(grid: Grid, titles: Sequence[str], width: int = 80) -> Group:
    """Return the table for a terminal of some width, with short titles and without what stands beside.

    Nothing in it is broken: what does not fit goes to further tables below, each with the names of the rows; names that
    leave too little room become numbers, and stand below.
    """
    texts = [[cell.text.strip("*") if cell.text.startswith("**") else cell.text for cell in row] for row in grid.rows]
    names, *columns = [[title, *(row[index] for row in texts)] for index, title in enumerate(titles)]
    long = [name for name in names[1:] if cell_len(name) > width // 2]
    shown = [f"({long.index(name) + 1})" if name in long else name for name in names]
    legend = [Text(f" ({number}) {name}", overflow="ignore") for number, name in enumerate(long, 1)]
    tables: list[list[list[str]]] = []
    for column in columns:
        if not tables or sum(GAP + max(map(cell_len, one)) for one in (*tables[-1], column)) + GAP > width:
            tables.append([shown])
        tables[-1].append(column)
    return Group(*map(_table, tables), *legend)


def _table(columns: Sequence[Sequence[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    for index, texts in enumerate(columns):
        table.add_column(texts[0], justify="right" if index else "left", no_wrap=True)
    for line in list(zip(*columns, strict=True))[1:]:
        table.add_row(*map(Text, line))
    return table
