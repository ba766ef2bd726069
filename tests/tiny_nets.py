"""Nets of one's own, as users bring them: `module:tests.tiny_nets:NAME`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from steepslope.nets.data._transforms import Transform

COLOUR = Transform((8, 8), (0.5,) * 3, (0.5,) * 3)


class Tiny(nn.Module):
    """A fixed net for 8x8 colour images, made by `tests.tiny_nets:tiny`."""

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


def flat() -> nn.Module:
    """Build a net for colour images of 2x2 pixels."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(16, 3))


class Convolutions(nn.Module):
    """A small net with dropout, for images of any size; as with other people's, its input is not known."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5))
        self.last = nn.Linear(32, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.body(images))
        return logits


def tiny_convolutions() -> Convolutions:
    torch.manual_seed(0)
    return Convolutions()


class Stubborn(Convolutions):
    """A net whose path depends on the values, which no exporter can follow."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images if images.sum() > 0 else -images)


class Squeezed(nn.Module):
    """A net whose classifier is a convolution, as SqueezeNet's; a linear layer gates its channels before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.gate, self.last = nn.Conv2d(3, 6, 3), nn.Linear(6, 6), nn.Conv2d(6, 3, 1)

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        found = torch.relu(self.stem(images))
        gates: torch.Tensor = self.gate(found.mean(dim=(2, 3))).sigmoid()
        return found * gates[:, :, None, None]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = torch.relu(self.last(self.maps(images))).mean(dim=(2, 3)) - 0.1
        return logits


def squeezed() -> Squeezed:
    torch.manual_seed(0)
    return Squeezed()


class Viewing(Convolutions):
    """A net that flattens by ``view``, which channels-last layers do not allow."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.body[:3](images)
        logits: torch.Tensor = self.last(maps.view(-1, 32))
        return logits


class Backwards(nn.Module):
    """A net whose last layer is not the one registered last."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.stem = nn.Linear(4, 3), nn.Linear(3 * 16 * 16, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.stem(images.flatten(1)))
        return logits


class Attentive(nn.Module):
    """A transformer, whose encoder has a fast path without its dropout layers."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.5, batch_first=True)
        self.encoder, self.last = nn.TransformerEncoder(layer, 1), nn.Linear(16, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.encoder(images.mean(dim=1)).mean(dim=1))
        return logits


def attentive() -> nn.Module:
    torch.manual_seed(0)
    return Attentive()


def grey() -> nn.Module:
    """Build a net for grey images, whose first layer shows it."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


def flat_grey() -> nn.Module:
    """Build a net for grey images of 8x8 pixels, whose layers do not show how many channels it takes."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def six_channels() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(6, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))


class Named(Tiny):
    """A net that knows the names of its classes."""

    classes = ("cow", "ant", "bee")


def named() -> Named:
    torch.manual_seed(2)
    return Named()


def softmax() -> nn.Module:
    return nn.Sequential(tiny_convolutions(), nn.Softmax(dim=1))


def pairs() -> nn.Module:
    class Pairs(Convolutions):
        def forward(self, images: torch.Tensor) -> Any:
            return super().forward(images), images

    return Pairs()


def numb() -> nn.Module:
    """Give NaN on dark images only, so that no probe finds it."""

    class Numb(Convolutions):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images) * torch.where(images.amax() > 1.9, torch.nan, 1.0)

    return Numb()


def huge() -> nn.Module:
    net = tiny_convolutions()
    torch.nn.init.constant_(net.body.get_submodule("0").get_parameter("weight"), 1e6)
    return net


def unseeded() -> nn.Module:
    torch.seed()
    return Convolutions()


def twelve_classes() -> nn.Module:
    """Build an untrained net of other classes than the digits."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(72, 12))
