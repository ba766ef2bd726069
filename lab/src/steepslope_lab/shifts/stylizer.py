"""A stylizer: an encoder gives the feature maps of images, and a decoder turns such maps back into images.

Between them, the maps of the content take on the mean and deviation of each channel that the style has: adaptive
instance normalisation (AdaIN, Huang & Belongie 2017, Eq. 8). A stylizer is a folder with all its weights.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from steepslope.errors import SteepslopeError, explained, located
from steepslope.files import DELETE, Artifact, dataclass_from_yaml, digest_of, field, read_json, versions_of, write_json
from steepslope.nets import digest_of_weights, load_weights, save_weights
from steepslope_lab.shifts.stylizer_encoder import FAILURES, RGB, Encoder, EncoderPlan, rebuilt_encoder

CARD = "stylizer.json"
WEIGHTS = "stylizer.safetensors"
STATE = "unfinished.pt"
STYLIZER = Artifact(  # by their digest an encoder's weights are the same under any name
    "a stylizer", CARD, made="training.made", free=("encoder",), unfinished=("unfinished.json", STATE), remedy=DELETE
)
EPSILON = 1e-5  # added to variances, so that a flat channel does not divide by zero
LIBRARIES = ("steepslope", "torch", "timm", "torchvision")


def channel_moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the standard deviation of each channel over its places.

    Parameters
    ----------
    maps
        Floats (n, C, h, w).

    Returns
    -------
    tuple of Tensor
        Both (n, C, 1, 1). The variance divides by h · w, and 1e-5 is added to it.
    """
    variance, mean = torch.var_mean(maps, dim=(2, 3), keepdim=True, correction=0)
    return mean, (variance + EPSILON).sqrt()


def adain(content: Tensor, style: Tensor) -> Tensor:
    """Give each channel of the content the mean and the deviation that it has in the style (Eq. 8 of the paper).

    Parameters
    ----------
    content
        Feature maps, floats (n, C, h, w).
    style
        Feature maps, floats (n or 1, C, any height, any width).

    Returns
    -------
    Tensor
        Floats (n, C, h, w).

    >>> maps = torch.tensor([[[[0.0, 2.0]]]])
    >>> adain(maps, 10 + 3 * maps).round(decimals=3)
    tensor([[[[10., 16.]]]])
    """
    mean, deviation = channel_moments(content)
    wanted_mean, wanted_deviation = channel_moments(style)
    return wanted_deviation * ((content - mean) / deviation) + wanted_mean


@dataclass(frozen=True)
class DecoderPlan:
    """What rebuilds a decoder: its channels at each resolution, and its convolutions there.

    ``widths`` go from half the encoder's reduction to full resolution; of the ``convolutions`` at a resolution, the
    last one gives the channels of the next.
    """

    widths: tuple[int, ...]
    convolutions: tuple[int, ...]


def planned_decoder(reduction: int, width: int) -> DecoderPlan:
    """Return a decoder with ``width`` channels at full resolution, twice as many at each halving, up to eight times.

    >>> planned_decoder(8, 32)
    DecoderPlan(widths=(128, 64, 32), convolutions=(2, 2, 2))
    """
    levels = range(reduction.bit_length() - 2, -1, -1)
    return DecoderPlan(tuple(width * min(2**level, 8) for level in levels), (2,) * len(levels))


def decoder_layers(channels: int, plan: DecoderPlan) -> nn.Sequential:
    """Return a decoder from maps of so many channels to RGB: no normalisation, nearest upsampling, reflection padding.

    New weights keep the variance of activations from layer to layer (He et al. 2015) and begin with grey, so that the
    first steps are not lost.
    """
    layers: list[nn.Module] = [*_decoder_convolution(channels, plan.widths[0]), nn.ReLU()]
    for (width, following), count in zip(pairwise((*plan.widths, RGB)), plan.convolutions, strict=True):
        layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        for before, after in pairwise((*(width,) * count, following)):
            layers += [*_decoder_convolution(before, after), nn.ReLU()]
    decoder = nn.Sequential(*layers[:-1])  # colours need no activation
    *hidden, last = (layer for layer in decoder if isinstance(layer, nn.Conv2d))
    for layer in hidden:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    nn.init.normal_(last.weight, std=0.01)
    nn.init.constant_(last.bias, 0.5)  # type: ignore[arg-type]
    return decoder


def _decoder_convolution(before: int, after: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(1), nn.Conv2d(before, after, 3)]


class Stylizer(nn.Module):
    """An encoder, and the decoder that belongs to it.

    Parameters
    ----------
    encoder
        From images to feature maps; frozen.
    decoder
        The decoder's plan; its weights are random until they are trained or loaded.
    training
        What made the weights, as JSON holds it.
    """

    def __init__(self, encoder: Encoder, decoder: DecoderPlan, training: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder_plan = decoder
        self.decoder = decoder_layers(encoder.plan.channels[-1], decoder)
        self.training_facts = dict(training or {})

    @property
    def reduction(self) -> int:
        """By how much the maps that are decoded are smaller than the image."""
        return self.encoder.plan.reduction

    @property
    def digest(self) -> str:
        """The SHA-256 of both plans and all weights, in hex; it does not change with the versions of libraries."""
        return digest_of_weights(digest_of([asdict(self.encoder.plan), asdict(self.decoder_plan)]), self)

    def encode(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps of images (n, 3, H, W) in [0, 1], whose sides are multiples of the reduction."""
        maps: list[Tensor] = self.encoder(images)
        return maps

    def decode(self, maps: Tensor) -> Tensor:
        """Return images (n, 3, H, W) of the deepest maps (n, C, H / r, W / r); they may leave [0, 1] a little."""
        images: Tensor = self.decoder(maps)
        return images

    def save(self, folder: str | Path) -> None:
        """Write the weights as safetensors, and last a card in JSON with what rebuilds the layers.

        Raises
        ------
        SteepslopeError
            If the folder cannot be written to; what it held before is then as it was.
        """
        plans = {"encoder": asdict(self.encoder.plan), "decoder": asdict(self.decoder_plan)}
        card = {**plans, "digest": self.digest, "versions": versions_of(LIBRARIES), "training": self.training_facts}
        with STYLIZER.staged(folder) as staging:
            save_weights(self.state_dict(), staging / WEIGHTS)
            write_json(staging / CARD, card)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load what :meth:`save` wrote, on the CPU; nothing is downloaded, and no code of the folder is run.

        Raises
        ------
        SteepslopeError
            If a file is missing, damaged, or not the one that was saved.
        """
        path = Path(folder) / CARD
        content = read_json(path, "a stylizer")
        digest = field(content, "digest", str, path)
        training = field(content, "training", dict, path)
        with located(path), explained("expected what rebuilds the layers", path, FAILURES, 160):
            encoder = dataclass_from_yaml(EncoderPlan, field(content, "encoder", dict, path), "an encoder")
            decoder = dataclass_from_yaml(DecoderPlan, field(content, "decoder", dict, path), "a decoder")
            stylizer = cls(rebuilt_encoder(encoder), decoder, training)
        load_weights(stylizer, Path(folder) / WEIGHTS)
        if stylizer.digest != digest:
            found = f"expected the weights of digest {digest[:12]}…, found {stylizer.digest[:12]}…"
            raise SteepslopeError(f"{found}: the file is not the one that was saved", Path(folder) / WEIGHTS)
        return stylizer.eval()
