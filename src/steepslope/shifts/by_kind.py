"""Shifts that have a kind and a severity, and change each image for itself: what corruptions and distortions share."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.checks import SEED, Check, optional, require, whole
from steepslope.data.images import Labels, Picture
from steepslope.data.shifted import Size
from steepslope.errors import require_known
from steepslope.shifts.pixels import as_bytes, as_picture, cropped
from steepslope.utilities.extras import versions_of
from steepslope.utilities.seeding import seed_of

Bytes = NDArray[np.uint8]


def image_seed(seed: int, name: str) -> int:
    """Return the seed of one image's draws, from that of the data set and its id: whatever comes before or after it."""
    return (seed_of(seed, name) >> 224) % 2**31


@dataclass(frozen=True)
class ShiftByKind(ABC):
    """One kind of change at one severity, as a shift.

    Parameters
    ----------
    kind
        The name of the change.
    severity
        How strong it is, a whole number.
    seed
        Seed of all draws, beside each image's id, in 0…2³¹−1.
    crop
        Side to which images are brought first, in pixels: the shorter side is resized to crop / .875, and the centre
        cut out. ImageNet-C has 224. None keeps their size.

    Raises
    ------
    SteepslopeError
        If a setting is not as described; an unknown kind is named with the closest one.
    """

    kind: str
    severity: int
    seed: int = 0
    crop: int | None = None

    block: ClassVar[int] = 1
    method: ClassVar[str]  # the name of the shift in data specs
    noun: ClassVar[str]  # what a kind is called in an error
    kinds: ClassVar[Collection[str]]
    severities: ClassVar[Check]
    libraries: ClassVar[Sequence[str]]  # whose versions decide the pixels

    def __post_init__(self) -> None:
        require_known(self.noun, self.kind, self.kinds)
        for name, check in {"severity": self.severities, "seed": SEED, "crop": optional(whole(1))}.items():
            object.__setattr__(self, name, require(name, getattr(self, name), check))

    @abstractmethod
    def changed(self, pixels: Bytes, seed: int) -> Bytes:
        """Return a changed image, uint8 (H, W, C), its draws from this seed."""

    def look(self) -> Self:
        """Return the same; raise where something to change images with is missing."""
        return self

    def load(self) -> Self:
        """Return the same: there is nothing else to load."""
        return self.look()

    @property
    def title(self) -> str:
        """The kind and the severity."""
        return f"{self.kind}, severity {self.severity}"

    @property
    def size(self) -> Size | None:
        """Height and width of all images; None where they keep theirs."""
        return None if self.crop is None else (self.crop, self.crop)

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the changed images, as JSON holds it."""
        settings = {"method": self.method, "kind": self.kind, "severity": self.severity, "seed": self.seed}
        return {**settings, "crop": self.crop, "versions": versions_of(self.libraries)}

    def __call__(
        self,
        images: Sequence[Picture],
        ids: Sequence[str],
        labels: Labels | None = None,
        brought_to: Size | None = None,
    ) -> list[Picture]:
        """Return the changed images; those that were brought to the size already are not cropped again."""
        crop = None if brought_to == self.size else self.crop
        return [
            as_picture(self.changed(as_bytes(cropped(image, crop)), image_seed(self.seed, name)))
            for image, name in zip(images, ids, strict=True)
        ]

    def __str__(self) -> str:
        options = {"seed": self.seed or None, "crop": self.crop}
        query = "&".join(f"{name}={value}" for name, value in options.items() if value is not None)
        return f"{self.method}:{self.kind}:{self.severity}" + (f"?{query}" if query else "")
