"""From an image to a classifier's input, against timm's and torchvision's own transforms."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from timm.data import create_transform
from torchvision.models import ResNet18_Weights

from steepslope.errors import SteepslopeError
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._transforms import Transform, _array_as_channels, read_transform
from tests.images import EFFICIENTNET


def test_an_image_is_turned_upright(tmp_path: Path) -> None:
    turned = Image.new("RGB", (4, 2), "black")
    turned.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[274] = 3
    turned.save(tmp_path / "turned.png", exif=exif)
    upright = Transform((2, 4), (0.0,) * 3, (1.0,) * 3, resize="exact")(Image.open(tmp_path / "turned.png"))
    assert upright[:, 1, 3].tolist() == [1, 1, 1]
    assert upright.sum() == 3


def test_transforms_are_timms_and_torchvisions() -> None:
    image = Image.fromarray(skimage.data.cat())
    theirs = create_transform(input_size=(3, 224, 224), interpolation="bicubic", crop_pct=0.875)(image)
    torch.testing.assert_close(load_classifier(EFFICIENTNET).transform(image), theirs, atol=1e-5, rtol=0)
    theirs = ResNet18_Weights.DEFAULT.transforms()(image)
    ours = load_classifier("torchvision:resnet18?weights=random").transform
    torch.testing.assert_close(ours(image), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("side", "fraction"), [(224, 0.95), (32, 0.875)])
def test_crops_are_timms(side: int, fraction: float) -> None:
    image = Image.fromarray(skimage.data.cat())
    zero, one = (0.0,) * 3, (1.0,) * 3
    size = (3, side, side)
    theirs = create_transform(input_size=size, interpolation="bicubic", crop_pct=fraction, mean=zero, std=one)
    ours = Transform((side, side), zero, one, crop_share=fraction)
    torch.testing.assert_close(ours(image), theirs(image), atol=1e-6, rtol=0)


def test_grey_and_colour_become_each_other_as_in_pil() -> None:
    image = Image.fromarray(skimage.data.cat()).resize((8, 8))
    one = Transform((8, 8), (0.0,), (1.0,), "exact")(image)
    np.testing.assert_allclose(one.numpy(), np.asarray(image.convert("L"))[None] / 255, atol=1e-6)


def test_arrays_are_resized_as_images() -> None:
    """An array of a colour image gives what the image gives, but for PIL's rounding."""
    image = Image.fromarray(skimage.data.cat()).resize((60, 40))
    for resize in ("crop", "squash"):
        transform = Transform((16, 24), (0.5,) * 3, (0.5,) * 3, resize, 0.9)
        assert transform(np.asarray(image)).shape == (3, 16, 24)
        torch.testing.assert_close(transform(np.asarray(image)), transform(image), atol=0.05, rtol=0)
    assert _array_as_channels(np.full((4, 4), 32768, np.uint16), 1)[0, 0, 0] == pytest.approx(32768 / 65535)
    many = np.random.default_rng(0).integers(65536, size=(10, 12, 6), dtype=np.uint16)
    expected = torch.from_numpy(np.moveaxis(many, 2, 0).astype(np.float32) / 65535)
    for array in (many, np.moveaxis(many, 2, 0)):  # channels first, too
        torch.testing.assert_close(_array_as_channels(array, 6), expected)
    with pytest.raises(SteepslopeError, match=r"expected an image of 6 channels, found \(4, 4, 5\)"):
        _array_as_channels(np.zeros((4, 4, 5)), 6)
    with pytest.raises(SteepslopeError, match="expected an image of 4×4 pixels, found 5×4"):
        Transform((4, 4), (0.0,) * 6, (1.0,) * 6, "exact")(np.zeros((4, 5, 6)))


def test_what_extraction_writes_can_be_given_back(tmp_path: Path) -> None:
    for resize in ("crop", "squash", "exact"):
        transform = Transform((8, 9), (0.1, 0.2), (1.0, 0.5), resize, 0.875, "bilinear")
        for content in (asdict(transform), {"extraction": {"transform": asdict(transform)}, "rows": 1}):
            (tmp_path / "given.json").write_text(json.dumps(content))
            assert read_transform(tmp_path / "given.json") == transform
