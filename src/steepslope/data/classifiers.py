"""Classifier specs, ``scheme:rest``, and the frozen classifiers that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from steepslope.data.datasets import Images
from steepslope.errors import SteepslopeError, unknown_name
from steepslope.files import field, positive, read_json, staged_folder, write_json
from steepslope.nets import NETS, Net
from steepslope.weights import load_weights, save_weights

CARD = "classifier.json"
WEIGHTS = "classifier.safetensors"


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
    """A frozen classifier: weights in evaluation mode, and the card that says how to feed them."""

    net: Net
    card: ClassifierCard

    def check(self, images: Images, source: str) -> None:
        """Raise unless the images have this classifier's size and labels that it knows."""
        require_image_shape(self.card.net, images, source)
        highest = int(images.labels.max(initial=-1))
        if highest >= self.card.num_classes:
            raise SteepslopeError(
                f"{source}: expected labels in 0…{self.card.num_classes - 1}, the classifier's classes, "
                f"found {highest} in row {int(images.labels.argmax())}"
            )

    def __call__(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return features (n, d) and logits (n, K) of uint8 images (n, H, W)."""
        with torch.inference_mode():
            features = self.net.encoder(normalized(torch.tensor(pixels), self.card.mean, self.card.std))
            return features.numpy(), self.net.head(features).numpy()


def normalized(pixels: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """Turn uint8 images (n, H, W) into standardised floats (n, 1, H, W)."""
    return ((pixels.float() / 255 - mean) / std).unsqueeze(1)


def require_image_shape(net: str, images: Images, source: str) -> None:
    """Raise unless the images have the shape that the net is built for."""
    side = NETS[net].image_size
    if images.pixels.shape[1:] != (side, side):
        found = "×".join(str(size) for size in images.pixels.shape[1:])
        raise SteepslopeError(f"{source}: {net} expects grey images of {side}×{side} pixels, found {found}")


def save_checkpoint(classifier: Classifier, folder: Path) -> None:
    """Write the weights as safetensors and the card as JSON."""
    with staged_folder(folder, last=CARD) as staging:
        save_weights(classifier.net.state_dict(), staging / WEIGHTS)
        write_json(staging / CARD, asdict(classifier.card))


def _checkpoint(rest: str) -> Classifier:
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
    return Classifier(net.eval(), card)


CLASSIFIERS: dict[str, Callable[[str], Classifier]] = {"checkpoint": _checkpoint}


def load_classifier(spec: str) -> Classifier:
    """Load the classifier of a spec such as ``checkpoint:runs/mnist``."""
    scheme, _, rest = spec.partition(":")
    if scheme not in CLASSIFIERS:
        raise unknown_name(f"classifier scheme in {spec!r}:", scheme, CLASSIFIERS)
    return CLASSIFIERS[scheme](rest)
