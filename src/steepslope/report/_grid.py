"""A table of cells, and its two renderings: Markdown, and a terminal's."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple
from unicodedata import combining, east_asian_width

from steepslope.metrics import BOUNDS, Estimate


def shortest_tails(paths: Sequence[str]) -> list[str]:
    """Return of each path the shortest tail that no other path has; the whole path if another is the same.

    >>> shortest_tails(["runs/a/report", "runs/b/report", "runs/b/may", "mcp"])
    ['a/report', 'b/report', 'may', 'mcp']
    """
    all_tails = [_tails(path) for path in paths]
    counts = Counter(chain.from_iterable(all_tails))
    shortest = []
    for tails in all_tails:
        distinct = [tail for tail in tails if counts[tail] == 1]
        shortest.append(distinct[0] if distinct else tails[-1])
    return shortest


def _tails(path: str) -> list[str]:
    """Return the last name of a path, the last two, and so on, up to all of it."""
    names = path.rstrip("/").split("/")
    return ["/".join(names[-count:]) for count in range(1, len(names) + 1)]


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
    if math.isnan(estimate["low"]):
        return Cell(value)
    return Cell(value, f"[{low}, {high}]")


def number_cell(value: float | None, scale: float = 100, digits: int = 1) -> Cell:
    """Format a value, or a dash where it is undefined.

    >>> str(number_cell(0.5)), str(number_cell(float("nan")))
    ('50.0', '–')
    """
    if value is None or math.isnan(value):
        return UNDEFINED
    return Cell(f"{scale * value:.{digits}f}")


def grid_in_markdown(grid: Grid) -> str:
    """Return the table in Markdown, under a heading if it has a title."""
    table = []
    for line in (grid.columns, ["---"] + ["---:"] * (len(grid.columns) - 1), *grid.rows):
        cells = [plain_in_markdown(str(cell)).replace("|", "\\|") for cell in line]
        table.append(f"| {' | '.join(cells)} |")
    title = f"## {plain_in_markdown(grid.title)}" if grid.title else ""
    return "\n\n".join(filter(None, (title, "\n".join(table), plain_in_markdown(grid.note))))


def list_in_markdown(lines: Iterable[str]) -> str:
    """Return lines as the items of a list."""
    return "\n".join(f"- {plain_in_markdown(line)}" for line in lines)


def plain_in_markdown(text: str) -> str:
    r"""Return text on one line, of which Markdown makes no HTML: names of classes and scores are anybody's.

    >>> plain_in_markdown("<img src=x>, p < .05,\n[here](http://x)")
    '&lt;img src=x>, p < .05, [here]\\(http://x)'
    """
    line = re.sub(r"\s*[\r\n]+\s*", " ", text)
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line).replace("](", r"]\(")


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
    lines = [[*titles]]
    for row in grid.rows:
        lines.append([cell.text.removeprefix("**").removesuffix("**") for cell in row[: len(titles)]])
    widths = [max(map(_terminal_width, column)) for column in zip(*lines, strict=True)]
    printed = []
    for name, *numbers in lines:
        cells = [name + _padding(name, widths[0])]
        cells += [_padding(text, width) + text for text, width in zip(numbers, widths[1:], strict=True)]
        printed.append(" ".join(cells))
    printed.insert(1, "─" * _terminal_width(printed[0]))
    return "\n".join(["", *printed, ""])


def _terminal_width(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for a wide letter, none for a mark on another."""
    columns = 0
    for letter in text:
        if not combining(letter):
            columns += 2 if east_asian_width(letter) in "WF" else 1
    return columns


def _padding(text: str, width: int) -> str:
    return " " * (width - _terminal_width(text))
