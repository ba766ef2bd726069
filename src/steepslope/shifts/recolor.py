"""Recoloured images: each one's colours mapped within a bound, so that a classifier takes it for another class.

ReColorAdv of Laidlaw & Feizi, "Functional Adversarial Attacks", NeurIPS 2019, against the classifier alone. It departs
from the authors' code in three ways: colours stay within the bound and within sRGB at once, at every pixel; the best
version of each image is kept, whereas their code returns the last; LUV is scaled such that all of sRGB is in [0, 1].
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from steepslope.classifiers.classifier import COLOUR, Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.data.images import Labels, Picture
from steepslope.data.shifted import Size
from steepslope.data.transforms import Transform
from steepslope.errors import SteepslopeError, located
from steepslope.files.extras import require_extra, versions_of
from steepslope.shifts.colour_map import GREY_KNOTS, ColourMap, roughness
from steepslope.shifts.options import RecolorOptions
from steepslope.shifts.pixels import device_at_hand

RANDOM_KNOTS = {COLOUR: (2, 2, 2), 1: GREY_KNOTS}  # by channels; the nearest to the attack in roughness


@dataclass(frozen=True, eq=False)
class Recolored:
    """Recoloured images, and how they did.

    Parameters
    ----------
    images
        Float32 (n, C, H, W) in [0, 1].
    labels
        The class of each image that was attacked, int64 (n,).
    margins
        Logit of that class less the largest other, float32 (n,); negative where the classifier takes another.
    losses
        Lowest loss up to each step, float32 (steps + 1, n), the first being that of the images as they were.
    """

    images: Tensor
    labels: Tensor
    margins: Tensor
    losses: Tensor


def recolored(
    classifier: Classifier, images: Tensor, labels: Tensor | None = None, options: RecolorOptions | None = None
) -> Recolored:
    """Recolour images such that a classifier errs; all are attacked at once, each with a colour map of its own.

    Minimises the margin plus ``options.smoothness`` times the :func:`~steepslope.shifts.colour_map.roughness` of the
    map, by Adam. The best version of an image is that of the lowest margin: by the loss it could be the image itself,
    whose map has no roughness, though a later version misleads the classifier. The classifier is in evaluation mode
    meanwhile, and its weights are left as they are.

    Parameters
    ----------
    classifier
        The classifier, with gradients, on the images' device.
    images
        Float32 (n, C, H, W) in [0, 1], of the size of the classifier's input, before normalisation. C is 1 or 3; grey
        ones are repeated for a colour classifier, and stay grey.
    labels
        The classes to lead away from, int64 (n,); by default the predicted ones.
    options
        The bound, the steps and the like; by default those of the paper.

    Raises
    ------
    SteepslopeError
        If images or labels are not as described, or the classifier has no gradients or no finite logits.
    """
    if not classifier.trainable:
        raise SteepslopeError(
            f"expected a classifier with gradients, found one of {classifier.runs_on}", classifier.spec
        )
    _require_images(images)
    _require_fitting(classifier, images)
    with torch.inference_mode(mode=False), torch.enable_grad(), _frozen(classifier.net):
        clean = images.detach()
        with torch.no_grad():
            logits = _logits(classifier, clean)
        if not bool(logits.isfinite().all()):
            row = int((~logits.isfinite()).any(dim=1).nonzero()[0])
            raise SteepslopeError(f"expected finite logits, found others in row {row}", classifier.spec)
        known = logits.argmax(dim=1) if labels is None else _checked_labels(labels, logits)
        return _attacked(classifier, clean, known, options or RecolorOptions())


def _attacked(classifier: Classifier, images: Tensor, labels: Tensor, options: RecolorOptions) -> Recolored:
    colour_map = ColourMap.of(images)
    knots = colour_map.identity().requires_grad_()
    optimizer = torch.optim.Adam([knots], options.learning_rate)
    kept, kept_margins = images, torch.empty(0)
    history: list[Tensor] = []
    lowest = images.new_full((len(images),), torch.inf)
    for step in range(options.steps + 1):
        changed = colour_map(knots)
        margins = margins_of(_logits(classifier, changed), labels)
        losses = margins + options.smoothness * roughness(knots)
        if step < options.steps:
            optimizer.zero_grad()
            losses.sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            with torch.no_grad():
                knots.clamp_(-options.bound, options.bound)
        if step == 0 or options.keep == "last":
            kept, kept_margins = changed.detach(), margins.detach()
        else:
            better = (margins < kept_margins).detach()
            kept = torch.where(better.view(-1, 1, 1, 1), changed.detach(), kept)
            kept_margins = torch.where(better, margins.detach(), kept_margins)
        lowest = torch.minimum(losses.detach(), lowest)
        history.append(lowest)
    return Recolored(kept, labels, kept_margins, torch.stack(history))


def random_recolored(images: Tensor, options: RecolorOptions, generator: torch.Generator) -> Tensor:
    """Return images recoloured at random within the same bound, blind to any classifier: what to compare with.

    Offsets are uniform within the bound at the 8 corners of LUV, or at the attack's own 16 knots for grey images. That
    is as near as maps of this kind come to the roughness of the attack's: on the grid of the attack, a colour image's
    would be a hundred times as rough, and show as noise.

    Parameters
    ----------
    images
        Float32 (n, C, H, W) in [0, 1], with C 1 or 3.
    options
        The bound; nothing else of them is used.
    generator
        What draws, on the CPU whatever the images' device.

    Returns
    -------
    Tensor
        Float32 (n, C, H, W) in [0, 1].
    """
    _require_images(images)
    shape = (*images.shape[:2], *RANDOM_KNOTS[images.shape[1]])
    knots = (2 * torch.rand(shape, generator=generator) - 1) * options.bound
    with torch.no_grad():
        return ColourMap.of(images)(knots.to(images.device))


def margins_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the logit of each row's class less the largest other, (n, K) and (n,) -> (n,).

    >>> margins_of(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([2]))
    tensor([-1.])
    """
    rows = labels.unsqueeze(1)
    others = logits.scatter(1, rows, -torch.inf).amax(dim=1)
    return logits.gather(1, rows).squeeze(1) - others


def _logits(classifier: Classifier, images: Tensor) -> Tensor:
    """Return the logits (n, K), float32, of images in [0, 1]."""
    transform = classifier.transform
    mean, std = (images.new_tensor(values).view(-1, 1, 1) for values in (transform.mean, transform.std))
    logits: Tensor = classifier.net((images - mean) / std)[1]  # a grey image becomes as many channels as mean has
    return logits.float()


@contextmanager
def _frozen(net: nn.Module) -> Iterator[None]:
    """Put a net into evaluation mode, without gradients of its weights; leave it as it was."""
    modes = [(module, module.training) for module in net.modules()]
    needs = [(weights, weights.requires_grad) for weights in net.parameters()]
    try:
        net.eval().requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for weights, need in needs:
            weights.requires_grad_(need)


def _require_images(images: Tensor) -> None:
    expected = "expected float32 images (n, 1 or 3, H, W), n >= 1"
    if images.ndim != 4 or images.dtype != torch.float32 or images.shape[1] not in (1, COLOUR) or not images.numel():
        raise SteepslopeError(f"{expected}, found {images.dtype} {tuple(images.shape)}", "images")
    low, high = (float(value) for value in images.aminmax())
    if not 0 <= low <= high <= 1:
        raise SteepslopeError(f"expected values in [0, 1], found {low:g}…{high:g}", "images")


def _require_fitting(classifier: Classifier, images: Tensor) -> None:
    """Raise unless the classifier takes such images, where they are."""
    size, channels = tuple(classifier.transform.size), classifier.transform.channels
    found = tuple(images.shape[2:])
    if found != size:
        raise SteepslopeError(f"expected {size[0]} × {size[1]} pixels, found {found[0]} × {found[1]}", "images")
    if images.shape[1] not in (1, channels) or channels not in (1, COLOUR):
        message = f"expected a classifier of {images.shape[1]}-channel images, found one of {channels}-channel images"
        raise SteepslopeError(message, classifier.spec)
    device = next((weights.device for weights in classifier.net.parameters()), images.device)
    if device != images.device:
        raise SteepslopeError(f"expected images on {device}, as the classifier is, found {images.device}", "images")


def _checked_labels(labels: Tensor, logits: Tensor) -> Tensor:
    """Return the labels on the device of the logits (n, K); raise unless they are classes, one a row."""
    count, classes = logits.shape
    if labels.shape != (count,) or labels.dtype != torch.int64:
        found = f"{labels.dtype} {tuple(labels.shape)}"
        raise SteepslopeError(f"expected int64 ({count},), one an image, found {found}", "labels")
    outside = ((labels < 0) | (labels >= classes)).nonzero()
    if len(outside):
        row = int(outside[0])
        raise SteepslopeError(f"expected 0…{classes - 1}, found {int(labels[row])} in row {row}", "labels")
    return labels.to(logits.device).clone()  # one that was made in inference mode has no place in a graph


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
