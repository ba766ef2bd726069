"""Carry out a request: check its stages, and train one after another, or tell what each would cost.

Sizes are counted, and the time is found by a short trial.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.files.progress import Notice, silent
from steepslope.heads import HEADS
from steepslope.losses import LossSettings
from steepslope.nets.classifiers.classifier import Classifier
from steepslope.nets.extraction.machines import alone_in, launched, together
from steepslope.nets.extraction.options import Machines
from steepslope.nets.training.learner import freeze, optimizer_of
from steepslope.nets.training.loop import finetune
from steepslope.nets.training.on_images import ImageOracle
from steepslope.nets.training.prepare import new_oracle, prepare
from steepslope.nets.training.request import FinetuneRequest, Finetuning
from steepslope.nets.training.sources import FitSet, net_source, open_fit_set, open_sources
from steepslope.oracle.base import loss_of

TRIAL = 2  # images at once


def stages_of(request: FinetuneRequest) -> dict[str, Finetuning]:
    """Return each stage's recipe by its name, with all parameters of its loss and no others.

    Raises
    ------
    SteepslopeError
        For all that is known to be wrong before a file is opened; the message names the stage.
    """
    stages: dict[str, Finetuning] = {}
    for name, recipe in request.recipes.items():
        with located(f"stage {name}") if name else nullcontext():
            stages[name] = replace(recipe, parameters=loss_of(recipe).parameters)
            _require_possible(request, recipe, next(iter(stages.values())))
    if request.valid is not None and all(recipe.select == "last" for recipe in stages.values()):
        raise SteepslopeError("expected none where no epoch is selected (--select)", "valid")
    if request.outputs is not None and any(one is not None for one in request.inputs("classifier")):
        inputs = "classifier size, mean, std, resize, channels and preprocessing"
        raise SteepslopeError("expected none with outputs", inputs)
    if request.outputs is not None and request.classes is not None:
        raise SteepslopeError("expected none with outputs, which hold the labels", "classes")
    return stages


def _require_possible(request: FinetuneRequest, recipe: Finetuning, first: Finetuning) -> None:
    require_known("head", recipe.head, HEADS)
    if request.outputs is not None and recipe.select != "last" and request.valid is None:
        raise SteepslopeError(f"select {recipe.select}: expected outputs to compare epochs on (--valid), found none")
    for name in ("hidden", "precision"):
        value = getattr(recipe, name)
        expected = getattr(first, name)
        if value != expected:
            raise SteepslopeError(f"expected {expected!r}, as for all stages, found {value!r}", name)


def machines_of(request: FinetuneRequest) -> Machines:
    """Return on what to run; the precision is the same in all stages."""
    precision = next(iter(request.recipes.values())).precision
    return Machines(devices=request.devices, num_nodes=request.num_nodes, precision=precision)


def train_stages(request: FinetuneRequest, out: Path, notice: Notice = silent, replace_them: bool = False) -> None:
    """Train each stage, beginning with the oracle of the one before; no other run works in the folder meanwhile.

    ``notice`` gets a line of each oracle that is trained, and what :func:`finetune` tells it. With ``replace_them``
    other oracles in the folders are replaced.
    """
    stages = stages_of(request)
    init = None if request.init is None else Path(request.init)
    with launched(machines_of(request)) as fabric, alone_in([out], fabric):
        with together(fabric):
            sources = open_sources(request, fabric)
        for name, recipe in stages.items():
            with together(fabric):
                training = prepare(sources, recipe, fabric, init)
            finetune(training, out / name, fabric, notice, replace_them)
            if fabric.is_global_zero:
                trained = f"{recipe.loss} oracle on {training.oracle.backbone}, trained on"
                notice(f"{out / name}: {trained} {len(training.source):,} images")
            init = out / name


def costs_of(request: FinetuneRequest) -> Iterator[str]:
    """Yield lines on each stage's cost, in the first process."""
    stages = stages_of(request)
    with launched(machines_of(request)) as fabric:
        fit_set = open_fit_set(request)
        backbone = net_source(request, "oracle")
        for name, recipe in stages.items():
            seen_by_both = replace(recipe, oracle_sees="image")
            oracle = new_oracle(backbone.load(), seen_by_both, fit_set.classifier, fit_set.num_classes)
            lines = cost_lines(oracle, recipe, fit_set, fabric)
            if fabric.is_global_zero:
                yield from [f"stage {name}", *lines] if name else lines


def cost_lines(oracle: ImageOracle, recipe: Finetuning, fit_set: FitSet, fabric: Fabric) -> list[str]:
    """Return what a training costs, in lines to print.

    Parameters and steps are counted. The time is that of a few steps on images of noise, the classifier's forward pass
    included. Where features stay the same, each image goes through the nets once.
    """
    net, classifier, rows = oracle.net, fit_set.classifier, len(fit_set.rows)
    freeze(net, recipe)
    net.train(recipe.trainable == "all")
    fabric.to_device(net)
    images = torch.randn((TRIAL, oracle.transform.channels, *net.size), device=fabric.device)
    with torch.no_grad():
        width = net.features(images).shape[1]
    loss = partial(_loss, oracle, loss_of(recipe), images, fabric)
    speed = TRIAL / _seconds(loss, optimizer_of(recipe, net), classifier, fabric)
    others = 0 if classifier is None else _count(classifier.net)
    steps = -(-rows // recipe.batch_size) * recipe.epochs
    seen = rows if recipe.features_stay else rows * recipe.epochs
    return [
        f"oracle: images {' × '.join(map(str, images.shape[1:]))}, {width:,} features, {_millions(_count(net))} "
        f"parameters, {_millions(_count(net, trained=True))} of them trained",
        f"classifier: {f'{_millions(others)} parameters, run live' if others else 'not run, its outputs are there'}",
        f"images: {seen:,} in {steps:,} steps of {recipe.batch_size}",
        f"time: {seen / speed / 3600:,.2f} hours at {speed:,.1f} images/s, tried on {TRIAL} images at once "
        f"({_device(fabric)}); decoding images comes on top",
    ]


def _count(net: nn.Module, trained: bool = False) -> int:
    return sum(one.numel() for one in net.parameters() if one.requires_grad or not trained)


def _device(fabric: Fabric) -> str:
    if fabric.device.type == "cuda":
        return torch.cuda.get_device_name(fabric.device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def _loss(oracle: ImageOracle, loss: LossSettings, images: Tensor, fabric: Fabric) -> Tensor:
    """Return a loss as in training; half of the images count as errors."""
    right = torch.arange(len(images), device=images.device) % 2 == 0
    target = right.float() if loss.takes_probability else right
    with fabric.autocast():
        z = oracle.net(images)
    return loss.bind()(z, target).sum()


def _seconds(loss: Callable[[], Tensor], optimizer: Optimizer, classifier: Classifier | None, fabric: Fabric) -> float:
    """Return how long a second step takes: the classifier's forward pass, the oracle's passes, and the update."""
    start, noise = 0.0, None
    if classifier is not None:
        fabric.to_device(classifier.net)
        noise = classifier.noise(TRIAL).to(fabric.device)
    for _ in range(2):  # the first warms up
        start = time.perf_counter()
        if classifier is not None:
            with torch.inference_mode(), fabric.autocast():
                classifier.net(noise)
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        if fabric.device.type == "cuda":
            torch.cuda.synchronize(fabric.device)
    return time.perf_counter() - start


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count:,}"
