"""Images of any kind as arrays (H, W, C), and back, at their own size or cropped as ImageNet-C was."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from steepslope.data.colours import as_colour
from steepslope.data.images import Picture
from steepslope.data.transforms import Transform
from steepslope.errors import SteepslopeError

CROP_SHARE = 0.875  # 224 of 256 pixels: Resize(256), CenterCrop(224)
SLACK = 1e-3  # by which resizing may leave the range


def cropped(image: Picture, crop: int | None) -> Picture:
    """Return the upright image: its shorter side resized to crop / .875 and its centre cut out, unless crop is None."""
    upright = ImageOps.exif_transpose(image) if isinstance(image, Image.Image) else image
    if crop is None:
        return upright
    transform = Transform((crop, crop), (), (), "crop", CROP_SHARE, "bilinear")
    if isinstance(upright, Image.Image):
        return transform.fitted(upright if is_grey(upright) else as_colour(upright))
    return transform.fitted(torch.from_numpy(as_floats(upright)).permute(2, 0, 1)).permute(1, 2, 0).clamp(0, 1).numpy()


def is_grey(image: Image.Image) -> bool:
    """Return whether an image is 8-bit grey; all others become colours."""
    return image.mode == "L" and "transparency" not in image.info


def as_bytes(image: Picture) -> NDArray[np.uint8]:
    """Return uint8 (H, W, C): C = 1 for grey, 3 for colour, and as many as an array has.

    Arrays (H, W), (H, W, C) or (C, H, W) hold whole numbers up to their type's largest, or floats in [0, 1]. Of the
    first and the last axis, the shorter one has the channels.
    """
    if isinstance(image, Image.Image):
        plain = image if is_grey(image) else as_colour(image)
        return np.atleast_3d(np.array(plain))
    return (as_floats(image) * 255).round().astype(np.uint8)


def as_floats(image: Picture) -> NDArray[np.float32]:
    """Return the same as floats in [0, 1]; others are an error."""
    if isinstance(image, Image.Image):
        return as_bytes(image).astype(np.float32) / np.float32(255)
    array = np.atleast_3d(image)
    if array.shape[0] < array.shape[2]:
        array = np.moveaxis(array, 0, 2)
    largest = np.iinfo(array.dtype).max if array.dtype.kind in "ui" else 1
    floats: NDArray[np.float32] = array.astype(np.float32) / np.float32(largest)
    low, high = (float(value) for value in (floats.min(), floats.max()))
    if not -SLACK <= low <= high <= 1 + SLACK:
        raise SteepslopeError(f"expected floats in [0, 1], found {low:g} to {high:g}")
    return floats.clip(0, 1)


def as_picture(pixels: NDArray[Any]) -> Picture:
    """Return bytes (H, W, C) in grey or colour as PIL has them; all else as floats in [0, 1]."""
    if pixels.dtype != np.uint8:
        return pixels.astype(np.float32)
    if pixels.shape[2] in (1, 3):
        return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return as_floats(pixels)
