"""Square crops of photos and styles, at random: what a stylizer is trained on, and where styles are taken from."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from steepslope.data.colours import as_colour
from steepslope.data.images import Dataset, in_pil
from steepslope.errors import SteepslopeError, explained

KEPT = 512  # decoded images in memory: all of a small set, and little of the memory
LOOKED_AT = 1000  # styles whose size is checked beforehand; more would take too long
Reader = Callable[[int], Image.Image]  # row -> image


def content_reader(data: Dataset, crop: int) -> Reader:
    """Return what reads an image in RGB, its shorter side between one crop and two; the last ones read are kept."""
    return lru_cache(maxsize=KEPT)(lambda row: scaled(_read(data, row, "content"), crop))


def style_reader(data: Dataset, crop: int) -> Reader:
    """Return the same for styles; one that is smaller than the crop is an error: enlarged, its texture is another.

    The first 1,000 are read at once, so that such an error comes before all work.
    """

    @lru_cache(maxsize=KEPT)
    def read(row: int) -> Image.Image:
        image = _read(data, row, "styles")
        if min(image.size) < crop:
            found = f"{image.width}×{image.height}"
            expected = f"a style of at least {crop}×{crop} pixels, the crop"
            raise SteepslopeError(f"expected {expected}, found {found}", f"styles: {data.ids[row]}")
        return scaled(image, crop)

    for row in range(min(len(data), LOOKED_AT)):
        read(row)
    return read


def _read(data: Dataset, row: int, what: str) -> Image.Image:
    with explained("cannot be read", f"{what}: {data.ids[row]}", (OSError, ValueError, SyntaxError), 160):
        return as_colour(ImageOps.exif_transpose(in_pil(data.image(row))))


def scaled(image: Image.Image, crop: int) -> Image.Image:
    """Resize an image so that its shorter side lies between one crop and two."""
    shorter = min(image.size)
    wanted = min(max(shorter, crop), 2 * crop)
    if shorter == wanted:
        return image
    width, height = (max(wanted, round(side * wanted / shorter)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def cut(image: Image.Image, crop: int, draw: np.random.Generator) -> Tensor:
    """Cut a square out of an RGB image, somewhere in it, float32 (3, crop, crop) in [0, 1]."""
    left, top = (int(draw.integers(side - crop + 1)) for side in image.size)
    pixels = np.array(image.crop((left, top, left + crop, top + crop)), dtype=np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1) / 255
