"""What `evaluate` prints: colours and broken lines for a person who watches, neither for a file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from steepslope.metrics.measures import table_metrics
from steepslope.report.confidences import Scored
from steepslope.report.evaluation import Row
from steepslope.report.screen import LEGEND, show_evaluation_on_screen, show_lines_on_screen
from steepslope.report.tables import main_table
from tests.conftest import make_outputs
from tests.report.samples import with_scores

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def rows() -> Sequence[Row]:
    """Return the rows of MCP, of a far better score and of one that knows nothing."""
    outputs = make_outputs()
    noise = np.random.default_rng(0).normal(size=len(outputs))
    others = [Scored("good", None, noise + 3 * outputs.is_correct, "logit"), Scored("noise", None, noise, "logit")]
    return with_scores(outputs, *others, bootstrap=50).rows


def printed(rows: Sequence[Row], width: int, terminal: bool) -> str:
    system: Any = "standard" if terminal else None
    screen = Console(file=StringIO(), width=width, force_terminal=terminal, color_system=system, highlight=False)
    show_evaluation_on_screen(rows, screen)
    return screen.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_better_is_green_worse_is_red_and_the_best_is_bold(rows: Sequence[Row]) -> None:
    grid = main_table(rows)
    for place, name in enumerate([*table_metrics(), "auc"], 1):  # the last column is the AUC's difference
        differences = [row.vs_mcp[name] for row in rows if row.vs_mcp]
        higher = table_metrics()[name].higher_is_better
        clear = ["" if one["low"] <= 0 <= one["high"] else "better" if (one["low"] > 0) == higher else "worse"
                 for one in differences]  # fmt: skip
        assert [line[place].look for line in grid.rows] == ["", *clear[1:]]
        best = (max if higher else min)(row.metrics[name]["value"] for row in rows)
        assert [line[place].is_best for line in grid.rows] == [row.metrics[name]["value"] == best for row in rows]
    assert {"\x1b[1;32m", "\x1b[31m"} <= set(COLOUR.findall(printed(rows, 200, terminal=True)))  # bold green, and red


def test_a_terminal_gets_colours_and_lines_broken_between_words(rows: Sequence[Row]) -> None:
    text = printed(rows, 80, terminal=True)
    assert COLOUR.search(text)
    assert max(map(cell_len, COLOUR.sub("", text).splitlines())) <= 80
    plain = printed(rows, 80, terminal=False)
    assert "\x1b" not in plain
    words = " ".join(COLOUR.sub("", text).split()).replace(LEGEND, "").split()
    assert words == plain.split()  # the same words, none of them in two


def test_markup_is_text() -> None:
    screen = Console(file=StringIO(), width=20, force_terminal=True)
    show_lines_on_screen(["of [red]b"], screen)
    assert screen.file.getvalue() == "of [red]b\n"  # type: ignore[attr-defined]
