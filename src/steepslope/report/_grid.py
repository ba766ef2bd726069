"""A table of cells, and its two renderings: Markdown, and a terminal's."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from unicodedata import combining, east_asian_width

from steepslope.metrics import BOUNDS, Estimate


def shortest_tails(paths: Sequence[str]) -> list[str]:
    """Return of each path the shortest tail that no other path has; the whole path if another is the same.

    >>> shortest_tails(["runs/a/report", "runs/b/report", "runs/b/may", "mcp"])
    ['a/report', 'b/report', 'may', 'mcp']
    """
    split_paths = [path.rstrip("/").split("/") for path in paths]
    counts = Counter("/".join(one[-k:]) for one in split_paths for k in range(1, len(one) + 1))

    def tail(one: Sequence[str]) -> str:
        tails = ("/".join(one[-k:]) for k in range(1, len(one) + 1))
        return next((some for some in tails if counts[some] == 1), "/".join(one))

    return [tail(one) for one in split_paths]


class Cell(NamedTuple):
    """The text of a cell, and what stands next to it or below: an interval, or a remark.

    ``look`` is ``better`` or ``worse`` where the cell tells of a clear difference, which pages show by colour, next to
    words.
    """

    text: str
    aside: str = ""
    look: str = ""

    def __str__(self) -> str:
        return f"{self.text} {self.aside}".rstrip()


UNDEFINED = Cell("–")


class Grid(NamedTuple):
    """A titled table; the first column names the rows, ``note`` explains it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


def estimate_cell(estimate: Estimate, scale: float = 100, sign: str = "", digits: int = 1) -> Cell:
    """Format a value with its interval.

    >>> str(estimate_cell({"value": 0.921, "low": 0.915, "high": 0.93}))
    '92.1 [91.5, 93.0]'
    """
    if math.isnan(estimate["value"]):
        return UNDEFINED
    value, low, high = (f"{scale * estimate[bound]:{sign}.{digits}f}" for bound in BOUNDS)
    return Cell(value) if math.isnan(estimate["low"]) else Cell(value, f"[{low}, {high}]")


def number_cell(value: float | None, scale: float = 100, digits: int = 1) -> Cell:
    """Format a value, or a dash where it is undefined.

    >>> str(number_cell(0.5)), str(number_cell(float("nan")))
    ('50.0', '–')
    """
    return UNDEFINED if value is None or math.isnan(value) else Cell(f"{scale * value:.{digits}f}")


def grid_in_markdown(grid: Grid) -> str:
    """Return the table in Markdown, under a heading if it has a title."""
    texts = [[str(cell) for cell in row] for row in grid.rows]
    lines = [list(grid.columns), ["---"] + ["---:"] * (len(grid.columns) - 1), *texts]
    escaped = [[plain_in_markdown(text).replace("|", "\\|") for text in line] for line in lines]
    table = "\n".join(f"| {' | '.join(line)} |" for line in escaped)
    title = f"## {plain_in_markdown(grid.title)}" if grid.title else ""
    return "\n\n".join(part for part in (title, table, plain_in_markdown(grid.note)) if part)


def list_in_markdown(lines: Iterable[str]) -> str:
    """Return lines as the items of a list."""
    return "\n".join(f"- {plain_in_markdown(line)}" for line in lines)


def plain_in_markdown(text: str) -> str:
    r"""Return text on one line, of which Markdown makes no HTML: names of classes and scores are anybody's.

    >>> plain_in_markdown("<img src=x>, p < .05,\n[here](http://x)")
    '&lt;img src=x>, p < .05, [here]\\(http://x)'
    """
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", re.sub(r"\s*[\r\n]+\s*", " ", text)).replace("](", r"]\(")


def grid_for_terminal(grid: Grid, titles: Sequence[str]) -> str:
    """Return the table as aligned lines, with short titles, and without what stands next to values.

    >>> rows = [[Cell("日本"), Cell("92.1", "[91.5, 93.0]")]]
    >>> print(grid_for_terminal(Grid("", ["score", "Area"], rows), ["score", "AUC"]))
    <BLANKLINE>
    score  AUC
    ──────────
    日本  92.1
    <BLANKLINE>
    """
    texts = ([cell.text.removeprefix("**").removesuffix("**") for cell in row[: len(titles)]] for row in grid.rows)
    lines = [[*titles], *texts]
    widths = [max(map(terminal_width, column)) for column in zip(*lines, strict=True)]
    first, *others = [" ".join(map(_padded_for_terminal, line, widths, range(len(widths)))) for line in lines]
    return "\n".join(["", first, "─" * terminal_width(first), *others, ""])


def terminal_width(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for a wide letter, none for a mark on another."""
    return sum(0 if combining(one) else 1 + (east_asian_width(one) in "WF") for one in text)


def _padded_for_terminal(text: str, width: int, place: int) -> str:
    space = " " * (width - terminal_width(text))
    return f"{space}{text}" if place else f"{text}{space}"
