"""An oracle on images judges by the images of the outputs' ids, in any order, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from steepslope.errors import SteepslopeError
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._transforms import Transform
from steepslope.nets.training._on_images import ImageOracle, build_image_oracle_net
from steepslope.outputs import ClassifierOutputs
from tests.images import opened

RECIPE = {"loss": "steep_slope", "alpha_neg": 5.0}
ROWS = np.array([70, 3, 40])


def test_its_images_are_found_by_id() -> None:
    backbone, images = load_classifier("net:digits-net"), opened("digits:test")
    transform = Transform(backbone.transform.size, (0.5,), (0.25,), "squash")
    net = build_image_oracle_net(replace(backbone, transform=transform), (4,), "hyperplane", seed=0).eval()
    oracle = ImageOracle(net, backbone.spec, transform, 10, RECIPE)
    outputs = ClassifierOutputs(np.zeros((3, 10)), ids=np.asarray(images.ids)[ROWS])
    with pytest.raises(SteepslopeError, match="this oracle needs the images: name their data set"):
        oracle.trust_logit(outputs)
    pixels = torch.from_numpy(np.stack([np.asarray(images.image(row)) for row in ROWS]))[:, None]
    with torch.no_grad():
        expected = net((pixels / 255 - 0.5) / 0.25).numpy()
    np.testing.assert_allclose(oracle.on(images).trust_logit(outputs), expected, rtol=1e-5)
    assert oracle.loss_settings.parameters == {"alpha_pos": 1.0, "alpha_neg": 5.0}
    assert next(oracle.on(images, device="meta").net.parameters()).is_meta
