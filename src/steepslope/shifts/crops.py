"""Square crops of photos and styles, at random: what a stylizer is trained on, and where styles are taken from."""

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from steepslope.data.images import Dataset, in_pil
from steepslope.data.transforms import as_colour
from steepslope.errors import SteepslopeError, explained


def read_colour(data: Dataset, row: int, what: str) -> Image.Image:
    """Return an image upright and in RGB; the error that names an unreadable one begins with ``what`` it is."""
    with explained("cannot be read", f"{what}: {data.ids[row]}", (OSError, ValueError, SyntaxError), 160):
        return as_colour(ImageOps.exif_transpose(in_pil(data.image(row))))


def read_style(data: Dataset, row: int, crop: int) -> Image.Image:
    """Return a style in RGB, its shorter side between one crop and two.

    Raises
    ------
    SteepslopeError
        If it cannot be read or is smaller than the crop: an enlarged style would have another texture.
    """
    image = read_colour(data, row, "styles")
    if min(image.size) < crop:
        expected = f"a style of at least {crop}×{crop} pixels, the crop"
        raise SteepslopeError(f"expected {expected}, found {image.width}×{image.height}", f"styles: {data.ids[row]}")
    return scaled(image, crop)


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
