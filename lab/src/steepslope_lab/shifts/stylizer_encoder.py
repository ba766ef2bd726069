"""The encoder of a stylizer: the first layers of a frozen backbone, read at several depths.

Huang & Belongie (2017) read VGG-19 after the first activation at each resolution (relu1_1 to relu4_1). Here the same
place is found in any convolutional net by one trial run, and the layers behind the deepest place are dropped.
"""

import copy
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from steepslope.errors import SteepslopeError, explained
from steepslope.nets.classifiers import (
    BeforeLastLinear,
    Classifier,
    architecture_spec,
    load_classifier,
    spec_without_weights,
)

RGB = 3
TRIAL_SIDE = 128  # pixels: enough for 32-fold reductions, and small enough to take no time
REBUILDABLE = ("timm:", "torchvision:", "net:")  # architectures that a stylizer's folder can name without running code
FAILURES = (RuntimeError, ValueError, AssertionError, TypeError, IndexError, AttributeError)  # what nets raise


class _ReachedError(Exception):
    """The deepest place is reached, and what comes behind it is not needed."""


@dataclass(frozen=True)
class EncoderPlan:
    """What rebuilds an encoder: its architecture, where it is read, and the normalisation of its input.

    ``architecture`` is a spec with random weights; ``points`` are the names of the layers that are
    read, from the shallowest to the deepest; ``channels`` are the widths of their maps, and ``reduction`` is by how
    much the deepest map is smaller than the image. ``mean`` and ``std`` are of pixels in [0, 1], one a channel.
    """

    architecture: str
    points: tuple[str, ...]
    channels: tuple[int, ...]
    reduction: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Encoder(nn.Module):
    """The frozen first layers of a net, from RGB images in [0, 1] to its feature maps at several depths.

    Parameters
    ----------
    net
        The net; layers that do not run before the deepest point are dropped from it, so it has to be one's own copy.
    plan
        Where it is read, and how its input is normalised.

    Raises
    ------
    SteepslopeError
        If the net has no such points, or cannot be run on a square RGB image of 128 pixels.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, plan: EncoderPlan) -> None:
        super().__init__()
        self.plan, self.net = plan, net
        self.register_buffer("mean", torch.tensor(plan.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(plan.std).view(1, -1, 1, 1), persistent=False)
        _drop_unused_layers(net, plan)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Encoder":
        """Stay in evaluation mode: the statistics of a frozen net do not change."""
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps (n, C, H / r, W / r) of images (n, 3, H, W) in [0, 1], from the shallowest to the deepest."""
        points = self.plan.points
        maps = _outputs_of_layers(self.net, (images - self.mean) / self.std, points, points[-1])
        return [maps[name] for name in points]


def _outputs_of_layers(net: nn.Module, images: Tensor, layers: Sequence[str], last: str | None) -> dict[str, Any]:
    """Run a net until its layer ``last`` has run; return what each layer gives where it runs first, in that order."""
    outputs: dict[str, Any] = {}

    def keep(name: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        outputs.setdefault(name, output)
        if name == last:
            raise _ReachedError

    handles = [net.get_submodule(name).register_forward_hook(partial(keep, name)) for name in layers]
    try:
        with suppress(_ReachedError):
            net(images)
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def encoder_of(classifier: Classifier, reduction: int) -> Encoder:
    """Return the first layers of a classifier as an encoder; the classifier itself is left as it is.

    Parameters
    ----------
    classifier
        A convolutional net on RGB images, of timm, of torchvision or of ours.
    reduction
        By how much the deepest map is smaller than the image. It is read at the first activation there, as at the
        first activation of each larger map; a map that no activation gives is read at the first layer that gives it.

    Raises
    ------
    SteepslopeError
        If the net is of another source, takes no RGB images, or has no map of that reduction.
    """
    spec = architecture_spec(classifier)
    if not spec.startswith(REBUILDABLE):
        raise SteepslopeError("expected a net of timm: or torchvision: as the stylizer's encoder", classifier.spec)
    transform = classifier.transform
    if transform.channels != RGB:
        raise SteepslopeError(f"expected an encoder of RGB images, found {transform.channels} channels", spec)
    net = _own_copy_of_net(classifier.net)
    maps = _maps_by_reduction(net, classifier.spec)
    if reduction not in maps:
        found = ", ".join(map(str, sorted(maps))) or "none"
        raise SteepslopeError(f"expected feature maps {reduction} times smaller than the image, found {found}", spec)
    levels = sorted(level for level in maps if level <= reduction)
    points, channels = zip(*(maps[level] for level in levels), strict=True)
    return Encoder(net, EncoderPlan(spec, points, channels, reduction, transform.mean, transform.std))


def rebuilt_encoder(plan: EncoderPlan) -> Encoder:
    """Return the encoder of a plan with random weights, for those of a file to be loaded into.

    Raises
    ------
    SteepslopeError
        If the architecture is unknown, is no plain one, or has no such points.
    """
    if not plan.architecture.startswith(REBUILDABLE):
        raise SteepslopeError("expected a net of timm: or torchvision:", plan.architecture)
    return Encoder(_own_copy_of_net(load_classifier(spec_without_weights(plan.architecture)).net), plan)


def _own_copy_of_net(net: nn.Module) -> nn.Module:
    """Copy the net inside a classifier; its activations no longer overwrite maps, and its hooks no longer keep any."""
    inner = copy.deepcopy(getattr(net, "model", net))
    for layer in inner.modules():
        if hasattr(layer, "inplace"):
            layer.inplace = False
        for key, hook in [*layer._forward_pre_hooks.items()]:
            if isinstance(getattr(hook, "__self__", None), BeforeLastLinear):
                del layer._forward_pre_hooks[key]
    return inner.eval()


def _maps_by_reduction(net: nn.Module, spec: str) -> dict[int, tuple[str, int]]:
    """Return where to read maps, and their channels, by reduction: at the first activation, or else the first layer."""
    activations: dict[int, tuple[str, int]] = {}
    others: dict[int, tuple[str, int]] = {}
    for name, output in _trial_run_of_layers(net, spec, None).items():
        channels, height, width = _shape_of_map(output)
        level, over = divmod(TRIAL_SIDE, height or 1)
        if height == width and not over and level.bit_count() == 1 and level < TRIAL_SIDE:
            kind = activations if "activation" in type(net.get_submodule(name)).__module__ else others
            kind.setdefault(level, (name, channels))
    return others | activations


def _shape_of_map(output: Any) -> Sequence[int]:
    """Return channels, height and width of a map (n, C, H, W), zeros of all else."""
    return output.shape[1:] if isinstance(output, Tensor) and output.ndim == 4 else (0, 0, 0)


def _leaf_layers(net: nn.Module) -> list[str]:
    return [name for name, layer in net.named_modules() if name and not list(layer.children())]


def _trial_run_of_layers(net: nn.Module, spec: str, last: str | None) -> dict[str, Any]:
    """Return what the layers of a net give of a black image, up to the layer ``last``."""
    failed = f"expected a convolutional net that takes RGB images of any size, but {TRIAL_SIDE} pixels fail"
    with torch.no_grad(), explained(failed, spec, FAILURES, 160):
        return _outputs_of_layers(net, torch.zeros(1, RGB, TRIAL_SIDE, TRIAL_SIDE), _leaf_layers(net), last)


def _drop_unused_layers(net: nn.Module, plan: EncoderPlan) -> None:
    """Put nothing in the place of each layer that does not run before the deepest point: it need not be stored."""
    leaves = _leaf_layers(net)
    for name in plan.points:
        if name not in leaves:
            raise SteepslopeError(f"expected layers of the net as points, found {name!r}", plan.architecture)
    outputs = _trial_run_of_layers(net, plan.architecture, plan.points[-1])
    channels = tuple(_shape_of_map(outputs.get(name))[0] for name in plan.points)
    if channels != plan.channels:
        expected = f"expected maps of {plan.channels} channels at {plan.points}"
        raise SteepslopeError(f"{expected}, found {channels}", plan.architecture)
    for name in leaves:
        if name not in outputs:
            parent, _, child = name.rpartition(".")
            setattr(net.get_submodule(parent), child, nn.Identity())
