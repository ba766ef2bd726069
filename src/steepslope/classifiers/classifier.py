"""What a frozen classifier is, and the checkpoints of our own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steepslope.classifiers.nets import NETS, Net
from steepslope.data.images import Images
from steepslope.data.transforms import Resize, Transform
from steepslope.errors import SteepslopeError, unknown_name
from steepslope.utilities.files import field, positive, read_json, staged_folder, write_json
from steepslope.utilities.queries import parse_query
from steepslope.utilities.seeding import seeded
from steepslope.utilities.weights import load_weights, save_weights

CARD = "classifier.json"
WEIGHTS = "classifier.safetensors"
UNKNOWN = math.nan  # a mean or deviation that has to be given


@dataclass(frozen=True)
class ClassifierCard:
    """What a checkpoint says of itself: the net, its input, and the training rows that it never saw.

    ``mean`` and ``std`` are of pixels scaled to [0, 1]; ``holdout`` and ``split_seed`` rebuild the split of the
    training images, which ``fingerprint`` recognises under any name.
    """

    net: str
    num_classes: int
    mean: float
    std: float
    data: str
    fingerprint: str
    holdout: int
    split_seed: int
    training: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Classifier:
    """A frozen classifier in evaluation mode.

    ``net`` maps images (n, C, H, W), as ``transform`` makes them, to features (n, d), or None, and logits (n, K);
    ``num_classes`` may be unknown (None) until :meth:`with_transform` has run it; ``digest`` tells it from others;
    ``classes`` maps the names of its classes to labels, if it has names; ``card`` is that of a checkpoint of ours.
    """

    spec: str
    net: nn.Module
    transform: Transform
    num_classes: int | None
    digest: str
    classes: Mapping[str, int] | None = None
    card: ClassifierCard | None = None

    def with_transform(
        self,
        image_size: int | None = None,
        mean: Sequence[float] | float | None = None,
        std: Sequence[float] | float | None = None,
        resize: Resize | None = None,
    ) -> Classifier:
        """Return the same with another input size, normalisation or way to resize; None changes nothing.

        The net is run once, to see that it takes such images and gives logits.
        """
        size = None if image_size is None else (image_size, image_size)
        own = self.transform
        means, stds = (None if some is None else _for_channels(some, own.channels) for some in (mean, std))
        transform = own.changed(size=size, mean=means, std=stds, resize=resize)
        if not all(map(math.isfinite, (*transform.mean, *transform.std))):
            raise SteepslopeError(f"{self.spec}: how its input is normalised is not known: give --mean and --std")
        if min(transform.size) < 1:
            raise SteepslopeError(f"{self.spec}: expected an image size >= 1: give --image-size")
        if min(transform.std) <= 0:
            raise SteepslopeError(f"{self.spec}: expected std > 0, found {transform.std}")
        changed = replace(self, transform=transform)
        return replace(changed, num_classes=_width_of_logits(changed))

    def check_labels(self, labels: NDArray[np.int64], source: str) -> None:
        """Raise unless all labels are classes of this classifier."""
        assert self.num_classes is not None
        outside = np.flatnonzero((labels < 0) | (labels >= self.num_classes))
        if len(outside):
            raise SteepslopeError(
                f"{source}: expected labels in 0…{self.num_classes - 1}, the classifier's classes, "
                f"found {labels[outside[0]]} in row {outside[0]}"
            )

    def __call__(self, images: Tensor) -> tuple[NDArray[np.float32] | None, NDArray[np.float32]]:
        """Return features (n, d), or None, and logits (n, K) of transformed images."""
        with torch.inference_mode():
            features, logits = self.net(images)
        return None if features is None else features.float().numpy(), logits.float().numpy()


def _width_of_logits(classifier: Classifier) -> int:
    """Run the net on two images of noise, and return the number of classes; raise unless it gives logits."""
    transform = classifier.transform
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((2, transform.channels, *transform.size), generator=generator)
    try:
        with torch.inference_mode():
            _, logits = classifier.net(images)
    except Exception as error:  # whatever the net raises on images that it does not take
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        size = " × ".join(str(size) for size in images.shape)
        raise SteepslopeError(f"{classifier.spec}: cannot run on images of shape {size} ({reason})") from error
    shape: tuple[int, ...] = tuple(getattr(logits, "shape", ()))
    if len(shape) != 2 or shape[0] != 2 or shape[1] < 2 or not logits.is_floating_point():
        raise SteepslopeError(
            f"{classifier.spec}: expected logits of shape (n, K), K >= 2, found {shape or type(logits).__name__}"
        )
    sums = logits.float().sum(dim=1)
    if bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        raise SteepslopeError(f"{classifier.spec}: expected logits, found probabilities (each row sums to 1)")
    return int(shape[1])


def _for_channels(given: Sequence[float] | float, channels: int) -> tuple[float, ...]:
    """Return one value a channel; a single value serves all."""
    values = (given,) if isinstance(given, int | float) else given
    if len(values) not in (1, channels):
        raise SteepslopeError(f"mean and std: expected 1 or {channels} numbers, found {len(values)}")
    return tuple(values) * (channels if len(values) == 1 else 1)


def module_digest(module: torch.nn.Module) -> str:
    """Return the SHA-256 of a module's layers and weights, in hex."""
    rates = [str(getattr(layer, "drop_rate", "")) for layer in module.modules()]  # timm's dropout, which is no layer
    digest = hashlib.sha256(f"{type(module).__module__} {module!r} {rates}".encode())
    for name, tensor in module.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


class TwoParts(nn.Module):
    """Our own net, with its features beside its logits."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, d) and logits (n, K)."""
        features = self.net.encoder(images)
        return features, self.net.head(features)


def checkpoint_classifier(net: Net, card: ClassifierCard, spec: str) -> Classifier:
    """Return our own net as a classifier, which takes images of exactly its size."""
    kind = NETS[card.net]
    mean, std = (card.mean,) * kind.channels, (card.std,) * kind.channels
    transform = Transform((kind.image_size,) * 2, mean, std, resize="exact")
    return Classifier(spec, TwoParts(net).eval(), transform, card.num_classes, module_digest(net.eval()), card=card)


def new_net(rest: str) -> Classifier:
    """Build ``net:NAME[?classes=K]``, one of our nets with random weights, to be trained as an oracle."""
    name, options = parse_query(rest, ["classes"])
    if name not in NETS:
        raise unknown_name("net", name, NETS)
    kind, classes = NETS[name], options.get("classes", "2")
    if not classes.isdecimal() or not 2 <= int(classes) <= 10**6:
        raise SteepslopeError(f"net:{rest}: classes: expected a whole number from 2, found {classes!r}")
    with seeded(0):
        net = kind.build(int(classes))
    transform = Transform((kind.image_size,) * 2, (UNKNOWN,) * kind.channels, (UNKNOWN,) * kind.channels, "exact")
    return Classifier(f"net:{rest}", TwoParts(net).eval(), transform, int(classes), module_digest(net))


def normalized(pixels: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """Turn uint8 images (n, H, W) or (n, H, W, C) into standardised floats (n, 1, H, W) or (n, C, H, W)."""
    standardised = (pixels.float() / 255 - mean) / std
    return standardised.unsqueeze(1) if pixels.ndim == 3 else standardised.permute(0, 3, 1, 2).contiguous()


def require_image_shape(net: str, images: Images, source: str) -> None:
    """Raise unless the images have the shape that the net is built for."""
    kind = NETS[net]
    side, colour = kind.image_size, kind.channels == 3
    if images.pixels.shape[1:] != (side, side, *([3] if colour else [])):
        found = "×".join(str(size) for size in images.pixels.shape[1:])
        what = "colour" if colour else "grey"
        raise SteepslopeError(f"{source}: {net} expects {what} images of {side}×{side} pixels, found {found}")


def save_checkpoint(net: Net, card: ClassifierCard, folder: Path) -> None:
    """Write the weights as safetensors and the card as JSON."""
    with staged_folder(folder, last=CARD) as staging:
        save_weights(net.state_dict(), staging / WEIGHTS)
        write_json(staging / CARD, asdict(card))


def load_checkpoint(rest: str) -> Classifier:
    """Load ``checkpoint:DIR``, as :func:`save_checkpoint` wrote it."""
    path = Path(rest) / CARD
    content = read_json(path, "a classifier checkpoint")
    kinds: dict[str, type | tuple[type, ...]] = {
        "net": str, "num_classes": int, "mean": float, "std": float, "data": str, "fingerprint": str,
        "holdout": int, "split_seed": int, "training": dict,
    }  # fmt: skip
    card = ClassifierCard(**{name: field(content, name, kind, path) for name, kind in kinds.items()})
    positive(content, "num_classes", path)
    if card.net not in NETS:
        raise unknown_name(f"net in {path}:", card.net, NETS)
    net = NETS[card.net].build(card.num_classes)
    load_weights(net, Path(rest) / WEIGHTS)
    return checkpoint_classifier(net, card, f"checkpoint:{rest}")
