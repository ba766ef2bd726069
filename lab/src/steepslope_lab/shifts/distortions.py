"""Distortions at two severities each, most of kinds that neither ImageNet-C nor the augmentations have.

Nothing was ever chosen on them.
Each function maps a batch of one image, (1, C, H, W) in [0, 1], and a severity, to a changed one, which may leave that
range. It draws from torch's generator. Severities in pixels are those of images of 28 pixels a side, and grow with
larger ones.
"""

import io
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, interpolate, max_pool2d, pad

from steepslope.errors import SteepslopeError, whole
from steepslope.files import optional_library
from steepslope.nets import seeded
from steepslope.nets.data import image_in_pil, open_image
from steepslope.numerics import single_thread
from steepslope_lab.shifts.corruptions import Bytes, ShiftByKind
from steepslope_lab.shifts.pixels import picture_as_bytes, pixels_as_picture

tv = optional_library("torchvision.transforms.v2.functional", "nets")
BILINEAR = "bilinear"

Change = Callable[[Tensor, float], Tensor]
SIDE = 28  # of the images for which severities in pixels were set
LIBRARIES = ("numpy", "pillow", "torch", "torchvision")


def _pixel_scale(images: Tensor) -> float:
    """Return how many pixels one of a small image is here, by the shorter side: >= 1."""
    return max(1.0, min(images.shape[-2:]) / SIDE)


def _distort_by_erasing(images: Tensor, area: float) -> Tensor:
    """Blacken a square of that fraction of the area."""
    height, width = images.shape[-2:]
    side = min(round((area * height * width) ** 0.5), height, width)
    top, left = (int(torch.randint(size - side + 1, ())) for size in (height, width))
    erased: Tensor = tv.erase(images, top, left, side, side, torch.zeros(1))
    return erased


def _distort_by_blur(images: Tensor, sigma: float) -> Tensor:
    width = sigma * _pixel_scale(images)
    half = min(int(4 * width), min(images.shape[-2:]) - 1)  # the mirror image beyond a border is no wider than that
    blurred: Tensor = tv.gaussian_blur(images, [2 * half + 1] * 2, [width] * 2)
    return blurred


def _filtered_by_kernel(images: Tensor, kernel: Tensor) -> Tensor:
    """Convolve each channel with a kernel (k, k), k odd, that is scaled to sum to 1."""
    channels, half = images.shape[1], kernel.shape[0] // 2
    weights = (kernel / kernel.sum()).repeat(channels, 1, 1, 1)
    return conv2d(pad(images, (half,) * 4, mode="replicate"), weights, groups=channels)


def _distort_by_motion(images: Tensor, length: float) -> Tensor:
    """Blur along the diagonal, over an odd number of pixels."""
    return _filtered_by_kernel(images, torch.eye(2 * math.floor(length * _pixel_scale(images) / 2) + 1))


def _distort_by_defocus(images: Tensor, radius: float) -> Tensor:
    most = radius * _pixel_scale(images)
    half = math.ceil(most)
    line = torch.arange(-half, half + 1).float()
    return _filtered_by_kernel(images, ((line[:, None] ** 2 + line**2) <= most**2).float())


def _distort_by_zoom(images: Tensor, most: float) -> Tensor:
    factors = torch.linspace(1, most, 6).tolist()
    return torch.stack([tv.affine(images, 0, [0, 0], factor, [0.0, 0.0], BILINEAR) for factor in factors]).mean(0)


def _coarse_size(images: Tensor, side: float) -> list[int]:
    """Return height and width, where the shorter one is that of a side of 28 pixels."""
    shorter = min(images.shape[-2:])
    return [max(1, round(side * _pixel_scale(images) * size / shorter)) for size in images.shape[-2:]]


def _distort_by_coarseness(images: Tensor, side: float) -> Tensor:
    return interpolate(interpolate(images, _coarse_size(images, side), mode="area"), images.shape[-2:], mode="nearest")


def _distort_by_fog(images: Tensor, strength: float) -> Tensor:
    """Mix with bright clouds, different in each image: noise of three coarse scales."""
    clouds = [torch.rand(len(images), 1, side, side) for side in (3, 5, 9)]
    fog = sum(interpolate(one, images.shape[-2:], mode="bicubic") for one in clouds)
    return (1 - strength) * images + strength * (0.4 + 0.2 * fog)


def _pixel_grid(images: Tensor) -> Tensor:
    """Return where the pixels lie, (n, H, W, 2), each x and y from −1 to 1."""
    return affine_grid(torch.eye(2, 3).repeat(len(images), 1, 1), list(images.shape), align_corners=False)


def _pixels_moved(images: Tensor, offsets: Tensor) -> Tensor:
    """Sample images at places shifted by offsets (n, H, W, 2), in halves of the image."""
    return grid_sample(images, _pixel_grid(images) + offsets, padding_mode="border", align_corners=False)


def _distort_by_glass(images: Tensor, pixels: float) -> Tensor:
    height, width = images.shape[-2:]
    pixel = torch.tensor([2 / width, 2 / height])
    return _pixels_moved(
        images, (2 * torch.rand(len(images), height, width, 2) - 1) * pixels * _pixel_scale(images) * pixel
    )


def _distort_by_swirl(images: Tensor, turns: float) -> Tensor:
    grid = _pixel_grid(images)
    angle = turns * 2 * math.pi * (1 - grid.norm(dim=3)).clamp_min(0)
    x, y = grid.unbind(3)
    turned = torch.stack([x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()], dim=3)
    return _pixels_moved(images, turned - grid)


def _distort_by_perspective(images: Tensor, strength: float) -> Tensor:
    height, width = (size - 1 for size in images.shape[-2:])
    if not (height and width):  # a line has no corners to move
        return images
    inset = round(strength * width)
    corners = [[0, 0], [width, 0], [width, height], [0, height]]
    moved: Tensor = tv.perspective(images, corners, [[inset, 0], [width - inset, 0], *corners[2:]], BILINEAR)
    return moved


def _distort_by_jpeg(images: Tensor, quality: float) -> Tensor:
    file = io.BytesIO()
    image_in_pil(pixels_as_picture(_bytes_of_tensor(images[0]))).save(file, "JPEG", quality=round(quality))
    return _tensor_of_bytes(picture_as_bytes(open_image(file)))[None]


def _bytes_of_tensor(image: Tensor) -> Bytes:
    """Return an image (C, H, W) in [0, 1] as bytes (H, W, C)."""
    pixels: Bytes = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return pixels


def _tensor_of_bytes(pixels: Bytes) -> Tensor:
    """Return bytes (H, W, C) as an image (C, H, W) in [0, 1]."""
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def _distort_by_shift(images: Tensor, pixels: float) -> Tensor:
    """Move to the right; what leaves the image comes in again from the left."""
    return images.roll(round(pixels * _pixel_scale(images)), -1)


def _distort_by_light(images: Tensor, strength: float) -> Tensor:
    """Let light fall off from left to right."""
    return images * torch.linspace(1, 1 - strength, images.shape[-1])


def _distort_by_ghost(images: Tensor, strength: float) -> Tensor:
    """Mix with the image itself, turned upside down, as a lens reflects it."""
    return (1 - strength) * images + strength * images.flip(-2, -1)


def _distort_by_thickening(images: Tensor, side: float) -> Tensor:
    size = round(side * _pixel_scale(images))
    return max_pool2d(pad(images, (0, size - 1, 0, size - 1), mode="replicate"), size, 1)


DISTORTIONS: dict[str, tuple[Change, tuple[float, float]]] = {
    "noise": (lambda images, deviation: images + deviation * torch.randn_like(images), (0.1, 0.25)),
    "blur": (_distort_by_blur, (0.8, 1.2)),
    "contrast": (lambda images, factor: tv.adjust_contrast(images, factor), (0.6, 0.4)),
    "rotate": (lambda images, angle: tv.rotate(images, angle, BILINEAR), (10, 20)),
    "erase": (_distort_by_erasing, (0.15, 0.25)),
    "scale": (lambda images, factor: tv.affine(images, 0, [0, 0], factor, [0.0, 0.0], BILINEAR), (0.75, 1.25)),
    "invert": (lambda images, strength: (1 - strength) * images + strength * (1 - images), (0.75, 1.0)),
    "motion": (_distort_by_motion, (3, 5)),
    "defocus": (_distort_by_defocus, (1.0, 2.0)),
    "zoom_blur": (_distort_by_zoom, (1.2, 1.4)),
    "coarse": (_distort_by_coarseness, (14, 9)),
    "fog": (_distort_by_fog, (0.3, 0.5)),
    "shot": (lambda images, photons: torch.poisson(images * photons) / photons, (30, 8)),
    "glass": (_distort_by_glass, (1.0, 2.0)),
    "swirl": (_distort_by_swirl, (0.06, 0.12)),
    "perspective": (_distort_by_perspective, (0.12, 0.22)),
    "shift": (_distort_by_shift, (2, 4)),
    "solarise": (lambda images, cut: torch.where(images >= cut, 1 - images, images), (0.8, 0.6)),
    "gamma": (lambda images, power: images.clamp_min(0) ** power, (0.5, 2.5)),
    "light": (_distort_by_light, (0.5, 0.8)),
    "ghost": (_distort_by_ghost, (0.2, 0.35)),
    "thicken": (_distort_by_thickening, (2, 3)),
    "thin": (lambda images, side: -_distort_by_thickening(-images, side), (2, 3)),
    "jpeg": (_distort_by_jpeg, (30, 10)),
}


def distorted(pixels: Bytes, kind: str, severity: int, seed: int) -> Bytes:
    """Return a distorted image, uint8 (H, W, C).

    Parameters
    ----------
    pixels
        The image, uint8 (H, W, C); C = 1 is grey, 3 is colour.
    kind
        One of :data:`DISTORTIONS`.
    severity
        0 for the milder one, 1 for the stronger one.
    seed
        Seed of all draws, in 0…2³¹−1.

    Raises
    ------
    SteepslopeError
        If the image is neither grey nor in colour.

    >>> import numpy as np
    >>> distorted(np.array([[[0], [55]]], dtype=np.uint8), "invert", 1, 0).tolist()
    [[[255], [200]]]
    """
    if pixels.shape[2] not in (1, 3):
        raise SteepslopeError(f"expected a grey or colour image to distort, found {pixels.shape[2]} channels")
    function, severities = DISTORTIONS[kind]
    with seeded(seed), single_thread():
        return _bytes_of_tensor(function(_tensor_of_bytes(pixels)[None], severities[severity])[0])


class Distortion(ShiftByKind):
    """One of :data:`DISTORTIONS`, as a shift: at severity 0, or the stronger 1."""

    method, noun, kinds = "distort", "distortion", DISTORTIONS
    severities, libraries = whole(0, 1), LIBRARIES
    change = staticmethod(distorted)
