"""Carry out a request: check its stages, and train one after another, or tell what each will cost."""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from steepslope.errors import SteepslopeError, located, require_known
from steepslope.files import Notice, silent
from steepslope.heads import HEADS
from steepslope.nets.classifiers import Classifier
from steepslope.nets.extraction import alone_in_folders, failing_together, launched_processes
from steepslope.nets.training._learner import freeze_backbone, optimizer_of
from steepslope.nets.training._loop import finetune
from steepslope.nets.training._on_images import ImageOracle
from steepslope.nets.training._prepare import new_oracle, prepare_training
from steepslope.nets.training._request import FinetuneRequest, Finetuning
from steepslope.nets.training._sources import FitSet, fit_set_to_train_on, load_net_of_role, open_fit_set
from steepslope.oracle import loss_of_settings

_TRIAL = 2  # images of noise at once, by which time is told


def stages_of_request(request: FinetuneRequest) -> dict[str, Finetuning]:
    """Return each stage's recipe by its name, with all parameters of its loss and no others.

    Raises
    ------
    SteepslopeError
        For all that is known to be wrong before a file is opened; the message names the stage.
    """
    stages: dict[str, Finetuning] = {}
    first = request.first_recipe
    for name, recipe in request.recipes.items():
        with located(f"stage {name}") if name else nullcontext():
            stages[name] = replace(recipe, parameters=loss_of_settings(recipe).parameters)
            _require_possible_stage(request, recipe, first)
    if request.valid is not None and not request.selects:
        raise SteepslopeError("expected none where no epoch is selected (--select)", "valid")
    if request.outputs is not None and request.classifier_input is not None:
        raise SteepslopeError("expected none with outputs", "classifier_input")
    if request.outputs is not None and request.classes is not None:
        raise SteepslopeError("expected none with outputs, which hold the labels", "classes")
    return stages


def _require_possible_stage(request: FinetuneRequest, recipe: Finetuning, first: Finetuning) -> None:
    require_known("head", recipe.head, HEADS)
    if request.outputs is not None and recipe.select != "last" and request.valid is None:
        raise SteepslopeError(f"select {recipe.select}: expected outputs to compare epochs on (--valid), found none")
    for name in ("hidden", "precision"):
        value = getattr(recipe, name)
        expected = getattr(first, name)
        if value != expected:
            raise SteepslopeError(f"expected {expected!r}, as for all stages, found {value!r}", name)


def train_stages(request: FinetuneRequest, out: Path, notice: Notice = silent, replace_them: bool = False) -> None:
    """Train each stage, beginning with the oracle of the one before; no other run works in the folder meanwhile.

    ``notice`` gets a line of each oracle that is trained, and what :func:`finetune` tells it. With ``replace_them``
    other oracles in the folders are replaced.
    """
    stages = stages_of_request(request)
    init = None if request.init is None else Path(request.init)
    with launched_processes(request.machines) as fabric, alone_in_folders([out], fabric):
        with failing_together(fabric):
            fit_set = fit_set_to_train_on(request, fabric)
        for name, recipe in stages.items():
            with failing_together(fabric):
                training = prepare_training(request, fit_set, recipe, fabric, init)
            finetune(training, out / name, fabric, notice, replace_them)
            if fabric.is_global_zero:
                trained = f"{recipe.loss} oracle on {training.oracle.backbone}, trained on"
                notice(f"{out / name}: {trained} {len(training.source):,} images")
            init = out / name


def costs_of_stages(request: FinetuneRequest) -> Iterator[str]:
    """Yield lines on each stage's cost, in the first process, once all that the request names is opened."""
    stages = stages_of_request(request)
    with launched_processes(request.machines) as fabric:
        fit_set = open_fit_set(request)
        for name, recipe in stages.items():
            backbone = load_net_of_role(request, "oracle")
            own_input = replace(recipe, oracle_sees="image")
            oracle = new_oracle(backbone, own_input, fit_set.classifier, fit_set.num_classes)
            lines = _training_cost_lines(oracle, recipe, fit_set, fabric)
            if fabric.is_global_zero:
                yield from [f"stage {name}", *lines] if name else lines


def _training_cost_lines(oracle: ImageOracle, recipe: Finetuning, fit_set: FitSet, fabric: Fabric) -> list[str]:
    """Return what a training costs, in lines; where features stay the same, each image goes through the nets once."""
    freeze_backbone(oracle.net, recipe)
    classifier = "not run, its outputs are there"
    if fit_set.classifier is not None:
        classifier = f"{_count_weights(fit_set.classifier.net.parameters())} parameters, run live"
    rows = len(fit_set.rows)
    steps = math.ceil(rows / recipe.batch_size) * recipe.epochs
    seen = rows if recipe.features_stay else rows * recipe.epochs
    oracle.net.train(recipe.trainable == "all")
    speed = _TRIAL / _seconds_of_training_step(oracle, recipe, fit_set.classifier, fabric)
    height, width = oracle.net.size
    weights = _count_weights(oracle.net.parameters())
    trained = _count_weights(filter(lambda weight: weight.requires_grad, oracle.net.parameters()))
    return [
        f"oracle: images {oracle.transform.channels} × {height} × {width}, {weights} parameters, "
        f"{trained} of them trained",
        f"classifier: {classifier}",
        f"images: {seen:,} in {steps:,} steps of {recipe.batch_size}",
        f"time: {seen / speed / 3600:,.2f} hours at {speed:,.1f} images/s, tried on {_TRIAL} images of noise at once "
        f"({fabric.device}); decoding images comes on top",
    ]


def _seconds_of_training_step(
    oracle: ImageOracle, recipe: Finetuning, classifier: Classifier | None, fabric: Fabric
) -> float:
    """Return how long a second step takes: the classifier's forward pass, the oracle's passes, and the update."""
    net = fabric.to_device(oracle.net)
    images = torch.randn((_TRIAL, oracle.transform.channels, *oracle.net.size), device=fabric.device)
    loss = loss_of_settings(recipe)
    target = torch.arange(_TRIAL, device=fabric.device) % 2 == 0  # half of the images count as errors
    optimizer = optimizer_of(recipe, oracle.net)
    for _ in range(2):  # the first warms up
        start = time.perf_counter()
        with fabric.autocast():
            if classifier is not None:
                with torch.inference_mode():
                    fabric.to_device(classifier.net)(classifier.noise(_TRIAL).to(fabric.device))
            trust_logit = net(images)
        losses = loss.bind()(trust_logit, target.float() if loss.takes_probability else target)
        losses.sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        if fabric.device.type == "cuda":
            torch.cuda.synchronize(fabric.device)
    return time.perf_counter() - start


def _count_weights(weights: Iterable[Tensor]) -> str:
    """Return how many numbers weights have, in millions where they are many."""
    count = sum(weight.numel() for weight in weights)
    if count >= 1e5:
        return f"{count / 1e6:.1f} M"
    return f"{count:,}"
