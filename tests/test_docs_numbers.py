"""Numbers that pages show are those of ``results/``, as far as a program can tell where they come from.

Each row of a page's table is looked up among the tables in ``results/``. Rows there with the same first cell count as
one, since pages show them side by side. A row is found where each of its numbers is there, as it is rounded. A table is
taken from the file where at least half of its rows are found, and then all of them have to be found there.

Decimals in sentences are looked up in the files that their section links to, whatever their sign. Files hold many
numbers, so this notices about every second wrong digit.

Not checked are whole numbers in sentences, sections without such a link, tables that are not taken from ``results/``
(what ``LOG.md`` tells of, the paper's numbers, limits and sizes), and rows with less than three numbers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NUMBER = re.compile(r"(?<![\w.,-])[−+-]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)")
CODE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
LINKED = re.compile(r"\]\((?:\.\./)?results/([^)#]+\.md)")
NO_SENTENCE = re.compile(r"^\|.*$|\]\(.*?\)|`.*?`|\d+\.\d+\.\d+", re.MULTILINE)  # tables, links, code, versions
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


def decimals_in(text: str) -> Iterator[tuple[list[str], set[str]]]:
    """Yield the decimals in each section's sentences, with the files in ``results/`` that the section links to."""
    for section in re.split(r"^#+ ", CODE.sub("", text), flags=re.MULTILINE):
        found = NUMBER.findall(NO_SENTENCE.sub("", section))
        yield [number.lstrip("−+-") for number in found if "." in number], set(LINKED.findall(section))


def lost_decimals(numbers: list[str], text: str) -> list[str]:
    """Return the numbers that a file's text does not have."""
    known = [abs(value_of(number)) for number in NUMBER.findall(text)]
    return [number for number in numbers if not is_rounded_from(number, known)]


@pytest.fixture(scope="module")
def checked() -> list[tuple[str, str, list[Row], list[str]]]:
    """Return each table that is taken from a file: its page, the file, its rows, and those that are not found there."""
    sources = {path.relative_to(RESULTS).as_posix(): groups_in(path) for path in RESULTS.rglob("*.md")}
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


def test_decimals_in_sentences_are_in_the_files_that_their_section_links_to() -> None:
    compared, lost = 0, []
    for page in PAGES:
        for numbers, files in decimals_in(page.read_text(encoding="utf-8")):
            if files:
                text = "\n".join((RESULTS / file).read_text(encoding="utf-8") for file in files)
                compared += len(numbers)
                lost += [(page.name, number) for number in lost_decimals(numbers, text)]
    assert lost == []
    assert compared > 30


def test_another_digit_is_noticed() -> None:
    section = "## Gains\n[Table](../results/a.md): 1.3 points; `0.5`, version 1.6.2.\n\n| a | 2.5 |\n"
    assert [*decimals_in(section)][-1] == (["1.3"], {"a.md"})
    assert lost_decimals(["1.3", "1.4"], "| a | -1.26 |") == ["1.4"]
    groups = [[1.26, 3.0, 1200.0], [5.0]]
    assert lost_rows([("a", ["1.3", "3", "1,200"]), ("b", ["1.4", "3"]), ("c", ["5", "3"])], groups) == ["b", "c"]
