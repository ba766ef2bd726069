"""Our small nets, and their checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from steepslope.classifiers.classifier import module_digest
from steepslope.classifiers.nets import CARD, NETS, WEIGHTS, Net, TwoParts
from steepslope.classifiers.specs import load_classifier
from steepslope.errors import SteepslopeError
from steepslope.files.folders import read_json, write_json

DIGESTS = {
    Net: "3cbef6631a2e51909efc0040279a567a79d716c287b620947e0b16c853fd07cc",
    TwoParts: "64c4505d4210d6ff13ff1e91c641e9e45edebbee4038a1d1128acc7673c8f440",
}


@pytest.mark.parametrize("name", NETS)
def test_nets_have_features_and_logits(name: str) -> None:
    net = NETS[name].build(7)
    features = net.encoder(torch.zeros(2, NETS[name].channels, NETS[name].image_size, NETS[name].image_size))
    assert features.ndim == 2
    assert net.head(features).shape == (2, 7)


def test_the_papers_net_has_the_papers_size() -> None:
    net = NETS["mnist-net"].build(10)
    expected = 32 * (9 + 1) + 64 * (32 * 9 + 1) + 128 * (9216 + 1) + 10 * (128 + 1)
    assert sum(weight.numel() for weight in net.parameters()) == expected


@pytest.mark.parametrize("kind", DIGESTS)
def test_digests_are_those_of_earlier_versions(kind: type[torch.nn.Module]) -> None:
    """Or outputs and trainings of a checkpoint would be refused as another classifier's after an update."""
    net = NETS["digits-net"].build(10)
    for weight in net.parameters():
        torch.nn.init.constant_(weight, 0.5)
    assert module_digest(net if kind is Net else TwoParts(net)) == DIGESTS[kind]


@pytest.mark.parametrize("damage", ["card", "weights", "nan", "net", "field", "count"])
def test_damaged_checkpoints_are_named(home: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "classifier"
    shutil.copytree(home / "classifier", folder)
    card = read_json(folder / CARD, "a card")
    changes: dict[str, dict[str, object]] = {
        "net": {"net": "mnistnet"},
        "field": {"mean": "grey"},
        "count": {"num_classes": -5},
    }
    if damage == "card":
        (folder / CARD).write_text("{")
    elif damage == "weights":
        (folder / WEIGHTS).write_bytes(b"\0" * 100)
    elif damage == "nan":
        save_file({name: tensor * torch.nan for name, tensor in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)
    else:
        write_json(folder / CARD, card | changes[damage])
    with pytest.raises(SteepslopeError, match=str(folder)):
        load_classifier(f"checkpoint:{folder}")
