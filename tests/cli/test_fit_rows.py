"""What was fitted on rows is not evaluated on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pytest

from steepslope.cli._main import main
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import refuses
from tests.conftest import Captured, make_complete


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


def test_an_oracle_is_not_evaluated_on_its_fit_rows(files: Path, capsys: Captured) -> None:
    command = f"evaluate --bootstrap 10 --scores {files}/plain,{files}/fused,margin --out {files}/out"
    capsys.readouterr()
    expected = f"oracle {files}/plain: 300 of these 300 rows are those it was fitted on: what has seen"
    refuses(f"{command} --outputs {files}/fit.npz", capsys, expected)
    assert not (files / "out").exists()
    assert main([*command.split(), "--outputs", f"{files}/other.npz"]) == 0


def test_rows_that_an_oracle_was_fitted_on_are_left_out(files: Path, capsys: Captured) -> None:
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
    written = np.load(files / "mixed" / "rows.npz")
    assert written["id"].tolist() == mixed.require("ids")[5:].tolist()
    assert written["cluster"].tolist() == (np.arange(5, 205) // 2 - 2).tolist()
