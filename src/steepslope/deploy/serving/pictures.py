"""The bytes of a request as the image that a model takes; what is too large is refused before it is decoded."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from starlette.exceptions import HTTPException

from steepslope.data.colours import as_colour, as_grey
from steepslope.deploy.exported import COLOUR, GREY
from steepslope.errors import reason_of

FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def known_formats() -> tuple[str, ...]:
    """Return those of the formats that are read which this PIL knows."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def picture_of(data: bytes, max_pixels: int, formats: tuple[str, ...]) -> Image.Image:
    """Decode an image; of an animation, its first frame.

    Raises
    ------
    HTTPException
        415 if it is no image of a known format, 413 if it has too many pixels, 422 if it cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise HTTPException(413, f"expected an image of at most {max_pixels:,} pixels, found {width}×{height}")
            if image.mode == "F":
                raise HTTPException(422, "expected an image of whole numbers, found floats: use infer")
            image.load()
            return image.copy()
    except HTTPException:
        raise
    except BOMB:
        raise HTTPException(413, f"expected an image of at most {max_pixels:,} pixels, found many more") from None
    except UnidentifiedImageError:
        known = ", ".join(formats)
        raise HTTPException(415, f"expected an image ({known}), found {len(data):,} bytes of something else") from None
    except Exception as error:  # decoders have many kinds for damaged and for hostile files
        reason = re.sub(r"<_io.BytesIO object at \w+>", "from its bytes", reason_of(error, 160))
        raise HTTPException(422, f"cannot be decoded as an image ({reason})") from None


def pixels_of(image: Image.Image, channels: int) -> NDArray[Any]:
    """Return an image, turned upright, as a model takes it, (1, H, W, C): uint8, or floats in [0, 1].

    >>> pixels_of(Image.new("1", (3, 2), 1), 3).shape
    (1, 2, 3, 3)
    """
    upright = ImageOps.exif_transpose(image)
    if channels in (GREY, COLOUR):
        pixels = np.asarray(as_grey(upright) if channels == GREY else as_colour(upright))
        return pixels.reshape(1, *pixels.shape[:2], channels)
    raw = np.asarray(upright)
    if raw.ndim != 3 or raw.shape[2] != channels or raw.dtype != np.uint8:
        raise HTTPException(422, f"expected an image of {channels} channels, found {image.mode}: use infer")
    return (raw / np.float32(255))[None]
