"""The experiments on the fused oracle, small, and the committed results of the large ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steepslope.data.datasets import parse_dataset
from steepslope.experiments import fused_table as fused_module, probe_table as probe_module
from steepslope.experiments.distortions import DISTORTIONS, distorted
from steepslope.experiments.fused_table import fused_table, gains, score_table, tables
from steepslope.experiments.probe_table import probe_table
from steepslope.scores import SCORES

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_both_tables_on_digits(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's classifier, and an untrained net as the auxiliary backbone and as the one that is probed."""
    monkeypatch.setattr(fused_module, "DISTORTIONS", {name: DISTORTIONS[name] for name in ("erase", "motion")})
    monkeypatch.setattr(fused_module, "PASSES", 3)
    for module, name in [(one, name) for one in (fused_module, probe_module) for name in ("PLAIN", "AUXILIARY")]:
        monkeypatch.setattr(module, name, replace(getattr(module, name), backend="torch"))
    net, work = "module:tests.nets:ten_classes", str(tmp_path / "work")
    fused_table("digits", str(demo), work, str(tmp_path / "fused"), net, 16, seeds=(0,))
    rows = json.loads((tmp_path / "fused" / "rows.json").read_text())
    names = [row["score"] for row in rows]
    assert names == [*SCORES, "fused-free", "fused-auxiliary", fused_module.RETRAINED]
    assert rows[-2]["best_single"]["score"] in SCORES
    assert 0 <= rows[-2]["ece"] < 0.2
    shifted = json.loads((tmp_path / "fused" / "shifted.json").read_text())
    assert [(row["distortion"], row["level"]) for row in shifted] == [
        (name, level) for name in ("erase", "motion") for level in (0, 1)
    ]
    assert "| erase * |" in (tmp_path / "fused" / "table.md").read_text()
    probe_table("digits", str(demo), work, str(tmp_path / "probe"), net, 16, seeds=(0,))
    probed = json.loads((tmp_path / "probe" / "rows.json").read_text())
    names = [row["score"] for row in probed]
    assert names[-2:] == ["fused-free", "fused-auxiliary"]
    assert "mc_dropout" not in names
    assert probed[-1]["auc"]["value"] > probed[0]["auc"]["value"] - 0.02


def test_distortions_change_what_they_say() -> None:
    images = parse_dataset("digits").load_into_memory("test").subset(np.arange(50))
    for name in DISTORTIONS:
        weak, strong = (distorted(images, name, level) for level in (0, 1))
        assert weak.pixels.shape == images.pixels.shape
        assert weak.labels is images.labels
        changes = [np.abs(one.pixels.astype(int) - images.pixels.astype(int)).mean() for one in (weak, strong)]
        assert changes[0] > 0
        assert name == "scale" or changes[0] < changes[1]
        np.testing.assert_array_equal(distorted(images, name, 1).pixels, strong.pixels)
    np.testing.assert_array_equal(distorted(images, "invert", 1).pixels, 255 - images.pixels)


def test_committed_tables_are_those_of_their_rows() -> None:
    rows, shifted = (json.loads((RESULTS / "fused" / name).read_text()) for name in ("rows.json", "shifted.json"))
    assert tables(rows, shifted) == (RESULTS / "fused" / "table.md").read_text()
    probed = json.loads((RESULTS / "fused-probe" / "rows.json").read_text())
    text = "\n\n".join([score_table(probed), gains(probed)]) + "\n"
    assert text == (RESULTS / "fused-probe" / "table.md").read_text()


@pytest.mark.parametrize("folder", ["fused", "fused-probe"])
@pytest.mark.parametrize("budget", ["free", "auxiliary"])
def test_committed_rows_beat_mcp_and_the_best_single_score(folder: str, budget: str) -> None:
    """In each of three seeds the paired intervals of AUC and AURC exclude 0."""
    rows = json.loads((RESULTS / folder / "rows.json").read_text())
    fused = [row for row in rows if row["score"] == f"fused-{budget}"]
    assert len(fused) == 3
    for row in fused:
        for rival in (row["vs_mcp"], row["best_single"]):
            assert rival["auc"]["low"] > 0
            assert rival["aurc"]["high"] < 0


@pytest.mark.parametrize(
    ("budget", "least_mean", "bound", "harmed"), [("free", 0.04, -0.007, 1), ("auxiliary", 0.075, -0.01, 0)]
)
def test_committed_distortions_do_no_harm(budget: str, least_mean: float, bound: float, harmed: int) -> None:
    """The mean gain is large; but for perspective no kind costs much in the mean of seeds and severities."""
    shifted = json.loads((RESULTS / "fused" / "shifted.json").read_text())
    gains_of = {
        name: [row[f"delta_{budget}"]["value"] for row in shifted if row["distortion"] == name] for name in DISTORTIONS
    }
    assert {len(values) for values in gains_of.values()} == {6}
    means = np.array([np.mean(values) for values in gains_of.values()])
    assert means.mean() > least_mean
    assert (means < bound).sum() <= harmed
