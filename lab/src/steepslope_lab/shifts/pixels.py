"""Images of any kind as arrays (H, W, C), and back; random crops of them; and where the nets of shifts run."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import get_worker_info

from steepslope.errors import SteepslopeError, explained
from steepslope.nets.data import Dataset, Picture, Transform, as_colour, image_in_pil


def device_at_hand() -> torch.device:
    """Return the GPU if there is one, but the CPU in a process that decodes images, where CUDA cannot start."""
    return torch.device("cuda" if torch.cuda.is_available() and get_worker_info() is None else "cpu")


CROP_SHARE = 0.875  # 224 of 256 pixels: Resize(256), CenterCrop(224)
SLACK = 1e-3  # by which resizing may leave the range


def cropped_picture(image: Picture, crop: int | None) -> Picture:
    """Return the upright image: its shorter side resized to crop / .875 and its centre cut out, unless crop is None."""
    upright = ImageOps.exif_transpose(image) if isinstance(image, Image.Image) else image
    if crop is None:
        return upright
    transform = Transform((crop, crop), (), (), "crop", CROP_SHARE, "bilinear")
    if isinstance(upright, Image.Image):
        return transform.fitted(upright if is_grey_image(upright) else as_colour(upright))
    return (
        transform.fitted(torch.from_numpy(picture_as_floats(upright)).permute(2, 0, 1))
        .permute(1, 2, 0)
        .clamp(0, 1)
        .numpy()
    )


def is_grey_image(image: Image.Image) -> bool:
    """Return whether an image is 8-bit grey; all others become colours."""
    return image.mode == "L" and "transparency" not in image.info


def picture_as_bytes(image: Picture) -> NDArray[np.uint8]:
    """Return uint8 (H, W, C): C = 1 for grey, 3 for colour, and as many as an array has.

    Arrays (H, W), (H, W, C) or (C, H, W) hold whole numbers up to their type's largest, or floats in [0, 1]. Of the
    first and the last axis, the shorter one has the channels.
    """
    if isinstance(image, Image.Image):
        plain = image if is_grey_image(image) else as_colour(image)
        return np.atleast_3d(np.array(plain))
    return (picture_as_floats(image) * 255).round().astype(np.uint8)


def picture_as_floats(image: Picture) -> NDArray[np.float32]:
    """Return the same as floats in [0, 1]; others are an error."""
    if isinstance(image, Image.Image):
        return picture_as_bytes(image).astype(np.float32) / np.float32(255)
    array = np.atleast_3d(image)
    if array.shape[0] < array.shape[2]:
        array = np.moveaxis(array, 0, 2)
    largest = np.iinfo(array.dtype).max if array.dtype.kind in "ui" else 1
    floats: NDArray[np.float32] = array.astype(np.float32) / np.float32(largest)
    low, high = (float(value) for value in (floats.min(), floats.max()))
    if not -SLACK <= low <= high <= 1 + SLACK:
        raise SteepslopeError(f"expected floats in [0, 1], found {low:g} to {high:g}")
    return floats.clip(0, 1)


def pixels_as_picture(pixels: NDArray[np.uint8]) -> Picture:
    """Return bytes (H, W, C) in grey or colour as PIL has them; those of other channels as floats in [0, 1]."""
    if pixels.shape[2] in (1, 3):
        return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return picture_as_floats(pixels)


KEPT = 512  # decoded images in memory: all of a small set, and little of the memory
LOOKED_AT = 1000  # styles whose size is checked beforehand; more would take too long
Reader = Callable[[int], Image.Image]  # row -> image


def content_reader(data: Dataset, crop: int) -> Reader:
    """Return what reads an image in RGB, its shorter side between one crop and two; the last ones read are kept."""
    return lru_cache(maxsize=KEPT)(lambda row: scaled_to_crop(_read_rgb(data, row, "content"), crop))


def style_reader(data: Dataset, crop: int) -> Reader:
    """Return the same for styles; one that is smaller than the crop is an error: enlarged, its texture is another.

    The first 1,000 are read at once, so that such an error comes before all work.
    """

    @lru_cache(maxsize=KEPT)
    def read(row: int) -> Image.Image:
        image = _read_rgb(data, row, "styles")
        if min(image.size) < crop:
            expected = f"expected a style of at least {crop}×{crop} pixels, the crop"
            raise SteepslopeError(f"{expected}, found {image.width}×{image.height}", f"styles: {data.ids[row]}")
        return scaled_to_crop(image, crop)

    for row in range(min(len(data), LOOKED_AT)):
        read(row)
    return read


def _read_rgb(data: Dataset, row: int, what: str) -> Image.Image:
    with explained("cannot be read", f"{what}: {data.ids[row]}", (OSError, ValueError, SyntaxError), 160):
        return as_colour(ImageOps.exif_transpose(image_in_pil(data.image(row))))


def scaled_to_crop(image: Image.Image, crop: int) -> Image.Image:
    """Resize an image so that its shorter side lies between one crop and two."""
    shorter = min(image.size)
    wanted = min(max(shorter, crop), 2 * crop)
    if shorter == wanted:
        return image
    width, height = (max(wanted, round(side * wanted / shorter)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def cut_square(image: Image.Image, crop: int, draw: np.random.Generator) -> Tensor:
    """Cut a square out of an RGB image, somewhere in it, float32 (3, crop, crop) in [0, 1]."""
    left, top = (int(draw.integers(side - crop + 1)) for side in image.size)
    pixels = np.array(image.crop((left, top, left + crop, top + crop)), dtype=np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1) / 255
