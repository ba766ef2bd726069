"""A terminal's table breaks no cell, and tails of paths tell them apart."""

from __future__ import annotations

from io import StringIO

from hypothesis import given, strategies as st
from rich.console import Console

from steepslope.report.grid import Cell, Grid, shortest_tails
from steepslope.report.screen import show_grid_on_screen
from steepslope.report.tables import terminal_table_titles


def shown(names: list[str]) -> list[str]:
    titles = terminal_table_titles()
    grid = Grid("", titles, [[Cell(name), *[Cell("-100.0")] * (len(titles) - 1)] for name in names])
    screen = Console(file=StringIO(), width=60, highlight=False)
    show_grid_on_screen(grid, titles, screen)
    assert screen.width == 60
    return screen.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_no_cell_is_broken_however_narrow_the_screen() -> None:
    names = ["mcp", "temperature_scaled_mcp", "/home/x/" + "long_" * 30, "日本" * 40]
    lines = shown(names)
    heading, *rows = [line for line in lines if line.strip(" ─")]
    assert heading.split() == terminal_table_titles()
    assert [row.split() for row in rows] == [[name, *["-100.0"] * (len(terminal_table_titles()) - 1)] for name in names]


@given(st.lists(st.text("ab1279_/日", min_size=1, max_size=40), min_size=1, max_size=6, unique=True))
def test_tails_are_the_ends_of_paths_and_differ(paths: list[str]) -> None:
    tails = shortest_tails(paths)
    assert all(path.rstrip("/").endswith(tail) for path, tail in zip(paths, tails, strict=True))
    if len({path.rstrip("/") for path in paths}) == len(paths):
        assert len(set(tails)) == len(paths)
