"""The bodies of requests: read and decoded. What is too large is refused before it is decoded."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from steepslope.errors import is_out_of_memory, reason_of
from steepslope.nets.data import as_colour, as_grey, known_image_formats, open_image
from steepslope.nets.export import COLOUR, GREY
from steepslope.serve import _limits as limits
from steepslope.serve._capacity import BodyClaim


async def read_body(request: Request, claim: BodyClaim) -> bytes:
    """Return the body of a request.

    Raises
    ------
    HTTPException
        413 if it is too large, as soon as that is known; 408 if it does not come in time; 415 if it is compressed; 503
        if there is no memory left for it.
    """
    coding = request.headers.get("content-encoding", "identity")
    if coding != "identity":
        raise HTTPException(415, f"expected a body without Content-Encoding, found {coding[:20]!r}")
    too_large = HTTPException(413, f"expected a body of at most {limits.MAX_BODY:,} bytes, found more")
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told[:20]) > limits.MAX_BODY:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > limits.MAX_BODY:
                    raise too_large
                claim.take(len(part))
                parts.append(part)
    except TimeoutError:
        raise HTTPException(408, f"expected the whole body within {limits.BODY_SECONDS:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection was closed before the body was there") from None
    return b"".join(parts)


_DECODING = 20  # bytes a pixel while an image is decoded: its own, those of converted copies, and the array's
_BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def pixels_of_body(data: bytes, channels: int, max_pixels: int, claim: BodyClaim | None = None) -> NDArray[Any]:
    """Decode an image, turned upright, as a model takes it, (1, H, W, C): uint8, or floats in [0, 1].

    Of an animation it is the first frame. The memory that decoding takes is claimed before.

    Raises
    ------
    HTTPException
        415 if it is no image of a known format, 413 if it has too many pixels, 422 if it cannot be decoded, 503 if
        there is no memory left for it.

    >>> file = io.BytesIO()
    >>> Image.new("1", (3, 2), 1).save(file, "PNG")
    >>> pixels_of_body(file.getvalue(), 3, max_pixels=6).shape
    (1, 2, 3, 3)
    """
    try:
        with open_image(io.BytesIO(data)) as image:
            needed = _DECODING * _pixel_count_of_body(image, max_pixels)
            if claim is not None:
                claim.take(needed)
            pixels = _decoded_body(image, channels)
        if claim is not None:
            claim.give_back(needed - pixels.nbytes)
        return pixels
    except HTTPException:
        raise
    except _BOMB:
        raise HTTPException(413, f"expected an image of at most {max_pixels:,} pixels, found many more") from None
    except UnidentifiedImageError:
        known = ", ".join(known_image_formats())
        raise HTTPException(415, f"expected an image ({known}), found {len(data):,} bytes of something else") from None
    except Exception as error:  # decoders have many kinds for damaged and for hostile files
        if is_out_of_memory(error):
            raise
        reason = re.sub(r"<_io.BytesIO object at \w+>", "from its bytes", reason_of(error, 160))
        raise HTTPException(422, f"cannot be decoded as an image ({reason})") from None


def _pixel_count_of_body(image: Image.Image, max_pixels: int) -> int:
    """Return how many pixels an image has; raise if it has too many, or is of floats."""
    width, height = image.size
    if width * height > max_pixels:
        raise HTTPException(413, f"expected an image of at most {max_pixels:,} pixels, found {width}×{height}")
    if image.mode == "F":
        raise HTTPException(422, "expected an image of whole numbers, found floats: use infer")
    return width * height


def _decoded_body(image: Image.Image, channels: int) -> NDArray[Any]:
    upright = ImageOps.exif_transpose(image)
    if channels in (GREY, COLOUR):
        pixels = np.asarray(as_grey(upright) if channels == GREY else as_colour(upright))
        return pixels.reshape(1, *pixels.shape[:2], channels)
    raw = np.asarray(upright)
    if raw.ndim != 3 or raw.shape[2] != channels or raw.dtype != np.uint8:
        raise HTTPException(422, f"expected an image of {channels} channels, found {image.mode}: use infer")
    return (raw / np.float32(255))[None]
