"""What a frozen classifier is: a net, the transform of its input, and what tells it from other classifiers."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from steepslope.errors import SteepslopeError, explained, optional, require, whole
from steepslope.nets._weights import digest_of_weights
from steepslope.nets.data import ClassNames, Resize, Transform
from steepslope.outputs import UNKNOWN

NOT_GIVEN = math.nan  # a mean or deviation that has to be given
COLOUR = 3  # channels of a net that does not show how many it takes
_Given = Sequence[float] | float | None  # one number, one a channel, or what the classifier has


@dataclass(frozen=True)
class ClassifierCard:
    """The net, its input, and the training rows that it never saw.

    ``mean`` and ``std`` are of pixels scaled to [0, 1]; ``holdout`` and ``split_seed`` rebuild the split of the
    training images, which ``fingerprint`` recognises under any name. ``classes`` are the names of its classes,
    None where they have none.
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
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Classifier:
    """A frozen classifier in evaluation mode.

    ``net`` maps images (n, C, H, W), as ``transform`` makes them, to features (n, d), or None, and logits (n, K);
    ``num_classes`` may be unknown (None) until :meth:`with_transform` has run it; ``digest`` tells it from others;
    ``classes`` maps the names of its classes to labels, if it has names; ``card`` is that of a checkpoint of ours.
    ``why_unknown`` tells why a normalisation that it lacks is not known, where there is more to say.
    """

    spec: str
    net: nn.Module
    transform: Transform
    num_classes: int | None
    digest: str
    classes: Mapping[str, int] | None = None
    card: ClassifierCard | None = None
    why_unknown: str = ""

    def with_transform(
        self,
        image_size: int | None = None,
        mean: _Given = None,
        std: _Given = None,
        resize: Resize | None = None,
        channels: int | None = None,
        preprocessing: Transform | None = None,
        role: str | None = None,
    ) -> Self:
        """Return the same with another input size, normalisation or way to resize; None changes nothing.

        ``mean`` and ``std`` are one number, or one a channel; ``preprocessing`` is all of them together, in place of
        the others. Where a net does not show its ``channels``, they are as many as the numbers given, or 3. The net is
        run once, to see that it takes such images and gives logits. ``role`` is that of the net where a spec has all of
        them, as that of ``--oracle-input``.

        Raises
        ------
        SteepslopeError
            If the size or the normalisation is unknown or wrong; its ``place`` is the option, or all that are missing.
        """
        options = _input_options_of_role(role)
        given = {"size": image_size, "mean": mean, "std": std, "resize": resize, "channels": channels}
        if preprocessing is not None:
            doubled = [options[name] for name, value in given.items() if value is not None]
            if doubled:
                raise SteepslopeError(f"expected none with {options['preprocessing']}", doubled[0])
            return self._tried_with(preprocessing, options)
        require(options["channels"], channels, optional(whole(1)))
        means = _numbers_given(mean)
        stds = _numbers_given(std)
        most = max(len(means or ()), len(stds or ()))
        known = channels or self.transform.channels or (most if most > 1 else 0)
        count = known or COLOUR
        transform = self.transform.changed(
            size=None if image_size is None else (int(image_size), int(image_size)),
            mean=_values_per_channel(options["mean"], means, self.transform.mean, count),
            std=_values_per_channel(options["std"], stds, self.transform.std, count),
            resize=resize,
        )
        self._require_whole_input(transform, options, image_size, known > 0)
        return self._tried_with(transform, options)

    def _require_whole_input(
        self, transform: Transform, options: Mapping[str, str], image_size: int | None, has_channels: bool
    ) -> None:
        """Raise unless size and normalisation are there and possible; what is missing is asked for together."""
        missing = []
        if image_size is None and min(transform.size) < 1:
            missing.append(options["size"])
        if not all(map(math.isfinite, transform.mean)):
            missing.append(options["mean"])
        if not all(map(math.isfinite, transform.std)):
            missing.append(options["std"])
        if missing:
            if not has_channels:
                missing.append(f"{options['channels']} (unless {COLOUR})")
            why = self.why_unknown or f"{self.spec} has none of its own"
            last = missing.pop()
            together = f"{', '.join(missing)} and {last}" if missing else last
            raise SteepslopeError(
                f"have to be given, since {why}; or give {options['preprocessing']} FILE.json instead", together
            )
        if min(transform.size) < 1:
            raise SteepslopeError(f"expected the side of the input of {self.spec}, >= 1, found none", options["size"])
        if min(transform.std) <= 0:
            raise SteepslopeError(f"expected numbers > 0, found {transform.std}", options["std"])

    def _tried_with(self, transform: Transform, options: Mapping[str, str]) -> Self:
        """Return the classifier with another transform, and with the number of classes that its net then gives.

        The net is run on two images of noise; raise unless it gives logits.
        """
        changed = replace(self, transform=transform)
        images = changed.noise(2)
        size = " × ".join(map(str, images.shape))
        message = f"cannot run on images of shape {size}: {options['channels']} and {options['size']} change that"
        # of any kind: whatever the net raises on images that it does not take
        with explained(message, self.spec, longest=160), torch.inference_mode():
            _, logits = self.net(images)
        shape = tuple(getattr(logits, "shape", ()))
        if len(shape) != 2 or shape[0] != 2 or shape[1] < 2 or not logits.is_floating_point():
            found = shape or type(logits).__name__
            raise SteepslopeError(f"expected logits of shape (n, K), K >= 2, found {found}", self.spec)
        sums = logits.float().sum(dim=1)
        if bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
            raise SteepslopeError("expected logits, found probabilities (each row sums to 1)", self.spec)
        return replace(changed, num_classes=shape[1])

    def named(self, classes: Mapping[str, int] | None) -> Self:
        """Return the same with these names of its classes; None changes nothing."""
        if classes is None:
            return self
        return replace(self, classes=classes)

    def agreed_classes(self, names: tuple[str, ...] | None, source: str) -> tuple[str, ...] | None:
        """Return the names of the classes on which the classifier and a data set agree; see :class:`ClassNames`."""
        return ClassNames(own=self.classes, num_classes=self.num_classes).agreed(names, source)

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of its classes in the order of its logits; None where they have none."""
        return self.agreed_classes(None, self.spec)

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

    def check_labels(self, labels: NDArray[np.int64] | None, source: str) -> None:
        """Raise unless all labels, if there are any, are classes of this classifier, or −1 for none of them."""
        if labels is None:
            return
        assert self.num_classes is not None
        outside = np.flatnonzero((labels < UNKNOWN) | (labels >= self.num_classes))
        if len(outside):
            raise SteepslopeError(
                f"expected labels in 0…{self.num_classes - 1}, the classifier's classes, "
                f"found {labels[outside[0]]} in row {outside[0]}",
                source,
            )

    def __call__(self, images: Tensor) -> tuple[NDArray[np.float32] | None, NDArray[np.float32]]:
        """Return features (n, d), or None, and logits (n, K) of transformed images."""
        with torch.inference_mode():
            features, logits = self.net(images)
        if features is not None:
            features = features.float().numpy()
        return features, logits.float().numpy()


def _input_options_of_role(role: str | None) -> dict[str, str]:
    """Return how each change of a net's input is typed: as an option, or in the spec of the option ``--ROLE-input``."""
    names = ("size", "mean", "std", "resize", "channels")
    if role is not None:
        return {**{name: f"--{role}-input {name}=…" for name in names}, "preprocessing": f"--{role}-input"}
    return {**{name: f"--{name}" for name in names}, "size": "--image-size", "preprocessing": "--preprocessing"}


def _numbers_given(given: _Given) -> tuple[float, ...] | None:
    if isinstance(given, Iterable):
        return tuple(map(float, given))
    if given is None:
        return None
    return (float(given),)


def _values_per_channel(
    name: str, given: tuple[float, ...] | None, own: tuple[float, ...], channels: int
) -> tuple[float, ...]:
    """Return one value a channel; a single value serves all, and where none is given, those of its own do."""
    if given is None:
        if len(own) == channels:
            return own
        return (NOT_GIVEN,) * channels
    if len(given) == 1:
        return given * channels
    if len(given) != channels:
        expected = "1 number" if channels == 1 else f"1 or {channels} numbers"
        raise SteepslopeError(f"expected {expected}, found {len(given)}", name)
    return given


def channels_of_net(net: nn.Module) -> int:
    """Return the number of channels that a net's first convolution takes; 0 where it has none."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.in_channels
    return 0


def unknown_transform(size: tuple[int, int], channels: int) -> Transform:
    """Return a transform whose normalisation has to be given; 0 stands for a size or channels that have to be, too."""
    return Transform(size, (NOT_GIVEN,) * channels, (NOT_GIVEN,) * channels)


def module_digest(module: torch.nn.Module) -> str:
    """Return the SHA-256 of a module's layers and weights, in hex."""
    # timm's dropout is no layer
    rates = [str(getattr(layer, "drop_rate", "")) for layer in module.modules()]
    # outputs and checkpoints know our own nets by this name, wherever their file lies
    place = type(module).__module__.replace("steepslope.nets.classifiers._nets", "steepslope.nets.classifiers.nets")
    return digest_of_weights(f"{place} {module!r} {rates}", module)


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
