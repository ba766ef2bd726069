"""Well-known data sets: scikit-learn's digits, the IDX files of the MNIST family, and torchvision's data sets.

The digits need no download. torchvision's small data sets are downloaded into memory; ImageNet is read file by file.
"""

import gzip
import math
import os
import zlib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, require_known
from steepslope.files import optional_library, require_memory_for
from steepslope.nets.data._class_names import NO_NAMES, ClassNames, wordnet_labels
from steepslope.nets.data._image_files import ImageFiles, folder_of_data_spec, open_image_folder
from steepslope.nets.data._images import Images, image_row_ids

_torchvision = optional_library("torchvision.datasets", "nets")  # takes seconds, and specs are parsed that none opens


def load_digits(argument: str, split: str, names: ClassNames = NO_NAMES) -> Images:
    """Load the 1,797 digits of 8×8 pixels: 1,000 to train, 797 to test, drawn once."""
    look_at_digits(argument)
    bunch = import_module("sklearn.datasets").load_digits()  # takes a second, and specs are parsed that none opens
    order = np.random.default_rng(0).permutation(len(bunch.target))
    rows = order[:1000] if split == "train" else order[1000:]
    pixels = (bunch.images * (255 / 16)).round().astype(np.uint8)
    classes = tuple(map(str, bunch.target_names))
    return Images(pixels[rows], bunch.target[rows].astype(np.int64), image_row_ids("digits", rows), classes)


def look_at_digits(argument: str, split: str = "") -> None:
    """Raise unless nothing but a split follows the scheme."""
    if argument:
        raise SteepslopeError(f"expected digits, digits:train or digits:test, found digits:{argument}", "data")


_STEMS = {"train": "train", "test": "t10k"}


def load_idx(argument: str, split: str, names: ClassNames = NO_NAMES) -> Images:
    """Load the four files of the MNIST family from a folder, plain or gzipped."""
    folder = folder_of_data_spec("idx", argument)
    image_file, label_file = _idx_files(folder, split)
    pixels = _read_idx(image_file, dimensions=3)
    labels = _read_idx(label_file, dimensions=1)
    if len(pixels) != len(labels):
        raise SteepslopeError(f"expected {len(pixels)} labels, one for each {split} image, found {len(labels)}", folder)
    if len(pixels) == 0:
        raise SteepslopeError(f"expected {split} images, found none", folder)
    return Images(pixels, labels.astype(np.int64), image_row_ids(split, np.arange(len(labels))))


def look_at_idx(argument: str, split: str) -> None:
    """Raise unless there is a folder with the files of one split, or without one, of both."""
    folder = folder_of_data_spec("idx", argument)
    for name in _STEMS:
        if split in ("", name):
            _idx_files(folder, name)


def _idx_files(folder: Path, split: str) -> tuple[Path, Path]:
    stem = _STEMS[split]
    return _idx_file(folder, f"{stem}-images-idx3-ubyte"), _idx_file(folder, f"{stem}-labels-idx1-ubyte")


def _idx_file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise SteepslopeError(f"expected a file {name} or {name}.gz, found neither", folder)


def _read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read a file of unsigned bytes in the IDX format: magic, sizes as big-endian int32, then the bytes.

    Raises
    ------
    SteepslopeError
        If the file is damaged, or holds another type or number of dimensions.
    """
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with explained("cannot be read", path, (OSError, EOFError, zlib.error)), opener(path, "rb") as file:
        header = file.read(4 + 4 * dimensions)
        if header[:4] != bytes([0, 0, 8, dimensions]) or len(header) < 4 + 4 * dimensions:
            raise SteepslopeError(
                f"expected an IDX file of unsigned bytes in {dimensions} dimensions, "
                f"found the first bytes {header[:4].hex(' ') or '(none)'}",
                path,
            )
        shape = tuple(int(size) for size in np.frombuffer(header, dtype=">u4", offset=4))
        size = math.prod(shape)
        require_memory_for(path, size, path.stat().st_size)
        content = file.read(size)
        further = file.read(1)
    if len(content) != size or further:
        found = "more" if further else f"{len(content)}"
        raise SteepslopeError(f"expected {size} bytes of data, found {found}", path)
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _torchvision_root() -> Path:
    """Return the folder of torchvision's data sets: $STEEPSLOPE_DATA, by default ~/.cache/steepslope."""
    return Path(os.environ.get("STEEPSLOPE_DATA", Path.home() / ".cache" / "steepslope"))


_BY_TRAIN_FLAG = ("MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100")


def load_torchvision(argument: str, split: str, names: ClassNames = NO_NAMES) -> Images | ImageFiles:
    """Load one split from $STEEPSLOPE_DATA, where the small data sets are downloaded once.

    ImageNet's test split is its 50,000 validation images. Its archives, or what torchvision makes of them, must lie in
    the folder ``imagenet`` there.
    """
    look_at_torchvision(argument)
    root = _torchvision_root()
    missing = f"torchvision:{argument}: neither found in {root} nor downloaded"
    with explained(missing, kinds=(OSError, RuntimeError), longest=200):
        if argument == "ImageNet":
            part = {"train": "train", "test": "val"}[split]
            folder = _torchvision.ImageNet(str(root / "imagenet"), split=part).split_folder
            return open_image_folder(str(folder), "", ClassNames(own=wordnet_labels()))
        if argument == "SVHN":
            data = _torchvision.SVHN(str(root), split=split, download=True)
            pixels = np.ascontiguousarray(data.data.transpose(0, 2, 3, 1))
            labels = data.labels
            classes = tuple("0123456789")
        else:
            data = getattr(_torchvision, argument)(str(root), train=split == "train", download=True)
            pixels = np.asarray(data.data)
            labels = np.asarray(data.targets)
            classes = tuple(data.classes)
    return Images(pixels, labels.astype(np.int64), image_row_ids(split, np.arange(len(labels))), classes)


def look_at_torchvision(argument: str, split: str = "") -> None:
    """Raise unless it is the name of a data set."""
    require_known("torchvision data set", argument, [*_BY_TRAIN_FLAG, "SVHN", "ImageNet"])
