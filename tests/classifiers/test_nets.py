"""Our small nets."""

from __future__ import annotations

import pytest
import torch

from steepslope.classifiers.nets import NETS


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
