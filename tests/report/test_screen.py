"""What `evaluate` prints: lines are broken for a person who watches, and not for a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pytest

from steepslope.report._confidences import Scored
from steepslope.report._evaluation import Row
from steepslope.report._grid import _terminal_width
from steepslope.report._screen import show_evaluation_on_screen
from tests.conftest import Captured, make_outputs
from tests.report.samples import with_scores


@pytest.fixture(scope="module")
def rows() -> Sequence[Row]:
    """Return the rows of MCP, of a far better score and of one that knows nothing."""
    outputs = make_outputs()
    noise = np.random.default_rng(0).normal(size=len(outputs))
    others = [Scored("good", None, noise + 3 * outputs.is_correct, "logit"), Scored("noise", None, noise, "logit")]
    return with_scores(outputs, *others, bootstrap=50).rows


def test_a_terminal_gets_lines_broken_between_words(
    rows: Sequence[Row], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_evaluation_on_screen(rows)
    plain = capsys.readouterr().out
    assert max(map(_terminal_width, plain.splitlines())) > 80
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_evaluation_on_screen(rows)
    broken = capsys.readouterr().out
    assert max(map(_terminal_width, broken.splitlines())) <= 80
    assert broken.split() == plain.split()  # the same words, none of them in two
