"""What is told on the error stream."""

from __future__ import annotations

import pytest

from steepslope.files.progress import console


def test_lines_come_out_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a name between colons nor words in brackets mean anything, and long lines are not broken."""
    line = f"corrupt:fog:5, [name first, epochs 2], {'x' * 300}"
    console().print(line)
    assert capsys.readouterr().err == f"{line}\n"
