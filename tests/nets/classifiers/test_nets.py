"""Our small nets, and their checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from steepslope.errors import SteepslopeError
from steepslope.files._folders import read_json, write_json
from steepslope.nets._weights import digest_of_weights
from steepslope.nets.classifiers._classifier import module_digest
from steepslope.nets.classifiers._nets import CARD, NETS, WEIGHTS
from steepslope.nets.classifiers._specs import load_classifier


@pytest.mark.parametrize("name", NETS)
def test_nets_have_features_and_logits(name: str) -> None:
    net = NETS[name].build(7)
    features = net.encoder(torch.zeros(2, NETS[name].channels, NETS[name].image_size, NETS[name].image_size))
    assert features.ndim == 2
    assert net.head(features).shape == (2, 7)


def test_the_digest_of_a_net_of_ours_does_not_tell_where_its_file_lies() -> None:
    """Outputs and gates made before a file was moved name the same net."""
    net = NETS["digits-net"].build(10)
    rates = [""] * len(list(net.modules()))
    assert module_digest(net) == digest_of_weights(f"steepslope.nets.classifiers.nets {net!r} {rates}", net)


def test_the_papers_net_has_the_papers_size() -> None:
    net = NETS["mnist-net"].build(10)
    expected = 32 * (9 + 1) + 64 * (32 * 9 + 1) + 128 * (9216 + 1) + 10 * (128 + 1)
    assert sum(weight.numel() for weight in net.parameters()) == expected


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
