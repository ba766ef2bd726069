"""A terminal of 80 columns breaks no name: neither a score's nor a column's."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len
from rich.console import Console

from steepslope.report.grid import CUT, Cell, Grid, shortened, shortest_tails, terminal, without_middle
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


def test_a_long_name_loses_its_first_folders_or_its_middle() -> None:
    lines = shown(["mcp", "/home/someone/runs/of_may/oracle", "margin"])
    assert sum(line.startswith(" …/oracle ") for line in lines) == 1  # so that one table holds all
    lines = shown(["mcp", "/home/someone/" + "x" * 90, "margin"])
    assert any(re.match(r" …/x+…x+ ", line) for line in lines)
    assert all(sum(title in line.split() for line in lines) == 1 for title in terminal_titles()[1:])
    assert max(map(len, lines)) <= 80


def test_names_that_only_numbers_could_tell_apart_stand_below() -> None:
    """A number in a name is whole or not there."""
    names = [f"{'x' * 40}{number}{'y' * 40}" for number in (20261126, 20261127)]
    lines = shown(["mcp", *names])
    assert lines[-2:] == [f" (1) {names[0]}", f" (2) {names[1]}"]
    assert any(line.startswith(" (2)   -100.0") for line in lines)
    assert max(map(len, lines[:-2])) <= 80


@pytest.mark.parametrize("width", [60, 61, 72, 80, 100, 132])
def test_any_width_from_60_is_enough(width: int) -> None:
    """No cell is broken, whatever the names."""
    paths = "runs/of_november/seed_1/ss", "runs/of_november/seed_2/ss", "/home/x/" + "long_" * 30
    names = ["mcp", "temperature_scaled_mcp", *paths, "日本" * 40]
    lines = shown(names, width)
    assert sum(line.count("-100.0") for line in lines) == len(names) * (len(terminal_titles()) - 1)
    assert all(any(line.startswith(f" {name} ") for line in lines) for name in names[:2])
    assert all(any(line.startswith(f" …/seed_{seed}/ss ") for line in lines) for seed in (1, 2))
    assert max(map(cell_len, lines)) <= width


NAMES = st.lists(st.text("ab1279_/日", min_size=1, max_size=40), min_size=1, max_size=6, unique=True)


@given(NAMES)
def test_tails_are_the_ends_of_paths_and_differ(paths: list[str]) -> None:
    tails = shortest_tails(paths)
    assert all(path.rstrip("/").endswith(tail) for path, tail in zip(paths, tails, strict=True))
    if len({path.rstrip("/") for path in paths}) == len(paths):
        assert len(set(tails)) == len(paths)


@given(NAMES, st.integers(8, 30), st.integers(8, 30))
def test_short_names_differ(names: list[str], wanted: int, most: int) -> None:
    assert len(set(shortened(names, wanted, most))) == len(names)


@given(st.text("ab12_日", min_size=1, max_size=60), st.integers(3, 30))
def test_no_number_is_cut(name: str, most: int) -> None:
    short = without_middle(name, most)
    assert cell_len(short) <= most
    if short != name:
        head, _, tail = short.partition(CUT)
        assert name.startswith(head)
        assert name.endswith(tail)
        assert not (head[-1:].isdecimal() and name[len(head)].isdecimal())
        assert not (tail[:1].isdecimal() and name[-len(tail) - 1].isdecimal())
