"""Reading what may be damaged: images decoded completely, and the reason why something cannot be read, on one line."""

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from steepslope.errors import SteepslopeError

Kinds = type[Exception] | tuple[type[Exception], ...]


def reason_of(error: Exception, longest: int | None = None) -> str:
    """Return an exception's message on one line, cut to ``longest`` characters, or else the name of its kind."""
    return " ".join(str(error).split())[:longest] or type(error).__name__


@contextmanager
def explained(
    message: str, place: str | Path | None = None, kinds: Kinds = Exception, longest: int | None = None
) -> Iterator[None]:
    """Let exceptions of some kinds leave the block as one line, with the message and, in brackets, the reason.

    >>> with explained("cannot be read", "photo.png", OSError):
    ...     raise OSError("broken  data stream")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: photo.png: cannot be read (broken data stream)
    """
    try:
        yield
    except kinds as error:
        raise SteepslopeError(f"{message} ({reason_of(error, longest)})", place) from error


def decode_image(file: Path | io.BytesIO) -> Image.Image:
    """Decode an image completely, so that a truncated file is noticed here."""
    with Image.open(file) as image:
        image.load()
        return image.copy()


def digest_of(content: object) -> str:
    """Return the SHA-256 of content that JSON can hold, in hex."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
