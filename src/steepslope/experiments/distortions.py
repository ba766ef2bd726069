"""Distortions at two severities each, for measuring out of domain.

Nothing is ever chosen on those of the tables, ``DISTORTIONS``; ``CHOSEN_ON`` are the ones that choices were made on.
Each maps images (n, C, H, W) in [0, 1], and a severity, to changed ones.
"""

import io
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, grid_sample, interpolate, max_pool2d, pad
from torchvision.transforms.v2 import InterpolationMode, functional as tv

from steepslope.data.images import Images

BILINEAR = InterpolationMode.BILINEAR
SEED = 7
Distortion = Callable[[Tensor, float], Tensor]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


def _uniform(images: Tensor, *shape: int) -> Tensor:
    return torch.rand((len(images), *shape), generator=_generator())


def _normal(images: Tensor) -> Tensor:
    return torch.randn(images.shape, generator=_generator())


def _erase(images: Tensor, area: float) -> Tensor:
    """Blacken a square of that fraction of the area, somewhere else in each image."""
    generator = _generator()
    n, _, height, width = images.shape
    side = round((area * height * width) ** 0.5)
    tops, lefts = (torch.randint(size - side + 1, (n,), generator=generator) for size in (height, width))
    erased = images.clone()
    for row, (top, left) in enumerate(zip(tops.tolist(), lefts.tolist(), strict=True)):
        erased[row, :, top : top + side, left : left + side] = 0
    return erased


def _gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    blurred: Tensor = tv.gaussian_blur(images, [2 * int(4 * sigma) + 1] * 2, [sigma] * 2)
    return blurred


def _filtered(images: Tensor, kernel: Tensor) -> Tensor:
    """Convolve each channel with a kernel (k, k), k odd, that is scaled to sum to 1."""
    channels, half = images.shape[1], kernel.shape[0] // 2
    weights = (kernel / kernel.sum()).repeat(channels, 1, 1, 1)
    return conv2d(pad(images, (half,) * 4, mode="replicate"), weights, groups=channels)


def _motion(images: Tensor, length: float) -> Tensor:
    return _filtered(images, torch.eye(round(length)))


def _defocus(images: Tensor, radius: float) -> Tensor:
    half = math.ceil(radius)
    line = torch.arange(-half, half + 1).float()
    return _filtered(images, ((line[:, None] ** 2 + line**2) <= radius**2).float())


def _zoom_blur(images: Tensor, most: float) -> Tensor:
    factors = torch.linspace(1, most, 6).tolist()
    return torch.stack([tv.affine(images, 0, [0, 0], factor, [0.0, 0.0], BILINEAR) for factor in factors]).mean(0)


def _coarse(images: Tensor, side: float) -> Tensor:
    small = interpolate(images, size=(round(side), round(side)), mode="area")
    return interpolate(small, size=images.shape[-2:], mode="nearest")


def _fog(images: Tensor, strength: float) -> Tensor:
    """Mix with bright clouds, different in each image: noise of three coarse scales."""
    clouds = sum(
        interpolate(torch.rand((len(images), 1, side, side), generator=_generator()), images.shape[-2:], mode="bicubic")
        for side in (3, 5, 9)
    )
    assert isinstance(clouds, Tensor)
    return (1 - strength) * images + strength * (0.4 + 0.2 * clouds)


def _shot(images: Tensor, photons: float) -> Tensor:
    return torch.poisson(images * photons, generator=_generator()) / photons


def _salt(images: Tensor, fraction: float) -> Tensor:
    dice = torch.rand(images.shape, generator=_generator())
    return torch.where(dice < fraction / 2, 0.0, torch.where(dice > 1 - fraction / 2, 1.0, images))


def _moved(images: Tensor, offsets: Tensor) -> Tensor:
    """Sample images at places shifted by offsets (n, H, W, 2), in halves of the image."""
    plain = torch.eye(2, 3).repeat(len(images), 1, 1)
    grid = torch.nn.functional.affine_grid(plain, list(images.shape), align_corners=False)
    return grid_sample(images, grid + offsets, padding_mode="border", align_corners=False)


def _glass(images: Tensor, pixels: float) -> Tensor:
    height, width = images.shape[-2:]
    return _moved(images, (2 * _uniform(images, height, width, 2) - 1) * 2 * pixels / width)


def _elastic(images: Tensor, strength: float) -> Tensor:
    coarse = torch.randn((len(images), 2, 5, 5), generator=_generator())
    offsets = interpolate(coarse, images.shape[-2:], mode="bicubic").permute(0, 2, 3, 1)
    return _moved(images, strength * offsets)


def _swirl(images: Tensor, turns: float) -> Tensor:
    grid = torch.nn.functional.affine_grid(torch.eye(2, 3)[None], [1, 1, *images.shape[-2:]], align_corners=False)[0]
    angle = turns * 2 * math.pi * (1 - grid.norm(dim=2)).clamp_min(0)
    x, y = grid.unbind(2)
    turned = torch.stack([x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()], dim=2)
    return _moved(images, (turned - grid).repeat(len(images), 1, 1, 1))


def _perspective(images: Tensor, strength: float) -> Tensor:
    height, width = (size - 1 for size in images.shape[-2:])
    inset = round(strength * width)
    corners = [[0, 0], [width, 0], [width, height], [0, height]]
    moved: Tensor = tv.perspective(images, corners, [[inset, 0], [width - inset, 0], *corners[2:]], BILINEAR)
    return moved


def _jpeg(images: Tensor, quality: float) -> Tensor:
    return _by_pil(images, lambda image: _saved_as_jpeg(image, round(quality)))


def _saved_as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def _by_pil(images: Tensor, change: Callable[[Image.Image], Image.Image]) -> Tensor:
    arrays = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    plain = arrays[..., 0] if arrays.shape[3] == 1 else arrays
    changed = np.stack([np.asarray(change(Image.fromarray(one))) for one in plain])
    return torch.from_numpy(changed.reshape(arrays.shape)).permute(0, 3, 1, 2).float() / 255


def _light(images: Tensor, strength: float) -> Tensor:
    """Let light fall off from left to right."""
    return images * torch.linspace(1, 1 - strength, images.shape[-1])


def _vignette(images: Tensor, strength: float) -> Tensor:
    line = torch.linspace(-1, 1, images.shape[-1])
    return images * (1 - strength * (line[:, None] ** 2 + line**2) / 2).clamp(0, 1)


def _ghost(images: Tensor, strength: float) -> Tensor:
    return (1 - strength) * images + strength * images.roll(1, 0)


def _stripes(images: Tensor, strength: float) -> Tensor:
    rows = torch.arange(images.shape[-2]) % 4 < 2
    return images * (1 - strength * rows.float())[:, None]


def _disc(images: Tensor, radius: float) -> Tensor:
    """Cover with a grey disc of that radius, in sides, somewhere else in each image."""
    line = torch.arange(images.shape[-1]) / images.shape[-1]
    centre = 0.25 + 0.5 * _uniform(images, 2, 1)
    covered = ((line - centre[:, :1])[:, :, :, None] ** 2 + (line - centre[:, 1:])[:, :, None] ** 2) < radius**2
    return torch.where(covered, 0.5, images)


def _half(images: Tensor, side: float) -> Tensor:
    small = interpolate(images, size=(round(side), round(side)), mode="bilinear", antialias=True)
    return interpolate(small, size=images.shape[-2:], mode="bilinear")


def _thicken(images: Tensor, side: float) -> Tensor:
    return max_pool2d(pad(images, (0, round(side) - 1, 0, round(side) - 1), mode="replicate"), round(side), 1)


def _thin(images: Tensor, side: float) -> Tensor:
    return -_thicken(-images, side)


def _stretch(images: Tensor, factor: float) -> Tensor:
    height, width = images.shape[-2:]
    stretched: Tensor = tv.center_crop(tv.resize(images, [height, round(factor * width)]), [height, width])
    return stretched


def _box(images: Tensor, side: float) -> Tensor:
    return avg_pool2d(pad(images, (round(side) // 2,) * 4, mode="replicate"), round(side), 1)


def _partly_flipped(images: Tensor, edge: float) -> Tensor:
    """Mirror what is right of an edge, given in sides."""
    column = round(edge * images.shape[-1])
    return torch.cat([images[..., :column], images[..., column:].flip(-1)], dim=-1)


DISTORTIONS: dict[str, tuple[Distortion, tuple[float, float]]] = {
    "noise": (lambda images, deviation: images + deviation * _normal(images), (0.1, 0.25)),
    "blur": (_gaussian_blur, (0.8, 1.2)),
    "contrast": (tv.adjust_contrast, (0.6, 0.4)),
    "rotate": (partial(tv.rotate, interpolation=BILINEAR), (10, 20)),
    "erase": (_erase, (0.15, 0.25)),
    "scale": (lambda images, factor: tv.affine(images, 0, [0, 0], factor, [0.0, 0.0], BILINEAR), (0.75, 1.25)),
    "invert": (lambda images, strength: (1 - strength) * images + strength * (1 - images), (0.75, 1.0)),
    "motion": (_motion, (3, 5)),
    "defocus": (_defocus, (1.0, 2.0)),
    "zoom_blur": (_zoom_blur, (1.2, 1.4)),
    "coarse": (_coarse, (14, 9)),
    "fog": (_fog, (0.3, 0.5)),
    "shot": (_shot, (30, 8)),
    "glass": (_glass, (1.0, 2.0)),
    "swirl": (_swirl, (0.06, 0.12)),
    "perspective": (_perspective, (0.12, 0.22)),
    "shift": (lambda images, pixels: images.roll(round(pixels), -1), (2, 4)),
    "solarise": (lambda images, cut: torch.where(images >= cut, 1 - images, images), (0.8, 0.6)),
    "gamma": (lambda images, power: images.clamp_min(0) ** power, (0.5, 2.5)),
    "light": (_light, (0.5, 0.8)),
    "ghost": (_ghost, (0.2, 0.35)),
    "thicken": (_thicken, (2, 3)),
    "thin": (_thin, (2, 3)),
    "jpeg": (_jpeg, (30, 10)),
}  # fmt: skip
CHOSEN_ON: dict[str, tuple[Distortion, tuple[float, float]]] = {
    "salt": (_salt, (0.03, 0.1)),
    "speckle": (lambda images, deviation: images * (1 + deviation * _normal(images)), (0.25, 0.6)),
    "elastic": (_elastic, (0.06, 0.12)),
    "posterise": (lambda images, levels: (images * (levels - 1)).round() / (levels - 1), (4, 3)),
    "brighter": (lambda images, amount: images + amount, (0.15, 0.3)),
    "vignette": (_vignette, (0.6, 1.0)),
    "stripes": (_stripes, (0.4, 0.8)),
    "disc": (_disc, (0.15, 0.22)),
    "stretch": (_stretch, (1.3, 0.75)),
    "box": (_box, (3, 5)),
    "half": (_half, (18, 12)),
    "partly_flipped": (_partly_flipped, (0.75, 0.5)),
}  # fmt: skip


def distorted(images: Images, name: str, level: int) -> Images:
    """Return distorted copies of grey images, at severity 0 or 1."""
    function, severities = {**DISTORTIONS, **CHOSEN_ON}[name]
    pixels = torch.from_numpy(images.pixels.copy()).unsqueeze(1).float() / 255
    changed: NDArray[np.uint8] = (function(pixels, severities[level]).clamp(0, 1) * 255).round().byte()[:, 0].numpy()
    return Images(changed, images.labels, images.ids)
