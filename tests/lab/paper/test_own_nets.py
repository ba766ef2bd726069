"""A preset of one's own: a probe on a net of other classes, beside another such net, on images that have names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image
from safetensors.numpy import load_file

from steepslope.cli._main import main
from steepslope.outputs import ClassifierOutputs
from steepslope_lab.paper.preset import read_paper_preset

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


@pytest.mark.slow
def test_accuracy_is_that_of_the_probe(tmp_path: Path) -> None:
    """Its weights, applied here to the features of the net, are right as often as the table says."""
    write_folder(tmp_path / "images")
    (tmp_path / "mine.yaml").write_text(PRESET.format(data=f"imagefolder:{tmp_path / 'images'}"))
    (tmp_path / "own.yaml").write_text(EXPERIMENT)
    words = f"reproduce {tmp_path}/own.yaml --preset {tmp_path}/mine.yaml --out {tmp_path}/out"
    assert main(words.split()) == 0
    rows = json.loads((tmp_path / "out/own.json").read_text())["rows"]
    work = tmp_path / "out/work"
    outputs = ClassifierOutputs.load(work / "outputs/mine/test")
    arrays = load_file(work / "nets/mine-0/probe.safetensors")
    predicted = (outputs.require_features() @ arrays["weights"] + arrays["bias"]).argmax(axis=1)
    labels = [sorted(NAMES).index(Path(str(one)).parts[0]) for one in outputs.require("ids")]
    accuracy = float((predicted == np.array(labels)).mean())
    assert 0.5 < accuracy < 1
    clean = [row for row in rows if row["where"] == "test"]
    assert {row["score"] for row in clean} == {"SS", "MCP", "fused, auxiliary"}
    for row in clean:
        assert row["accuracy"][0] == pytest.approx(accuracy, abs=1e-5)
        assert row["n"] == len(labels)
    assert {row["n"] for row in rows if row["where"] != "test"} == {40}


def test_nets_that_classify_are_no_backbones() -> None:
    imagenet, fashion = read_paper_preset("imagenet"), read_paper_preset("fashion-mnist")
    assert [imagenet.is_backbone(name) for name in ("vit", "rsn")] == [False, False]
    assert [fashion.is_backbone(name) for name in ("net", "lite0", "lite0-96")] == [False, True, True]
