"""The IDX files of the MNIST family."""

import gzip
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.data.imagefolder import existing_folder
from steepslope.data.images import Images, row_ids
from steepslope.errors import SteepslopeError, explained

STEMS = {"train": "train", "test": "t10k"}


def load_idx(argument: str, split: str) -> Images:
    """Load the four files of the MNIST family from a folder, plain or gzipped."""
    folder = existing_folder("idx", argument)
    images, classes = _idx_files(folder, split)
    pixels, labels = read_idx(images, dimensions=3), read_idx(classes, dimensions=1)
    if len(pixels) != len(labels):
        raise SteepslopeError(f"expected {len(pixels)} labels, one for each {split} image, found {len(labels)}", folder)
    if len(pixels) == 0:
        raise SteepslopeError(f"expected {split} images, found none", folder)
    return Images(pixels, labels.astype(np.int64), row_ids(split, np.arange(len(labels))))


def look_at_idx(argument: str, split: str) -> None:
    """Raise unless there is a folder with the files of one split, or without one, of both."""
    folder = existing_folder("idx", argument)
    for name in [split] if split else STEMS:
        _idx_files(folder, name)


def _idx_files(folder: Path, split: str) -> tuple[Path, Path]:
    stem = STEMS[split]
    return _idx_file(folder, f"{stem}-images-idx3-ubyte"), _idx_file(folder, f"{stem}-labels-idx1-ubyte")


def _idx_file(folder: Path, name: str) -> Path:
    found = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
    if not found:
        raise SteepslopeError(f"expected a file {name} or {name}.gz, found neither", folder)
    return found[0]


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read a file of unsigned bytes in the IDX format: magic, sizes as big-endian int32, then the bytes.

    Raises
    ------
    SteepslopeError
        If the file is damaged, or holds another type or number of dimensions.
    """
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with explained("cannot be read", path, (OSError, EOFError, zlib.error)), opener(path, "rb") as file:
        content = file.read()
    header = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) < header:
        expected, found = f"unsigned bytes in {dimensions} dimensions", content[:4].hex(" ") or "(none)"
        raise SteepslopeError(f"expected an IDX file of {expected}, found the first bytes {found}", path)
    shape = tuple(int(size) for size in np.frombuffer(content, dtype=">i4", count=dimensions, offset=4))
    if len(content) - header != math.prod(shape):
        raise SteepslopeError(f"expected {math.prod(shape)} bytes of data, found {len(content) - header}", path)
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)
