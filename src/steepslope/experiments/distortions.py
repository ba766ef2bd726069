"""Seven distortions at two severities each, for measuring out of domain; nothing is ever chosen on them."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional as tv

from steepslope.data.images import Images

BILINEAR = InterpolationMode.BILINEAR
SEED = 7


def _noise(images: Tensor, deviation: float) -> Tensor:
    return images + deviation * torch.randn(images.shape, generator=torch.Generator().manual_seed(SEED))


def _erase(images: Tensor, area: float) -> Tensor:
    """Blacken a square of that fraction of the area, somewhere else in each image."""
    generator = torch.Generator().manual_seed(SEED)
    n, _, height, width = images.shape
    side = round((area * height * width) ** 0.5)
    tops, lefts = (torch.randint(size - side + 1, (n,), generator=generator) for size in (height, width))
    erased = images.clone()
    for row, (top, left) in enumerate(zip(tops.tolist(), lefts.tolist(), strict=True)):
        erased[row, :, top : top + side, left : left + side] = 0
    return erased


DISTORTIONS: dict[str, tuple[Callable[[Tensor, float], Tensor], tuple[float, float]]] = {
    "noise": (_noise, (0.1, 0.25)),
    "blur": (lambda images, sigma: tv.gaussian_blur(images, [2 * int(4 * sigma) + 1] * 2, [sigma] * 2), (0.8, 1.2)),
    "contrast": (tv.adjust_contrast, (0.6, 0.4)),
    "rotate": (partial(tv.rotate, interpolation=BILINEAR), (10, 20)),
    "erase": (_erase, (0.15, 0.25)),
    "scale": (lambda images, factor: tv.affine(images, 0, [0, 0], factor, [0.0, 0.0], BILINEAR), (0.75, 1.25)),
    "invert": (lambda images, strength: (1 - strength) * images + strength * (1 - images), (0.75, 1.0)),
}


def distorted(images: Images, name: str, level: int) -> Images:
    """Return distorted copies of grey images, at severity 0 or 1."""
    function, severities = DISTORTIONS[name]
    pixels = torch.from_numpy(images.pixels.copy()).unsqueeze(1).float() / 255
    changed: NDArray[np.uint8] = (function(pixels, severities[level]).clamp(0, 1) * 255).round().byte()[:, 0].numpy()
    return Images(changed, images.labels, images.ids)
