"""What an oracle is trained on, opened once: nets, images, and the classifier or its outputs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.nets.classifiers import Classifier, load_classifier
from steepslope.nets.data import Dataset, labels_at, parse_data, read_classes, read_transform, require_image_labels
from steepslope.nets.extraction import data_by_split
from steepslope.nets.training._images import HOLDOUT, images_of_outputs
from steepslope.nets.training._on_images import run_on_images
from steepslope.nets.training._request import FinetuneRequest
from steepslope.oracle import FitRecord
from steepslope.outputs import ClassifierOutputs, RowHashes, require_folders_of_one_classifier, require_same_class_names

TRAIN = "train"


def load_net_of_role(request: FinetuneRequest, role: str) -> Classifier:
    """Load the ``oracle``'s backbone, or the live ``classifier``; an error names the options of that role."""
    changes = request.input_changes(role)
    with located(role):
        if "preprocessing" in changes:
            changes["preprocessing"] = read_transform(Path(changes["preprocessing"]))
        net = load_classifier(getattr(request, role))
        return net.with_transform(changes.pop("size", None), **changes, role=role)


@dataclass(frozen=True, eq=False)
class FitSet:
    """Rows of a data set with ``predictor``, the classifier that predicts them or its outputs.

    ``spare`` are images that the classifier was not fitted to, where it is known which. ``validation`` are the images
    and outputs on which epochs are compared, where any stage does so.
    """

    data: Dataset
    rows: NDArray[np.int64]
    num_classes: int
    predictor: Classifier | ClassifierOutputs
    spare: Dataset | None = None
    validation: tuple[Dataset, ClassifierOutputs] | None = None

    @property
    def classifier(self) -> Classifier | None:
        """The classifier; None where its outputs are known."""
        if isinstance(self.predictor, Classifier):
            return self.predictor
        return None

    @property
    def labels(self) -> NDArray[np.int64]:
        """The true classes, (n,)."""
        return require_image_labels(self.data, "the fit set")[self.rows]

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, by label; None where they have none."""
        if isinstance(self.predictor, Classifier):
            return self.predictor.agreed_classes(self.data.classes, "the fit set")
        return self.predictor.classes

    def known_outputs(self, workers: int) -> ClassifierOutputs:
        """Return the outputs; a live classifier is run once over the images as they are."""
        if isinstance(self.predictor, Classifier):
            return _outputs_of_live_classifier(self.predictor, self.data, self.rows, workers)
        return self.predictor

    def require_classes_of_backbone(self, count: int, names: tuple[str, ...] | None) -> None:
        """Raise unless a backbone that predicts ``count`` classes, by these names, predicts the fit set's."""
        if count != self.num_classes:
            expected = f"expected a backbone that predicts the classifier's {self.num_classes} classes"
            raise SteepslopeError(f"{expected}, found one of {count}", "frozen_dropout")
        require_same_class_names("frozen_dropout", self.classes, names)

    def record(self) -> FitRecord:
        """Return what an oracle remembers of the fit set; of a live classifier's, not which rows they were."""
        if isinstance(self.predictor, Classifier):
            return FitRecord(RowHashes.unknown(), self.predictor.digest, classes=self.classes)
        return FitRecord(RowHashes.of(self.predictor), self.predictor.classifier, classes=self.classes)

    def identity(self) -> dict[str, Any]:
        """Return what tells this fit set from others, as JSON holds it."""
        images = {"images": self.data.fingerprint(), "rows": hashlib.sha256(self.rows.tobytes()).hexdigest()}
        if isinstance(self.predictor, Classifier):
            return {"classifier": self.predictor.digest, "classifier input": str(self.predictor.transform), **images}
        return {"outputs": digest_of_outputs(self.predictor), **images}


def fit_set_to_train_on(request: FinetuneRequest, fabric: Fabric) -> FitSet:
    """Open all that a request names but the backbone, which training changes: each stage loads it again.

    Images come before weights. A live classifier is brought to the device, and where any stage compares epochs, the
    fit set has what they are compared on.
    """
    if request.valid_data is not None:
        parse_data(request.valid_data).look()
    fit_set = open_fit_set(request)
    if fit_set.classifier is not None:
        fabric.to_device(fit_set.classifier.net)
    if not request.selects:
        return fit_set
    return replace(fit_set, validation=_open_validation(request, fit_set))


def open_fit_set(request: FinetuneRequest) -> FitSet:
    """Open the images with a live classifier, or those of a folder of outputs."""
    if request.data is None:
        raise SteepslopeError("data: expected the data spec of the images, found none")
    spec = parse_data(request.data).look()
    if request.outputs is not None:
        outputs = ClassifierOutputs.load(request.outputs)
        data, rows = images_of_outputs(outputs, spec, request.outputs)
        return FitSet(data, rows, outputs.num_classes, outputs)
    classifier = load_net_of_role(request, "classifier")
    if not classifier.trainable:
        raise SteepslopeError(f"{classifier.spec}: extract its outputs first, and give them as --outputs")
    names = None if request.classes is None else read_classes(Path(request.classes))
    named = data_by_split(classifier, spec, names)
    data = named.get(TRAIN) or named[""]
    classifier = classifier.named(names)
    classifier.agreed_classes(data.classes, str(spec))
    if len(data) == 0:
        raise SteepslopeError(f"{spec}: expected images, found none")
    classifier.check_labels(require_image_labels(data, str(spec)), str(spec))
    assert classifier.num_classes is not None
    return FitSet(data, np.arange(len(data)), classifier.num_classes, classifier, spare=named.get(HOLDOUT))


def _open_validation(request: FinetuneRequest, fit_set: FitSet) -> tuple[Dataset, ClassifierOutputs]:
    """Return the images and outputs on which epochs are compared."""
    if request.valid is not None:
        require_folders_of_one_classifier(request.outputs, request.valid)
        outputs = ClassifierOutputs.load(request.valid)
        if outputs.num_classes != fit_set.num_classes:
            expected = f"expected {fit_set.num_classes} classes, as the fit set has"
            raise SteepslopeError(f"{expected}, found {outputs.num_classes}", request.valid)
        require_same_class_names(request.valid, fit_set.classes, outputs.classes)
        spec = parse_data(request.valid_data or request.data or "")
        return images_of_outputs(outputs, spec, request.valid)[0], outputs
    spare = fit_set.spare
    if spare is None or fit_set.classifier is None:
        raise SteepslopeError("select: expected outputs to compare epochs on (--valid), found none")
    rows = np.arange(len(spare))
    return spare, _outputs_of_live_classifier(fit_set.classifier, spare, rows, request.workers)


def digest_of_outputs(outputs: ClassifierOutputs) -> str:
    """Return the SHA-256 of logits and labels, in hex."""
    digest = hashlib.sha256(np.ascontiguousarray(outputs.logits).data)
    digest.update(np.ascontiguousarray(outputs.labels).data)
    return digest.hexdigest()


def _outputs_of_live_classifier(
    classifier: Classifier, data: Dataset, rows: NDArray[np.int64], workers: int
) -> ClassifierOutputs:
    """Return a classifier's outputs on some images, as they are."""
    net = classifier.net
    logits = run_on_images(lambda images: net(images)[1], net, classifier.transform, data, rows, workers)
    ids = np.array([str(data.ids[row]) for row in rows])
    return ClassifierOutputs(logits.float().cpu().numpy(), labels_at(data.labels, rows), ids=ids)
