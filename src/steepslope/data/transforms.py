"""From an image file's pixels to what a classifier takes."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from steepslope.errors import SteepslopeError

Resize = Literal["crop", "squash", "exact"]
WIDEST = 4  # sides at most this ratio apart are enough for a central square crop


@dataclass(frozen=True)
class Transform:
    """Size, resizing and normalisation of a classifier's input.

    ``resize`` is ``crop`` (the shorter side to size / crop_share, then the central square), ``squash`` (both sides to
    the size) or ``exact`` (any other size is an error). ``mean`` and ``std`` are of pixels in [0, 1], one a channel.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize = "crop"
    crop_share: float = 1.0
    interpolation: str = "bicubic"

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colour."""
        return len(self.mean)

    def changed(self, **changes: Any) -> Self:
        """Return the same with the given changes; None changes nothing."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Return float32 (C, H, W)."""
        upright = ImageOps.exif_transpose(image)
        fitted = self._resized(as_grey(upright) if self.channels == 1 else as_colour(upright))
        pixels = torch.from_numpy(np.array(fitted, dtype=np.float32)) / 255
        pixels = pixels.unsqueeze(0) if self.channels == 1 else pixels.permute(2, 0, 1)
        return (pixels - torch.tensor(self.mean).view(-1, 1, 1)) / torch.tensor(self.std).view(-1, 1, 1)

    def _resized(self, image: Image.Image) -> Image.Image:
        height, width = self.size
        if min(height, width) < 1:
            raise SteepslopeError("expected a size of the classifier's input, found none: give --image-size")
        if self.resize == "exact":
            if image.size != (width, height):
                found = f"{image.size[0]}×{image.size[1]}"
                raise SteepslopeError(f"expected an image of {width}×{height} pixels, found {found}")
            return image
        mode = InterpolationMode(self.interpolation)
        if self.resize == "squash":
            fitted: Image.Image = tv.resize(image, [height, width], mode, antialias=True)
        else:
            shorter = math.floor(min(height, width) / self.crop_share + 1e-6)  # as timm has it
            fitted = tv.center_crop(tv.resize(_less_wide(image), [shorter], mode, antialias=True), [height, width])
        return fitted


def _less_wide(image: Image.Image) -> Image.Image:
    """Cut the ends off a very long image: a central crop never sees them, and resizing them could fill the memory."""
    width, height = image.size
    cut: Image.Image = tv.center_crop(image, [min(height, WIDEST * width), min(width, WIDEST * height)])
    return cut


def as_colour(image: Image.Image) -> Image.Image:
    """Return any image as 8-bit RGB; what is transparent becomes white, and 16-bit grey is scaled down."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layered).convert("RGB")
    if image.mode.startswith("I"):  # PIL's own conversion would clip it to white
        image = Image.fromarray((np.asarray(image).astype(np.int64) // 256).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def as_grey(image: Image.Image) -> Image.Image:
    """Return any image as 8-bit grey."""
    return (image if image.mode == "L" else as_colour(image)).convert("L")
