"""How tests of commands decide on images and outputs, and what they expect to be told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from steepslope.cli._main import main
from tests.conftest import Captured, make_outputs

ROWS = 40  # images as files
RISK = 0.1  # that the watched gate promises
LABELLED = make_outputs(4_000)  # its calibration rows
NEW = make_outputs(3_000, seed=1)  # rows that it decides on
BACKBONE = "module:tests.tiny_nets:ten_classes"


def predict(gate: Path, out: object, *options: str) -> int:
    return main(["predict", "--gate", str(gate), "--out", str(out), *options])


def predicted(gate: Path, out: Path, *options: str) -> Any:
    assert predict(gate, out, *options) == 0
    return pq.read_table(out) if out.suffix == ".parquet" else pc.read_csv(out)


def watch(home: Path, state: Path, *options: str) -> list[str]:
    """Return the words that monitor the gate in a folder."""
    return ["monitor", "--gate", str(home / "gate"), "--state", str(state), *options]


def write_labels(path: Path, table: Any, is_wrong: Any = 0) -> str:
    """Write a true label of each row of a table of decisions: the predicted one, or another where it is wrong."""
    truths = (table["label"].to_numpy() + is_wrong) % 4
    pc.write_csv(pa.table({"id": table["id"], "label": truths}), path)
    return str(path)


def refused(capsys: Captured, *expected: str) -> str:
    """Require one line that says what is expected, next to warnings, and nothing on standard output; return it."""
    shown = capsys.readouterr()
    error, *more = [line for line in shown.err.splitlines() if not line.startswith("steepslope: warning: ")]
    assert error.startswith("steepslope: error: "), shown
    assert (shown.out, more) == ("", []), shown
    assert all(one in error for one in expected), shown
    return error


def refuses(words: str | list[str], capsys: Captured, *expected: str) -> str:
    """Require that a command ends with code 2 and one line that says what is expected; return it."""
    capsys.readouterr()
    assert main(words.split() if isinstance(words, str) else words) == 2
    return refused(capsys, *expected)


def of_another_classifier(outputs: Path, copy: Path) -> Path:
    """Copy outputs as if another classifier had given them."""
    shutil.copytree(outputs, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["extraction"]["digest"] = "b" * 64
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy
