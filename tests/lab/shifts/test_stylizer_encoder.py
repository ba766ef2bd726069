"""The encoder: where a backbone is read, what it gives there, and which backbones are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steepslope.errors import SteepslopeError
from steepslope.nets.classifiers._specs import load_classifier
from steepslope_lab.shifts.stylizer_encoder import EncoderPlan, encoder_of, rebuilt_encoder

RESNET = "timm:resnet18?weights=random"


@pytest.mark.parametrize(
    ("spec", "channels"),
    [
        (RESNET, (64, 64, 128)),
        ("timm:mobilenetv3_small_100?weights=random", (16, 16, 72)),
        ("torchvision:mobilenet_v3_small?weights=random", (16, 16, 72)),
    ],
)
def test_each_net_is_read_at_every_halving(spec: str, channels: tuple[int, ...]) -> None:
    maps = encoder_of(load_classifier(spec), 8)(torch.rand(2, 3, 32, 48))
    assert [tuple(one.shape) for one in maps] == [
        (2, width, 32 // level, 48 // level) for width, level in zip(channels, (2, 4, 8), strict=True)
    ]


def test_maps_are_those_of_the_backbone_on_normalised_images() -> None:
    classifier = load_classifier(RESNET)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(one).view(1, 3, 1, 1) for one in (classifier.transform.mean, classifier.transform.std))
    net: Any = classifier.net.model
    with torch.no_grad():
        shallow = net.act1(net.bn1(net.conv1((images - mean) / std))).clone()
        before = net.layer1(net.maxpool(shallow))
        block = net.layer2[0]
        deep = torch.relu(block.bn1(block.conv1(before)))
        found = encoder_of(classifier, 8)(images)
    torch.testing.assert_close(found[0], shallow)
    torch.testing.assert_close(found[2], deep)


def test_encoder_is_frozen_stays_in_evaluation_mode_and_drops_what_lies_behind() -> None:
    encoder = encoder_of(load_classifier(RESNET), 4).train()
    assert not any(layer.training for layer in encoder.modules())
    assert not any(weight.requires_grad for weight in encoder.parameters())
    names = {name.split(".")[1] for name in encoder.state_dict()}
    assert names == {"conv1", "bn1", "layer1"}


class _OneActivation(nn.Module):
    """Halves the image twice, with one activation for both."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.relu = nn.Conv2d(3, 4, 2, 2), nn.Conv2d(4, 5, 2, 2), nn.ReLU(inplace=True)

    def forward(self, images: Tensor) -> Tensor:
        maps: Tensor = self.relu(self.second(self.relu(self.first(images))))
        return maps


def test_a_layer_that_runs_twice_is_read_where_it_runs_first() -> None:
    net, given = _OneActivation(), load_classifier(RESNET)
    encoder = encoder_of(replace(given, net=net), 4)
    assert encoder.plan.points == ("relu", "second")
    images = torch.rand(1, 3, 8, 8)
    normalised = (images - encoder.mean) / encoder.std
    with torch.no_grad():
        first = net.first(normalised).relu()
        found = encoder(images)
        torch.testing.assert_close(found[0], first)
        torch.testing.assert_close(found[1], net.second(first))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("net:mnist-net", "expected an encoder of RGB images, found 1 channels"),
        ("timm:vit_tiny_patch16_224?weights=random", "expected a convolutional net that takes RGB images of any size"),
        ("torchvision:squeezenet1_1?weights=random", "expected feature maps 8 times smaller than the image, found"),
    ],
)
def test_other_nets_are_refused_in_one_line(spec: str, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message) as raised:
        encoder_of(load_classifier(spec), 8)
    assert "\n" not in str(raised.value)


def test_a_net_that_no_spec_rebuilds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steepslope_lab.shifts.stylizer_encoder.architecture_spec", lambda classifier: "onnx:net.onnx")
    with pytest.raises(SteepslopeError, match="expected a net of timm: or torchvision: as the stylizer's encoder"):
        encoder_of(load_classifier(RESNET), 8)


@pytest.mark.parametrize(
    ("points", "channels", "message"),
    [
        (("act1",), (63,), r"expected maps of \(63,\) channels at \('act1',\), found \(64,\)"),
        (("act7",), (64,), "expected layers of the net as points, found 'act7'"),
        (("layer1",), (64,), "expected layers of the net as points, found 'layer1'"),
    ],
)
def test_a_plan_fits_its_net(points: tuple[str, ...], channels: tuple[int, ...], message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        rebuilt_encoder(EncoderPlan(RESNET, points, channels, 2, (0.0,) * 3, (1.0,) * 3))
