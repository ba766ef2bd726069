"""`compare` from end to end: reports of models and months, in whatever order their rows are, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli.main import main
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report.comparison import names_of_runs
from tests.cli.predictions import refuses
from tests.conftest import make_outputs


def model(seed: int, n: int = 300, ids: bool = True) -> ClassifierOutputs:
    """Return the same rows as another model's logits see them."""
    rows = make_outputs(n)
    noise = np.random.default_rng(seed).normal(size=rows.logits.shape).astype(np.float32)
    return rows.changed(logits=rows.logits + noise, ids=rows.ids if ids else None)


def evaluated(outputs: ClassifierOutputs, path: Path, out: Path, options: str = "") -> Path:
    outputs.save(path)
    words = f"evaluate --outputs {path} --scores margin --bootstrap 50 --out {out} {options}"
    assert main(words.split()) == 0
    return out


@pytest.fixture
def reports(tmp_path: Path) -> list[Path]:
    """Write reports of two models and, of the second one, in another order and another format."""
    order = np.random.default_rng(0).permutation(300)
    return [
        evaluated(model(1), tmp_path / "a", tmp_path / "may" / "report"),
        evaluated(model(2), tmp_path / "b.npz", tmp_path / "june" / "report"),
        evaluated(model(2).subset(order), tmp_path / "c.csv", tmp_path / "shuffled"),
    ]


def compared(words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert main(f"compare {words} --bootstrap 100 --json".split()) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_reports_side_by_side(reports: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    may, june, shuffled = reports
    found = compared(f"{may} {june} {shuffled} --out {tmp_path}/out", capsys)
    assert [run["run"] for run in found["runs"]] == ["may/report", "june/report", "shuffled"]  # type: ignore[attr-defined]
    assert found["out"] == str(tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert stored.pop("made")["command"] == "compare"
    assert {"out": found["out"], **stored} == found
    assert [run.get("paired") for run in stored["runs"]] == [None, True, True]
    for report, rows in zip(reports, (stored["rows"][i : i + 2] for i in (0, 2, 4)), strict=True):
        for row, kept in zip(rows, json.loads((report / "metrics.json").read_text()), strict=True):
            assert {name: row[name] for name in kept} == kept
    by_run = [[line for line in stored["differences"] if line["run"] == name] for name in ("june/report", "shuffled")]
    for one, other in zip(*by_run, strict=True):  # the same rows in another order
        assert {**one, "run": ""} == {**other, "run": ""}
    accuracy = [model(seed).is_correct.mean() for seed in (1, 2)]
    assert by_run[0][0]["accuracy"]["value"] == pytest.approx(accuracy[1] - accuracy[0])
    lines = [line for line in (tmp_path / "out" / "compare.md").read_text().splitlines() if "| 300 |" in line]
    assert [(line.split(" | ")[1], line.endswith("| – |")) for line in lines] == [("mcp", True), ("margin", False)] * 3


def test_what_is_shown(reports: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    words = f"compare {reports[0]} {reports[1]} --names old,new --out {tmp_path}/out --bootstrap 50"
    assert main(words.split()) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Beside old, by each run's best score: new is ")
    assert "new and old have the same 300 rows: differences are paired." in shown
    assert " old mcp " in shown
    assert shown.endswith(f"comparison: {tmp_path}/out/compare.md\n")


def test_where_the_reports_lie_is_not_told(
    reports: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path is told as it was given; of an absolute one, what tells it apart. Markdown has the runs' names alone."""
    monkeypatch.chdir(tmp_path)
    names = "--names first,second,third,fourth"
    found = compared(f"may/report {reports[1]} {reports[2]} {tmp_path}/june/../june/report {names} --out out", capsys)
    folders = [run["folder"] for run in found["runs"]]  # type: ignore[attr-defined]
    assert folders == ["may/report", "june/report", "shuffled", "june/report"]
    written = {path.name: path.read_text() for path in (tmp_path / "out").glob("compare.*")}
    assert len(written) == 2
    assert [name for name, content in written.items() if str(tmp_path) in content] == []
    assert "june/report" not in written["compare.md"]


def test_names_of_scores_are_not_absolute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two oracles of the same name are called by their paths in a report, but not in what is made of it."""
    for name in "ab":
        Oracle(epochs=1).fit(make_outputs(300, seed=8).changed(ids=None)).save(tmp_path / name / "oracle")
    scores = f"{tmp_path}/a/oracle,{tmp_path}/b/oracle"
    runs: list[str] = []
    for name in ("may", "june"):
        outputs = tmp_path / f"{name}.npz"
        model(len(runs)).save(outputs)
        words = f"evaluate --outputs {outputs} --scores {scores} --bootstrap 5 --out {tmp_path}/{name}"
        assert main(words.split()) == 0
        runs.append(f"{tmp_path}/{name}")
    found = compared(f"{' '.join(runs)} --out {tmp_path}/out", capsys)
    assert [row["score"] for row in found["rows"]] == ["mcp", "a/oracle", "b/oracle"] * 2  # type: ignore[attr-defined]
    for path in (tmp_path / "out").glob("compare.*"):
        assert str(tmp_path) not in path.read_text()


def test_fitted_rows_and_the_usual_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An oracle on the rows that it was fitted on is marked, and does not win; results go to runs/compare."""
    monkeypatch.chdir(tmp_path)
    for name in ("may", "june"):
        outputs = model(len(name))
        outputs.save(tmp_path / f"{name}.npz")
        Oracle(hidden=16, epochs=40).fit(outputs).save(tmp_path / name / "oracle")
        words = (
            f"evaluate --outputs {name}.npz --scores {name}/oracle --allow-fit-rows --bootstrap 5 --out {name}/report"
        )
        assert main(words.split()) == 0
    capsys.readouterr()
    assert main(["compare", "may/report", "june/report", "--bootstrap", "5"]) == 0
    shown = capsys.readouterr().out
    assert "WARNING: oracle of june/report was fitted on 300 of these 300 rows" in shown
    assert shown.endswith("comparison: runs/compare/compare.md\n")
    stored = json.loads((tmp_path / "runs" / "compare" / "compare.json").read_text())
    assert [run["best"] for run in stored["runs"]] == ["mcp", "mcp"]
    mcp, oracle = stored["rows"][:2]
    assert oracle["aurc"]["value"] < mcp["aurc"]["value"]
    assert (tmp_path / "runs" / "compare" / "compare.md").read_text().count("◄ FITTED ON 300 OF THESE ROWS") == 4


def test_months_have_other_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Differences of these are unpaired, by intervals that are wider."""
    first = evaluated(model(1), tmp_path / "a", tmp_path / "may")
    second = evaluated(make_outputs(200, seed=5), tmp_path / "b", tmp_path / "june")
    found = compared(f"{first} {second} --out {tmp_path}/out", capsys)
    stored = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert stored["runs"][1]["why_unpaired"] == "0 ids in common of 300 and 200"
    assert {line["paired"] for line in stored["differences"]} == {False}
    assert "unpaired" in (tmp_path / "out" / "compare.md").read_text()
    assert found["baseline"] == "may"


def test_confidences_alone_and_rows_without_ids(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With ids they are the same rows; with neither ids nor labels nobody knows; without ids labels tell."""
    rng = np.random.default_rng(0)
    right, z = rng.random(80) < 0.7, rng.random(80)
    order = rng.permutation(80)
    for name, rows, ids in (("a", range(80), True), ("b", order, True), ("c", range(80), False), ("d", order, False)):
        lines = [f"photo {row},{z[row]:.6f},{int(right[row])}" if ids else f"{z[row]:.6f},{int(right[row])}"
                 for row in rows]  # fmt: skip
        header = "id,confidence,is_correct" if ids else "confidence,is_correct"
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *lines]))
        assert main(f"evaluate --outputs {tmp_path}/{name}.csv --bootstrap 0 --out {tmp_path}/{name}".split()) == 0
    for name in ("e", "f"):
        evaluated(model(ord(name), n=60, ids=False), tmp_path / f"{name}.npz", tmp_path / name)
    for one, other, why in (
        ("a", "b", None),
        ("c", "d", "neither ids nor labels tell whether the rows are the same"),
        ("a", "c", "only a has ids"),
        ("e", "f", None),
        ("e", "c", "there are 60 and 80 rows, without ids"),
    ):
        compared(f"{tmp_path}/{one} {tmp_path}/{other} --out {tmp_path}/{one}{other}", capsys)
        stored = json.loads((tmp_path / f"{one}{other}" / "compare.json").read_text())
        assert stored["runs"][1]["why_unpaired"] == why
    same = json.loads((tmp_path / "ab" / "compare.json").read_text())["differences"][0]
    assert same["auc"] == {"value": 0, "low": 0, "high": 0, "p": 1}


def test_odd_ids_and_names_of_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = np.array([f'{row},"x"\n<script>alert({row})</script>' for row in range(60)])
    names = ("ant, a", "bee\n", "</script>", '"dog"')
    order = np.random.default_rng(0).permutation(60)
    for name, outputs, path in (("a", model(1, 60), "a"), ("b", model(2, 60).subset(order), "b.parquet")):
        known = ids if name == "a" else ids[order]
        evaluated(outputs.changed(ids=known).named(names), tmp_path / path, tmp_path / "report" / name)
    compared(f"{tmp_path}/report/a {tmp_path}/report/b --out {tmp_path}/out", capsys)
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["runs"][1]["paired"] is True
    assert "<script>alert" not in (tmp_path / "out" / "compare.md").read_text()


BAD = {
    "one folder": ("HOME/may/report", "expected at least two runs to compare, found 1"),
    "no folder": ("", "required: DIR (see"),
    "the same twice": ("HOME/may/report HOME/may/../may/report", "expected each report once, or a name for each"),
    "too few names": ("HOME/may/report HOME/shuffled --names a", "names: expected a name for each of 2 folders"),
    "one name": ("HOME/may/report HOME/shuffled --names a,a", "names: expected a name for each run, found 'a' twice"),
    "baseline": ("HOME/may/report HOME/shuffled --baseline shufled", "unknown baseline 'shufled': did you mean 'shuf"),
    "nothing there": ("HOME/may/report HOME/mai", "mai: expected the report of evaluate or demo, but there is no such"),
    "no report": ("HOME/may/report HOME/a", "a: expected the report of evaluate or demo, but it has no metrics.json"),
    "a file": ("HOME/may/report HOME/c.csv", "c.csv: expected the report of evaluate or demo"),
    "no rows": ("HOME/may/report HOME/old", "old/rows.parquet: cannot be read as the rows of a report"),
    "bootstrap": ("HOME/may/report HOME/shuffled --bootstrap -1", "bootstrap: expected a whole number"),
}


def test_bad_input_is_one_line_and_nothing_else(
    reports: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated(model(1, 60), tmp_path / "o", tmp_path / "old")
    (tmp_path / "old" / "rows.parquet").unlink()
    before = {path: path.stat().st_mtime_ns for report in reports for path in report.iterdir()}
    for words, message in BAD.values():
        refuses(f"compare --json --out {tmp_path}/out {words.replace('HOME', str(tmp_path))}", capsys, message)
    assert not (tmp_path / "out" / "compare.json").exists()
    assert {path: path.stat().st_mtime_ns for report in reports for path in report.iterdir()} == before


def test_runs_are_named_by_what_tells_them_apart() -> None:
    assert names_of_runs(("runs/a/report", "runs/b/report/", "runs/c"), ()) == ("a/report", "b/report", "c")
    assert names_of_runs(("x", "y"), ("one", "two")) == ("one", "two")
