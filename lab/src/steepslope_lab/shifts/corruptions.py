"""The 19 corruptions of ImageNet-C (Hendrycks & Dietterich, 2019), for images of any size and number of channels.

Colour images of 32 pixels and more a side go to the package as they are, so that they equal its own. What it has no
code for is brought to such: smaller images are continued beyond their borders, grey ones repeated, and other channels
taken one by one. Severities are those of ImageNet-C, in pixels, so small images suffer more. ``ShiftByKind`` is what
all shifts have that change each image for itself, by a kind and a severity.
"""

import contextlib
import inspect
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steepslope.errors import SEED, Check, optional, require, require_known, whole
from steepslope.files import require_extra, versions_of
from steepslope.nets import seed_of
from steepslope.nets.data import Labels, Picture, Size
from steepslope_lab.shifts.pixels import cropped_picture, picture_as_bytes, pixels_as_picture

Bytes = NDArray[np.uint8]


def image_seed(seed: int, name: str) -> int:
    """Return the seed of one image's draws, from that of the data set and its id: whatever comes before or after it."""
    return (seed_of(seed, name) >> 224) % 2**31


@dataclass(frozen=True)
class ShiftByKind:
    """One kind of change at one severity, as a shift.

    Parameters
    ----------
    kind
        The name of the change.
    severity
        How strong it is, a whole number.
    seed
        Seed of all draws, next to each image's id, in 0…2³¹−1.
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
    change: "ClassVar[staticmethod[[Bytes, str, int, int], Bytes]]"  # an image (H, W, C), by kind, severity and seed

    def __post_init__(self) -> None:
        require_known(self.noun, self.kind, self.kinds)
        for name, check in {"severity": self.severities, "seed": SEED, "crop": optional(whole(1))}.items():
            object.__setattr__(self, name, require(name, getattr(self, name), check))

    def look(self) -> Self:
        """Return the same; raise where something to change images with is missing."""
        return self

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
        changed = []
        for image, name in zip(images, ids, strict=True):
            pixels = picture_as_bytes(cropped_picture(image, crop))
            changed.append(self.change(pixels, self.kind, self.severity, image_seed(self.seed, name)))
        return [*map(pixels_as_picture, changed)]

    def __str__(self) -> str:
        options = {"seed": self.seed or None, "crop": self.crop}
        query = "&".join(f"{name}={value}" for name, value in options.items() if value is not None)
        return f"{self.method}:{self.kind}:{self.severity}" + (f"?{query}" if query else "")


NOISES = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")  # drawn again for each channel
PAPER_CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur",
    "snow", "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip
CORRUPTIONS = (*PAPER_CORRUPTIONS, "speckle_noise", "gaussian_blur", "spatter", "saturate")
SEVERITY = whole(1, 5)
SMALLEST = 32  # pixels a side that the package takes
PACKAGE = "imagecorruptions"
LIBRARIES = ("imagecorruptions-imaug", "numpy", "scikit-image", "scipy", "opencv-python", "pillow")


def corrupted(pixels: Bytes, kind: str, severity: int, seed: int) -> Bytes:
    """Return a corrupted image, uint8 (H, W, C).

    Parameters
    ----------
    pixels
        The image, uint8 (H, W, C); C = 1 is grey, 3 is colour.
    kind
        One of :data:`CORRUPTIONS`.
    severity
        1 to 5.
    seed
        Seed of all draws, in 0…2³¹−1.
    """
    channels = pixels.shape[2]
    if channels not in (1, 3):  # all are moved alike, but have noise of their own
        planes = []
        for channel, plane in enumerate(np.split(pixels, channels, axis=2)):
            plane_seed = (seed + channel) % 2**31 if kind in NOISES else seed
            planes.append(corrupted(plane, kind, severity, plane_seed))
        return np.concatenate(planes, axis=2)
    height, width = pixels.shape[:2]
    beyond = [(0, max(0, SMALLEST - height)), (0, max(0, SMALLEST - width)), (0, 0)]
    large = np.pad(pixels, beyond, mode="symmetric")
    changed = _corrupted_by_package(large.repeat(3 // channels, axis=2), kind, severity, seed)[:height, :width]
    if channels == 3:
        return changed
    grey = changed[..., 0] if kind in NOISES else np.array(Image.fromarray(changed).convert("L"))
    return grey[..., None]


def _corrupted_by_package(pixels: Bytes, kind: str, severity: int, seed: int) -> Bytes:
    """Run the package, whose draws come from NumPy's global state, and leave that state as it was.

    A spatter without a drop divides by zero; such pixels stay as they are, where the package makes them black.
    """
    function = require_extra(PACKAGE, "lab", "corrupt").corruption_dict[kind]
    seeded = {"seed": seed} if "seed" in inspect.signature(function).parameters else {}
    before = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(seed)  # noqa: NPY002
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):  # it prints what it gets over
            changed = np.asarray(function(Image.fromarray(pixels), severity, **seeded))
            return np.where(np.isnan(changed), pixels, changed).astype(np.uint8)
    finally:
        np.random.set_state(before)  # noqa: NPY002


class Corruption(ShiftByKind):
    """One of :data:`CORRUPTIONS` at a severity from 1 to 5, as a shift."""

    method, noun, kinds = "corrupt", "corruption", CORRUPTIONS
    severities, libraries = SEVERITY, LIBRARIES
    change = staticmethod(corrupted)

    def look(self) -> Self:
        """Return the same; raise unless the package is there."""
        require_extra(PACKAGE, "lab", "corrupt")
        return self
