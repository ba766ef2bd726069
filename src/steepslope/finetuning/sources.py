"""The images that an oracle is trained on, and what the classifier says of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.data.class_names import read_classes
from steepslope.data.datasets import DatasetSpec, parse_dataset
from steepslope.data.decoding import decoded_batches
from steepslope.data.images import Dataset, rows_by_id
from steepslope.errors import SteepslopeError
from steepslope.extraction.extraction import named_data
from steepslope.finetuning.recipe import Finetuning
from steepslope.finetuning.request import FinetuneRequest, Input
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.folder import MANIFEST, require_one_classifier
from steepslope.utilities.files import read_json

BATCH = 64
TRAIN, HOLDOUT = "train", "holdout"


@dataclass(frozen=True, eq=False)
class FitSet:
    """Rows of a data set with the classifier that is to be asked about them, or with what it said.

    ``spare`` are images that the classifier was not fitted to, where it is known which.
    """

    data: Dataset
    rows: NDArray[np.int64]
    num_classes: int
    classifier: Classifier | None = None
    outputs: ClassifierOutputs | None = None
    spare: Dataset | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        """The true classes, (n,)."""
        return np.asarray(self.data.labels)[self.rows]

    def said(self, workers: int) -> ClassifierOutputs:
        """Return the outputs, asking the classifier for them once where they are not there yet."""
        if self.outputs is not None:
            return self.outputs
        assert self.classifier is not None
        return ask(self.classifier, self.data, self.rows, workers)

    def marks(self) -> dict[str, Any]:
        """Return what tells this fit set from others, as JSON holds it."""
        if self.classifier is not None:
            who = {"classifier": self.classifier.digest, "classifier input": str(self.classifier.transform)}
        else:
            assert self.outputs is not None
            who = {"outputs": digest_of(self.outputs)}
        return {**who, "images": self.data.fingerprint(), "rows": hashlib.sha256(self.rows.tobytes()).hexdigest()}


def open_fit_set(asked: FinetuneRequest) -> FitSet:
    """Open what is asked for: images with a live classifier, or those of a folder of outputs."""
    assert asked.data is not None
    spec = parse_dataset(asked.data)
    if asked.outputs is not None:
        if asked.classes is not None:
            raise SteepslopeError("classes: expected none beside outputs, which hold the labels")
        outputs = ClassifierOutputs.load(asked.outputs)
        data, rows = images_of(outputs, spec, asked.outputs)
        return FitSet(data, rows, outputs.num_classes, outputs=outputs)
    assert asked.classifier is not None
    classifier = with_input(load_classifier(asked.classifier), asked.classifier_input, "classifier")
    if not classifier.trainable:
        raise SteepslopeError(f"{classifier.spec}: extract its outputs first, and give them as --outputs")
    names = None if asked.classes is None else read_classes(Path(asked.classes))
    named = named_data(classifier, spec, names)
    data = named.get(TRAIN) or named[""]
    if len(data) == 0:
        raise SteepslopeError(f"{spec}: expected images, found none")
    classifier.check_labels(data.labels, str(spec))
    assert classifier.num_classes is not None
    return FitSet(data, np.arange(len(data)), classifier.num_classes, classifier, spare=named.get(HOLDOUT))


def open_valid(asked: FinetuneRequest, recipe: Finetuning, fit_set: FitSet) -> tuple[Dataset, ClassifierOutputs] | None:
    """Return the images and outputs on which epochs are compared; None where nothing is compared."""
    if recipe.select == "last":
        return None
    if asked.valid is not None:
        require_one_classifier(asked.outputs, asked.valid)
        outputs = ClassifierOutputs.load(asked.valid)
        if outputs.num_classes != fit_set.num_classes:
            raise SteepslopeError(
                f"{asked.valid}: expected {fit_set.num_classes} classes, as the fit set has, "
                f"found {outputs.num_classes}"
            )
        return images_of(outputs, parse_dataset(asked.valid_data or asked.data or ""), asked.valid)[0], outputs
    if fit_set.spare is None or fit_set.classifier is None:
        raise SteepslopeError(f"select {recipe.select}: expected outputs to compare epochs on (--valid), found none")
    spare = fit_set.spare
    return spare, ask(fit_set.classifier, spare, np.arange(len(spare)), asked.workers)


def images_of(outputs: ClassifierOutputs, spec: DatasetSpec, where: str) -> tuple[Dataset, NDArray[np.int64]]:
    """Find the images of outputs by their ids: the data set, or that of its splits that has them, and their rows."""
    failure: SteepslopeError | None = None
    for split in [spec.split] if spec.split else spec.splits or [None]:
        data = spec.open(split)
        try:
            return data, rows_by_id(data, outputs.ids)
        except SteepslopeError as error:
            failure = failure or error
    raise SteepslopeError(f"{where}: in {spec}: {failure}")


def digest_of(outputs: ClassifierOutputs) -> str:
    """Return the SHA-256 of logits and labels, in hex."""
    logits, labels = (np.ascontiguousarray(array).tobytes() for array in (outputs.logits, outputs.labels))
    return hashlib.sha256(logits + labels).hexdigest()


def open_images(outputs: ClassifierOutputs, path: Path, data: str | None = None) -> Dataset:
    """Open the images of outputs: where ``data`` says, or else where the outputs' manifest says they were."""
    if data is None:
        where = (read_json(path / MANIFEST, "outputs").get("extraction") or {}).get("data") if path.is_dir() else None
        if where is None:
            raise SteepslopeError(f"{path}: does not say where its images are: give --data")
        data = str(where).removesuffix(f":{HOLDOUT}")
    return images_of(outputs, parse_dataset(data), str(path))[0]


def with_input(net: Classifier, changes: Input, role: str) -> Classifier:
    """Return a net with another input; an error says which of the two nets it is."""
    try:
        return net.with_transform(changes.size, changes.mean, changes.std, changes.resize)  # type: ignore[arg-type]
    except SteepslopeError as error:
        raise error.within(role) from error


def ask(classifier: Classifier, data: Dataset, rows: NDArray[np.int64], workers: int) -> ClassifierOutputs:
    """Run a classifier over some images, as they are."""
    parts = []
    device = next(classifier.net.parameters()).device
    with torch.inference_mode():
        for images in decoded_batches(data, rows, classifier.transform, BATCH, workers):
            parts.append(classifier.net(images.to(device))[1].float().cpu().numpy())
    ids = np.array([str(data.ids[row]) for row in rows])
    return ClassifierOutputs(np.concatenate(parts), np.asarray(data.labels)[rows], ids=ids)
