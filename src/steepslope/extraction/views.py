"""Views of a batch of images, small changes under which a prediction that can be trusted should stand; and its noise.

Each view maps standardised images (n, C, H, W) to the same shape. Sizes are fractions of the side: a shift is
one pixel of 28. What comes in from outside repeats or mirrors the border.
How noisy an image is follows from Immerkær's second difference ("Fast Noise Variance Estimation", 1996).
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from steepslope.errors import SteepslopeError

ESTIMATES = ("mean", "median")  # the columns of noise_of
SIDE = 3  # of the mask
MASK_NORM = 6.0  # of the mask's response to white noise of deviation 1
NORMAL_MEDIAN = 0.67449  # of a standard normal's absolute value
TINY = 1e-12

View = Callable[[Tensor], Tensor]


def _shift(images: Tensor, right: int = 0, down: int = 0) -> Tensor:
    step = max(1, round(images.shape[-1] / 28))
    padded = torch.nn.functional.pad(images, (step,) * 4, mode="replicate")
    top, left = step * (1 - down), step * (1 - right)
    return padded[..., top : top + images.shape[-2], left : left + images.shape[-1]]


def _affine(images: Tensor, angle: float = 0.0, scale: float = 1.0) -> Tensor:
    border = max(1, math.ceil(0.1 * max(images.shape[-2:])))
    padded = torch.nn.functional.pad(images, (border,) * 4, mode="replicate")
    moved: Tensor = tv.affine(padded, angle, [0, 0], scale, [0.0, 0.0], tv.InterpolationMode.BILINEAR)
    return moved[..., border:-border, border:-border]


def _contrast(images: Tensor, factor: float) -> Tensor:
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + factor * (images - mean)


def _blur(images: Tensor) -> Tensor:
    sigma = 0.8 * images.shape[-1] / 28
    blurred: Tensor = tv.gaussian_blur(images, [2 * math.ceil(1.5 * sigma) + 1] * 2, [sigma] * 2)
    return blurred


VIEWS: dict[str, View] = {
    "flip": lambda images: images.flip(-1),
    "left": partial(_shift, right=-1), "right": partial(_shift, right=1),
    "up": partial(_shift, down=-1), "down": partial(_shift, down=1),
    "turn_left": partial(_affine, angle=-8), "turn_right": partial(_affine, angle=8),
    "blur": _blur,
    "shrink": partial(_affine, scale=0.9), "grow": partial(_affine, scale=1.1),
    "less_contrast": partial(_contrast, factor=0.8), "more_contrast": partial(_contrast, factor=1.2),
}  # fmt: skip


def noise_of(images: Tensor) -> Tensor:
    """Estimate how much of each image's differences between neighbours is noise: (n, C, H, W) -> float32 (n, 2).

    The deviation of white noise, over the deviation that the neighbours' mean difference would stand for: 1 where all
    is white noise, near 0 where all is smooth, whatever the contrast. The former comes from the mean, and from the
    median, of the absolute second difference in both directions, which hardly sees what is smooth or straight. The mean
    counts all texture as noise, the median what covers half of the image.

    >>> import torch
    >>> noise = 0.3 * torch.randn(1, 1, 200, 200, generator=torch.Generator().manual_seed(0))
    >>> noise_of(noise).round(decimals=1).tolist(), noise_of(torch.arange(16.0).reshape(1, 1, 4, 4)).tolist()
    ([[1.0, 1.0]], [[0.0, 0.0]])
    """
    height, width = images.shape[-2:]
    if min(height, width) < SIDE:
        raise SteepslopeError(f"views: expected images of at least {SIDE} × {SIDE} pixels, found {height} × {width}")
    images = images.float()
    down = images[..., :-2, :] - 2 * images[..., 1:-1, :] + images[..., 2:, :]
    both = (down[..., :-2] - 2 * down[..., 1:-1] + down[..., 2:]).abs().flatten(1) / MASK_NORM
    deviations = torch.stack([both.mean(dim=1) * math.sqrt(math.pi / 2), both.median(dim=1).values / NORMAL_MEDIAN], 1)
    differences = (images.diff(dim=2).abs().mean(dim=(1, 2, 3)) + images.diff(dim=3).abs().mean(dim=(1, 2, 3))) / 2
    return deviations / (differences * math.sqrt(math.pi) / 2).clamp_min(TINY)[:, None]
