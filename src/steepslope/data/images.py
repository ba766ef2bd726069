"""Labelled images, in memory or decoded one by one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steepslope.errors import SteepslopeError


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


class SplitDataset(Dataset, Protocol):
    """A data set of which some rows can be taken."""

    def subset(self, rows: NDArray[np.int64]) -> Self:
        """Return the given rows, in the given order."""
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


def row_ids(prefix: str, rows: NDArray[Any]) -> NDArray[np.str_]:
    """Name images by their split and row.

    >>> row_ids("test", np.arange(2)).tolist()
    ['test/00000', 'test/00001']
    """
    return np.array([f"{prefix}/{row:05d}" for row in rows])


@dataclass(frozen=True)
class ClassNames:
    """Names of classes -> labels: those that the user ``given``, and the classifier's ``own``."""

    given: Mapping[str, int] | None = None
    own: Mapping[str, int] | None = None

    def labels_of(self, names: Sequence[str], source: str) -> NDArray[np.int64]:
        """Return the labels of a data set's numbered class names, (len(names),).

        Given names must cover them; the classifier's own do so where they have them all. Otherwise the data set's
        numbers are taken for the labels.
        """
        if self.given is None and self.own is not None and all(name in self.own for name in names):
            return np.array([self.own[name] for name in names], dtype=np.int64)
        for name in names if self.given is not None else ():
            if name not in (self.given or {}):
                raise SteepslopeError(f"{source}: the class {name!r} is none of those in --classes")
        return np.array([self.given[name] if self.given else row for row, name in enumerate(names)], dtype=np.int64)
