"""Corruptions: the package's own on what it takes, and sound on whatever else there is."""

from __future__ import annotations

import numpy as np
import pytest
from imagecorruptions import corrupt
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import v2

from steepslope.errors import SteepslopeError
from steepslope.nets.data._images import Images
from steepslope.nets.data._shifted import Shifted
from steepslope_lab.shifts.corruptions import CORRUPTIONS, NOISES, Corruption, corrupted, image_seed
from steepslope_lab.shifts.pixels import cropped_picture, picture_as_floats

OWN_SEED = ("impulse_noise", "glass_blur")  # the package ignores NumPy's global seed there
SHAPES = [(1, 1, 1), (20, 150, 3), (40, 36, 6)]


def scene(*shape: int) -> NDArray[np.uint8]:
    """Make an image of smooth colours with an edge, which every corruption changes."""
    height, width, channels = shape
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 9 + one) + np.cos(columns / 7 - one) + (columns > width / 2) for one in range(channels)]
    return (40 + 45 * (np.stack(waves, axis=2) + 2)).clip(0, 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_colour_images_equal_the_package(kind: str) -> None:
    pixels = scene(48, 64, 3)
    for severity in (1, 5):
        np.random.seed(3)  # noqa: NPY002
        theirs = corrupt(pixels, severity, kind, **({"seed": 3} if kind in OWN_SEED else {}))
        assert np.array_equal(corrupted(pixels, kind, severity, 3), theirs)
        assert (theirs != pixels).any()


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_any_size_and_number_of_channels(shape: tuple[int, ...], kind: str) -> None:
    changed, again = (corrupted(scene(*shape), kind, 5, 0) for _ in range(2))
    assert (changed.shape, changed.dtype.name) == (shape, "uint8")
    assert np.array_equal(changed, again)
    assert changed.any()


def test_noise_of_grey_images_has_its_strength() -> None:
    """The mean of three channels would have a third of its variance."""
    grey = np.full((64, 64, 1), 128, dtype=np.uint8)
    noise = corrupted(grey, "gaussian_noise", 1, 0).astype(float) - 128
    assert noise.std() == pytest.approx(0.08 * 255, rel=0.05)


def test_channels_are_moved_alike_and_their_noise_differs() -> None:
    pixels = scene(48, 48, 1).repeat(4, axis=2)
    for kind in ("motion_blur", "elastic_transform", "glass_blur"):
        changed = corrupted(pixels, kind, 3, 0)
        assert (changed == changed[..., :1]).all()
    for kind in NOISES:
        changed = corrupted(pixels, kind, 3, 0)
        assert all((changed[..., 0] != changed[..., one]).mean() > 0.1 for one in (1, 2, 3))


def test_a_spatter_without_drops_changes_nothing() -> None:
    """The package divides by the wettest pixel, and makes an image black that has none."""
    pixels = scene(32, 32, 3)
    changed = [corrupted(pixels, "spatter", 1, seed) for seed in range(60)]
    assert any(np.array_equal(one, pixels) for one in changed)
    assert all(one.any() for one in changed)


def images(n: int = 5) -> Images:
    pixels = np.random.default_rng(0).integers(256, size=(n, 28, 28), dtype=np.uint8)
    return Images(pixels, np.arange(n) % 3, np.array([f"test/{row}" for row in range(n)]))


def test_grey_stays_grey_and_crops_are_those_of_imagenet_c() -> None:
    shift = Corruption("pixelate", 1, crop=32)
    assert shift.size == (32, 32)
    grey, colour = (Image.fromarray(scene(80, 60, 3)).convert(mode) for mode in ("L", "RGBA"))
    changed = shift([grey, colour], ["a", "b"])
    assert [(one.mode, one.size) for one in changed if isinstance(one, Image.Image)] == [
        ("L", (32, 32)), ("RGB", (32, 32)),
    ]  # fmt: skip
    (array,) = shift([np.random.default_rng(0).random((5, 80, 60), dtype=np.float32)], ["c"])
    assert np.asarray(array).shape == (32, 32, 5)
    assert np.asarray(array).dtype == np.float32


@pytest.mark.parametrize("size", [(300, 120), (30, 40)])
def test_crops_equal_torchvisions(size: tuple[int, int]) -> None:
    image = Image.fromarray(scene(*size, 3))
    wanted = v2.Compose([v2.Resize(256), v2.CenterCrop(224)])(image)
    assert np.array_equal(np.asarray(cropped_picture(image, 224)), np.asarray(wanted))


def test_images_that_were_cropped_are_not_cropped_again() -> None:
    once = Shifted(images(), Corruption("contrast", 1, crop=20))
    twice = Shifted(once, Corruption("brightness", 1, crop=20))
    expected = corrupted(np.asarray(once.image(1))[..., None], "brightness", 1, image_seed(0, "test/1"))
    assert np.array_equal(np.asarray(twice.image(1)), expected[..., 0])


def test_arrays_are_read_by_their_shorter_axis_and_must_be_in_range() -> None:
    array = np.random.default_rng(0).random((6, 16, 20), dtype=np.float32)
    assert np.array_equal(picture_as_floats(array), np.moveaxis(array, 0, 2))
    for wrong in (array + 1, array - 1, np.full_like(array, np.nan)):
        with pytest.raises(SteepslopeError, match=r"expected floats in \[0, 1\], found "):
            picture_as_floats(wrong)
