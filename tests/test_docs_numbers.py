"""Numbers that pages show in tables are those of ``results/``, as far as a program can tell where they come from.

Each row of a page's table is looked up among the tables in ``results/``. Rows there with the same first cell count as
one, since pages show them side by side. A row is found where each of its numbers is there, as it is rounded. A table is
taken from the file where at least half of its rows are found, and then all of them have to be found there.

Not checked are numbers in sentences, tables that are not taken from ``results/`` (what ``LOG.md`` tells of, the paper's
numbers, limits and sizes), and rows with less than three numbers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NUMBER = re.compile(r"(?<![\w.,-])[−+-]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)")
FEWEST_NUMBERS, FEWEST_ROWS = 3, 3  # what chance makes of fewer is no match
TAKEN_FROM = {  # files in results/ that pages have tables of
    "audits/table.md", "evidence/evidence-gains.md", "evidence/evidence-promises-5.md",
    "following/table.md", "health/table.md", "mixes/table.md",
}  # fmt: skip
OF_TWO_ROWS = {"spoken digits, other speakers (two classifiers)"}  # rows whose ranges are over several rows of the file
Row = tuple[str, list[str]]


def tables_in(text: str) -> Iterator[list[Row]]:
    """Yield each table's rows, as their first cell and the numbers in the others."""
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        rows = [line.strip("|").split("|") for line in block.splitlines()[2:]]
        yield [(first.strip(), NUMBER.findall(" ".join(others))) for first, *others in rows]


def value_of(number: str) -> float:
    """Return what a number in a page is worth."""
    return float(number.replace("−", "-").replace(",", ""))


def groups_in(path: Path) -> list[list[float]]:
    """Return the numbers in the rows of a file's tables, those with the same first cell together."""
    groups = [defaultdict[str, list[float]](list)]
    for table in tables_in(path.read_text(encoding="utf-8")):
        groups.append(defaultdict(list))
        for first, numbers in table:
            groups[-1][first] += map(value_of, numbers)
    return [numbers for table in groups for numbers in table.values()]


def is_rounded_from(number: str, numbers: list[float]) -> bool:
    """Whether a number is one of others, at its own digits."""
    half = 0.5 * 10.0 ** -len(number.partition(".")[2]) + 1e-9
    return any(abs(value_of(number) - other) <= half for other in numbers)


def lost_rows(rows: list[Row], groups: list[list[float]]) -> list[str]:
    """Return the first cells of rows that are none of a file's."""
    return [
        first
        for first, numbers in rows
        if not any(all(is_rounded_from(number, group) for number in numbers) for group in groups)
    ]


@pytest.fixture(scope="module")
def checked() -> list[tuple[str, str, list[Row], list[str]]]:
    """Return each table that is taken from a file: its page, the file, its rows, and those that are not found there."""
    results = ROOT / "results"
    sources = {path.relative_to(results).as_posix(): groups_in(path) for path in results.rglob("*.md")}
    found = []
    for page in PAGES:
        for table in tables_in(page.read_text(encoding="utf-8")):
            rows = [row for row in table if len(row[1]) >= FEWEST_NUMBERS and row[0] not in OF_TWO_ROWS]
            if len(rows) >= FEWEST_ROWS:
                lost, file = min((len(lost_rows(rows, groups)), file) for file, groups in sources.items())
                if 2 * lost <= len(rows):
                    found.append((page.name, file, rows, lost_rows(rows, sources[file])))
    return found


def test_tables_show_what_their_files_hold(checked: list[tuple[str, str, list[Row], list[str]]]) -> None:
    assert [(page, file, lost) for page, file, _, lost in checked if lost] == []
    assert {file for _, file, _, _ in checked} >= TAKEN_FROM


def test_how_many_numbers_are_checked(checked: list[tuple[str, str, list[Row], list[str]]]) -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    shown = [number for text in texts for table in tables_in(text) for _, numbers in table for number in numbers]
    compared = [number for _, _, rows, _ in checked for _, numbers in rows for number in numbers]
    print(f"{len(compared)} of {len(shown)} numbers in tables are compared with results/")
    assert len(compared) > len(shown) / 3


def test_another_digit_is_noticed() -> None:
    groups = [[1.26, 3.0, 1200.0], [5.0]]
    assert lost_rows([("a", ["1.3", "3", "1,200"]), ("b", ["1.4", "3"]), ("c", ["5", "3"])], groups) == ["b", "c"]
