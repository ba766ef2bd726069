"""Small pictures of images, as text that a page holds."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steepslope.data.images import Dataset, in_pil

SIZE = 96  # pixels of the longer side
LOSSLESS = 40  # up to this size a PNG is small, and shows each pixel
QUALITY = 75
WIDE = ("I", "F")  # modes of more than 8 bits, by their first letter
NOT_FOUND, UNREADABLE, NO_ROOM = "image not found", "image cannot be read", "no room for the image"
Place = tuple[Dataset, int]  # of an image: a data set and a row in it


def thumbnails(places: Iterable[Place | None], room: int, size: int = SIZE) -> Iterator[dict[str, str]]:
    """Yield the ``image`` at each place as a data URI, or as ``no_image`` why there is none; all take ``room`` at most.

    The room is counted in bytes. The first image that does not fit is the last that is tried.
    """
    for place in places:
        text = "" if place is None or room <= 0 else thumbnail(*place, size)
        if place is None:
            yield {"no_image": NOT_FOUND}
        elif text is None:
            yield {"no_image": UNREADABLE}
        elif text and len(text) <= room:
            room -= len(text)
            yield {"image": text}
        else:
            room = 0
            yield {"no_image": NO_ROOM}


def thumbnail(data: Dataset, row: int, size: int = SIZE) -> str | None:
    """Return the data URI of one image at most ``size`` pixels high and wide; None if it cannot be read or shown."""
    try:
        picture = _shown(in_pil(data.image(row)))
        picture.thumbnail((size, size))
        return data_uri(picture)
    except Exception:  # of a damaged file, each decoder raises its own; a report needs no images
        return None


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
