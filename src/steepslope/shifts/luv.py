"""CIELUV scaled to [0, 1], in which colour maps are bounded, and the way back into what a screen can show.

``kornia.color`` converts; it takes sRGB as images have it, and measures against the white of D65. Grey needs lightness
alone, and therefore no kornia.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from steepslope.utilities.extras import require_extra

# Lowest and highest L, u and v of all sRGB colours, rounded outwards: u spans −83.1…175.1, and v −134.2…107.5.
LOWEST = (0.0, -84.0, -135.0)
HIGHEST = (100.0, 176.0, 108.0)

LINEAR_SRGB, LINEAR_LIGHT = 0.04045, 0.0031308  # below these, sRGB is linear in light (IEC 61966-2-1)
CIE_EPSILON, CIE_KAPPA = 0.008856, 903.3  # below this luminance, lightness is linear in it; as kornia has them

HALVINGS = 12  # leave 1/4096 of a way that is at most the bound
TOLERANCE = 2e-5  # of scaled LUV: above the rounding of float32, far below any bound
NEARLY_BLACK = 1e-3  # lightness below which rounding may hide that a colour does not exist


def luv_of(images: Tensor) -> Tensor:
    """Return the scaled LUV of sRGB images in [0, 1], both (..., 3, H, W).

    >>> luv_of(torch.ones(1, 3, 1, 1)).flatten()[0]
    tensor(1.)
    """
    luv: Tensor = _kornia().rgb_to_luv(images)
    lowest, width = _axes(images)
    return (luv - lowest) / width


def rgb_of(luv: Tensor) -> Tensor:
    """Return the sRGB of scaled LUV, both (..., 3, H, W); outside [0, 1] for colours that sRGB does not have."""
    lowest, width = _axes(luv)
    rgb: Tensor = _kornia().luv_to_rgb(luv * width + lowest)
    return rgb


def lightness_of(grey: Tensor) -> Tensor:
    """Return L / 100, in [0, 1], of grey sRGB values in [0, 1], of any shape.

    >>> lightness_of(torch.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.5339, 1.0000])
    """
    light = torch.where(grey > LINEAR_SRGB, ((grey + 0.055) / 1.055) ** 2.4, grey / 12.92)
    root = light.clamp(min=CIE_EPSILON) ** (1 / 3)
    return torch.where(light > CIE_EPSILON, 1.16 * root - 0.16, CIE_KAPPA / 100 * light)


def grey_of(lightness: Tensor) -> Tensor:
    """Return grey sRGB values of L / 100 in [0, 1], of any shape: the inverse of :func:`lightness_of`."""
    # both branches have to be finite, or the one that is not taken would make the gradient NaN
    light = torch.where(lightness > 0.08, ((lightness + 0.16) / 1.16) ** 3, lightness * (100 / CIE_KAPPA))
    bright = 1.055 * light.clamp(min=LINEAR_LIGHT) ** (1 / 2.4) - 0.055
    return torch.where(light > LINEAR_LIGHT, bright, 12.92 * light)


@torch.no_grad()
def nearest_shown(own: Tensor, target: Tensor) -> Tensor:
    """Return the last colours that sRGB has on the straight ways from some that it has to others.

    Clipping RGB would end up elsewhere, farther from ``own`` than ``target`` is along one of the axes. A way that
    leaves sRGB and comes back, as few do, ends where it first leaves or at a later border.

    Parameters
    ----------
    own
        Scaled LUV of colours in sRGB, (n, 3, H, W).
    target
        Where they are to go, of the same shape.

    Returns
    -------
    Tensor
        Scaled LUV, (n, 3, H, W): ``target`` where sRGB has it; ``own``, to the bit, where there is no way at all.
    """
    flat_own, flat = (colours.movedim(1, 0).flatten(1) for colours in (own, target))
    doubtful = _in_doubt(flat).nonzero().squeeze(1)
    ends = flat.clone().index_copy_(1, doubtful, _last_shown(flat_own[:, doubtful], flat[:, doubtful]))
    return ends.view(3, len(own), *own.shape[2:]).movedim(0, 1)


def _last_shown(own: Tensor, target: Tensor) -> Tensor:
    """Return the last colours in sRGB on the ways from ``own`` to ``target``, all (3, m), by bisection."""
    ends = target.clone()
    outside = (~_is_shown(target)).nonzero().squeeze(1)
    start, way = own[:, outside], (target - own)[:, outside]
    low, high = torch.zeros_like(start[0]), torch.ones_like(start[0])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = _is_shown(start + middle * way)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    ends.index_copy_(1, outside, start + low * way)
    # Near black, the gradient of RGB grows without limit as LUV leaves sRGB, even if by less than the tolerance.
    return torch.where((ends == own).all(dim=0), own, _clipped(ends))


def _in_doubt(luv: Tensor) -> Tensor:
    """Return which of the colours (3, m) may not be in sRGB, (m,)."""
    rgb = rgb_of(luv.unsqueeze(2)).squeeze(2)
    return ((rgb < 0) | (rgb > 1)).any(dim=0) | (luv[0] < NEARLY_BLACK)


def _is_shown(luv: Tensor) -> Tensor:
    """Return which of the colours (3, m) sRGB has, (m,).

    That RGB is in [0, 1] does not tell: without light, any hue at all is converted to black. So RGB is clipped, and
    has to be the same colour still.
    """
    return ((_clipped(luv) - luv).abs() <= TOLERANCE).all(dim=0)


def _clipped(luv: Tensor) -> Tensor:
    """Return colours (3, m) with their RGB clipped."""
    return luv_of(rgb_of(luv.unsqueeze(2)).clamp(0, 1)).squeeze(2)


def _axes(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest value and the width of each axis, (3, 1, 1)."""
    column = partial(torch.tensor, dtype=like.dtype, device=like.device)
    lowest, highest = column(LOWEST), column(HIGHEST)
    return lowest.view(3, 1, 1), (highest - lowest).view(3, 1, 1)


def _kornia() -> Any:
    return require_extra("kornia", "shifts", "recolouring of colour images").color
