"""The tables of gates, from invented rows."""

from __future__ import annotations

from typing import Any

from steepslope.paper.gate_views import ALL, HEADINGS, PREDICTED, kept_grid, warned_grid
from steepslope.predict.warnings import WARNINGS
from steepslope.report.grid import markdown

Row = dict[str, Any]


def kept_row(line: str, by: str = ALL, risk: float | None = 0.012, **others: Any) -> Row:
    row = {"line": line, "by": by, "max_risk": 0.02, "certified": 0.5, "coverage": 0.48, "risk": risk, "above": 3}
    return {**row, "promised": 1.0, **others}


def test_what_is_kept_is_a_block_a_promise_and_a_row_a_line() -> None:
    rows = [
        kept_row("MCP"), kept_row("fused, free", coverage=0.6), kept_row("MCP", risk=0.016, above=5),
        kept_row("MCP", PREDICTED, promised=4.0, worst_class=0.03), kept_row("fused, free", PREDICTED, risk=None),
    ]  # fmt: skip
    grid = kept_grid(rows, "What gates keep")
    assert (grid.title, grid.columns) == ("What gates keep", HEADINGS)
    assert [[str(cell) for cell in line] for line in grid.rows] == [
        ["**2 %, one threshold**", "", "", "", "", "", ""],
        ["MCP", "50.0 ± 0.0", "48.0 ± 0.0", "1.40 ± 0.28", "4.0 ± 1.4", "1.0 ± 0.0", "–"],
        ["fused, free", "50.0", "60.0", "1.20", "3.0", "1.0", "–"],
        ["**2 %, a threshold for each predicted class**", "", "", "", "", "", ""],
        ["MCP", "50.0", "48.0", "1.20", "3.0", "4.0", "3.00"],
        ["fused, free", "50.0", "48.0", "–", "3.0", "1.0", "–"],
    ]


def shifted(line: str, broken: bool, kept: bool, *given: str) -> Row:
    return {"line": line, "is_broken": broken, "is_kept": kept, "warned": {name: name in given for name in WARNINGS}}


def test_warnings_are_counted_where_a_promise_is_broken_and_where_it_is_kept() -> None:
    """A promise that may be either, for all that is known, counts for neither."""
    first, *_ = WARNINGS
    rows = [
        shifted("MCP", True, False, first), shifted("MCP", True, False), shifted("MCP", False, True),
        shifted("MCP", False, False, first), shifted("fused, free", False, True, *WARNINGS),
    ]  # fmt: skip
    grid = warned_grid(rows)
    assert grid.columns == ["", *WARNINGS, "any warning"]
    found = {line[0].text: [cell.text for cell in line[1:]] for line in grid.rows}
    none = ["0 of 2"] * (len(WARNINGS) - 1)
    assert found == {
        "MCP, broken": ["1 of 2", *none, "1 of 2"],
        "MCP, kept": ["0 of 1"] * (len(WARNINGS) + 1),
        "fused, free, broken": ["0 of 0"] * (len(WARNINGS) + 1),
        "fused, free, kept": ["1 of 1"] * (len(WARNINGS) + 1),
    }
    assert "without labels" in markdown(grid).replace("\n", " ")
