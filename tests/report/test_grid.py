"""A terminal of 80 columns breaks no name: neither a score's nor a column's."""

from __future__ import annotations

from io import StringIO

import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len
from rich.console import Console

from steepslope.report.grid import Cell, Grid, shortest_tails, terminal
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


@pytest.mark.parametrize("name", [max(SCORES, key=len), "an oracle of no short name"])
def test_no_name_is_broken(name: str) -> None:
    lines = shown(["mcp", name])
    assert any(line.startswith(f" {name} ") for line in lines)
    assert all(sum(title in line.split() for line in lines) == 1 for title in terminal_titles()[1:])
    assert sum(line.count("-100.0") for line in lines) == 2 * (len(terminal_titles()) - 1)
    assert max(map(len, lines)) <= 80


def test_a_long_name_loses_its_first_folders_or_stands_below() -> None:
    lines = shown(["mcp", "/home/someone/runs/of_may/oracle", "margin"])
    assert sum(line.startswith(" …/oracle ") for line in lines) == 1  # so that one table holds all
    names = [f"/home/someone/{'x' * 40}{number}" for number in (20261126, 20261127)]
    lines = shown(["mcp", *names])
    assert lines[-2:] == [f" ({place}) …/{name.split('/')[-1]}" for place, name in enumerate(names, 1)]
    assert any(line.startswith(" (2)   -100.0") for line in lines)
    assert all(sum(title in line.split() for line in lines) == 1 for title in terminal_titles()[1:])
    assert max(map(len, lines[:-2])) <= 80


@pytest.mark.parametrize("width", [60, 61, 80, 132])
def test_any_width_from_60_is_enough(width: int) -> None:
    """No cell is broken, whatever the names."""
    paths = "runs/of_november/seed_1/ss", "runs/of_november/seed_2/ss", "/home/x/" + "long_" * 30
    names = ["mcp", "temperature_scaled_mcp", *paths, "日本" * 40]
    lines = shown(names, width)[:-2]  # below stand the two long names
    assert sum(line.count("-100.0") for line in lines) == len(names) * (len(terminal_titles()) - 1)
    assert all(any(line.startswith(f" {name} ") for line in lines) for name in names[:2])
    assert all(any(line.startswith(f" …/seed_{seed}/ss ") for line in lines) for seed in (1, 2))
    assert max(map(cell_len, lines)) <= width


@given(st.lists(st.text("ab1279_/日", min_size=1, max_size=40), min_size=1, max_size=6, unique=True))
def test_tails_are_the_ends_of_paths_and_differ(paths: list[str]) -> None:
    tails = shortest_tails(paths)
    assert all(path.rstrip("/").endswith(tail) for path, tail in zip(paths, tails, strict=True))
    if len({path.rstrip("/") for path in paths}) == len(paths):
        assert len(set(tails)) == len(paths)
