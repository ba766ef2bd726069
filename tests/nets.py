"""Nets of one's own, as users bring them: `module:tests.nets:NAME`."""

from __future__ import annotations

import torch
from torch import nn

from steepslope.data.transforms import Transform

COLOUR = Transform((8, 8), (0.5,) * 3, (0.5,) * 3)


class Tiny(nn.Module):
    """A fixed net for 8x8 colour images, made by `tests.nets:tiny`."""

    transform = COLOUR

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.ReLU(), nn.Linear(5, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.body(images)
        return logits


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return Tiny()


def ten_classes() -> nn.Module:
    """Build an untrained net."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(288, 10))
