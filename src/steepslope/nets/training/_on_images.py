"""The paper's oracle: a backbone that sees the image, and a head that gives the trust logit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from steepslope.errors import SteepslopeError
from steepslope.files import field, folder_or_hub_snapshot, positive
from steepslope.losses import LossSettings, loss_parameters
from steepslope.nets._seeding import seeded
from steepslope.nets._weights import load_weights
from steepslope.nets.classifiers import Classifier, load_classifier
from steepslope.nets.data import Dataset, Transform, decoded_image_batches, image_rows_by_id
from steepslope.nets.training._columns import OracleNet
from steepslope.nets.training._loading import OpenImages, require_allowed_backbone
from steepslope.oracle import CARD, IMAGES, ORACLE, WEIGHTS, BaseOracle, FitRecord, is_image_oracle
from steepslope.outputs import ClassifierOutputs

_BATCH = 64


class ImageOracleNet(nn.Module):
    """Images (n, C, H, W) -> the backbone's features (n, d) -> ReLU layers and head -> trust logits (n,).

    Images of another size than ``size``, the backbone's, are resized by nearest neighbour.
    """

    def __init__(self, backbone: nn.Module, size: tuple[int, int], top: OracleNet) -> None:
        super().__init__()
        self.backbone = backbone
        self.size = size
        self.top = top

    def forward(self, images: Tensor) -> Tensor:
        """Return the trust logits, float32."""
        features = self.features(images).float()
        with torch.autocast(features.device.type, enabled=False):  # half precision would tie trust logits
            z: Tensor = self.top(features)
        return z

    def features(self, images: Tensor) -> Tensor:
        """Return the backbone's features, (n, d)."""
        return self.features_and_logits(images)[0]

    def features_and_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the backbone's features, (n, d), and what it predicts itself, (n, K)."""
        features, logits = self.backbone(self.resized(images))
        return features, logits

    def resized(self, images: Tensor) -> Tensor:
        """Return the images at the backbone's size."""
        if images.shape[-2:] == self.size:
            return images
        return interpolate(images, self.size, mode="nearest")


def run_on_images(
    run: Callable[[Tensor], Tensor],
    net: nn.Module,
    transform: Transform,
    images: Dataset,
    rows: NDArray[np.int64],
    workers: int = 0,
) -> Tensor:
    """Return what ``run`` makes of some rows' images, without a gradient, (m, ...), on the device of a ``net``."""
    device = next(net.parameters()).device
    batches = decoded_image_batches(images, rows, transform, _BATCH, workers)
    with torch.no_grad():
        return torch.cat([run(batch.to(device)) for batch in batches])


def build_image_oracle_net(backbone: Classifier, hidden: Sequence[int], head: str, seed: int) -> ImageOracleNet:
    """Put new layers and a head on a backbone; what does not lead to its features, such as its last layer, is frozen.

    ``seed`` fixes the new weights.
    """
    transform = backbone.transform
    images = torch.zeros((2, transform.channels, *transform.size))
    features = backbone.net.requires_grad_(True)(images)[0]
    if features is None or not features.requires_grad:
        raise SteepslopeError(f"oracle {backbone.spec}: expected a net that can be trained up to its features")
    features.float().sum().backward()
    for parameter in backbone.net.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None
    with seeded(seed):
        top = OracleNet(features.shape[1], tuple(hidden), head)
    return ImageOracleNet(backbone.net, transform.size, top)


@dataclass(frozen=True, eq=False)
class ImageOracle(BaseOracle):
    """A trained oracle on images.

    ``backbone`` is its spec, ``transform`` makes its input, or the classifier's where the recipe is that of the
    authors' code. ``recipe`` are the settings of its training, as JSON holds them. :meth:`on` gives it the images, or
    what opens those of some outputs; they are found by id, and decoded by ``workers`` processes, or in this one.
    """

    net: ImageOracleNet
    backbone: str
    transform: Transform
    num_classes: int
    recipe: Mapping[str, Any]
    images: Dataset | OpenImages | None = None
    workers: int = 0
    record_: FitRecord | None = None

    explains = False

    @cached_property
    def loss_settings(self) -> LossSettings:  # type: ignore[override]
        """The loss that it was trained with, and its parameters."""
        known = loss_parameters(self.recipe["loss"])
        return LossSettings(self.recipe["loss"], {name: self.recipe[name] for name in known if name in self.recipe})

    @property
    def arrays(self) -> tuple[str, ...]:
        """The logits; what it judges by are the images."""
        return ("logits",)

    def on(self, images: Dataset | OpenImages, workers: int = 0, device: str | None = None) -> Self:
        """Return the same oracle with its images; its net is moved to the device, ``auto`` a GPU, if one is given."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device is not None:
            self.net.to(device)
        return replace(self, images=images, workers=workers)

    def trust_logit(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return z of each prediction, (n,), from the images of the outputs' ids."""
        self._require_fitted_for(outputs, self.num_classes)
        if self.images is None:
            raise SteepslopeError("this oracle needs the images: name their data set (--data)")
        images = self.images
        if callable(images):
            images = images(outputs)
        rows = image_rows_by_id(images, outputs.ids)
        z = run_on_images(self.net, self.net, self.transform, images, rows, self.workers)
        return z.double().cpu().numpy()

    def explain(self, outputs: ClassifierOutputs) -> dict[str, NDArray[np.float64]]:
        """Raise: what a net sees in an image cannot be split by evidence."""
        raise SteepslopeError("explain: an oracle on images has one kind of evidence, the image")

    def save(self, folder: str | Path, training: dict[str, Any] | None = None) -> None:
        """Write weights as safetensors, and as JSON a card with what decided its training; replace an earlier one."""
        self._write(folder, {**self.card(), "training": training or {}}, self.net.state_dict())

    def card(self) -> dict[str, Any]:
        """Return what the JSON file holds."""
        return {
            "kind": IMAGES, "backbone": self.backbone, "transform": asdict(self.transform),
            "size": list(self.net.size), "num_classes": self.num_classes, "recipe": dict(self.recipe),
        }  # fmt: skip

    @classmethod
    def load(cls, folder: str | Path, backbones: Collection[str] = ()) -> ImageOracle:
        """Read what :meth:`save` wrote; see :func:`steepslope.nets.training.load_oracle`."""
        local = folder_or_hub_snapshot(folder)
        if not is_image_oracle(folder):
            raise SteepslopeError("expected an oracle on images, found one on outputs", local / CARD)
        return ORACLE.read(local, lambda card: cls.from_card(local, card, backbones))

    @classmethod
    def from_card(cls, folder: Path, card: dict[str, Any], backbones: Collection[str]) -> ImageOracle:
        """Return the oracle of a card; its backbone's architecture comes from the spec, the weights from a file."""
        path = folder / CARD
        require_allowed_backbone(folder, backbones)
        spec = field(card, "backbone", str, path)
        described = field(card, "transform", dict, path)
        recipe = field(card, "recipe", dict, path)
        size = tuple(field(card, "size", list, path))
        for name, kind in {"hidden": list, "head": str, "seed": int, "loss": str}.items():
            field(recipe, name, kind, path)
        try:
            transform = Transform.of(described, path)
            frame = load_classifier(spec)
            frame = replace(frame, transform=transform.changed(size=size))  # it has as many channels as the net
            net = build_image_oracle_net(frame, recipe["hidden"], recipe["head"], recipe["seed"])
            record = FitRecord.read(folder, card, path)
            oracle = cls(net.eval(), spec, transform, positive(card, "num_classes", path), recipe, record_=record)
            _ = oracle.loss_settings
        except (ValueError, TypeError, KeyError, RuntimeError) as error:
            named = error if isinstance(error, SteepslopeError) else SteepslopeError(str(error))
            raise named.within(path) from error
        load_weights(net, folder / WEIGHTS)
        return oracle
