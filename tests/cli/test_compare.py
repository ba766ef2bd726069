"""`compare` from end to end: reports of two models, whatever the order of their rows, and bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli._main import main
from steepslope.outputs import ClassifierOutputs
from steepslope.report._comparison import names_of_compared_runs
from tests.cli.predictions import refuses
from tests.conftest import Captured, make_outputs


def model(seed: int, n: int = 300) -> ClassifierOutputs:
    """Return the same rows as another model's logits see them."""
    rows = make_outputs(n)
    noise = np.random.default_rng(seed).normal(size=rows.logits.shape).astype(np.float32)
    return rows.changed(logits=rows.logits + noise)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Write reports of two models and, of the second one, in another order and another format."""
    order = np.random.default_rng(0).permutation(300)
    files = {
        "may/report": (model(1), "a"),
        "june/report": (model(2), "b.npz"),
        "mixed": (model(2).subset(order), "c.csv"),
    }
    for name, (outputs, file) in files.items():
        outputs.save(tmp_path / file)
        words = f"evaluate --outputs {tmp_path / file} --scores margin --bootstrap 50 --out {tmp_path / name}"
        assert main(words.split()) == 0
    return tmp_path


def test_reports_side_by_side(reports: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is called by what tells its path from the others; results go to runs/compare."""
    monkeypatch.chdir(reports)
    capsys.readouterr()
    assert main(f"compare may/report {reports}/june/report {reports}/mixed --bootstrap 100".split()) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Next to may/report, by each run's best score: june/report is ")
    assert "june/report and may/report have the same 300 rows: differences are paired." in shown
    assert re.search("may/report +mcp ", shown)
    assert shown.endswith("comparison: runs/compare/compare.md\n")
    written = {path.suffix: path.read_text() for path in (reports / "runs" / "compare").glob("compare.*")}
    assert not any(str(reports) in content for content in written.values())
    stored = json.loads(written[".json"])
    assert stored["made"]["command"] == "compare"
    assert [run["run"] for run in stored["runs"]] == ["may/report", "june/report", "mixed"]
    assert [run.get("paired") for run in stored["runs"]] == [None, True, True]
    for name, rows in zip(("may/report", "june/report", "mixed"), np.reshape(stored["rows"], (3, 2)), strict=True):
        for row, kept in zip(rows, json.loads((reports / name / "metrics.json").read_text()), strict=True):
            assert {key: row[key] for key in kept} == kept
    by_run = [[line for line in stored["differences"] if line["run"] == name] for name in ("june/report", "mixed")]
    for one, other in zip(*by_run, strict=True):  # the same rows in another order
        assert {**one, "run": ""} == {**other, "run": ""}
    accuracy = [model(seed).is_correct.mean() for seed in (1, 2)]
    assert by_run[0][0]["accuracy"]["value"] == pytest.approx(accuracy[1] - accuracy[0])
    table = written[".md"].split("## Differences")[0]
    lines = re.findall(r"^\| (?:may/report|june/report|mixed) \|.*", table, re.MULTILINE)
    assert [(line.split(" | ")[1], line.endswith("| – |")) for line in lines] == [("mcp", True), ("margin", False)] * 3
    capsys.readouterr()
    assert main(f"compare may/report {reports}/june/report {reports}/mixed --bootstrap 100".split()) == 0
    assert "already complete" in capsys.readouterr().err


BAD = {
    "one folder": ("HOME/may/report", "expected at least two runs to compare, found 1"),
    "no folder": ("", "required: DIR (see"),
    "too few names": ("HOME/may/report HOME/mixed --names a", "names: expected a name for each of 2 folders"),
    "no report": ("HOME/may/report HOME/a", "a: expected the report of evaluate or demo, but it has no metrics.json"),
    "bootstrap": ("HOME/may/report HOME/mixed --bootstrap -1", "bootstrap: expected a whole number"),
}


def test_bad_input_is_one_line_and_nothing_else(reports: Path, capsys: Captured) -> None:
    for words, message in BAD.values():
        refuses(f"compare --out {reports}/out {words.replace('HOME', str(reports))}", capsys, message)
    assert not (reports / "out" / "compare.json").exists()


def test_runs_are_named_by_what_tells_them_apart() -> None:
    assert names_of_compared_runs(("runs/a/report", "runs/b/report/", "runs/c"), ()) == ("a/report", "b/report", "c")
    assert names_of_compared_runs(("x", "y"), ("one", "two")) == ("one", "two")
    assert names_of_compared_runs(("a", "a/../a"), ())[0] == names_of_compared_runs(("a", "a/../a"), ())[1]
