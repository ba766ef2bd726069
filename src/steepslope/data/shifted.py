"""A data set whose images another kind of world has changed: the same rows, labels and ids, other pixels."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steepslope.data.images import ALL, Dataset, Divisible, Labels, Picture, labels_at

Size = tuple[int, int]  # height and width


class Shift(Protocol):
    """What changes images. What it makes of an image depends on the image, its id and label, and the recipe alone."""

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the shifted images: method, settings, digests of nets, versions of libraries; as JSON has it."""

    @property
    def block(self) -> int:
        """Number of images that are best shifted together, >= 1."""

    @property
    def size(self) -> Size | None:
        """Height and width that all images are cropped to before they are shifted; None where they keep theirs."""

    def __call__(self, images: Sequence[Picture], ids: Sequence[str], labels: Labels | None) -> list[Picture]:
        """Return the shifted images, one for each: 8-bit PIL images, or float32 arrays (H, W, C) in [0, 1]."""


@dataclass(eq=False)
class Shifted:
    """A data set's images, shifted. Blocks of neighbouring rows are shifted together, and the last one is kept."""

    data: Dataset
    shift: Shift
    _kept: tuple[int, list[Picture]] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.data)

    @property
    def labels(self) -> Labels | None:
        """The true classes, (n,); None where they are not known."""
        return self.data.labels

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, by label."""
        return self.data.classes

    @property
    def ids(self) -> Sequence[str] | NDArray[np.str_]:
        """Names of the images, (n,): those of the originals."""
        return self.data.ids
