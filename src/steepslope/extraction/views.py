"""Views of a batch of images, small changes under which a prediction that can be trusted should stand.

Each view maps standardised images (n, C, H, W) to the same shape. Sizes are fractions of the side: a shift is
one pixel of 28. What comes in from outside repeats or mirrors the border.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

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
