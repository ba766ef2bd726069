"""Maps of colours, one an image: knots on a grid, between which a colour moves by what is interpolated.

A colour image has a grid of knots over CIELUV; a grey one has a curve over lightness.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from steepslope.shifts.luv import grey_of, lightness_of, luv_of, nearest_shown, rgb_of

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
        if images.shape[1] == 1:
            colours = lightness_of(images)
            along = 2 * colours.squeeze(1) - 1
            return cls(images, colours, torch.stack([along, torch.zeros_like(along)], dim=3))
        colours = luv_of(images)
        # the last axis of the knots comes first
        return cls(images, colours, (2 * colours - 1).flip(1).movedim(1, 3).unsqueeze(1).contiguous())

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
        targets = self.colours + self._offsets(knots)
        ends = _straight_through(targets, self._projected(targets.detach()))
        values = grey_of(ends) if self.is_grey else rgb_of(ends)
        at_rest = (ends.detach() == self.colours).all(dim=1, keepdim=True)
        return _straight_through(values, torch.where(at_rest, self.images, values.detach().clamp(0, 1)))

    def _offsets(self, knots: Tensor) -> Tensor:
        """Return by how much each pixel's colour moves, (n, C, H, W)."""
        offsets = grid_sample(knots, self.places, mode="bilinear", padding_mode="border", align_corners=True)
        return offsets.view_as(self.images)

    def _projected(self, targets: Tensor) -> Tensor:
        return targets.clamp(0, 1) if self.is_grey else nearest_shown(self.colours, targets)


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
