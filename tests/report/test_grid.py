"""A terminal of 80 columns breaks no name: neither a score's nor a column's."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from steepslope.report.grid import Cell, Grid, terminal
from steepslope.report.tables import terminal_titles
from steepslope.scores import SCORES


def shown(names: list[str], width: int = 80) -> list[str]:
    titles = terminal_titles()
    grid = Grid("", titles, [[Cell(name), *[Cell("-100.0")] * (len(titles) - 1)] for name in names])
    console = Console(file=StringIO(), width=width, highlight=False)
    console.print(terminal(grid, titles, width), crop=False)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_short_names_need_one_table() -> None:
    lines = shown(["mcp", "oracle"])
    assert [sum(word in line.split() for line in lines) for word in ("mcp", "oracle", *terminal_titles())] == [1] * 12
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", [*SCORES, "an oracle of no short name"])
def test_no_name_is_broken(name: str) -> None:
    lines = shown(["mcp", name])
    assert any(line.startswith(f" {name} ") for line in lines)
    assert all(sum(title in line.split() for line in lines) == 1 for title in terminal_titles()[1:])
    assert sum(line.count("-100.0") for line in lines) == 2 * (len(terminal_titles()) - 1)
    assert max(map(len, lines)) <= 80


def test_a_name_that_leaves_no_room_stands_below() -> None:
    name = "/home/someone/" + "x" * 90
    lines = shown(["mcp", name, "margin"])
    assert lines[-1] == f" (1) {name}"
    assert any(line.startswith(" (1)    ") for line in lines)
    assert max(map(len, lines[:-1])) <= 80
