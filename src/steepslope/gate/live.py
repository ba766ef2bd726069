"""A gate's nets, had again: by their recorded spec, or as they are given, if they are the recorded ones.

A gate's own nets, loaded and ready: from images in memory, or rows of a data set, to the outputs that it judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from steepslope.classifiers.backbones import live_classifier, module_source_digest
from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.data.images import ALL, Picture
from steepslope.data.transforms import Transform, decoded, unreadable
from steepslope.errors import SteepslopeError, explained
from steepslope.extraction.engine import Engine
from steepslope.extraction.machines import single_device
from steepslope.extraction.options import EVIDENCE_ARRAYS, NONE, ExtractionOptions
from steepslope.gate.origin import NetRecord
from steepslope.numerics.blocks import blocks
from steepslope.oracle.storage import CODE
from steepslope.outputs import ClassifierOutputs

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from steepslope.gate.gate import Gate


Given = str | Classifier | nn.Module | None  # a spec, a classifier, a net from images to logits, or what is recorded


def load_net(record: NetRecord | None, given: Given, place: str) -> Classifier:
    """Return the net that is given, or else that of the recorded spec; raise unless it is the recorded one.

    What is code of one's own has to be given, since no file gets to name code to run. ``place`` names the net in
    errors. Where nothing is recorded, only a classifier with its transform will do.
    """
    if record is None:
        if isinstance(given, Classifier):
            return given
        expected = "expected calibration outputs that extract made, which record the net"
        raise SteepslopeError(f"{expected}, found others: give a Classifier, with its transform", place)
    transform = Transform.of(record.transform, Path(f"the transform of {record.spec}"))
    if isinstance(given, nn.Module):
        return _live(record, given, transform, place)
    if given is None and record.spec.startswith(CODE):
        raise SteepslopeError(f"{record.spec} is code of your own, which no file gets to run: name it yourself", place)
    net = given if isinstance(given, Classifier) else _by_spec(record, given, place)
    if net.digest != record.digest:
        raise record.other(net.digest, place)
    return net.with_transform(preprocessing=transform)


def _by_spec(record: NetRecord, given: str | None, place: str) -> Classifier:
    if given is not None:
        return load_classifier(given)
    try:
        return load_classifier(record.spec)
    except SteepslopeError as error:
        raise SteepslopeError(f"{error} (where the same net lies elsewhere, give its spec as {place})") from error


def _live(record: NetRecord, net: nn.Module, transform: Transform, place: str) -> Classifier:
    """Return a net of the caller's as the classifier; one of a module's is told with the module's source, too."""
    found = live_classifier(record.spec, net, transform)
    digests = [found.digest]
    if record.spec.startswith(CODE):
        digests.append(module_source_digest(found.digest, record.spec.removeprefix(CODE).partition(":")[0]))
    if record.digest not in digests:
        raise record.other(digests[-1], place)
    known = replace(found, digest=record.digest)  # else its own outputs would be taken for another's
    return known.with_transform(preprocessing=transform)


BATCH = 64
AUXILIARY = "auxiliary"
COLOURS = (1, 3, 4)  # channels that the last axis of an array can be


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images in memory as a data set without labels, named by their numbers."""

    pictures: Sequence[Picture]
    labels: None = None
    classes: None = None

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def ids(self) -> NDArray[np.str_]:
        """Their numbers as text, (n,)."""
        return np.arange(len(self)).astype(np.str_)

    def image(self, row: int) -> Picture:
        """Return one image."""
        return self.pictures[row]

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return nothing: what is in memory is not looked for again."""
        return ""


def in_memory(images: Any, channels: int) -> Pictures | Tensor:
    """Return images as they were given, one or several: tensors as one, (m, C, H, W), all others as a data set.

    ``channels`` is how many the classifier takes.
    """
    several = [*images] if isinstance(images, list | tuple) else []
    if several and all(isinstance(one, Tensor) for one in several):
        with explained("expected tensors (C, H, W) of one shape", "images", (RuntimeError, TypeError)):
            return torch.stack(several)
    if isinstance(images, Tensor):
        return images
    pictures = Pictures(pictures_of(images, channels))
    if len(pictures) == 0:
        raise SteepslopeError("expected at least one, found none", "images")
    return pictures


def pictures_of(images: Any, channels: int = 3) -> list[Picture]:
    """Return one image or several, PIL's or arrays, as a list; a last axis of as many channels is that of one image.

    >>> [len(pictures_of(np.zeros(shape, np.uint8))) for shape in ((8, 8), (8, 8, 3), (5, 8, 8), (5, 8, 8, 3))]
    [1, 1, 5, 5]
    """
    if isinstance(images, Image.Image):
        return [images]
    if isinstance(images, np.ndarray):
        one = images.ndim == 2 or (images.ndim == 3 and images.shape[-1] in (*COLOURS, channels))
        if images.ndim not in (2, 3, 4):
            raise SteepslopeError(f"expected (H, W), (H, W, C) or (m, H, W, C), found shape {images.shape}", "images")
        return [_picture(images)] if one else [_picture(one) for one in images]
    if not isinstance(images, Iterable) or isinstance(images, str):
        raise SteepslopeError(f"expected images, arrays or tensors, found {type(images).__name__}", "images")
    return [one if isinstance(one, Image.Image) else _picture(_array(one)) for one in images]


def _array(one: Any) -> NDArray[Any]:
    if isinstance(one, np.ndarray):
        return one
    raise SteepslopeError(f"expected PIL images or arrays, found {type(one).__name__} among them", "images")


def _picture(array: NDArray[Any]) -> Picture:
    """Return whole numbers from 0 to 255 as the image that a file of them would be; others stay an array."""
    if array.ndim not in (2, 3) or array.size == 0:
        raise SteepslopeError(f"expected an image (H, W) or (H, W, C), found shape {array.shape}", "images")
    channels = {1} if array.ndim == 2 else {array.shape[0], array.shape[-1]}
    if channels & {*COLOURS}:
        _require_brightness(array)
    flat = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    seen = flat.dtype == np.uint8 and (flat.ndim == 2 or flat.shape[-1] in COLOURS)
    return Image.fromarray(flat) if seen else array


def _require_brightness(array: NDArray[Any]) -> None:
    """Refuse what would silently be another image: wide whole numbers, scaled by their type's largest, and such."""
    kind, expected = array.dtype, "expected uint8, uint16 or floats in [0, 1]"
    if kind.kind != "f" and kind not in (np.uint8, np.uint16):
        raise SteepslopeError(f"{expected}, found {kind}", "images")
    if kind.kind == "f" and not (array.min() >= 0 and array.max() <= 1):
        raise SteepslopeError(f"{expected}, found floats from {array.min():g} to {array.max():g}", "images")


@dataclass(frozen=True, eq=False)
class LiveNets:
    """The classifier and, where the gate needs one, the auxiliary backbone, with what is kept of each image."""

    classifier: Classifier
    auxiliary: Classifier | None
    options: ExtractionOptions
    classes: tuple[str, ...] | None = None

    @classmethod
    def of(cls, gate: Gate, classifier: Given = None, auxiliary: Given = None) -> LiveNets:
        """Load a gate's nets, or take those that are given, which have to be the recorded ones."""
        if gate.judge is None:
            raise SteepslopeError("expected a gate with an oracle or a score, found one of confidences alone", "gate")
        needed, origin = gate.judge.arrays, gate.origin
        evidence = tuple(name for name in EVIDENCE_ARRAYS if name in needed)
        recorded: dict[str, Any] = {
            "views": origin.views, "passes": origin.passes, "precision": origin.precision, "features": origin.features
        }  # fmt: skip
        known = {name: value for name, value in recorded.items() if value is not None}
        options = ExtractionOptions(evidence=evidence or (NONE,), batch_size=BATCH, **known)
        net = load_net(origin.classifier, classifier, "classifier")
        second = load_net(origin.auxiliary, auxiliary, AUXILIARY) if AUXILIARY in needed else None
        if second is None and auxiliary is not None:
            raise SteepslopeError("expected none, since this gate needs no second backbone", AUXILIARY)
        return cls(net, second, options, gate.classes)

    @property
    def of_auxiliary(self) -> ExtractionOptions:
        """What is kept of an image by the auxiliary backbone."""
        return ExtractionOptions(evidence=("features",), precision=self.options.precision, batch_size=BATCH)

    def outputs_of(self, images: Pictures | Tensor) -> ClassifierOutputs:
        """Return the outputs of images in memory, without labels; see :meth:`steepslope.gate.Gate.predict`."""
        fabric = single_device(self.options.precision)
        return self._of_tensors(images, fabric) if isinstance(images, Tensor) else self._of_pictures(images, fabric)

    def _of_pictures(self, pictures: Pictures, fabric: Fabric) -> ClassifierOutputs:
        arrays = _run(self.classifier, self.options, fabric, pictures)
        if self.auxiliary is not None:
            arrays[AUXILIARY] = _run(self.auxiliary, self.of_auxiliary, fabric, pictures)["features"]
        return self.as_outputs({**arrays, "ids": pictures.ids})

    def _of_tensors(self, images: Tensor, fabric: Fabric) -> ClassifierOutputs:
        batch = images if images.ndim == 4 else images[None]
        transform = self.classifier.transform
        expected = (transform.channels, *transform.size)
        if tuple(batch.shape[1:]) != expected or len(batch) == 0:
            shape = f"(m, {', '.join(map(str, expected))}), as the classifier takes them"
            raise SteepslopeError(f"expected tensors {shape}, found {tuple(images.shape)}", "images")
        if self.auxiliary is not None:
            raise SteepslopeError("expected PIL images or arrays, which both nets can see, found a tensor", "images")
        if not images.is_floating_point():
            normalised = "expected floats, normalised as the classifier takes them"
            raise SteepslopeError(f"{normalised}, found {images.dtype}: give an array", "images")
        engine = Engine.on(self.classifier, self.options, fabric)
        parts = [engine(batch[rows].float(), rows.start) for rows in blocks(len(batch), BATCH)]
        return self.as_outputs({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    def as_outputs(self, arrays: dict[str, NDArray[Any]]) -> ClassifierOutputs:
        """Return arrays by name as outputs of this classifier."""
        return ClassifierOutputs.of(arrays, self.classes).of_classifier(self.classifier.digest)


def _run(
    classifier: Classifier, options: ExtractionOptions, fabric: Fabric, pictures: Pictures
) -> dict[str, NDArray[Any]]:
    engine = Engine.on(classifier, options, fabric)
    parts = []
    for rows in blocks(len(pictures), BATCH):
        batch = torch.stack([_transformed(pictures, row, classifier.transform) for row in range(rows.start, rows.stop)])
        parts.append(engine(batch, rows.start))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _transformed(pictures: Pictures, row: int, transform: Transform) -> Tensor:
    found = decoded(pictures, row, transform)
    if isinstance(found, str):
        raise unreadable(pictures, row, found).within("images")
    return found
