"""A gate with its nets, loaded by their recorded spec or given by the caller, and run on images in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor, nn

from steepslope.errors import SteepslopeError, explained, located
from steepslope.gate import Decisions, Gate, NetRecord, Origin, judged_together
from steepslope.nets.classifiers import Classifier, live_classifier, load_classifier, module_source_digest
from steepslope.nets.data import ALL, Dataset, Picture, Transform, decoded_or_reason, unreadable_image
from steepslope.nets.extraction import EVIDENCE_ARRAYS, NONE, Engine, ExtractionOptions, single_device
from steepslope.nets.training import CODE, ImageOracle, load_oracle
from steepslope.numerics import ArrayDict, Arrays, Values, blocks
from steepslope.outputs import (
    AUXILIARY,
    OPINION,
    VOTE,
    ClassifierOutputs,
    Opinion,
    aligned_opinion,
    is_opinion_array,
    opinion_class_places,
    opinion_of_array,
)
from steepslope.promise import REVIEW_ALL, WhenChanged

if TYPE_CHECKING:
    from lightning_fabric import Fabric

BATCH = 64
FEATURES = "features"
_RECORDED = ("views", "passes", "precision", "features")  # what a gate's origin tells of the extraction
_COLOURS = (1, 3, 4)  # channels that the last axis of an array can be
_Given = str | Classifier | nn.Module | None  # a spec, a classifier, a net from images to logits, or what is recorded


def _load_gate_net(record: NetRecord | None, given: _Given, place: str) -> Classifier:
    """Return the net that is given, or else that of the recorded spec; raise unless it is the recorded one.

    What is code of one's own has to be given, since no file gets to name code to run. ``place`` names the net in
    errors. Where nothing is recorded, only a classifier with its transform will do.
    """
    if record is None:
        if isinstance(given, Classifier):
            return given
        expected = "expected calibration outputs that extract made, which record the net"
        remedy = "predict --outputs decides on such, and export --part gate exports"
        raise SteepslopeError(f"{expected}, found others: {remedy}; in Python, give a Classifier", place)
    transform = Transform.of(record.transform, Path(f"the transform of {record.spec}"))
    if isinstance(given, nn.Module):
        return _callers_net(record, given, transform, place)
    if given is None and record.spec.startswith(CODE):
        refused = f"{record.spec} is code of your own, which no file gets to run: name it yourself"
        if place in ("classifier", AUXILIARY):
            refused += f", by --{place} {record.spec}"
        raise SteepslopeError(refused, place)
    net = given if isinstance(given, Classifier) else _net_by_recorded_spec(record, given, place)
    if net.digest != record.digest:
        raise record.other(net.digest, place)
    return net.with_transform(preprocessing=transform)


def _net_by_recorded_spec(record: NetRecord, given: str | None, place: str) -> Classifier:
    try:
        return load_classifier(given or record.spec)
    except SteepslopeError as error:
        if given is not None:
            raise
        option = f"--{place}=SPEC" if " " in place else f"--{place} SPEC"
        raise SteepslopeError(f"{error} (if the net has moved, pass {option})") from error


def _callers_net(record: NetRecord, net: nn.Module, transform: Transform, place: str) -> Classifier:
    """Return a net of the caller's as the classifier; one of a module's is told with the module's source, too."""
    classifier = live_classifier(record.spec, net, transform)
    digests = [classifier.digest]
    if record.spec.startswith(CODE):
        digests.append(module_source_digest(classifier.digest, record.spec.removeprefix(CODE).partition(":")[0]))
    if record.digest not in digests:
        raise record.other(digests[-1], place)
    known = replace(classifier, digest=record.digest)  # else its own outputs would be taken for another's
    return known.with_transform(preprocessing=transform)


@dataclass(frozen=True, eq=False)
class _Pictures:
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


def _pictures_in_memory(images: Any, channels: int = 3) -> list[Picture]:
    """Return one image or several, PIL's or arrays, as a list; a last axis of as many channels is that of one image.

    >>> [len(_pictures_in_memory(np.zeros(shape, np.uint8))) for shape in ((8, 8), (8, 8, 3), (5, 8, 8), (5, 8, 8, 3))]
    [1, 1, 5, 5]
    """
    if isinstance(images, Image.Image):
        return [images]
    if isinstance(images, np.ndarray):
        if images.ndim not in (2, 3, 4):
            raise SteepslopeError(f"expected (H, W), (H, W, C) or (m, H, W, C), found shape {images.shape}", "images")
        if images.ndim == 2 or (images.ndim == 3 and images.shape[-1] in (*_COLOURS, channels)):
            images = images[None]
    if not isinstance(images, Iterable) or isinstance(images, str):
        raise SteepslopeError(f"expected images, arrays or tensors, found {type(images).__name__}", "images")
    pictures = list(images)
    for picture in pictures:
        if not isinstance(picture, Image.Image | np.ndarray):
            found = type(picture).__name__
            raise SteepslopeError(f"expected PIL images or arrays, found {found} among them", "images")
    return [_as_in_file(picture) for picture in pictures]


def _as_in_file(array: Picture) -> Picture:
    """Return whole numbers from 0 to 255 as the image that a file of them would be; others stay as they are."""
    if isinstance(array, Image.Image):
        return array
    if array.ndim not in (2, 3) or array.size == 0:
        raise SteepslopeError(f"expected an image (H, W) or (H, W, C), found shape {array.shape}", "images")
    if array.ndim == 2 or array.shape[0] in _COLOURS or array.shape[-1] in _COLOURS:
        _require_brightness(array)
    flat = array
    if array.ndim == 3 and array.shape[-1] == 1:
        flat = array[..., 0]
    if flat.dtype == np.uint8 and (flat.ndim == 2 or flat.shape[-1] in _COLOURS):
        return Image.fromarray(flat)
    return array


def _require_brightness(array: Values) -> None:
    """Refuse what would silently be another image: wide whole numbers, scaled by their type's largest, and such."""
    kind = array.dtype
    expected = "expected uint8, uint16 or floats in [0, 1]"
    if kind.kind != "f" and kind not in (np.uint8, np.uint16):
        raise SteepslopeError(f"{expected}, found {kind}", "images")
    if kind.kind == "f" and not (array.min() >= 0 and array.max() <= 1):
        raise SteepslopeError(f"{expected}, found floats from {array.min():g} to {array.max():g}", "images")


@dataclass(frozen=True, eq=False)
class _OtherNet:
    """Another net that sees the images: a second backbone, whose features count, or a classifier with an opinion.

    ``places`` are those of its classes among the classifier's; None for a backbone.
    """

    net: Classifier
    places: tuple[int, ...] | None = None

    def options(self, precision: Literal["32", "bf16", "fp16"]) -> ExtractionOptions:
        """Return what is kept of an image."""
        evidence = FEATURES if self.places is None else NONE
        return ExtractionOptions(evidence=(evidence,), precision=precision, batch_size=BATCH)

    def array(self, logits: Values, arrays: Arrays) -> Values:
        """Return its array in outputs, next to the classifier's logits (m, K), of what the net gives."""
        if self.places is None:
            return arrays[FEATURES]
        return aligned_opinion(logits, arrays["logits"], np.arange(len(logits)), self.places)


@dataclass(frozen=True, eq=False)
class ImageGate:
    """A gate with the nets that it needs: from images to decisions.

    ``others`` are the nets next to the classifier, by the names of their arrays, and ``options`` what is kept of each
    image.
    """

    gate: Gate
    classifier: Classifier
    others: Mapping[str, _OtherNet]
    options: ExtractionOptions

    @classmethod
    def load(
        cls,
        folder: str | Path,
        classifier: _Given = None,
        auxiliary: _Given = None,
        backbones: Collection[str] = (),
        opinions: Mapping[str, _Given] | None = None,
    ) -> Self:
        """Load a gate from its folder, or from where else :meth:`steepslope.gate.Gate.load` takes one, and its nets.

        The classifier is loaded by the spec that was recorded, or else is ``classifier``: a spec, a ``Classifier``, or
        a net from images to logits. So are the ``auxiliary`` backbone, and the nets of ``opinions``, by name. Each has
        to have the recorded digest. Code of one's own, ``module:…``, is never run because a file names it: it has to be
        given, or to be one of the ``backbones`` of an oracle on images.
        """
        gate = Gate.load(folder, partial(load_oracle, backbones=backbones))
        return cls.of(gate, classifier, auxiliary, opinions)

    @classmethod
    def of(
        cls,
        gate: Gate,
        classifier: _Given = None,
        auxiliary: _Given = None,
        opinions: Mapping[str, _Given] | None = None,
    ) -> Self:
        """Return a gate with its nets, which are loaded, or given, as :meth:`load` says."""
        origin = gate.origin
        arrays = gate.require_source().arrays
        evidence = tuple(name for name in EVIDENCE_ARRAYS if name in arrays)
        recorded: dict[str, Any] = {}
        for name in _RECORDED:
            if getattr(origin, name) is not None:
                recorded[name] = getattr(origin, name)
        options = ExtractionOptions(evidence=evidence or (NONE,), batch_size=BATCH, **recorded)
        named = {f"{OPINION}{name}": given for name, given in (opinions or {}).items()}
        _require_opinion_nets(origin, arrays, named)
        net = _load_gate_net(origin.classifier, classifier, "classifier")
        others = {}
        for name in arrays:
            if is_opinion_array(name):
                others[name] = _opinion_net(name, gate, named.get(name), net)
        if AUXILIARY in arrays:
            others[AUXILIARY] = _OtherNet(_load_gate_net(origin.auxiliary, auxiliary, AUXILIARY))
        elif auxiliary is not None:
            raise SteepslopeError("expected none, since this gate needs no second backbone", AUXILIARY)
        return cls(gate, net, others, options)

    def predict(
        self,
        images: Any,
        groups: ArrayLike | None = None,
        *,
        top: int = 1,
        explain: bool = False,
        when_changed: WhenChanged = REVIEW_ALL,
    ) -> Decisions:
        """Run the nets on images, and return what to do with each prediction.

        Parameters
        ----------
        images
            One image or several: PIL images, arrays (H, W) or (H, W, C), or an array of several (m, H, W) or
            (m, H, W, C), of uint8, uint16 or floats in [0, 1], which are resized and normalised as the gate's
            classifier needs it. Tensors (C, H, W) or (m, C, H, W) are taken as they are, as the classifier takes them;
            a gate with another net next to the classifier, or an oracle on images, cannot use these.
        groups, top, explain, when_changed
            As in :meth:`steepslope.gate.Gate.decide`.

        Raises
        ------
        SteepslopeError
            If an image cannot be used.
        """
        decisions = self.predict_rows(images, groups, top=top, explain=explain)
        return judged_together(self.gate, decisions, when_changed)

    def predict_rows(
        self, images: Any, groups: ArrayLike | None = None, *, top: int = 1, explain: bool = False
    ) -> Decisions:
        """Return what :meth:`predict` does if each image is judged alone, so that no change is noticed."""
        in_memory = self._in_memory(images)
        gate = self.gate
        if not isinstance(in_memory, Tensor):
            gate = self.seeing(in_memory)
        return gate.decide_rows(self._outputs_of(in_memory), groups, top=top, explain=explain)

    def seeing(self, images: Dataset) -> Gate:
        """Return the gate with the images of what it will judge, for an oracle that needs them."""
        source = self.gate.require_source()
        if not isinstance(source.model, ImageOracle):
            return self.gate
        return replace(self.gate, source=replace(source, model=source.model.on(images)))

    def as_outputs(self, arrays: ArrayDict) -> ClassifierOutputs:
        """Return arrays by name as outputs of the classifier."""
        return ClassifierOutputs.of(arrays, self.gate.classes).of_classifier(self.classifier.digest)

    def _in_memory(self, images: Any) -> _Pictures | Tensor:
        """Return images as they were given, one or several: tensors as one, (m, C, H, W), all others as a data set."""
        if isinstance(images, list | tuple) and images and all(isinstance(image, Tensor) for image in images):
            with explained("expected tensors (C, H, W) of one shape", "images", (RuntimeError, TypeError)):
                return torch.stack(list(images))
        if isinstance(images, Tensor):
            return images
        pictures = _Pictures(_pictures_in_memory(images, self.classifier.transform.channels))
        if len(pictures) == 0:
            raise SteepslopeError("expected at least one, found none", "images")
        return pictures

    def _outputs_of(self, images: _Pictures | Tensor) -> ClassifierOutputs:
        """Return the outputs of images in memory, without labels."""
        fabric = single_device(self.options.precision)
        if isinstance(images, Tensor):
            batch = self._normalised(images)
            engine = Engine.on(self.classifier, self.options, fabric)
            return self.as_outputs(_run_engine(engine, len(batch), lambda rows: batch[rows].float()))
        arrays = _run_on_pictures(self.classifier, self.options, fabric, images)
        for name, other in self.others.items():
            of_other = _run_on_pictures(other.net, other.options(self.options.precision), fabric, images)
            arrays[name] = other.array(arrays["logits"], of_other)
        return self.as_outputs({**arrays, "ids": images.ids})

    def _normalised(self, images: Tensor) -> Tensor:
        """Return tensors as one batch; raise unless they are as the classifier takes them."""
        batch = images
        if images.ndim != 4:
            batch = images[None]
        transform = self.classifier.transform
        expected = (transform.channels, *transform.size)
        if tuple(batch.shape[1:]) != expected or len(batch) == 0:
            shape = f"(m, {', '.join(map(str, expected))}), as the classifier takes them"
            raise SteepslopeError(f"expected tensors {shape}, found {tuple(images.shape)}", "images")
        if self.others:
            raise SteepslopeError("expected PIL images or arrays, which both nets can see, found a tensor", "images")
        if not images.is_floating_point():
            normalised = "expected floats, normalised as the classifier takes them"
            raise SteepslopeError(f"{normalised}, found {images.dtype}: give an array", "images")
        return batch


def _opinion_in_errors(array: str) -> str:
    """Return how an opinion is named in errors: ``opinion_big`` is the opinion big."""
    return f"opinion {opinion_of_array(array)}"


def _require_opinion_nets(origin: Origin, arrays: Collection[str], given: Mapping[str, _Given]) -> None:
    """Raise unless each opinion that is needed has a net, recorded or given as a classifier, and no other is given."""
    needed = [name for name in arrays if is_opinion_array(name)]
    for array in given:
        name = opinion_of_array(array)
        if f"{VOTE}{name}" in needed:
            raise SteepslopeError(f"{name} is a vote: no net gives it", "opinion")
        if array not in needed:
            counted = ", ".join(map(opinion_of_array, needed)) or "none"
            raise SteepslopeError(f"expected one of those that the gate counts ({counted})", _opinion_in_errors(array))
    for array in needed:
        name = opinion_of_array(array)
        is_recorded = array.startswith(OPINION) and name in origin.opinions
        if not is_recorded and not isinstance(given.get(array), Classifier):
            refused = "no net of it is recorded, so images cannot be judged"
            remedy = f"predict --outputs with --opinion {name}=FILE can, and export --part gate"
            raise SteepslopeError(f"{refused}: {remedy}", _opinion_in_errors(array))


def _opinion_net(array: str, gate: Gate, given: _Given, classifier: Classifier) -> _OtherNet:
    """Return the net of an opinion, with the places of its classes; they go by names where none are recorded."""
    record = gate.origin.opinions.get(opinion_of_array(array))
    net = _load_gate_net(record, given, _opinion_in_errors(array))
    if record is not None and record.places is not None:
        return _OtherNet(net, record.places)
    with located(_opinion_in_errors(array)):
        own = Opinion(np.empty((0, classifier.num_classes or 0)), classes=gate.classes)
        other = Opinion(np.empty((0, net.num_classes or 0)), classes=net.names)
        return _OtherNet(net, opinion_class_places(own, other))


def _run_on_pictures(
    classifier: Classifier, options: ExtractionOptions, fabric: Fabric, pictures: _Pictures
) -> ArrayDict:
    def read(rows: slice) -> Tensor:
        images = []
        for row in range(rows.start, rows.stop):
            image = decoded_or_reason(pictures, row, classifier.transform)
            if isinstance(image, str):
                raise unreadable_image(pictures, row, image).within("images")
            images.append(image)
        return torch.stack(images)

    return _run_engine(Engine.on(classifier, options, fabric), len(pictures), read)


def _run_engine(engine: Engine, n: int, read: Callable[[slice], Tensor]) -> ArrayDict:
    answers = [engine(read(rows), rows.start) for rows in blocks(n, BATCH)]
    return {name: np.concatenate([part[name] for part in answers]) for name in answers[0]}
