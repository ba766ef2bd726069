"""How tests of commands decide on images and outputs, and what they expect to be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from steepslope.cli.main import main

ROWS = 40  # images as files
BACKBONE = "module:tests.nets:ten_classes"


def predict(gate: Path, out: object, *options: str) -> int:
    return main(["predict", "--gate", str(gate), "--out", str(out), *options])


def predicted(gate: Path, out: Path, *options: str) -> Any:
    assert predict(gate, out, *options) == 0
    return pq.read_table(out) if out.suffix == ".parquet" else pc.read_csv(out)


def refused(capsys: pytest.CaptureFixture[str], *expected: str) -> None:
    """Require one line that says what is expected."""
    error = capsys.readouterr().err
    assert error.startswith("steepslope: error: "), error
    assert error.count("\n") == 1, error
    assert all(one in error for one in expected), error
