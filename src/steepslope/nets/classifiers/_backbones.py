"""Classifiers that others made: timm's, torchvision's, one's own module."""

import hashlib
import inspect
import math
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
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
from steepslope.nets.data import NUM_CLASSES, Resize, Transform, labels_by_name, wordnet_labels

NORMALISATION = "mean", "std"
IMAGENET = "imagenet"
PARALLEL = "module."  # what DataParallel puts before the names of weights
COUNTER = ".num_batches_tracked"
OF_A_FILE = (
    "a file of weights does not tell its normalisation: most nets have ImageNet's, &mean=imagenet&std=imagenet in the "
    "spec, those from TensorFlow and many transformers 0.5, &mean=0.5&std=0.5"
)
timm = optional_library("timm", "nets")
models = optional_library("torchvision.models", "nets")


def timm_classifier(argument: str) -> Classifier:
    """Load ``timm:NAME``, with weights from the hub, ``?weights=FILE`` or ``?weights=random``.

    ``?dropout=P`` sets the rate of its dropout before the last layer, for dropout passes. ``?mean=M&std=S`` is the
    normalisation, of pixels in [0, 1]: a number, one a channel with commas between them, or ``imagenet``. A file of
    weights does not tell its own, which need not be timm's: it has to be given there, or to the command.
    """
    name, options = parse_query(argument, ["weights", "dropout", *NORMALISATION])
    require_known("timm model", name.split(".")[0], timm.list_models())
    weights = options.get("weights")
    text = options.get("dropout")
    rate = {} if text is None else {"drop_rate": _dropout_rate_of_spec(text, f"timm:{argument}: dropout")}
    model = _create_backbone(lambda: timm.create_model(name, pretrained=weights is None, **rate), f"timm:{name}")
    _load_spec_weights(model, weights)
    config = timm.data.resolve_model_data_config(model)
    _, height, width = config["input_size"]
    crop, interpolation = config["crop_pct"], config["interpolation"]
    resize: Resize = "squash" if config["crop_mode"] == "squash" else "crop"
    is_file = weights not in (None, "random")
    mean, std = ((NOT_GIVEN,) * len(config[one]) if is_file else tuple(config[one]) for one in NORMALISATION)
    transform = Transform((height, width), mean, std, resize, crop, interpolation)
    transform = _normalised_by_spec(transform, options, f"timm:{argument}")
    classifier = _frozen_backbone(f"timm:{name}", model, TimmNet(model), transform, model.num_classes)
    return replace(classifier, why_unknown=OF_A_FILE) if is_file else classifier


def torchvision_classifier(argument: str) -> Classifier:
    """Load ``torchvision:NAME``, with its best weights from the hub, or ``?weights=FILE``, ``random`` or a set's name.

    A set's name is torchvision's, such as ``IMAGENET1K_V1``.
    """
    name, options = parse_query(argument, ["weights"])
    require_known("torchvision model", name, models.list_models(module=models))
    weights = options.get("weights")
    sets = models.get_model_weights(name)
    chosen = sets[weights] if weights in sets.__members__ else sets["DEFAULT"]
    from_hub = weights is None or weights in sets.__members__
    of_hub = chosen if from_hub else None
    model = _create_backbone(lambda: models.get_model(name, weights=of_hub), f"torchvision:{name}")
    _load_spec_weights(model, None if from_hub else weights)
    preset = chosen.transforms()
    side = preset.crop_size[0]
    mean = tuple(preset.mean)
    std = tuple(preset.std)
    transform = Transform((side, side), mean, std, "crop", side / preset.resize_size[0], preset.interpolation.value)
    return _frozen_backbone(f"torchvision:{name}", model, BeforeLastLinear(model), transform, NUM_CLASSES)


def module_classifier(argument: str) -> Classifier:
    """Call ``module:pkg.mod:factory`` for an ``nn.Module`` from images to logits.

    ``?weights=FILE`` loads a file into it. The features are what goes into its last linear map, a layer or a
    convolution. A module without an attribute ``transform`` (a :class:`Transform`) needs ``--image-size``, ``--mean``
    and ``--std``, or ``--preprocessing``; ``?mean=M&std=S`` is its normalisation, as for ``timm:NAME``. The channels
    are those of its first convolution. An attribute ``classes`` has the names of its classes in the order of its
    logits.
    """
    name, options = parse_query(argument, ["weights", *NORMALISATION])
    with located("classifier"):
        factory = imported_by_name(name)
    with explained("cannot be called", f"classifier 'module:{argument}'"):
        model, source = factory(), inspect.getsource(sys.modules[name.partition(":")[0]])
    if not isinstance(model, nn.Module):
        raise SteepslopeError(f"classifier 'module:{argument}': expected an nn.Module, found {type(model).__name__}")
    _load_spec_weights(model, options.get("weights"))
    transform = getattr(model, "transform", None) or unknown_transform((0, 0), channels_of_net(model))
    transform = _normalised_by_spec(transform, options, f"module:{argument}")
    classifier = _frozen_backbone(f"module:{name}", model, BeforeLastLinear(model), transform, None)
    return replace(classifier, digest=_digest_with_source(classifier.digest, source), classes=_classes_of_module(model))


def _digest_with_source(digest: str, source: str) -> str:
    return hashlib.sha256((digest + source).encode()).hexdigest()


def module_source_digest(digest: str, place: str) -> str:
    """Return the digest of a net of one's own module, which has the module's source in it; itself if that is unknown.

    Nothing is imported: the module ``place`` has to be there already.
    """
    module = sys.modules.get(place)
    return digest if module is None else _digest_with_source(digest, inspect.getsource(module))


def live_classifier(spec: str, model: nn.Module, transform: Transform) -> Classifier:
    """Return a net in memory, from images to logits, as the classifier of a spec; one of ours keeps its own digest."""
    if isinstance(model, TwoParts):
        return Classifier(spec, model.eval(), transform, None, module_digest(model.net))
    if isinstance(model, Net):
        return Classifier(spec, TwoParts(model).eval(), transform, None, module_digest(model))
    return _frozen_backbone(spec, model, BeforeLastLinear(model), transform, None)


class TimmNet(nn.Module):
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
        others = [one for one in self._kept if isinstance(one[0], nn.Linear) != isinstance(layer, nn.Linear)]
        self._kept[:] = [*others, (layer, inputs[0])]

    def forward(self, images: Tensor) -> tuple[Tensor | None, Tensor]:
        """Return features (n, d), None without such a map, and logits (n, K)."""
        logits = self.model(images)
        kept, self._kept[:] = self._kept[::-1], []
        classes = logits.shape[1:] if isinstance(logits, Tensor) else ()
        maps = (inputs for layer, inputs in kept if getattr(layer, "out_channels", None) in (None, *classes))
        features = next(maps, None)  # a linear layer has no channels
        if features is not None and features.ndim == 4:
            features = features.mean(dim=(2, 3))
        return None if features is None else features.flatten(1), logits


def _frozen_backbone(
    spec: str, model: nn.Module, net: nn.Module, transform: Transform, num_classes: int | None
) -> Classifier:
    classes = wordnet_labels() if num_classes == NUM_CLASSES else None
    return Classifier(spec, net.eval(), transform, num_classes, module_digest(model), classes)


def _classes_of_module(model: nn.Module) -> dict[str, int] | None:
    """Return the labels of a module's own class names, if it has an attribute ``classes`` of different names."""
    names = getattr(model, "classes", None)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    labels = labels_by_name(names)
    return labels if len(labels) == len(names) else None


def _normalised_by_spec(transform: Transform, options: dict[str, str], place: str) -> Transform:
    """Return a transform with the mean and the std in a spec's options, where these have any."""
    channels = transform.channels or COLOUR
    texts = {name: options[name] for name in NORMALISATION if name in options}
    numbers = {name: _spec_numbers_per_channel(name, text, channels, place) for name, text in texts.items()}
    return transform.changed(**numbers)


def _spec_numbers_per_channel(which: str, text: str, channels: int, place: str) -> tuple[float, ...]:
    """Return the numbers in an option, one a channel."""
    numbers: list[float] = []
    with suppress(ValueError):
        named = getattr(timm.data, f"IMAGENET_DEFAULT_{which.upper()}") if text == IMAGENET else text.split(",")
        numbers = [float(part) for part in named]
    if len(numbers) not in (1, channels) or not all(0 <= one < math.inf for one in numbers):
        colour = f", {COLOUR} with commas between them, or {IMAGENET}"
        others = {1: "", COLOUR: colour}.get(channels, f", or {channels} with commas between them")
        raise SteepslopeError(f"expected a number{others}, found {text!r}", f"{place}: {which}")
    return tuple(numbers * channels if len(numbers) == 1 else numbers)


def _dropout_rate_of_spec(text: str, place: str) -> float:
    with suppress(ValueError):
        if 0 <= (rate := float(text)) < 1:
            return rate
    raise SteepslopeError(f"expected a rate in [0, 1), found {text!r}", place)


def _create_backbone(create: Callable[[], nn.Module], spec: str) -> Any:
    missing = "its weights are not available from the hub; give ?weights=FILE or ?weights=random"
    kinds = (OSError, RuntimeError, ValueError)
    with explained(missing, spec, kinds, longest=200), seeded(0):  # so that random weights are the same each time
        return create()


def _load_spec_weights(model: nn.Module, weights: str | None) -> None:
    if weights not in (None, "random"):
        load_backbone_weights(model, Path(str(weights)))


def load_backbone_weights(model: nn.Module, path: Path) -> None:
    """Load a file of weights of the model's names, or of the same shapes in the same order.

    Names may begin with ``module.``, as those of ``DataParallel`` do. Files of before
    PyTorch 0.4.1 lack the counters of batch normalisation, which no output needs.
    """
    wanted = model.state_dict()
    state = _weights_in_file(path)
    if not wanted.keys() & state.keys():
        state = {name.removeprefix(PARALLEL): weight for name, weight in state.items()}
    if not any(name.endswith(COUNTER) for name in state):
        wanted = {name: weight for name, weight in wanted.items() if not name.endswith(COUNTER)}
    shapes = [[*map(_shape_of_weight, weights.values())] for weights in (state, wanted)]
    if state.keys() != wanted.keys() and shapes[0] == shapes[1]:
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
    return "none" if weight is None else type(weight).__name__
