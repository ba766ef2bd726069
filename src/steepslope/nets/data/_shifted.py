"""A data set whose images were changed as another domain would change them: the same rows, labels and ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steepslope.files import digest_of
from steepslope.nets.data._images import ALL, Dataset, Divisible, Labels, Picture, labels_at

Size = tuple[int, int]  # height and width


class Shift(Protocol):
    """What changes images. What becomes of an image depends on it, its id, its label and the recipe, and no more."""

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the shifted images: method, settings, digests of nets, versions of libraries; as JSON has it."""

    @property
    def title(self) -> str:
        """What was done, in a few words, for pictures and tables."""

    @property
    def block(self) -> int:
        """Number of images that are best shifted together, >= 1."""

    @property
    def size(self) -> Size | None:
        """Height and width to which all images are brought before they are shifted; None where they keep theirs."""

    def __call__(
        self, images: Sequence[Picture], ids: Sequence[str], labels: Labels | None, brought_to: Size | None
    ) -> list[Picture]:
        """Return the shifted images, one for each: 8-bit ones of PIL, or float32 arrays (H, W, C) in [0, 1].

        ``brought_to`` is the size that an earlier shift has brought all images to; None where there was none.
        """


class ShiftSpec(Shift, Protocol):
    """A shift that a data spec names; as text it is what stands before the ``/``."""

    def look(self) -> object:
        """Raise where something to change images with is missing; it takes no time, so it comes before all loading."""


@dataclass(eq=False)
class Shifted:
    """A data set's images, shifted."""

    data: Dataset
    shift: Shift

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

    @cached_property
    def ids(self) -> Sequence[str] | NDArray[np.str_]:
        """Names of the images, (n,): those of the originals, asked for once, since some data sets make them again."""
        return self.data.ids

    @property
    def brought_to(self) -> Size | None:
        """Height and width that all images have been brought to; None where they have sizes of their own."""
        return self.shift.size or size_brought_to(self.data)

    def image(self, row: int) -> Picture:
        """Return one shifted image; an unreadable original raises as in the data set."""
        return self._shifted_rows(np.array([row]))[0]

    def shifted_block(self, number: int) -> list[Picture | Exception]:
        """Return the images of a block of neighbouring rows; in place of one that cannot be had, why not."""
        start = number * self.shift.block
        rows = np.arange(start, min(start + self.shift.block, len(self)))
        try:
            return list(self._shifted_rows(rows))
        except Exception:  # of one image, which must not spoil the others: they are shifted one by one
            return [self._image_or_error(int(row)) for row in rows]

    def _shifted_rows(self, rows: NDArray[np.int64]) -> list[Picture]:
        images = [self.data.image(int(row)) for row in rows]
        names = [str(self.ids[row]) for row in rows]
        return self.shift(images, names, labels_at(self.labels, rows), size_brought_to(self.data))

    def _image_or_error(self, row: int) -> Picture | Exception:
        try:
            return self.image(row)
        except Exception as error:  # decoders have many kinds for damaged files
            return error

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return the SHA-256 of the originals' hash, their ids and the recipe."""
        names = list(map(str, self.ids[rows]))
        return digest_of([self.data.fingerprint(rows, verify), names, self.shift.recipe])

    def subset(self, rows: NDArray[np.int64]) -> "Shifted":
        """Return the given rows, in the given order."""
        assert isinstance(self.data, Divisible)
        return Shifted(self.data.subset(rows), self.shift)


def size_brought_to(data: Any) -> Size | None:
    """Return the size that all images of a data set, or of one that it holds, have been brought to; else None."""
    size: Size | None = getattr(data, "brought_to", None)
    inner = getattr(data, "data", None)
    if size is None and hasattr(inner, "image"):
        return size_brought_to(inner)
    return size


def shift_recipes_of(data: Any) -> list[dict[str, Any]]:
    """Return the recipes of all shifts of a data set, also inside of what holds it, the last one first."""
    recipes = []
    while hasattr(data, "image"):
        if isinstance(data, Shifted):
            recipes.append(data.shift.recipe)
        data = getattr(data, "data", None)
    return recipes
