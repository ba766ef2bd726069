"""A shifted data set: blocks, unreadable images, and images that have the classifier's size already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.nets.data._images import Images, Labels, Picture
from steepslope.nets.data._shifted import Shifted, Size, shift_recipes_of
from steepslope.nets.data._transforms import Transform, decoded_image_batches, transform_for_data
from steepslope.nets.extraction._other_nets import Unlabelled
from tests.images import folder_of, opened


class Inverted:
    """Invert in blocks, refuse bright images with their whole block, and remember what was given."""

    title = "inverted"

    def __init__(self, block: int = 3, size: Size | None = None) -> None:
        self.block, self.size, self.given, self.told = block, size, [], []  # type: ignore[var-annotated]

    @property
    def recipe(self) -> dict[str, Any]:
        return {"method": "invert", "block": self.block}

    def __call__(
        self, images: Sequence[Picture], ids: Sequence[str], labels: Labels | None, brought_to: Size | None
    ) -> list[Picture]:
        self.given.append((list(ids), None if labels is None else labels.tolist()))
        self.told.append(brought_to)
        if any(np.asarray(image).mean() == 255 for image in images):
            raise SteepslopeError("too bright")
        return [1 - np.atleast_3d(np.asarray(image, dtype=np.float32)) / 255 for image in images]


def images(n: int = 8) -> Images:
    pixels = np.random.default_rng(0).integers(256, size=(n, 6, 5), dtype=np.uint8)
    return Images(pixels, np.arange(n) % 4, np.array([f"test/{row}" for row in range(n)]), ("a", "b", "c", "d"))


def test_blocks_are_shifted_together_with_their_ids_and_labels() -> None:
    data, shift = images(), Inverted()
    shifted = Shifted(data, shift)
    found = [image for number in range(3) for image in shifted.shifted_block(number)]
    assert np.array_equal(np.array(found), 1 - data.pixels[..., None].astype(np.float32) / 255)
    assert np.array_equal(np.asarray(Shifted(data, Inverted()).image(4)), np.asarray(found[4]))
    assert [ids for ids, _ in shift.given] == [["test/0", "test/1", "test/2"], ["test/3", "test/4", "test/5"],
                                               ["test/6", "test/7"]]  # fmt: skip
    assert [labels for _, labels in shift.given] == [[0, 1, 2], [3, 0, 1], [2, 3]]
    assert (len(shifted), shifted.classes, shifted.ids[7]) == (8, data.classes, "test/7")


def test_an_unreadable_image_does_not_spoil_its_block(tmp_path: Path) -> None:
    source = folder_of(tmp_path, 1)
    (source / "bee" / "0000.png").write_bytes(b"none")
    shift = Inverted()
    shifted = Shifted(opened(f"imagefolder:{source}"), shift)
    first, broken, last = shifted.shifted_block(0)
    assert np.asarray(first).shape == np.asarray(last).shape == (12, 10, 3)
    assert isinstance(broken, OSError)
    assert shift.given == [(["ant/0000.png"], [0]), (["cow/0000.png"], [2])]
    with pytest.raises(OSError, match="cannot identify"):
        shifted.image(1)


def test_parts_are_parts_of_the_fingerprint() -> None:
    shifted = Shifted(images(), Inverted())
    assert shifted.fingerprint() == Shifted(images(), Inverted()).fingerprint()
    others = [shifted.fingerprint(slice(0, 4)), shifted.fingerprint(slice(4, 8)), images().fingerprint(),
              Shifted(images(), Inverted(2)).fingerprint(),
              shifted.subset(np.array([1, 0, 2, 3, 4, 5, 6, 7])).fingerprint()]  # fmt: skip
    assert len({shifted.fingerprint(), *others}) == 6


@pytest.mark.parametrize("wrapped", [False, True])
def test_images_of_the_classifiers_size_are_not_cropped_again(wrapped: bool) -> None:
    """Also where another data set holds the shifted one, or a later shift keeps the size."""
    transform = Transform((6, 5), (0.0,), (1.0,), "crop", 0.5)
    shifted: Any = Shifted(Shifted(images(), Inverted(size=(6, 5))), Inverted())
    data = Unlabelled(shifted, np.arange(8)) if wrapped else shifted
    assert transform_for_data(data, transform).resize == "exact"
    (batch,) = decoded_image_batches(data, np.arange(8), transform, 8)
    expected = np.stack([np.asarray(shifted.image(row)) for row in range(8)])
    assert np.array_equal(batch.numpy(), np.moveaxis(expected, 3, 1))
    for other in (images(), Shifted(images(), Inverted()), Shifted(images(), Inverted(size=(5, 5)))):
        assert transform_for_data(other, transform) == transform


def test_float_images_are_converted_between_grey_and_colour() -> None:
    grey = np.random.default_rng(0).random((4, 3, 1), dtype=np.float32)
    colour = np.random.default_rng(1).random((4, 3, 3), dtype=np.float32)
    to_grey, to_colour = (Transform((4, 3), (0.0,) * one, (1.0,) * one, "exact") for one in (1, 3))
    assert np.array_equal(to_colour(grey).numpy(), np.moveaxis(grey.repeat(3, axis=2), 2, 0))
    luma = 0.299 * colour[..., 0] + 0.587 * colour[..., 1] + 0.114 * colour[..., 2]
    np.testing.assert_allclose(to_grey(colour)[0].numpy(), luma, atol=1e-6)
    assert np.array_equal(to_colour(colour).numpy(), np.moveaxis(colour, 2, 0))
    with pytest.raises(SteepslopeError, match="expected an image of 1 channels"):
        to_grey(np.zeros((4, 3, 2), np.float32))


def test_one_image_that_cannot_be_shifted_does_not_spoil_its_block() -> None:
    data = images()
    data.pixels[1] = 255
    shifted = Shifted(data, Inverted())
    first, broken, last = shifted.shifted_block(0)
    assert np.asarray(first).shape == np.asarray(last).shape == (6, 5, 1)
    assert str(broken) == "too bright"


def test_shifts_of_shifted_images_are_told_their_size() -> None:
    """Else what one has cropped the next would crop again, and enlarge."""
    first, second = Shifted(images(), Inverted(size=(6, 5))), Inverted()
    for data in (first, images()):
        Shifted(data, second).image(0)
    assert second.told == [(6, 5), None]
    assert shift_recipes_of(Unlabelled(Shifted(first, second), np.arange(8))) == 2 * [{"method": "invert", "block": 3}]
