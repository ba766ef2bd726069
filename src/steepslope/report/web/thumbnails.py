"""Small pictures of images, as text that a page holds."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steepslope.data.images import Dataset, in_pil
from steepslope.errors import SteepslopeError

SIZE = 96  # pixels of the longer side
LOSSLESS = 40  # up to this size a PNG is small, and shows each pixel
QUALITY = 75
UNREADABLE = (OSError, ValueError, SyntaxError, SteepslopeError)
WIDE = ("I", "F")  # modes of more than 8 bits, by their first letter


def thumbnails(data: Dataset, rows: Sequence[int], size: int = SIZE, room: int = 3 * 2**19) -> list[str | None]:
    """Return a data URI of each image; None of one that cannot be read or shown, or once ``room`` bytes are taken."""
    found: list[str | None] = []
    for row in rows:
        text = thumbnail(data, row, size) if room > 0 else None
        room -= len(text or "")
        found.append(text)
    return found


def thumbnail(data: Dataset, row: int, size: int = SIZE) -> str | None:
    """Return the data URI of one image at most ``size`` pixels high and wide; None if it cannot be read or shown."""
    try:
        picture = _shown(in_pil(data.image(row)))
    except UNREADABLE:
        return None
    picture.thumbnail((size, size))
    return data_uri(picture)


def _shown(picture: Image.Image) -> Image.Image:
    """Return the image in 8 bits of grey or colour, on white where it is transparent."""
    if picture.mode.startswith(WIDE):
        return Image.fromarray(_stretched(np.asarray(picture, dtype=np.float64)))
    if picture.mode in ("1", "L"):
        return picture.convert("L")
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def _stretched(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Spread values from their least to their largest over 8 bits."""
    low, high = float(values.min()), float(values.max())
    return ((values - low) * (255 / (high - low if high > low else 1))).astype(np.uint8)


def data_uri(picture: Image.Image) -> str:
    """Return an image as the text of a data URI: a PNG if it is tiny, else a WebP.

    >>> data_uri(Image.new("L", (1, 1)))[:22]
    'data:image/png;base64,'
    """
    kind = "png" if max(picture.size) <= LOSSLESS else "webp"
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **({"optimize": True} if kind == "png" else {"quality": QUALITY}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
