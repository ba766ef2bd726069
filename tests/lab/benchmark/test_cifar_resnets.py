"""The residual nets for CIFAR-10: as large as published, and with the names that files of their weights have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from steepslope.nets.classifiers._specs import load_classifier
from steepslope_lab.benchmark.cifar_resnets import Block, CifarResNet, resnet20

PLACE = "module:steepslope_lab.benchmark.cifar_resnets"
SIZES = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018}  # 0.27, 0.46, 0.66 and 0.85 M in He et al. 2016, Table 6


@pytest.mark.parametrize("layers", SIZES)
def test_nets_are_as_large_as_published(layers: int) -> None:
    """The layers that are counted are the convolutions and the linear one: 6 n + 2 for n blocks a stage."""
    classifier = load_classifier(f"{PLACE}:resnet{layers}?mean=imagenet&std=imagenet").with_transform(32)
    assert sum(one.numel() for one in classifier.net.parameters()) == SIZES[layers]
    assert sum(isinstance(one, torch.nn.Conv2d | torch.nn.Linear) for one in classifier.net.modules()) == layers
    features, logits = classifier(classifier.noise(3))
    assert np.asarray(features).shape == (3, 64)
    assert logits.shape == (3, 10)
    assert [*(classifier.classes or {})][:3] == ["airplane", "automobile", "bird"]


def public_names(blocks: int) -> list[str]:
    """Return the names of weights in the public files, counters of batch normalisation left out, as these do."""
    norm = ("weight", "bias", "running_mean", "running_var")
    stages = [f"layer{stage}.{block}." for stage in (1, 2, 3) for block in range(blocks)]
    pairs = [("conv1", "bn1"), *((f"{stage}conv{one}", f"{stage}bn{one}") for stage in stages for one in (1, 2))]
    inner = [name for conv, bn in pairs for name in (f"{conv}.weight", *(f"{bn}.{one}" for one in norm))]
    return [*inner, "linear.weight", "linear.bias"]


def test_public_files_fit(tmp_path: Path) -> None:
    """They have a state dict of a parallel training: each weight comes to its place."""
    source, path = resnet20().eval(), tmp_path / "resnet20.th"
    draw = torch.Generator().manual_seed(1)
    for weight in source.state_dict().values():
        if weight.is_floating_point():
            weight.copy_(torch.rand(weight.shape, generator=draw) * 0.2 + 0.05)
    state = source.state_dict()
    torch.save({"state_dict": {f"module.{name}": state[name] for name in public_names(3)}, "best_prec1": 91.8}, path)
    classifier = load_classifier(f"{PLACE}:resnet20?weights={path}").with_transform(32, 0.5, 0.5)
    images = classifier.noise(2)
    np.testing.assert_allclose(classifier(images)[1], source(images).detach(), rtol=1e-5)
    assert classifier.digest != load_classifier(f"{PLACE}:resnet20").digest


def test_a_shortcut_leaves_out_places_and_adds_empty_channels() -> None:
    """Where the convolutions give nothing, a block of more channels keeps each second place, between zeros."""
    block = Block(2, 4).eval()
    torch.nn.init.zeros_(block.conv2.weight)
    maps = torch.rand(1, 2, 6, 6)
    passed = block(maps)
    assert passed.shape == (1, 4, 3, 3)
    torch.testing.assert_close(passed[:, 1:3], maps[:, :, ::2, ::2])
    assert not passed[:, [0, 3]].any()
    assert not any("shortcut" in name for name in CifarResNet(1).state_dict())
