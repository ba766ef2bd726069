"""Recolouring against a classifier as a shift: what it sees is what it errs on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import torch

from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.data.images import Labels, Picture
from steepslope.data.shifted import Size
from steepslope.data.transforms import Transform
from steepslope.errors import SteepslopeError, located
from steepslope.shifts.devices import device_at_hand
from steepslope.shifts.recolor import recolored
from steepslope.shifts.recolor_options import RecolorOptions
from steepslope.utilities.extras import require_extra, versions_of

LIBRARIES = ("torch", "kornia")


@dataclass(frozen=True, eq=False)
class Recoloring:
    """ReColorAdv against a classifier, as a shift; see :func:`~steepslope.shifts.recolor.recolored`.

    Images are brought to the classifier's input first, so shifted ones have its size and channels. Those without
    labels are led away from the classes that the classifier predicts.

    Parameters
    ----------
    classifier
        The classifier, with gradients; its size and normalisation are known.
    options
        The bound, the steps and the like.

    Raises
    ------
    SteepslopeError
        If the classifier has no gradients.
    """

    classifier: Classifier
    options: RecolorOptions

    def __post_init__(self) -> None:
        require_gradients(self.classifier.spec, self.classifier.trainable)
        if self.classifier.transform.channels != 1:
            require_extra("kornia", "shifts", "recolor")

    @property
    def block(self) -> int:
        """Images that are attacked together."""
        return self.options.batch_size

    @property
    def title(self) -> str:
        """The shift and its bound."""
        return f"recolored, bound {self.options.bound:g}"

    @property
    def size(self) -> Size:
        """Height and width of the classifier's input."""
        return self.classifier.transform.size

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the recoloured images, as JSON holds it."""
        about = {"method": "recolor", "classifier": self.classifier.digest}
        settings = {**asdict(self.options), "transform": _as_json(self.classifier.transform)}
        return {**about, **settings, "versions": versions_of(LIBRARIES)}

    def __call__(
        self,
        images: Sequence[Picture],
        ids: Sequence[str],
        labels: Labels | None = None,
        brought_to: Size | None = None,
    ) -> list[Picture]:
        """Return the recoloured images, float32 (H, W, C) in [0, 1]; those of the size are not cropped again."""
        self.classifier.check_labels(labels, "images to recolour")
        transform, device = unnormalised(self.classifier.transform), device_at_hand()
        transform = transform.changed(resize="exact") if brought_to == transform.size else transform
        self.classifier.net.to(device)
        batch = torch.stack([transform(image) for image in images]).clamp(0, 1).to(device)
        known = None if labels is None else torch.from_numpy(labels.copy()).to(device)
        found = recolored(self.classifier, batch, known, self.options).images
        return [image.permute(1, 2, 0).cpu().numpy() for image in found]


def unnormalised(transform: Transform) -> Transform:
    """Return the same transform without normalisation: its images are in [0, 1]."""
    return replace(transform, mean=(0.0,) * transform.channels, std=(1.0,) * transform.channels)


def _as_json(transform: Transform) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(transform).items()}


def require_gradients(spec: str, trainable: bool) -> None:
    """Raise unless a classifier has gradients."""
    if not trainable:
        expected = "expected a classifier with gradients to recolour against"
        raise SteepslopeError(f"{expected}, found one without: give the net that it was made from", spec)


@dataclass(frozen=True)
class RecolorSpec:
    """Recolouring that is named but not loaded: the classifier's spec, changes of its input, and the attack's options.

    ``inputs`` are keywords of :meth:`~steepslope.classifiers.classifier.Classifier.with_transform`.
    """

    classifier: str
    options: RecolorOptions
    inputs: Mapping[str, Any]

    def look(self) -> Self:
        """Raise where the classifier can have no gradients."""
        require_gradients(self.classifier, not self.classifier.startswith("onnx:"))
        return self

    def load(self) -> Recoloring:
        """Load the classifier."""
        with located(str(self)):
            return Recoloring(load_classifier(self.classifier).with_transform(**self.inputs), self.options)

    def __str__(self) -> str:
        default = RecolorOptions()
        changed = {one.name: value for one in fields(default)
                   if (value := getattr(self.options, one.name)) != getattr(default, one.name)}  # fmt: skip
        listed = {name: ",".join(map(str, value)) if isinstance(value, tuple) else value
                  for name, value in (changed | dict(self.inputs)).items() if value is not None}  # fmt: skip
        query = "&".join(f"{name}={value}" for name, value in listed.items())
        return f"recolor:{self.classifier}" + (("&" if "?" in self.classifier else "?") + query if query else "")
