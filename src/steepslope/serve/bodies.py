"""The file in a form (multipart/form-data), in memory.

How requests are admitted, and how their bodies are read: never more at once than the server can hold.

The bytes of a request as the image that a model takes; what is too large is refused before it is decoded.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from steepslope.data.images import as_colour, as_grey, known_formats, open_image
from steepslope.errors import SteepslopeError, reason_of
from steepslope.export.file import COLOUR, GREY
from steepslope.serve.options import MEBI, ServeOptions

FIELD = "file"
MANY = 16  # parts are more than a form with one image has


@dataclass(eq=False)
class _Parts:
    """What a parser has found so far: the disposition and content of each part, and whether the end was there."""

    names: list[bytes] = field(default_factory=list)
    contents: list[bytearray] = field(default_factory=list)
    header: bytes = b""
    value: bytes = b""
    complete: bool = False

    def begin(self) -> None:
        if len(self.names) == MANY:
            raise SteepslopeError(f"expected at most {MANY} parts, found more", "form")
        self.names.append(b"")
        self.contents.append(bytearray())

    def data(self, data: bytes, start: int, end: int) -> None:
        self.contents[-1] += data[start:end]

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def header_end(self) -> None:
        if self.header.lower() == b"content-disposition":
            self.names[-1] = parse_options_header(self.value)[1].get(b"name", b"")
        self.header = self.value = b""

    def end(self) -> None:
        self.complete = True


def file_of(body: bytes, content_type: str) -> bytes:
    """Return the content of the part named file; raise if the form is damaged, or has not exactly one."""
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise SteepslopeError("expected a boundary in its Content-Type, found none", "form")
    found = _Parts()
    callbacks = {
        "on_part_begin": found.begin, "on_part_data": found.data, "on_header_field": found.header_name,
        "on_header_value": found.header_value, "on_header_end": found.header_end, "on_end": found.end,
    }  # fmt: skip
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise SteepslopeError(f"cannot be read ({reason_of(error, 160)})", "form") from None
    if not found.complete:
        raise SteepslopeError("expected its last boundary, found its end before", "form")
    files = [content for name, content in zip(found.names, found.contents, strict=True) if name == FIELD.encode()]
    if len(files) != 1:
        raise SteepslopeError(f"expected one part named {FIELD}, found {len(files)}", "form")
    return bytes(files[0])


LATER = {"Retry-After": "1"}


@dataclass(eq=False)
class Room:
    """How many requests may be under way, and how many bytes they may hold together.

    ``requests`` and ``taken`` are what there is now; ``coming`` are the requests that are not queued yet.
    """

    max_requests: int
    max_bytes: int
    requests: int = 0
    taken: int = 0
    coming: int = 0

    @classmethod
    def of(cls, options: ServeOptions) -> Room:
        """Return the room that the options give."""
        return cls(options.max_waiting, options.max_memory * MEBI)

    @contextmanager
    def seat(self) -> Iterator[Seat]:
        """Give a request a seat until it is answered; 503 if there is none."""
        if self.requests >= self.max_requests:
            raise HTTPException(503, f"{self.requests} requests are under way: try again later", LATER)
        self.requests += 1
        self.coming += 1
        seat = Seat(self)
        try:
            yield seat
        finally:
            seat.arrived()
            self.requests -= 1
            self.taken -= seat.taken


@dataclass(eq=False)
class Seat:
    """A request that was admitted, and the bytes that it holds."""

    room: Room
    taken: int = 0
    is_coming: bool = True

    def take(self, count: int) -> None:
        """Hold so many bytes more; 503 if there are not as many left."""
        if self.room.taken + count > self.room.max_bytes:
            raise HTTPException(503, "the requests under way hold all memory: try again later", LATER)
        self.room.taken += count
        self.taken += count

    def arrived(self) -> None:
        """Tell that the request was read, and is about to be queued, or will not be."""
        if self.is_coming:
            self.is_coming = False
            self.room.coming -= 1


async def read_body(request: Request, seat: Seat, options: ServeOptions) -> bytes:
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
    too_large = HTTPException(413, f"expected a body of at most {options.body_bytes:,} bytes, found more")
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told[:20]) > options.body_bytes:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(options.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > options.body_bytes:
                    raise too_large
                seat.take(len(part))
                parts.append(part)
    except TimeoutError:
        raise HTTPException(408, f"expected the whole body within {options.body_seconds:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection was closed before the body was there") from None
    return b"".join(parts)


BOMB = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def picture_of(data: bytes, max_pixels: int) -> Image.Image:
    """Decode an image; of an animation, its first frame.

    Raises
    ------
    HTTPException
        415 if it is no image of a known format, 413 if it has too many pixels, 422 if it cannot be decoded.
    """
    try:
        with open_image(io.BytesIO(data)) as image:
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
        known = ", ".join(known_formats())
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
