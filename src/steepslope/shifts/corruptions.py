"""The 19 corruptions of ImageNet-C (Hendrycks & Dietterich, 2019), for images of any size and number of channels.

Colour images of 32 pixels and more a side go to the package as they are, so that they equal its own. What it has no
code for is brought to such: smaller images are continued beyond their borders, grey ones repeated, and other channels
taken one by one. Severities are those of ImageNet-C, in pixels, so small images suffer more.
"""

import contextlib
import inspect
import io
from typing import Self

import numpy as np
from PIL import Image

from steepslope.checks import whole
from steepslope.shifts.by_kind import Bytes, ShiftByKind
from steepslope.utilities.extras import require_extra

NOISES = ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise")  # drawn anew for each channel
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
    if channels not in (1, 3):
        parts = [corrupted(pixels[..., one : one + 1], kind, severity, _seed_of_channel(kind, seed, one))
                 for one in range(channels)]  # fmt: skip
        return np.concatenate(parts, axis=2)
    height, width = pixels.shape[:2]
    beyond = [(0, max(0, SMALLEST - height)), (0, max(0, SMALLEST - width)), (0, 0)]
    large = np.pad(pixels, beyond, mode="symmetric")
    found = _by_package(large.repeat(3 // channels, axis=2), kind, severity, seed)[:height, :width]
    if channels == 3:
        return found
    grey = found[..., 0] if kind in NOISES else np.array(Image.fromarray(found).convert("L"))
    return grey[..., None]


def _seed_of_channel(kind: str, seed: int, channel: int) -> int:
    """Return the same seed for all channels, so that they are moved alike, but of noise another for each."""
    return (seed + channel) % 2**31 if kind in NOISES else seed


def _by_package(pixels: Bytes, kind: str, severity: int, seed: int) -> Bytes:
    """Run the package, whose draws come from NumPy's global state, and leave that state as it was.

    A spatter without a drop divides by zero; such pixels stay as they are, where the package makes them black.
    """
    function = require_extra(PACKAGE, "shifts", "corrupt").corruption_dict[kind]
    seeded = {"seed": seed} if "seed" in inspect.signature(function).parameters else {}
    before = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(seed)  # noqa: NPY002
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):  # it prints what it gets over
            found = np.asarray(function(Image.fromarray(pixels), severity, **seeded))
            return np.where(np.isnan(found), pixels, found).astype(np.uint8)
    finally:
        np.random.set_state(before)  # noqa: NPY002


class Corruption(ShiftByKind):
    """One of :data:`CORRUPTIONS` at a severity from 1 to 5, as a shift."""

    method, noun, kinds = "corrupt", "corruption", CORRUPTIONS
    severities, libraries = SEVERITY, LIBRARIES

    def changed(self, pixels: Bytes, seed: int) -> Bytes:
        """Return a corrupted image, uint8 (H, W, C)."""
        return corrupted(pixels, self.kind, self.severity, seed)

    def look(self) -> Self:
        """Return the same; raise unless the package is there."""
        require_extra(PACKAGE, "shifts", "corrupt")
        return self
