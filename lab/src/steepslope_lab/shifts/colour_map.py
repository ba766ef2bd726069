"""Maps of colours, one an image: knots on a grid, between which a colour moves by what is interpolated.

A colour image has a grid of knots over CIELUV, scaled to [0, 1] and bounded by what a screen can show; a grey one has a
curve over lightness. ``kornia.color`` converts; it takes sRGB as images have it, and measures against the white of D65.
Grey needs lightness alone, and therefore no kornia.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from steepslope.files import require_extra

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
    luv: Tensor = _kornia_color().rgb_to_luv(images)
    lowest, width = _luv_axes(images)
    return (luv - lowest) / width


def rgb_of(luv: Tensor) -> Tensor:
    """Return the sRGB of scaled LUV, both (..., 3, H, W); outside [0, 1] for colours that sRGB does not have."""
    lowest, width = _luv_axes(luv)
    rgb: Tensor = _kornia_color().luv_to_rgb(luv * width + lowest)
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
    rgb = rgb_of(flat.unsqueeze(2)).squeeze(2)
    in_doubt = ((rgb < 0) | (rgb > 1)).any(dim=0) | (flat[0] < NEARLY_BLACK)  # others are in sRGB
    doubtful = in_doubt.nonzero().squeeze(1)
    ends = flat.clone().index_copy_(1, doubtful, _last_shown_colours(flat_own[:, doubtful], flat[:, doubtful]))
    return ends.view(3, len(own), *own.shape[2:]).movedim(0, 1)


def _last_shown_colours(own: Tensor, target: Tensor) -> Tensor:
    """Return the last colours in sRGB on the ways from ``own`` to ``target``, all (3, m), by bisection."""
    ends = target.clone()
    outside = (~_are_shown_colours(target)).nonzero().squeeze(1)
    start, way = own[:, outside], (target - own)[:, outside]
    low, high = torch.zeros_like(start[0]), torch.ones_like(start[0])
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = _are_shown_colours(start + middle * way)
        low = torch.where(fits, middle, low)
        high = torch.where(fits, high, middle)
    ends.index_copy_(1, outside, start + low * way)
    # Near black, the gradient of RGB grows without limit as LUV leaves sRGB, even if by less than the tolerance.
    return torch.where((ends == own).all(dim=0), own, _clipped_colours(ends))


def _are_shown_colours(luv: Tensor) -> Tensor:
    """Return which of the colours (3, m) sRGB has, (m,).

    That RGB is in [0, 1] does not tell: without light, any hue at all is converted to black. So RGB is clipped, and
    has to be the same colour still.
    """
    return ((_clipped_colours(luv) - luv).abs() <= TOLERANCE).all(dim=0)


def _clipped_colours(luv: Tensor) -> Tensor:
    """Return colours (3, m) with their RGB clipped."""
    return luv_of(rgb_of(luv.unsqueeze(2)).clamp(0, 1)).squeeze(2)


def _luv_axes(like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest value and the width of each axis, (3, 1, 1)."""
    column = partial(torch.tensor, dtype=like.dtype, device=like.device)
    lowest, highest = column(LOWEST), column(HIGHEST)
    return lowest.view(3, 1, 1), (highest - lowest).view(3, 1, 1)


def _kornia_color() -> Any:
    return require_extra("kornia", "lab", "recolouring of colour images").color


COLOUR_KNOTS = (16, 32, 32)  # along L, u and v, as the authors have them
GREY_KNOTS = (1, 16)  # along lightness; the first axis is there since two are the fewest that PyTorch interpolates in
ROUGHNESS_EPSILON = 1e-10  # under the root, as the authors have it: the gradient stays finite at equal knots


@dataclass(frozen=True, eq=False)
class ColourMap:
    """What maps the colours of a batch of images, given the offsets at the knots.

    ``images`` are float32 (n, C, H, W) in [0, 1], with C 1 or 3, ``colours`` the same in scaled LUV, or in lightness,
    and ``places`` are the same colours, as :func:`~torch.nn.functional.grid_sample` takes places.
    """

    images: Tensor
    colours: Tensor
    places: Tensor

    @classmethod
    def of(cls, images: Tensor) -> Self:
        """Return the map of images, float32 (n, C, H, W) in [0, 1], with C 1 or 3."""
        colours = lightness_of(images) if images.shape[1] == 1 else luv_of(images)
        places = (2 * colours - 1).flip(1).movedim(1, 3)  # the last axis of the knots comes first
        if images.shape[1] == 1:
            return cls(images, colours, torch.cat([places, torch.zeros_like(places)], dim=3))
        return cls(images, colours, places.unsqueeze(1).contiguous())

    @property
    def is_grey(self) -> bool:
        """Whether the images have one channel."""
        return self.images.shape[1] == 1

    def identity(self) -> Tensor:
        """Return knots that change nothing: zeros, (n, 3, 16, 32, 32), or (n, 1, 1, 16) for grey images."""
        size = GREY_KNOTS if self.is_grey else COLOUR_KNOTS
        return self.images.new_zeros(self.images.shape[:2] + size)

    def __call__(self, knots: Tensor) -> Tensor:
        """Return the images with their colours moved, (n, C, H, W) in [0, 1].

        What is interpolated between knots is never larger than they are. Where sRGB lacks the colour, the last one on
        the straight way to it is taken, so that a bound on the knots holds for every pixel. A pixel that does not move
        keeps its value to the bit.

        Gradients pass through that projection as if it were not there; a colour at the border of sRGB, such as white,
        would otherwise never learn to come back.

        Parameters
        ----------
        knots
            Offsets of colours in scaled LUV, (n, 3, any, any, any), or of lightness / 100, (n, 1, 1, any).
        """
        offsets = grid_sample(knots, self.places, mode="bilinear", padding_mode="border", align_corners=True)
        targets = self.colours + offsets.view_as(self.images)
        shown = targets.detach().clamp(0, 1) if self.is_grey else nearest_shown(self.colours, targets.detach())
        ends = _straight_through(targets, shown)
        values = grey_of(ends) if self.is_grey else rgb_of(ends)
        at_rest = (ends.detach() == self.colours).all(dim=1, keepdim=True)
        return _straight_through(values, torch.where(at_rest, self.images, values.detach().clamp(0, 1)))


def roughness(knots: Tensor) -> Tensor:
    """Return how much the offsets of neighbouring knots differ, (n, C, ...) -> (n,), >= 0; 0 where all are equal.

    The sum, over all knots and their neighbours along each axis, of the Euclidean distance of the two offsets. Each
    pair therefore counts twice, as it does in the authors' code, from which this differs by a constant.

    >>> float(roughness(torch.tensor([0.0, 0.3, 0.3]).view(1, 1, 1, 3)))  # doctest: +ELLIPSIS
    0.59...
    """
    epsilon = knots.new_tensor(ROUGHNESS_EPSILON)
    total = knots.new_zeros(len(knots))
    for axis in range(2, knots.ndim):
        distances = (knots.diff(dim=axis).square().sum(dim=1) + epsilon).sqrt() - epsilon.sqrt()
        total = total + 2 * distances.flatten(1).sum(dim=1)
    return total


def _straight_through(values: Tensor, taken: Tensor) -> Tensor:
    """Return the values that are taken, to the bit, with the gradient of others."""
    return taken + (values - values.detach())
