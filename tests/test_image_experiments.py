"""The experiments on image oracles, small, and the committed results of the large ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from steepslope.experiments import image_table as image_module
from steepslope.experiments import recipe_table as recipe_module
from steepslope.experiments.image_table import image_table
from steepslope.experiments.recipe_table import recipe_table
from steepslope.losses import PAPER_LOSSES
from steepslope.presets import preset

RESULTS = Path(__file__).parents[1] / "results"
SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 32, "learning_rate": 1e-3}
PAIRS = [("lite0", "net"), ("lite0", "lite0"), ("net", "net"), ("net", "lite0")]


@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_every_pair_and_loss_on_digits(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's classifier and an untrained net; a second run finds all trained and says the same."""
    given_input = {"oracle_mean": 0.5, "oracle_std": 0.5}
    monkeypatch.setattr(image_module, "preset", lambda name: SHORT | (given_input if "-lite0-" in name else {}))
    net, out = "net:digits-net?classes=10", tmp_path / "out"
    given = ("digits", str(demo), str(tmp_path / "work"), str(out), net, 8, 0.5, 0.5, 300, (0,))
    image_table(*given)
    text, rows = (out / "table.md").read_text(), json.loads((out / "rows.json").read_text())
    assert list(dict.fromkeys((row["oracle"], row["classifier"]) for row in rows)) == PAIRS
    assert [row["score"] for row in rows[:5]] == ["mcp", *PAPER_LOSSES]
    assert image_module.tables(rows) == text  # from numbers that JSON has held
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.safetensors")}
    assert len(made) == 16
    shutil.rmtree(out)
    image_table(*given)
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert (out / "table.md").read_text() == text


@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_the_recipe_from_the_classifier_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shortened = preset("fashion-mnist") | {"hidden": [8]}
    shortened["stages"] = [stage | {"epochs": 1} for stage in shortened["stages"]]
    classifier = preset("fashion-mnist-classifier") | {"net": "digits-net", "epochs": 8, "learning_rate": 0.05}
    says = {"a": classifier | {"holdout": 200}, "b": shortened}
    monkeypatch.setattr(recipe_module, "preset", says.__getitem__)
    out = tmp_path / "out"
    recipe_table("digits", str(tmp_path / "work"), str(out), "a", "b", seeds=(0,))
    rows = json.loads((out / "rows.json").read_text())
    names = ["mcp", "mc_dropout", "trust_score", "confidnet", "confidnet-tuned", "steep-slope"]
    assert [row["score"] for row in rows] == names
    assert rows[0]["accuracy"]["value"] > 0.8
    assert recipe_module.tables(rows) == (out / "table.md").read_text()
