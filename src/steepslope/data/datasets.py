"""Data set specs, ``scheme:rest``, and the images that they stand for."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steepslope.data.imagefolder import open_image_folder
from steepslope.errors import SteepslopeError, require_seed, unknown_name

SPLITS = ("train", "test")


class Dataset(Protocol):
    """Labelled images by row; pixels are decoded when asked for."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """The true classes, (n,)."""
        ...

    @property
    def ids(self) -> Sequence[str] | NDArray[np.str_]:
        """Names of the images, (n,)."""
        ...

    def __len__(self) -> int: ...

    def image(self, row: int) -> Image.Image:
        """Decode one image; an unreadable one raises OSError, ValueError or SyntaxError."""
        ...

    def fingerprint(self) -> str:
        """Return a hash that tells this data set from others, wherever it lies."""
        ...


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images in memory: ``pixels`` uint8 (n, H, W) or (n, H, W, C), ``labels`` int64 (n,)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    ids: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, row: int) -> Image.Image:
        """Return one image."""
        return Image.fromarray(self.pixels[row])

    def fingerprint(self) -> str:
        """Return the SHA-256 of pixels and labels, in hex."""
        return hashlib.sha256(self.pixels.tobytes() + self.labels.tobytes()).hexdigest()

    def subset(self, rows: NDArray[np.int64]) -> Images:
        """Return the given rows, in the given order."""
        return Images(self.pixels[rows], self.labels[rows], self.ids[rows])


@dataclass(frozen=True)
class DatasetSpec:
    """A parsed spec: the registry's scheme, what follows it, and the split if one was named."""

    scheme: str
    rest: str
    split: str | None

    @property
    def family(self) -> Family:
        """The registry's entry."""
        return DATASETS[self.scheme]

    def load(self, split: str) -> Images:
        """Load one split, "train" or "test", of images that are small enough for the memory."""
        if self.family.load_split is None:
            raise SteepslopeError(f"data {self}: expected a data set with a training and a test split, such as digits")
        return self.family.load_split(self.rest, split)

    def open(self, classes: Mapping[str, int] | None) -> Dataset:
        """Open a data set that has no splits; ``classes`` maps the names of its classes to labels."""
        assert self.family.open_whole is not None
        return self.family.open_whole(self.rest, classes)

    def __str__(self) -> str:
        return ":".join(part for part in (self.scheme, self.rest, self.split or "") if part)

    @property
    def name(self) -> str:
        """The spec without its split."""
        return ":".join(part for part in (self.scheme, self.rest) if part)


def parse_dataset(spec: str) -> DatasetSpec:
    """Parse ``scheme[:rest][:train|:test]``.

    >>> parse_dataset("idx:/data/fashion-mnist:test")
    DatasetSpec(scheme='idx', rest='/data/fashion-mnist', split='test')

    Raises
    ------
    SteepslopeError
        If the scheme is unknown; the message has the closest name.
    """
    scheme, _, rest = spec.partition(":")
    if scheme not in DATASETS:
        raise unknown_name(f"data scheme in {spec!r}:", scheme, DATASETS)
    head, _, tail = rest.rpartition(":")
    if tail in SPLITS:
        return DatasetSpec(scheme, head, tail)
    return DatasetSpec(scheme, rest, None)


def _digits(rest: str, split: str) -> Images:
    """Load scikit-learn's 1,797 digits of 8×8 pixels: 1,000 to train, 797 to test, drawn once."""
    from sklearn.datasets import load_digits

    if rest:
        raise SteepslopeError(f"data spec 'digits:{rest}': expected digits, digits:train or digits:test")
    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    rows = order[:1000] if split == "train" else order[1000:]
    pixels = (bunch.images * (255 / 16)).round().astype(np.uint8)
    return Images(pixels[rows], bunch.target[rows].astype(np.int64), _row_ids("digits", rows))


def _idx(rest: str, split: str) -> Images:
    """Load the four files of the MNIST family from a folder, plain or gzipped."""
    folder = Path(rest)
    if not rest or not folder.is_dir():
        raise SteepslopeError(f"data spec 'idx:{rest}': no such folder")
    stem = {"train": "train", "test": "t10k"}[split]
    pixels = read_idx(_idx_file(folder, f"{stem}-images-idx3-ubyte"), dimensions=3)
    labels = read_idx(_idx_file(folder, f"{stem}-labels-idx1-ubyte"), dimensions=1)
    if len(pixels) != len(labels):
        raise SteepslopeError(
            f"{folder}: expected {len(pixels)} labels, one for each {split} image, found {len(labels)}"
        )
    return Images(pixels, labels.astype(np.int64), _row_ids(split, np.arange(len(labels))))


def _idx_file(folder: Path, name: str) -> Path:
    found = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
    if not found:
        raise SteepslopeError(f"{folder}: expected a file {name} or {name}.gz, found neither")
    return found[0]


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read a file of unsigned bytes in the IDX format: magic, sizes as big-endian int32, then the bytes.

    Raises
    ------
    SteepslopeError
        If the file is damaged, or holds another type or number of dimensions.
    """
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise SteepslopeError(f"{path}: cannot be read ({error})") from error
    header = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) < header:
        raise SteepslopeError(
            f"{path}: expected an IDX file of unsigned bytes in {dimensions} dimensions, "
            f"found the first bytes {content[:4].hex(' ') or '(none)'}"
        )
    shape = tuple(int(size) for size in np.frombuffer(content, dtype=">i4", count=dimensions, offset=4))
    expected = int(np.prod(shape))
    if len(content) - header != expected:
        raise SteepslopeError(f"{path}: expected {expected} bytes of data, found {len(content) - header}")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


TORCHVISION = ("MNIST", "FashionMNIST", "KMNIST")


def _torchvision(rest: str, split: str) -> Images:
    """Load a data set of torchvision's MNIST family, downloaded once to $STEEPSLOPE_DATA."""
    import torchvision.datasets

    if rest not in TORCHVISION:
        raise unknown_name("torchvision data set", rest, TORCHVISION)
    root = Path(os.environ.get("STEEPSLOPE_DATA", Path.home() / ".cache" / "steepslope"))
    try:
        data = getattr(torchvision.datasets, rest)(str(root), train=split == "train", download=True)
    except (OSError, RuntimeError) as error:
        raise SteepslopeError(
            f"torchvision:{rest}: neither found in {root} nor downloaded ({str(error).splitlines()[0]})"
        ) from error
    return Images(data.data.numpy(), data.targets.numpy(), _row_ids(split, np.arange(len(data))))


def _row_ids(prefix: str, rows: NDArray[Any]) -> NDArray[np.str_]:
    return np.array([f"{prefix}/{row:05d}" for row in rows])


@dataclass(frozen=True)
class Family:
    """How data sets of one scheme are read: by split into memory, or whole and image by image."""

    load_split: Callable[[str, str], Images] | None = None
    open_whole: Callable[[str, Mapping[str, int] | None], Dataset] | None = None


DATASETS: dict[str, Family] = {
    "digits": Family(load_split=_digits),
    "idx": Family(load_split=_idx),
    "torchvision": Family(load_split=_torchvision),
    "imagefolder": Family(open_whole=open_image_folder),
}


def holdout_split(n: int, holdout: int | None, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cut the training rows 0…n−1 into (fitted on, held out), each in ascending order.

    Without a number, 10,000 rows are held out, but at most half: errors are needed to learn from, and a
    classifier makes few on what it was fitted to.

    >>> fitted, held_out = holdout_split(60_000, None, seed=42)
    >>> len(fitted), len(held_out)
    (50000, 10000)
    """
    count = min(10_000, n // 2) if holdout is None else holdout
    if not 0 < count < n:
        raise SteepslopeError(f"holdout: expected 1 to {n - 1} of the {n} training rows, found {count}")
    require_seed(seed)
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[count:]), np.sort(order[:count])
