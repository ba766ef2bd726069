"""Preprocessing as a graph: bit by bit what Pillow and the transform give."""

import numpy as np
import pytest
import torch
from PIL import Image

from steepslope.errors import SteepslopeError
from steepslope.nets.data._transforms import Transform
from steepslope.nets.export._preprocessing import channels_of_decoded_images, preprocessing_graph
from tests.nets.export.rows import run

HALF = (0.5, 0.5, 0.5)
TRANSFORMS = [
    Transform((96, 96), HALF, HALF, "crop", 0.875, "bicubic"),
    Transform((64, 48), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "crop", 1.0, "bilinear"),
    Transform((32, 40), HALF, HALF, "squash", 1.0, "bicubic"),
    Transform((28, 28), (0.1307,), (0.3081,), "squash", 1.0, "bilinear"),
]
SIZES = [(28, 28), (200, 301), (300, 20), (31, 233), (96, 96), (1, 1), (1, 90)]


@pytest.mark.slow
@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda one: f"{one.resize}-{one.interpolation}-{one.channels}")
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_the_same(transform: Transform, channels: int) -> None:
    graph = preprocessing_graph(transform, channels)
    for size in SIZES:
        draw = np.random.default_rng(sum(size))
        smooth = np.linspace(0, 255, size[0] * size[1]).reshape(1, *size, 1).repeat(channels, 3)
        images = np.concatenate([draw.integers(0, 256, (2, *size, channels)), smooth]).astype(np.uint8)
        pictures = [Image.fromarray(one if channels == 3 else one[..., 0]) for one in images]
        expected = torch.stack([transform(one) for one in pictures]).numpy()
        np.testing.assert_array_equal(run(graph, {"images": images})["pixels"], expected)


def test_a_size_that_has_to_be_right_is_fixed_in_the_graph() -> None:
    transform = Transform((8, 8), (0.5,), (0.5,), "exact")
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)
    model = preprocessing_graph(transform, 1)
    expected = torch.stack([transform(Image.fromarray(one[..., 0])) for one in images]).numpy()
    np.testing.assert_array_equal(run(model, {"images": images})["pixels"], expected)
    assert [one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim] == [0, 8, 8, 1]


def test_images_are_in_colour_where_any_net_sees_colour() -> None:
    assert channels_of_decoded_images([TRANSFORMS[3]]) == 1
    assert channels_of_decoded_images([TRANSFORMS[3], TRANSFORMS[0]]) == 3


def test_what_has_no_graph_is_refused() -> None:
    with pytest.raises(SteepslopeError, match="found one of 4 channels: export the gate alone"):
        channels_of_decoded_images([Transform((8, 8), (0.5,) * 4, (0.5,) * 4)])
    with pytest.raises(SteepslopeError, match="resized by bilinear or bicubic, found lanczos"):
        channels_of_decoded_images([Transform((8, 8), HALF, HALF, interpolation="lanczos")])
