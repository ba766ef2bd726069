"""Recoloured images: each one's colours mapped within a bound, so that a classifier takes it for another class.

ReColorAdv of Laidlaw & Feizi, "Functional Adversarial Attacks", NeurIPS 2019, against the classifier alone. It departs
from the authors' code in three ways: colours stay within the bound and within sRGB at once, at every pixel; the best
version of each image is kept, whereas their code returns the last; LUV is scaled such that all of sRGB is in [0, 1].
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.files import require_extra, versions_of
from steepslope.nets.classifiers import COLOUR, Classifier
from steepslope.nets.data import Labels, Picture, Size
from steepslope.outputs import UNKNOWN
from steepslope_lab.shifts.colour_map import ColourMap, roughness
from steepslope_lab.shifts.options import RecolorOptions
from steepslope_lab.shifts.pixels import device_at_hand


def recolored(classifier: Classifier, images: Tensor, labels: Tensor | None, options: RecolorOptions) -> Tensor:
    """Recolour images such that a classifier errs; all are attacked at once, each with a colour map of its own.

    Minimises the margin plus ``options.smoothness`` times the ``roughness`` of the
    map, by Adam. The best version of an image is that of the lowest margin: by the loss it could be the image itself,
    whose map has no roughness, though a later version misleads the classifier. The classifier is put into evaluation
    mode, and its weights are frozen.

    Parameters
    ----------
    classifier
        The classifier, with gradients, on the images' device.
    images
        Float32 (n, C, H, W) in [0, 1], of the size of the classifier's input, before normalisation. C is 1 or 3; grey
        ones are repeated for a colour classifier, and stay grey.
    labels
        The classes to lead away from, int64 (n,); of −1, which is none of them, and for None, the predicted ones.
    options
        The bound, the steps and the like.

    Returns
    -------
    Tensor
        Float32 (n, C, H, W) in [0, 1].

    Raises
    ------
    SteepslopeError
        If the classifier has no finite logits.
    """
    with torch.inference_mode(mode=False), torch.enable_grad():
        classifier.net.eval().requires_grad_(False)
        clean = images.clone()  # one that was made in inference mode has no place in a graph
        with torch.no_grad():
            logits = _logits_of_unnormalised(classifier, clean)
        for row in (~logits.isfinite()).any(dim=1).nonzero():
            raise SteepslopeError(f"expected finite logits, found others in row {int(row)}", classifier.spec)
        predicted = logits.argmax(dim=1)
        known = predicted if labels is None else torch.where(labels == UNKNOWN, predicted, labels)
        return _attacked_images(classifier, clean, known, options)


def _attacked_images(classifier: Classifier, images: Tensor, labels: Tensor, options: RecolorOptions) -> Tensor:
    colour_map = ColourMap.of(images)
    knots = colour_map.identity().requires_grad_()
    optimizer = torch.optim.Adam([knots], options.learning_rate)
    best, lowest = images, images.new_full((len(images),), torch.inf)
    for step in range(options.steps + 1):
        changed = colour_map(knots)
        margins = classifier_margins(_logits_of_unnormalised(classifier, changed), labels)
        if step < options.steps:
            optimizer.zero_grad()
            (margins + options.smoothness * roughness(knots)).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            with torch.no_grad():
                knots.clamp_(-options.bound, options.bound)
        better = margins.detach() < lowest
        best = torch.where(better.view(-1, 1, 1, 1), changed.detach(), best)
        lowest = torch.where(better, margins.detach(), lowest)
    return best


def classifier_margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return how far each row is from an error: its class's logit less the largest other, (n, K) and (n,) -> (n,).

    >>> classifier_margins(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([2]))
    tensor([-1.])
    """
    rows = labels.unsqueeze(1)
    others = logits.scatter(1, rows, -torch.inf).amax(dim=1)
    return logits.gather(1, rows).squeeze(1) - others


def _logits_of_unnormalised(classifier: Classifier, images: Tensor) -> Tensor:
    """Return the logits (n, K), float32, of images in [0, 1]."""
    transform = classifier.transform
    mean, std = (images.new_tensor(values).view(-1, 1, 1) for values in (transform.mean, transform.std))
    logits: Tensor = classifier.net((images - mean) / std)[1]  # a grey image becomes as many channels as mean has
    return logits.float()


LIBRARIES = ("torch", "kornia")


@dataclass(frozen=True, eq=False)
class Recoloring:
    """ReColorAdv against a classifier, as a shift; see :func:`~steepslope_lab.shifts.recolor.recolored`.

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
        If the classifier has no gradients, or takes other images than grey or colour ones.
    """

    classifier: Classifier
    options: RecolorOptions

    def __post_init__(self) -> None:
        if not self.classifier.trainable:
            found = "found one without: give the net that it was made from"
            raise SteepslopeError(f"expected a classifier with gradients, {found}", self.classifier.spec)
        channels = self.classifier.transform.channels
        if channels not in (1, COLOUR):
            raise SteepslopeError(f"expected grey or colour images, found {channels} channels", self.classifier.spec)
        if channels == COLOUR:
            require_extra("kornia", "lab", "recolor")

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
        settings = {**asdict(self.options), "transform": json.loads(json.dumps(asdict(self.classifier.transform)))}
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
        channels = self.classifier.transform.channels
        transform = self.classifier.transform.changed(mean=(0.0,) * channels, std=(1.0,) * channels)
        device = device_at_hand()
        transform = transform.changed(resize="exact") if brought_to == transform.size else transform
        self.classifier.net.to(device)
        batch = torch.stack([transform(image) for image in images]).clamp(0, 1).to(device)
        classes = None if labels is None else torch.from_numpy(labels.copy()).to(device)
        changed = recolored(self.classifier, batch, classes, self.options)
        return [image.permute(1, 2, 0).cpu().numpy() for image in changed]
