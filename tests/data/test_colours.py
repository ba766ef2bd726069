"""Images of every kind as 8-bit colour or grey."""

from __future__ import annotations

import numpy as np
import skimage.data
from PIL import Image

from steepslope.data.images import as_colour, as_grey


def test_colours_are_what_a_viewer_shows() -> None:
    grey16 = Image.fromarray(np.full((2, 2), 0x80FF, dtype=np.uint16))
    assert np.asarray(as_colour(grey16)).tolist() == [[[128] * 3] * 2] * 2
    clear = Image.new("RGBA", (1, 1), (255, 0, 0, 0))
    assert np.asarray(as_colour(clear)).tolist() == [[[255, 255, 255]]]


def test_grey_and_colour_become_each_other_as_in_pil() -> None:
    image = Image.fromarray(skimage.data.cat()).resize((8, 8))
    np.testing.assert_array_equal(np.asarray(as_grey(image)), np.asarray(image.convert("L")))
    grey = image.convert("L")
    np.testing.assert_array_equal(np.asarray(as_colour(grey)), np.asarray(grey.convert("RGB")))
    np.testing.assert_array_equal(np.asarray(as_grey(as_colour(grey))), np.asarray(grey))
