"""What a frozen classifier is: a net, the transform of its input, and what tells it from other classifiers."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steepslope.data.transforms import Resize, Transform
from steepslope.errors import SteepslopeError, explained

UNKNOWN = math.nan  # a mean or deviation that has to be given
Given = Sequence[float] | float | None  # one number, one a channel, or what the classifier has

# Where our nets stood before: a digest has the module's name in it, and outputs and trainings that were made then hold
# digests with the former name.
FORMER_MODULES = {
    "steepslope.classifiers.nets.Net": "steepslope.nets",
    "steepslope.classifiers.nets.TwoParts": "steepslope.data.classifiers",
}


@dataclass(frozen=True)
class ClassifierCard:
    """The net, its input, and the training rows that it never saw.

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
        mean: Given = None,
        std: Given = None,
        resize: Resize | None = None,
        role: str | None = None,
    ) -> Self:
        """Return the same with another input size, normalisation or way to resize; None changes nothing.

        ``mean`` and ``std`` are one number, or one a channel. The net is run once, to see that it takes such images and
        gives logits. ``role`` is that of the net where options begin with it, as ``--oracle-mean`` does.

        Raises
        ------
        SteepslopeError
            If the size or the normalisation is unknown or wrong; its ``place`` is the option.
        """
        size = None if image_size is None else (int(image_size),) * 2
        begin = "--" if role is None else f"--{role}-"
        size_option, mean_option, std_option = f"--{role or 'image'}-size", f"{begin}mean", f"{begin}std"
        means, stds = self._per_channel(mean_option, mean), self._per_channel(std_option, std)
        transform = self.transform.changed(size=size, mean=means, std=stds, resize=resize)
        if not all(map(math.isfinite, (*transform.mean, *transform.std))):
            raise SteepslopeError(
                f"have to be given, since {self.spec} has none of its own", f"{mean_option} and {std_option}"
            )
        if min(transform.size) < 1:
            raise SteepslopeError(f"expected the side of the input of {self.spec}, >= 1, found none", size_option)
        if min(transform.std) <= 0:
            raise SteepslopeError(f"expected numbers > 0, found {transform.std}", std_option)
        changed = replace(self, transform=transform)
        return replace(changed, num_classes=_width_of_logits(changed))

    def _per_channel(self, name: str, given: Given) -> tuple[float, ...] | None:
        """Return one value a channel; a single value serves all."""
        if given is None:
            return None
        values = tuple(map(float, given)) if isinstance(given, Iterable) else (float(given),)
        channels = self.transform.channels
        if len(values) not in (1, channels):
            expected = "1 number" if channels == 1 else f"1 or {channels} numbers"
            raise SteepslopeError(f"expected {expected}, found {len(values)}", name)
        return values * (channels if len(values) == 1 else 1)

    @property
    def runs_on(self) -> str:
        """The library that runs the net: torch, or what the net names."""
        return str(getattr(self.net, "runs_on", "torch"))

    @property
    def trainable(self) -> bool:
        """Whether the net can be trained, run on any device and in any precision and layout."""
        return self.runs_on == "torch"

    def noise(self, rows: int) -> Tensor:
        """Return images of normal noise that the net takes, (rows, C, H, W), the same each time."""
        shape = (rows, self.transform.channels, *self.transform.size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0))

    def check_labels(self, labels: NDArray[np.int64], source: str) -> None:
        """Raise unless all labels are classes of this classifier."""
        assert self.num_classes is not None
        outside = np.flatnonzero((labels < 0) | (labels >= self.num_classes))
        if len(outside):
            found = f"{labels[outside[0]]} in row {outside[0]}"
            expected = f"labels in 0…{self.num_classes - 1}, the classifier's classes"
            raise SteepslopeError(f"expected {expected}, found {found}", source)

    def __call__(self, images: Tensor) -> tuple[NDArray[np.float32] | None, NDArray[np.float32]]:
        """Return features (n, d), or None, and logits (n, K) of transformed images."""
        with torch.inference_mode():
            features, logits = self.net(images)
        return None if features is None else features.float().numpy(), logits.float().numpy()


def _width_of_logits(classifier: Classifier) -> int:
    """Run the net on two images of noise, and return the number of classes; raise unless it gives logits."""
    images = classifier.noise(2)
    size = " × ".join(str(size) for size in images.shape)
    # of any kind: whatever the net raises on images that it does not take
    with explained(f"cannot run on images of shape {size}", classifier.spec, longest=160), torch.inference_mode():
        _, logits = classifier.net(images)
    shape: tuple[int, ...] = tuple(getattr(logits, "shape", ()))
    if len(shape) != 2 or shape[0] != 2 or shape[1] < 2 or not logits.is_floating_point():
        found = shape or type(logits).__name__
        raise SteepslopeError(f"expected logits of shape (n, K), K >= 2, found {found}", classifier.spec)
    sums = logits.float().sum(dim=1)
    if bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        raise SteepslopeError("expected logits, found probabilities (each row sums to 1)", classifier.spec)
    return int(shape[1])


def module_digest(module: torch.nn.Module) -> str:
    """Return the SHA-256 of a module's layers and weights, in hex."""
    rates = [str(getattr(layer, "drop_rate", "")) for layer in module.modules()]  # timm's dropout, which is no layer
    kind = type(module)
    home = FORMER_MODULES.get(f"{kind.__module__}.{kind.__name__}", kind.__module__)
    digest = hashlib.sha256(f"{home} {module!r} {rates}".encode())
    for name, tensor in module.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def takes_channels_last(net: nn.Module, run: Callable[[Tensor], object], images: Tensor) -> bool:
    """Lay a net's weights out channels last, unless it cannot run so, as with a ``view`` after a layer.

    ``run`` runs the net on images (n, C, H, W), and whatever else has to work with them.
    """
    try:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.no_grad():
            run(images.contiguous(memory_format=torch.channels_last))
    except RuntimeError:
        net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        return False
    return True
