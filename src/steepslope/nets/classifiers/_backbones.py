"""Classifiers that others made: timm's, torchvision's, one's own module."""

import hashlib
import inspect
import math
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from steepslope.errors import SteepslopeError, explained, located, require_known
from steepslope.files import imported_by_name, optional_library, parse_query
from steepslope.nets._seeding import seeded
from steepslope.nets.classifiers._classifier import (
    COLOUR,
    NOT_GIVEN,
    Classifier,
    channels_of_net,
    module_digest,
    unknown_transform,
)
from steepslope.nets.classifiers._nets import Net, TwoParts
from steepslope.nets.data import NUM_CLASSES, Transform, labels_by_name, wordnet_labels

_NORMALISATION = "mean", "std"
_IMAGENET = "imagenet"
_PARALLEL = "module."  # what DataParallel puts before the names of weights
_COUNTER = ".num_batches_tracked"
_OF_A_FILE = (
    "a file of weights does not tell its normalisation: most nets have ImageNet's, &mean=imagenet&std=imagenet in the "
    "spec, those from TensorFlow and many transformers 0.5, &mean=0.5&std=0.5"
)
_timm = optional_library("timm", "nets")
_models = optional_library("torchvision.models", "nets")


def timm_classifier(argument: str) -> Classifier:
    """Load ``timm:NAME``, with weights from the hub, ``?weights=FILE`` or ``?weights=random``.

    ``?dropout=P`` sets the rate of its dropout before the last layer, for dropout passes. ``?mean=M&std=S`` is the
    normalisation, of pixels in [0, 1]: a number, one a channel with commas between them, or ``imagenet``. A file of
    weights does not tell its own, which need not be timm's: it has to be given there, or to the command.
    """
    name, options = parse_query(argument, ["weights", "dropout", *_NORMALISATION])
    require_known("timm model", name.split(".")[0], _timm.list_models())
    spec = f"timm:{name}"
    weights = options.get("weights")
    settings = {}
    if "dropout" in options:
        settings["drop_rate"] = _dropout_rate_of_spec(options["dropout"], f"timm:{argument}: dropout")
    model = _create_backbone(lambda: _timm.create_model(name, pretrained=weights is None, **settings), spec)
    _load_spec_weights(model, weights)
    config = _timm.data.resolve_model_data_config(model)
    _, height, width = config["input_size"]
    transform = Transform(
        (height, width),
        tuple(config["mean"]),
        tuple(config["std"]),
        "squash" if config["crop_mode"] == "squash" else "crop",
        config["crop_pct"],
        config["interpolation"],
    )
    why_unknown = ""
    if weights not in (None, "random"):
        unknown = (NOT_GIVEN,) * transform.channels
        transform = transform.changed(mean=unknown, std=unknown)
        why_unknown = _OF_A_FILE
    transform = _normalised_by_spec(transform, options, f"timm:{argument}")
    num_classes = model.num_classes
    classes = None
    if num_classes == NUM_CLASSES:
        classes = wordnet_labels()
    digest = module_digest(model)
    net = _TimmNet(model).eval()
    return Classifier(spec, net, transform, num_classes, digest, classes, why_unknown=why_unknown)


def torchvision_classifier(argument: str) -> Classifier:
    """Load ``torchvision:NAME``, with its best weights from the hub, or ``?weights=FILE``, ``random`` or a set's name.

    A set's name is torchvision's, such as ``IMAGENET1K_V1``.
    """
    name, options = parse_query(argument, ["weights"])
    require_known("torchvision model", name, _models.list_models(module=_models))
    spec = f"torchvision:{name}"
    weights = options.get("weights")
    sets = _models.get_model_weights(name)
    chosen = sets["DEFAULT"]
    if weights in sets.__members__:
        chosen = sets[weights]
        weights = None
    model = _create_backbone(lambda: _models.get_model(name, weights=None if weights else chosen), spec)
    _load_spec_weights(model, weights)
    preset = chosen.transforms()
    side = preset.crop_size[0]
    transform = Transform(
        (side, side),
        tuple(preset.mean),
        tuple(preset.std),
        "crop",
        side / preset.resize_size[0],
        preset.interpolation.value,
    )
    digest = module_digest(model)
    net = BeforeLastLinear(model).eval()
    return Classifier(spec, net, transform, NUM_CLASSES, digest, wordnet_labels())


def module_classifier(argument: str) -> Classifier:
    """Call ``module:pkg.mod:factory`` for an ``nn.Module`` from images to logits.

    ``?weights=FILE`` loads a file into it. The features are what goes into its last linear map, a layer or a
    convolution. A module without an attribute ``transform`` (a :class:`Transform`) needs ``--image-size``, ``--mean``
    and ``--std``, or ``--preprocessing``; ``?mean=M&std=S`` is its normalisation, as for ``timm:NAME``. The channels
    are those of its first convolution. An attribute ``classes`` has the names of its classes in the order of its
    logits.
    """
    name, options = parse_query(argument, ["weights", *_NORMALISATION])
    with located("classifier"):
        factory = imported_by_name(name)
    place = f"classifier 'module:{argument}'"
    with explained("cannot be called", place):
        model = factory()
        source = inspect.getsource(sys.modules[name.partition(":")[0]])
    if not isinstance(model, nn.Module):
        raise SteepslopeError(f"expected an nn.Module, found {type(model).__name__}", place)
    _load_spec_weights(model, options.get("weights"))
    transform = getattr(model, "transform", None) or unknown_transform((0, 0), channels_of_net(model))
    transform = _normalised_by_spec(transform, options, f"module:{argument}")
    digest = _digest_with_source(module_digest(model), source)
    net = BeforeLastLinear(model).eval()
    return Classifier(f"module:{name}", net, transform, None, digest, _classes_of_module(model))


def _digest_with_source(digest: str, source: str) -> str:
    return hashlib.sha256((digest + source).encode()).hexdigest()


def module_source_digest(digest: str, place: str) -> str:
    """Return the digest of a net of one's own module, which has the module's source in it; itself if that is unknown.

    Nothing is imported: the module ``place`` has to be there already.
    """
    module = sys.modules.get(place)
    if module is None:
        return digest
    return _digest_with_source(digest, inspect.getsource(module))


def live_classifier(spec: str, model: nn.Module, transform: Transform) -> Classifier:
    """Return a net in memory, from images to logits, as the classifier of a spec; one of ours keeps its own digest."""
    if isinstance(model, Net):
        model = TwoParts(model)
    if isinstance(model, TwoParts):
        return Classifier(spec, model.eval(), transform, None, module_digest(model.net))
    return Classifier(spec, BeforeLastLinear(model).eval(), transform, None, module_digest(model))


class _TimmNet(nn.Module):
    """A timm model, with what goes into its last layer next to its logits."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (n, d) and logits (n, K)."""
        before = self.model.forward_features(images)
        return self.model.forward_head(before, pre_logits=True), self.model.forward_head(before)


class BeforeLastLinear(nn.Module):
    """Any model from images to logits, with what goes into the linear map that runs last next to them.

    That is a linear layer, or a convolution to K channels, as in SqueezeNet, whose input is averaged over the places.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._kept: list[tuple[nn.Module, Tensor]] = []  # the last linear layer and the last convolution, as they ran
        for layer in model.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.register_forward_pre_hook(self._keep_input)

    def _keep_input(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        is_linear = isinstance(layer, nn.Linear)
        others = [(other, kept) for other, kept in self._kept if isinstance(other, nn.Linear) != is_linear]
        self._kept[:] = [*others, (layer, inputs[0])]

    def forward(self, images: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return features (n, d), None without such a map, and logits (n, K)."""
        logits = self.model(images)
        classes = logits.shape[1:] if isinstance(logits, Tensor) else ()
        features = None
        for layer, inputs in self._kept:
            if isinstance(layer, nn.Linear) or layer.out_channels in classes:
                features = inputs
        self._kept.clear()
        if features is None:
            return None, logits
        if features.ndim == 4:
            features = features.mean(dim=(2, 3))
        return features.flatten(1), logits


def _classes_of_module(model: nn.Module) -> dict[str, int] | None:
    """Return the labels of a module's own class names, if it has an attribute ``classes`` of different names."""
    names = getattr(model, "classes", None)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    labels = labels_by_name(names)
    if len(labels) < len(names):
        return None
    return labels


def _normalised_by_spec(transform: Transform, options: dict[str, str], place: str) -> Transform:
    """Return a transform with the mean and the std in a spec's options, where these have any."""
    numbers = {}
    for name in _NORMALISATION:
        if name in options:
            channels = transform.channels or COLOUR
            numbers[name] = _spec_numbers_per_channel(name, options[name], channels, place)
    return transform.changed(**numbers)


def _spec_numbers_per_channel(which: str, text: str, channels: int, place: str) -> tuple[float, ...]:
    """Return the numbers in an option, one a channel."""
    numbers: list[float] = []
    with suppress(ValueError):
        if text == _IMAGENET:
            numbers = list(getattr(_timm.data, f"IMAGENET_DEFAULT_{which.upper()}"))
        else:
            numbers = list(map(float, text.split(",")))
    if len(numbers) not in (1, channels) or not all(0 <= value < math.inf for value in numbers):
        others = {1: "", COLOUR: f", {COLOUR} with commas between them, or {_IMAGENET}"}.get(
            channels, f", or {channels} with commas between them"
        )
        raise SteepslopeError(f"expected a number{others}, found {text!r}", f"{place}: {which}")
    if len(numbers) == 1:
        numbers *= channels
    return tuple(numbers)


def _dropout_rate_of_spec(text: str, place: str) -> float:
    rate = math.nan
    with suppress(ValueError):
        rate = float(text)
    if not 0 <= rate < 1:
        raise SteepslopeError(f"expected a rate in [0, 1), found {text!r}", place)
    return rate


def _create_backbone(create: Callable[[], nn.Module], spec: str) -> Any:
    missing = "its weights are not available from the hub; give ?weights=FILE or ?weights=random"
    # seeded, so that random weights are the same each time
    with explained(missing, spec, (OSError, RuntimeError, ValueError), longest=200), seeded(0):
        return create()


def _load_spec_weights(model: nn.Module, weights: str | None) -> None:
    if weights not in (None, "random"):
        _load_backbone_weights(model, Path(str(weights)))


def _load_backbone_weights(model: nn.Module, path: Path) -> None:
    """Load a file of weights of the model's names, or of the same shapes in the same order.

    Names may begin with ``module.``, as those of ``DataParallel`` do. Files of before
    PyTorch 0.4.1 lack the counters of batch normalisation, which no output needs.
    """
    wanted = model.state_dict()
    state = _weights_in_file(path)
    if not wanted.keys() & state.keys():
        state = {name.removeprefix(_PARALLEL): weight for name, weight in state.items()}
    if not any(name.endswith(_COUNTER) for name in state):
        wanted = {name: weight for name, weight in wanted.items() if not name.endswith(_COUNTER)}
    shapes = list(map(_shape_of_weight, state.values()))
    if state.keys() != wanted.keys() and shapes == list(map(_shape_of_weight, wanted.values())):
        state = dict(zip(wanted, state.values(), strict=True))
    for name in {**wanted, **state}:
        expected = _shape_of_weight(wanted.get(name))
        found = _shape_of_weight(state.get(name))
        if expected != found:
            raise SteepslopeError(f"expected weights of this architecture: {name}: {expected}, found {found}", path)
    model.load_state_dict({**model.state_dict(), **state})


def _weights_in_file(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file by their names, also where they stand below the name ``state_dict``."""
    # of any kind: safetensors, torch and pickle each have their own for a damaged file
    with explained("cannot be read as weights", path, longest=160):
        is_plain = path.suffix == ".safetensors"
        saved: Any = load_file(path) if is_plain else torch.load(path, "cpu", weights_only=True)
        return {str(name): weight for name, weight in saved.get("state_dict", saved).items()}


def _shape_of_weight(weight: object) -> str:
    if isinstance(weight, Tensor):
        return str(tuple(weight.shape))
    if weight is None:
        return "none"
    return type(weight).__name__
