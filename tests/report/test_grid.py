"""A terminal's table breaks no cell, and tails of paths tell them apart."""

from __future__ import annotations

from hypothesis import given, strategies as st

from steepslope.report._grid import Cell, Grid, _terminal_width, grid_for_terminal, shortest_tails
from steepslope.report._tables import terminal_table_titles


def test_columns_are_aligned_and_no_cell_is_broken() -> None:
    titles = terminal_table_titles()
    names = ["mcp", "temperature_scaled_mcp", "/home/x/" + "long_" * 30, "日本" * 40, "e\u0301t\u00e9"]
    grid = Grid("", titles, [[Cell(name), *[Cell("-100.0")] * (len(titles) - 1)] for name in names])
    lines = grid_for_terminal(grid, titles).splitlines()
    heading, *rows = [line for line in lines if line.strip(" ─")]
    assert heading.split() == titles
    assert [row.split() for row in rows] == [[name, *["-100.0"] * (len(titles) - 1)] for name in names]
    assert len({_terminal_width(line) for line in lines if line}) == 1


@given(st.lists(st.text("ab1279_/日", min_size=1, max_size=40), min_size=1, max_size=6, unique=True))
def test_tails_are_the_ends_of_paths_and_differ(paths: list[str]) -> None:
    tails = shortest_tails(paths)
    assert all(path.rstrip("/").endswith(tail) for path, tail in zip(paths, tails, strict=True))
    if len({path.rstrip("/") for path in paths}) == len(paths):
        assert len(set(tails)) == len(paths)
