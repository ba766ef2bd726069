"""Table 2 on a frozen classifier with a file of weights: digits under noise in folders named as CIFAR-10's classes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from numpy.typing import NDArray
from PIL import Image

from steepslope.cli.main import main
from steepslope.lab.benchmark.cifar_resnets import CLASSES, CifarResNet, resnet20
from steepslope.metrics import aupr_error
from steepslope.nets.training.loop import HISTORY
from steepslope.nets.training.on_images import ImageOracle
from steepslope.outputs import ClassifierOutputs
from tests.images import opened

pytestmark = pytest.mark.slow
A_CLASS, HELD_OUT, EPOCHS = 15, 70, 2  # images of a class, in each folder
LINES = {"MCP", "TrustScore", "TCP", "SS", "best single score", "TCP, new layers alone", "fused, free"}
CODE = ["module:steepslope.lab.benchmark.cifar_resnets:resnet20"]
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def write_images(root: Path) -> None:
    bunch, draw = sklearn.datasets.load_digits(), np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        digits = bunch.images[bunch.target == label].repeat(4, axis=1).repeat(4, axis=2) * 15
        noisy = (digits + draw.normal(scale=70, size=digits.shape)).clip(0, 255).astype(np.uint8)
        for row, pixels in enumerate(noisy[: 2 * A_CLASS]):
            folder = root / ("train" if row < A_CLASS else "test") / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).convert("RGB").save(folder / f"{row % A_CLASS:03d}.png")  # as in the real folders


def predicted(net: CifarResNet, files: list[Path]) -> NDArray[np.int64]:
    """Return the classes of images, normalised here."""
    pixels = np.stack([np.asarray(Image.open(file), dtype=np.float32) / 255 for file in files])
    images = torch.from_numpy(((pixels - MEAN) / STD).astype(np.float32)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return np.asarray(net(images).argmax(dim=1))


def write_net(root: Path, path: Path) -> CifarResNet:
    """Write weights as those of parallel training: random layers, and a last one by least squares on some images."""
    torch.manual_seed(0)
    net, features = resnet20().eval(), []
    net.linear.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].double()))
    files = [file for name in CLASSES for file in sorted((root / "train" / name).iterdir())]
    predicted(net, files)
    columns = torch.cat([features[0], torch.ones(len(files), 1)], dim=1)
    targets = torch.eye(10, dtype=torch.float64).repeat_interleave(A_CLASS, dim=0) - 0.1
    ridge = columns.T @ columns + 1e-2 * torch.eye(65)
    fitted = 10 * torch.linalg.solve(ridge, columns.T @ targets).float()
    net.load_state_dict(net.state_dict() | {"linear.weight": fitted[:64].T, "linear.bias": fitted[64]})
    torch.save({"state_dict": {f"module.{name}": weight for name, weight in net.state_dict().items()}}, path)
    return net


def test_table_2_of_a_frozen_classifier(tmp_path: Path) -> None:
    """Its accuracy is that of the net with those weights, and its encoder is the oracle's, which is then trained."""
    root, out = tmp_path / "images", tmp_path / "out"
    write_images(root)
    net = write_net(root, tmp_path / "net.th")
    changes = [f"nets.small.spec={CODE[0]}?weights={tmp_path / 'net.th'}"]
    changes += [f"holdout={HELD_OUT}", "copies=false", "resamples=10"]
    changes += [f"recipe.0.training.stages.{number}.epochs={EPOCHS}" for number in range(3)]
    words = ["reproduce", "table2", "--preset", "cifar10-resnet20", "--data", f"imagefolder:{root}", "--seeds", "0"]
    assert main([*words, "--out", str(out), "--set", ",".join(changes), "--compare"]) == 0
    outputs = ClassifierOutputs.load(out / "work/outputs/small/test")
    files = [root / "test" / str(one) for one in outputs.ids]  # type: ignore[union-attr]
    right = predicted(net, files) == np.array([CLASSES.index(file.parent.name) for file in files])
    rows = json.loads((out / "table2.json").read_text())["rows"]
    assert {row["score"] for row in rows} == LINES
    assert len(files) == 10 * A_CLASS - HELD_OUT
    assert 0.2 < right.mean() < 1
    for row in rows:
        assert row["n"] == len(files)
        assert row["accuracy"][0] == pytest.approx(right.mean(), abs=1e-5)
    assert "MCDropout of small, which has no dropout" in (out / "table2.md").read_text()
    assert "not of the paper's data" in (out / "table2-compared.md").read_text()
    stages = out / "work/oracles/small-small-0/in-stages"
    first, tuned = (ImageOracle.load(stages / name, CODE).net.backbone for name in ("confidnet", "confidnet-tuned"))
    kept, changed = (one.state_dict()["model.conv1.weight"] for one in (first, tuned))
    assert torch.equal(kept, net.conv1.weight)
    assert not torch.equal(changed, net.conv1.weight)
    held_out = ClassifierOutputs.load(out / "work/outputs/small/holdout")
    for name in ("confidnet-tuned", "steep-slope"):  # weights of the epoch that is best on the held-out test images
        with (stages / name / HISTORY).open() as file:
            scores = [float(row["valid_aupr_error"]) for row in csv.DictReader(file) if row["valid_aupr_error"]]
        oracle = ImageOracle.load(stages / name, CODE).on(opened(f"imagefolder:{root}/test"))
        assert len(scores) == EPOCHS
        assert max(scores) == pytest.approx(aupr_error(oracle.trust_logit(held_out), held_out.is_correct), abs=1e-4)
