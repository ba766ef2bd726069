"""What is decoded, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from steepslope.data.images import decode_image


def test_an_image_of_floats_is_refused(tmp_path: Path) -> None:
    """PIL would make whole numbers from 0 to 255 of it, and black of what lies between 0 and 1."""
    Image.fromarray(np.full((4, 5), 0.7, dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"found an image of floats: save it as \.npy"):
        decode_image(tmp_path / "a.tif")
    Image.new("L", (4, 5), 7).save(tmp_path / "b.tif")
    assert decode_image(tmp_path / "b.tif").getpixel((0, 0)) == 7
