"""Images with or without labels, in memory or decoded one by one; free of torch.

Whatever PIL decodes can become 8-bit colour or grey.
"""

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steepslope.errors import SteepslopeError
from steepslope.files import require_memory_for


def as_colour(image: Image.Image) -> Image.Image:
    """Return any image as 8-bit RGB; what is transparent becomes white, and 16-bit grey is scaled down.

    Of 32-bit whole numbers no file tells the range: up to 255 they are taken as 8-bit, else as 16-bit.
    """
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layered).convert("RGB")
    if image.mode.startswith("I"):  # PIL's own conversion would clip it to white
        grey = np.asarray(image).astype(np.int64)
        is_8_bit = image.mode == "I" and grey.max(initial=0) <= 255
        if not is_8_bit:
            grey //= 256
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def as_grey(image: Image.Image) -> Image.Image:
    """Return any image as 8-bit grey."""
    if image.mode != "L":
        image = as_colour(image)
    return image.convert("L")


ALL = slice(None)
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")  # that are opened
ARRAYS = frozenset({".npy"})  # images of any number of channels, looked for where there are none of the above
_DECODING = 12  # bytes a pixel while an image is decoded: its own, those of a copy, and the array's
SHEET = "shift-contact-sheet.png"  # shows a folder's shifted images, and is none of them
Labels = NDArray[np.int64]
Picture = Image.Image | NDArray[Any]  # an array (H, W, C) where an image has other channels than PIL knows


class Dataset(Protocol):
    """Images by row, with labels if they are known; its pixels are decoded on access."""

    @property
    def labels(self) -> Labels | None:
        """The true classes, (n,); None where they are not known."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, by label; None where they are not known."""

    @property
    def ids(self) -> Sequence[str] | NDArray[np.str_]:
        """Names of the images, (n,)."""

    def __len__(self) -> int: ...

    def image(self, row: int) -> Picture:
        """Decode one image; an unreadable one raises OSError, ValueError or SyntaxError."""

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return a hash that tells these rows from others of the same names.

        Of files, the sizes and times are seen (:mod:`steepslope.files._folders`); with ``verify`` the contents, so
        that the hash is the same wherever the data set lies. What lies in memory is always seen as it is.
        """


@runtime_checkable
class Divisible(Dataset, Protocol):
    """A data set that can be cut into parts, such as rows fitted on and rows held out."""

    def subset(self, rows: NDArray[np.int64]) -> Dataset:
        """Return the given rows, in the given order."""


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images in memory: ``pixels`` uint8 (n, H, W) or (n, H, W, C), ``labels`` int64 (n,)."""

    pixels: NDArray[np.uint8]
    labels: Labels
    ids: NDArray[np.str_]
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, row: int) -> Image.Image:
        """Return one image."""
        return Image.fromarray(self.pixels[row])

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return the SHA-256 of pixels and labels, in hex."""
        return hashlib.sha256(self.pixels[rows].tobytes() + self.labels[rows].tobytes()).hexdigest()

    def subset(self, rows: NDArray[np.int64]) -> Self:
        """Return the given rows, in the given order."""
        return replace(self, pixels=self.pixels[rows], labels=self.labels[rows], ids=self.ids[rows])


_MOST_BYTES = 2**31  # of pixels in memory


def images_in_memory(data: Dataset) -> Images:
    """Return labelled images of one size, all grey or all in colour, decoded; raise for others, or for too many."""
    labels = data.labels
    assert labels is not None
    first = _image_as_bytes(data.image(0))
    if len(data) * first.nbytes > _MOST_BYTES:
        raise SteepslopeError(f"expected at most 2 GiB of pixels, found {len(data):,} images like {data.ids[0]}")
    pixels = np.empty((len(data), *first.shape), dtype=np.uint8)
    for row in range(len(data)):
        image = _image_as_bytes(data.image(row))
        if image.shape != first.shape:
            raise SteepslopeError(
                f"expected images of one size and kind, {first.shape} as {data.ids[0]}, "
                f"found {image.shape} in {data.ids[row]}"
            )
        pixels[row] = image
    return Images(pixels, labels, np.array(data.ids, dtype=np.str_), data.classes)


def _image_as_bytes(image: Picture) -> NDArray[np.uint8]:
    """Return an image in 8 bits, grey (H, W) or in colour (H, W, 3)."""
    picture = image_in_pil(image)
    is_grey = picture.mode in ("1", "L") or picture.mode.startswith(("I", "F"))
    return np.asarray(as_grey(picture) if is_grey else as_colour(picture))


def labels_at(labels: Labels | None, rows: slice | NDArray[np.int64]) -> Labels | None:
    """Return the labels of some rows; None where they are not known."""
    if labels is None:
        return None
    return labels[rows]


def require_image_labels(data: Dataset, source: str) -> Labels:
    """Return the labels of a data set; raise if it has none."""
    if data.labels is None:
        raise SteepslopeError("expected labelled images, found none: name a data set with classes", source)
    return data.labels


def image_in_pil(image: Picture) -> Image.Image:
    """Return the image in grey or in colour, rounding floats (H, W, 1 or 3) to 8 bits; raise for other arrays."""
    if isinstance(image, Image.Image):
        return image
    if image.dtype.kind != "f" or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise SteepslopeError(
            f"expected an image in grey or in colour to change, found an array of shape {image.shape}"
        )
    pixels = (image.clip(0, 1) * 255).round().astype(np.uint8)
    if pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(pixels)


def image_row_ids(prefix: str, rows: NDArray[Any]) -> NDArray[np.str_]:
    """Name images by their split and row.

    >>> image_row_ids("test", np.arange(2)).tolist()
    ['test/00000', 'test/00001']
    """
    return np.array([f"{prefix}/{row:05d}" for row in rows])


def image_rows_by_id(data: Dataset, ids: Iterable[str] | None) -> NDArray[np.int64]:
    """Return the rows of the images with some ids, (len(ids),).

    Raises
    ------
    SteepslopeError
        If there are no ids, or no image has one of them.
    """
    if ids is None:
        raise SteepslopeError("expected outputs with ids, by which their images are found, but they have none")
    row_of = {str(name): row for row, name in enumerate(data.ids)}
    names = list(map(str, ids))
    missing = [name for name in names if name not in row_of]
    if missing:
        raise SteepslopeError(
            f"expected an image for each output, found none with the id {missing[0]!r} ({len(missing):,} such)"
        )
    return np.array([row_of[name] for name in names], dtype=np.int64)


def decode_image_file(file: Path) -> Picture:
    """Decode the image, or the array, in a file completely."""
    if file.suffix.lower() in ARRAYS:
        return _decode_image_array(file)
    return decode_image(file)


@cache
def known_image_formats() -> tuple[str, ...]:
    """Return those of :data:`_FORMATS` that this PIL knows."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def open_image(file: Path | BinaryIO) -> Image.Image:
    """Open an image in one of :data:`_FORMATS`, whatever its name says; PIL would run Ghostscript on others."""
    return Image.open(file, formats=known_image_formats())


def decode_image(file: Path | io.BytesIO) -> Image.Image:
    """Decode an image completely, so that a truncated file is noticed here."""
    with open_image(file) as image:
        if image.mode == "F":  # PIL would clip numbers of unknown range to whole ones from 0 to 255
            raise ValueError("expected whole numbers, found an image of floats: save it as .npy")
        packed = len(file.getbuffer()) if isinstance(file, io.BytesIO) else Path(file).stat().st_size
        require_memory_for(Path(image.format or ""), _DECODING * image.width * image.height, packed)
        image.load()
        return image.copy()


def _decode_image_array(file: Path) -> NDArray[Any]:
    """Read an image (H, W) or (H, W, C) of any number of channels from a ``.npy`` file; pickles are refused."""
    array: NDArray[Any] = np.load(file, allow_pickle=False)
    if array.ndim not in (2, 3) or array.dtype.kind not in "uif":
        raise ValueError(f"expected numbers of shape (H, W, C), found {array.dtype} of shape {array.shape}")
    return array
