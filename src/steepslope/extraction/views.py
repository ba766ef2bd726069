"""Views of a batch of images: small changes under which a prediction that can be trusted should stand.

Each maps standardised images (n, C, H, W) to the same shape. Sizes are fractions of the side: a shift is
one pixel of 28. What comes in from outside repeats or mirrors the border.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

View = Callable[[Tensor], Tensor]


def _shift(right: int, down: int) -> View:
    def view(images: Tensor) -> Tensor:
        step = max(1, round(images.shape[-1] / 28))
        padded = torch.nn.functional.pad(images, (step,) * 4, mode="replicate")
        top, left = step * (1 - down), step * (1 - right)
        return padded[..., top : top + images.shape[-2], left : left + images.shape[-1]]

    return view


def _affine(angle: float = 0.0, scale: float = 1.0) -> View:
    def view(images: Tensor) -> Tensor:
        border = max(1, math.ceil(0.1 * max(images.shape[-2:])))
        padded = torch.nn.functional.pad(images, (border,) * 4, mode="replicate")
        moved: Tensor = tv.affine(padded, angle, [0, 0], scale, [0.0, 0.0], tv.InterpolationMode.BILINEAR)
        return moved[..., border:-border, border:-border]

    return view


def _contrast(factor: float) -> View:
    def view(images: Tensor) -> Tensor:
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        return mean + factor * (images - mean)

    return view


def _blur(images: Tensor) -> Tensor:
    sigma = 0.8 * images.shape[-1] / 28
    blurred: Tensor = tv.gaussian_blur(images, [2 * math.ceil(1.5 * sigma) + 1] * 2, [sigma] * 2)
    return blurred


VIEWS: dict[str, View] = {
    "flip": lambda images: images.flip(-1),
    "left": _shift(-1, 0),
    "right": _shift(1, 0),
    "up": _shift(0, -1),
    "down": _shift(0, 1),
    "turn_left": _affine(angle=-8),
    "turn_right": _affine(angle=8),
    "blur": _blur,
    "shrink": _affine(scale=0.9),
    "grow": _affine(scale=1.1),
    "less_contrast": _contrast(0.8),
    "more_contrast": _contrast(1.2),
}
