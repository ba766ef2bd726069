"""What was fitted on rows is not evaluated on them, unless it is asked for, and then the table says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from steepslope.cli.main import main
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report.confidences import Resources, score_predictions
from tests.cli.predictions import refuses
from tests.conftest import make_complete, make_outputs


@pytest.fixture
def files(quick_nets: None, tmp_path: Path) -> Path:
    """Write a fit set, other rows, a mix of both, and an oracle on each kind of budget."""
    fit_set, other = make_complete(300, seed=2), make_complete(200, seed=3)
    names = ("logits", "labels", "features", "ids")
    mixed = {name: np.concatenate([fit_set.arrays[name][:5], other.arrays[name]]) for name in names}
    for name, outputs in {"fit": fit_set, "other": other, "mixed": ClassifierOutputs.of(mixed)}.items():
        ClassifierOutputs.of({one: outputs.arrays[one] for one in names}).save(tmp_path / f"{name}.npz")
    for name, option in (("plain", "--oracle paper --epochs 1"), ("fused", "--budget free")):
        assert main(f"fit --outputs {tmp_path}/fit.npz --out {tmp_path}/{name} {option}".split()) == 0
    return tmp_path


def test_an_oracle_is_not_evaluated_on_its_fit_rows(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"evaluate --bootstrap 10 --scores {files}/plain,{files}/fused,margin --out {files}/out"
    capsys.readouterr()
    expected = f"oracle {files}/plain: 300 of these 300 rows are those it was fitted on: what has seen"
    refuses(f"{command} --outputs {files}/fit.npz", capsys, expected, "(--allow-fit-rows evaluates them with")
    assert not (files / "out").exists()
    assert main([*command.split(), "--outputs", f"{files}/other.npz"]) == 0
    assert "FITTED ON" not in (files / "out" / "table.md").read_text()
    assert main([*command.split(), "--outputs", f"{files}/mixed.npz", "--allow-fit-rows", "--replace"]) == 0
    shown = capsys.readouterr().out
    for name in ("plain", "fused"):
        warning = f"WARNING: {name} was fitted on 5 of these 205 rows, so its numbers are better than they will be on"
        assert warning in shown
        assert all(warning in (files / "out" / file).read_text() for file in ("table.md", "report.html"))
    table = (files / "out" / "table.md").read_text()
    assert table.count("◄ FITTED ON 5 OF THESE ROWS |") == 2
    assert "◄ FITTED ON 5 OF THESE ROWS</small>" in (files / "out" / "report.html").read_text()
    rows = json.loads((files / "out" / "metrics.json").read_text())
    assert {row["score"]: row["fit_rows"] for row in rows} == {"mcp": 0, "plain": 5, "fused": 5, "margin": 0}


def test_rows_that_an_oracle_was_fitted_on_are_left_out(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixed, words = ClassifierOutputs.load(files / "mixed.npz"), "--bootstrap 10 --groups predicted"
    pc.write_csv(pa.table({"cluster": np.arange(205) // 2}), files / "clusters.csv")
    command = f"evaluate --scores {files}/plain {words} --outputs {files}/mixed.npz --out {files}/mixed"
    capsys.readouterr()
    assert main(f"{command} --cluster {files}/clusters.csv".split()) == 0
    assert "5 rows that an oracle was fitted on are left out" in capsys.readouterr().err
    rows = json.loads((files / "mixed" / "metrics.json").read_text())
    assert {row["n"] for row in rows} == {200}
    assert main(f"evaluate --scores {files}/plain {words} --outputs {files}/other.npz --out {files}/apart".split()) == 0
    apart = json.loads((files / "apart" / "metrics.json").read_text())
    assert [row["auc"]["value"] for row in rows] == [row["auc"]["value"] for row in apart]
    written = pq.read_table(files / "mixed" / "rows.parquet")
    assert mixed.ids is not None
    assert written["id"].to_pylist() == mixed.ids[5:].tolist()
    assert written["cluster"].to_pylist() == (np.arange(5, 205) // 2 - 2).tolist()


def test_fit_rows_are_left_out_of_calibration_though_they_are_rounded(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit_set, other = (ClassifierOutputs.load(files / f"{name}.npz") for name in ("fit", "other"))
    rounded = fit_set.changed(logits=fit_set.logits.astype(np.float16)).subset(slice(100))
    names = ("logits", "labels", "features", "ids")
    both = {name: np.concatenate([other.require(name), rounded.require(name)]) for name in names}
    ClassifierOutputs.of(both).save(files / "both.npz")
    words = f"--oracle {files}/plain --max-risk 0.4 --out {files}/gate"
    assert main(f"calibrate --outputs {files}/both.npz {words}".split()) == 0
    printed = capsys.readouterr().err
    assert "100 rows that the oracle was fitted on are left out" in printed
    assert "calibrated on 200 predictions" in printed


@pytest.mark.parametrize("ids", [True, False])
def test_nor_is_a_score_on_the_rows_of_fit(ids: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = make_outputs(200) if ids else make_outputs(200).changed(ids=None)
    outputs.save(tmp_path / "test.npz")
    outputs.subset(slice(150, 200)).save(tmp_path / "fit.npz")
    command = f"evaluate --outputs {tmp_path}/test.npz --scores temperature_scaled_mcp --fit {tmp_path}/fit.npz"
    command += f" --bootstrap 0 --out {tmp_path}/out"
    example = ", such as 'row/150': " if ids else ": "
    refuses(command, capsys, f"temperature_scaled_mcp: expected other rows, found 50 in both{example}what has")
    assert main([*command.split(), "--allow-fit-rows"]) == 0
    rows = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [row["fit_rows"] for row in rows] == [0, 50]


def test_in_memory_too(tmp_path: Path) -> None:
    outputs = make_outputs(200)
    oracle = Oracle(epochs=1).fit(outputs)
    assert oracle.rows_fitted_on(outputs) == 200
    assert len(oracle.trust_logit(outputs)) == 200  # which any rows may be asked for
    oracle.save(tmp_path / "o")
    scored = score_predictions([str(tmp_path / "o")], outputs, Resources(allow_fit_rows=True))
    assert [one.fit_rows for one in scored] == [0, 200]
