"""Labelled images, in memory or decoded one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steepslope.errors import SteepslopeError

ALL = slice(None)


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

    def fingerprint(self, rows: slice = ALL) -> str:
        """Return a hash that tells these rows from others, wherever the data set lies."""
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

    def fingerprint(self, rows: slice = ALL) -> str:
        """Return the SHA-256 of pixels and labels, in hex."""
        return hashlib.sha256(self.pixels[rows].tobytes() + self.labels[rows].tobytes()).hexdigest()

    def subset(self, rows: NDArray[np.int64]) -> Images:
        """Return the given rows, in the given order."""
        return Images(self.pixels[rows], self.labels[rows], self.ids[rows])


def row_ids(prefix: str, rows: NDArray[Any]) -> NDArray[np.str_]:
    """Name images by their split and row.

    >>> row_ids("test", np.arange(2)).tolist()
    ['test/00000', 'test/00001']
    """
    return np.array([f"{prefix}/{row:05d}" for row in rows])


def rows_by_id(data: Dataset, ids: NDArray[np.str_] | None) -> NDArray[np.int64]:
    """Return the rows of the images that outputs are of, (len(ids),), found by their ids."""
    if ids is None:
        raise SteepslopeError("expected outputs with ids, by which their images are found, but they have none")
    known = {str(name): row for row, name in enumerate(data.ids)}
    missing = next((str(name) for name in ids if str(name) not in known), None)
    if missing is not None:
        raise SteepslopeError(f"expected an image for each output, found none with the id {missing!r}")
    return np.array([known[str(name)] for name in ids], dtype=np.int64)


@dataclass(frozen=True)
class ClassNames:
    """Names of classes -> labels: those that the user has ``given``, and the classifier's ``own``.

    ``num_classes`` is the classifier's number of classes, if it is known.
    """

    given: Mapping[str, int] | None = None
    own: Mapping[str, int] | None = None
    num_classes: int | None = None

    def labels_of(self, names: Sequence[str], source: str) -> NDArray[np.int64]:
        """Return the labels of a data set's numbered class names, (len(names),).

        The names given, else the classifier's own, must have them all. Where nothing is given and the classifier knows
        none of them, the data set's numbers are the labels, if it has as many classes as the classifier.
        """
        known = self.given if self.given is not None else self.own
        if known is None or (self.given is None and not any(name in known for name in names)):
            if self.num_classes not in (None, len(names)):
                raise SteepslopeError(
                    f"{source}: expected {self.num_classes} classes, as the classifier has, or --classes to say which "
                    f"its {len(names)} are"
                )
            return np.arange(len(names))
        for name in names:
            if name not in known:
                raise SteepslopeError(f"{source}: the class {name!r} is none of the classifier's (see --classes)")
        return np.array([known[name] for name in names], dtype=np.int64)
