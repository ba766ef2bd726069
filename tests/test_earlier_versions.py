"""Outputs and oracles that earlier versions wrote are read, and used as they were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli.main import main
from steepslope.gate import Gate
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs

EARLIER = Path(__file__).parent / "data_of_earlier_versions"  # before oracles remembered what they were fitted on


@pytest.mark.parametrize("form", ["outputs", "outputs.npz", "outputs.csv", "outputs.parquet"])
def test_outputs_are_read(form: str) -> None:
    outputs = ClassifierOutputs.load(EARLIER / form)
    assert outputs.logits.shape == (40, 3)
    assert outputs.is_correct.sum() == 38
    assert outputs.classes is None
    assert outputs.ids is not None
    assert outputs.ids[0] == "test/00000"


@pytest.mark.parametrize("name", ["oracle", "fused"])
def test_oracles_judge_as_before(name: str) -> None:
    oracle = Oracle.load(EARLIER / name)
    expected = json.loads((EARLIER / "trust_logits.json").read_text())[name]
    np.testing.assert_allclose(oracle.trust_logit(ClassifierOutputs.load(EARLIER / "outputs")), expected, atol=2e-6)
    assert oracle.rows_fitted_on(ClassifierOutputs.load(EARLIER / "fit_set")) == 0  # it does not know


@pytest.mark.parametrize("name", ["outputs", "fit_set"])
def test_they_are_evaluated_as_before(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = ",".join(str(EARLIER / one) for one in ("oracle", "fused"))
    words = f"evaluate --outputs {EARLIER / name} --scores {scores} --bootstrap 5 --out {tmp_path}/report".split()
    assert main(words) == 0
    rows = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert [row["fit_rows"] for row in rows] == [0, 0, 0]


def test_an_oracle_of_unknown_making_is_not_replaced_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (EARLIER / "oracle").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    words = f"fit --outputs {EARLIER}/fit_set --inputs logits --epochs 1 --out {tmp_path}".split()
    assert main(words) == 2
    assert f"{tmp_path}: holds a fitted oracle already, made in a way that is not known" in capsys.readouterr().err
    assert main([*words, "--replace"]) == 0


def test_a_gate_decides_as_before_and_knows_nothing_of_its_rows() -> None:
    gate = Gate.load(EARLIER / "gate")
    decisions = gate.decide(ClassifierOutputs.load(EARLIER / "outputs"))
    expected = json.loads((EARLIER / "trust_logits.json").read_text())["oracle"]
    np.testing.assert_allclose(decisions.trust_logit, expected, atol=2e-6)
    np.testing.assert_array_equal(decisions.accepted, np.array(expected) >= gate.threshold)
    assert gate.judged is None
