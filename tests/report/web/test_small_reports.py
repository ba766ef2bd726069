"""Reports of little, in a browser: of confidences of graded answers, and without errors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from steepslope.cli._main import main
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from tests.report.web.conftest import Open, Opened
from tests.report.web.test_browser import move

pytestmark = pytest.mark.slow


def opened_page(tmp_path: Path, opened: Open, heading: str, lines: Iterable[str]) -> Opened:
    """Evaluate a file of comma-separated values, and open its page, on which nothing may go wrong."""
    (tmp_path / "mine.csv").write_text("\n".join([heading, *lines]), encoding="utf-8")
    words = ["evaluate", "--outputs", str(tmp_path / "mine.csv"), "--bootstrap", "20", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    one = opened(tmp_path / "out" / "report.html")
    assert one.messages == []
    return one


def test_graded_answers_make_a_page(tmp_path: Path, opened: Open) -> None:
    lines = (f"row {row},{row / 50},{row % 7 > 1}" for row in range(50))
    one = opened_page(tmp_path, opened, "id,confidence,is_correct", lines)
    assert "50 predictions, 15 wrong" in one.text("header")
    numbers = move(one, "mcp", 0.5)
    trust = MCP().confidence(ClassifierOutputs.load(tmp_path / "mine.csv"))
    accepted = int((trust > numbers["threshold"]).sum())
    assert 0 < accepted < 50
    assert numbers["trusted_correct"] + numbers["trusted_wrong"] == accepted


def test_without_errors_a_page_is_made(tmp_path: Path, opened: Open) -> None:
    one = opened_page(tmp_path, opened, "label,logit_0,logit_1", (f"0,{1 + row},0" for row in range(20)))
    assert "needs both errors and correct predictions" in one.text("header")
