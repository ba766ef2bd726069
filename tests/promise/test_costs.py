"""Costs of errors that depend on the classes: their means, and a threshold for each predicted class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.outputs import ClassifierOutputs
from steepslope.promise._costs import costs_of_errors
from steepslope.promise._objectives import Objectives
from steepslope.scores import MCP
from tests.conftest import Captured

FRAUD = {"fine": {"fraud": 500.0}}


def payments(count: int, seed: int) -> ClassifierOutputs:
    """Return payments, a tenth of them frauds; MCP is the probability of being correct."""
    draw = np.random.default_rng(seed)
    odds = draw.normal(-3, 2, size=count)
    labels = draw.uniform(size=count) < 1 / (1 + np.exp(-odds))
    logits = np.stack([np.zeros(count), odds], axis=1)
    return ClassifierOutputs(
        logits, labels.astype(int), classes=["fine", "fraud"], ids=[f"{seed}-{i}" for i in range(count)]
    )


def test_means_follow_the_errors_that_are_made() -> None:
    predicted, true = np.array(["a"] * 40), np.array(["b"] * 30 + ["c"] * 10)
    mean = costs_of_errors(predicted, true, {"a": {"b": 1.0, "c": 9.0}}, 5.0)["a"]
    assert mean == pytest.approx(3.0)
    assert costs_of_errors(np.array(["a"]), np.array(["a"]), {}, 5.0) == {"a": 5.0}


def test_each_predicted_class_is_accepted_where_that_is_cheaper() -> None:
    gate = Gate.of(MCP(), payments(20_000, 0), costs=(10, 1), error_costs=FRAUD, seed=1)
    assert gate.by == "predicted"
    least = {name: float(gate.p_correct([threshold])[0]) for name, threshold in gate.thresholds.items()}
    assert least["fine"] == pytest.approx(1 - 1 / 500, abs=0.002)
    assert least["fraud"] == pytest.approx(1 - 1 / 10, abs=0.02)
    new = payments(20_000, 1)
    accepted = gate.decide(new).accepted
    plain = Gate.of(MCP(), payments(20_000, 0), costs=(10, 1), seed=1).decide(new).accepted
    missed = ~new.is_correct & (new.predictions == 0)
    error = np.where(missed, 500, 10) * ~new.is_correct
    assert np.where(accepted, error, 1).mean() < np.where(plain, error, 1).mean()
    assert "Mean cost of an error: fine 500, fraud 10." in gate.sentences()


def test_a_gate_with_costs_is_kept(tmp_path: Path) -> None:
    gate = Gate.of(MCP(), payments(2_000, 0), costs=(10, 1), error_costs=FRAUD)
    gate.save(tmp_path / "gate")
    again = Gate.load(tmp_path / "gate")
    assert again.objectives == gate.objectives
    assert again.costs_of_errors == gate.costs_of_errors == pytest.approx({"fine": 500, "fraud": 10})
    (tmp_path / "gate" / "calibration_rows.safetensors").unlink()
    assert Gate.load(tmp_path / "gate").sentences() == gate.sentences()


def test_a_table_of_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    payments(2_000, 0).save("outputs")
    calibrate = ["calibrate", "--outputs", "outputs", "--costs", "10,1", "--error-costs", "costs.csv", "--out", "gate"]
    for text, message in {
        "fine,fraud\n0,500\n": "costs.csv: expected a column predicted, found fine, fraud",
        "predicted,fine,fraud\nfine,,much\n": "costs.csv: expected a number, or nothing, in each cell",
        "predicted,fine,fruad\nfine,,500\n": "unknown class in error_costs: 'fruad': did you mean 'fraud'",
        "predicted,fine,fraud\nfine,,-1\n": "error_costs fine fraud: expected a number",
        "predicted,fine,fraud\nfine,,inf\n": "error_costs fine fraud: expected a number",
        "predicted,fine,fraud\nfine,7,\n": "error_costs fine: expected no cost of what is right, found 7.0",
        "predicted,fine,fraud\nfine,,5\nfine,,6\n": "predicted: expected unique ids without empty ones",
    }.items():
        Path("costs.csv").write_text(text)
        assert main(calibrate) == 2
        assert message in capsys.readouterr().err
    Path("costs.csv").write_text("predicted,fine,fraud\nfine,,500\n")
    assert main(calibrate) == 0
    assert "Mean cost of an error: fine 500, fraud 10." in capsys.readouterr().out
    assert main(["predict", "--gate", "gate", "--outputs", "outputs", "--reviews", "5", "--out", "d.csv"]) == 0


def test_costs_of_classes_need_others_and_the_predicted_classes() -> None:
    with pytest.raises(SteepslopeError, match="error_costs: expected costs as well"):
        Objectives(error_costs=FRAUD)
    with pytest.raises(SteepslopeError, match="error_costs: expected costs by predicted class, then by true class"):
        Objectives(costs=(10, 1), error_costs={"fine": 3})  # type: ignore[dict-item]
    outputs = payments(200, 0)
    with pytest.raises(SteepslopeError, match="groups: expected the predicted classes"):
        Gate.of(MCP(), outputs, costs=(10, 1), error_costs=FRAUD, by="site", groups=np.repeat(["a", "b"], 100))
    with pytest.raises(SteepslopeError, match=r"error_costs: expected none: Gate\.of takes them"):
        Gate.calibrate(outputs.logits[:, 1], outputs.is_correct, costs=(10, 1), error_costs=FRAUD)


def test_errors_that_cost_nothing_are_all_accepted() -> None:
    gate = Gate.of(MCP(), payments(2_000, 0), costs=(10, 1), error_costs={"fraud": {"fine": 0.0}})
    assert np.isfinite(gate.thresholds["fraud"])
    new = payments(500, 3)
    assert gate.decide(new).accepted[new.predictions == 1].all()
