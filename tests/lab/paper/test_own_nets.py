"""A preset of one's own: a probe on a net of other classes, beside another such net, on images that have names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image
from safetensors.numpy import load_file

from steepslope.cli.main import main
from steepslope.lab.paper.preset import read_preset
from steepslope.outputs import ClassifierOutputs

NAMES = ("nought", "ace", "deuce")  # labels follow their sorted order
PRESET = """\
data: {data}
seeds: [0]
resamples: 20
copies: false
rows: 40
nets:
  mine: {{spec: "timm:test_efficientnet?weights=random", size: 32, mean: .5, std: .5, probe: true, auxiliary: other}}
  other: {{spec: "timm:test_resnet?weights=random", size: 32, mean: .5, std: .5}}
pairs:
  - {{oracle: mine, classifier: mine, training: {{epochs: 1, alpha_pos: 1, alpha_neg: 3, batch_size: 20}}}}
"""
EXPERIMENT = """\
title: Mine
pairs: first
where: [test, "corrupt:contrast:5"]
ours: [SS, MCP, "fused, auxiliary"]
columns: [auc]
views: [table]
"""


class Run(NamedTuple):
    """Where a preset of one's own has left its results, and the test images as arrays by class."""

    work: Path
    rows: list[dict[str, Any]]


def write_folder(root: Path) -> None:
    """Write three digits under noise as coloured images, half of them to train."""
    bunch, rng = sklearn.datasets.load_digits(), np.random.default_rng(0)
    for label, name in enumerate(NAMES):
        pixels = bunch.images[bunch.target == label] * 15
        noisy = (pixels + rng.normal(scale=110, size=pixels.shape)).clip(0, 255).astype(np.uint8)
        for row, one in enumerate(noisy):
            path = root / ("train" if row % 2 else "val") / name / f"{row}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(one).convert("RGB").resize((40, 36)).save(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Make a table of one's own, on a folder of images."""
    home = tmp_path_factory.mktemp("folder")
    write_folder(home / "images")
    (home / "mine.yaml").write_text(PRESET.format(data=f"imagefolder:{home / 'images'}"))
    (home / "own.yaml").write_text(EXPERIMENT)
    words = ["reproduce", str(home / "own.yaml"), "--preset", str(home / "mine.yaml"), "--out", str(home / "out")]
    assert main(words) == 0
    return Run(home / "out/work", json.loads((home / "out/own.json").read_text())["rows"])


@pytest.mark.slow
def test_backbones_have_features_and_no_labels(run: Run) -> None:
    for name in ("mine", "other"):
        outputs = ClassifierOutputs.load(run.work / "outputs" / name / "train")
        assert outputs.labels is None
        assert outputs.require_features().shape[1] > 10


@pytest.mark.slow
def test_accuracy_is_that_of_the_probe(run: Run) -> None:
    """Its weights, applied here to the features of the net, are right as often as the table says."""
    outputs = ClassifierOutputs.load(run.work / "outputs/mine/test")
    assert outputs.ids is not None
    arrays = load_file(run.work / "nets/mine-0/probe.safetensors")
    predicted = (np.asarray(outputs.require_features()) @ arrays["weights"] + arrays["bias"]).argmax(axis=1)
    labels = [sorted(NAMES).index(Path(str(one)).parts[0]) for one in outputs.ids]
    accuracy = float((predicted == np.array(labels)).mean())
    assert 0.5 < accuracy < 1
    clean = [row for row in run.rows if row["where"] == "test"]
    assert {row["score"] for row in clean} == {"SS", "MCP", "fused, auxiliary"}
    for row in clean:
        assert row["accuracy"][0] == pytest.approx(accuracy, abs=1e-5)
        assert row["n"] == len(labels)


@pytest.mark.slow
def test_shifted_images_keep_their_labels(run: Run) -> None:
    """Without contrast a probe guesses, better than chance at most by a little."""
    for row in (row for row in run.rows if row["where"] != "test"):
        assert row["n"] == 40
        assert row["accuracy"][0] < 0.95


def test_nets_that_classify_are_no_backbones() -> None:
    imagenet, fashion = read_preset("imagenet"), read_preset("fashion-mnist")
    assert [imagenet.is_backbone(name) for name in ("vit", "rsn")] == [False, False]
    assert [fashion.is_backbone(name) for name in ("net", "lite0", "lite0-96")] == [False, True, True]
