"""Carry out a request: check its stages, and train one after another, or tell what each would cost."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from steepslope.checks import optional, require, whole
from steepslope.errors import SteepslopeError, require_known
from steepslope.extraction.machines import alone_in, launched, together
from steepslope.extraction.options import Machines
from steepslope.files.progress import Notice, silent
from steepslope.finetuning.cost import cost_lines
from steepslope.finetuning.loop import finetune
from steepslope.finetuning.prepare import new_oracle, prepare
from steepslope.finetuning.request import FinetuneRequest, Finetuning
from steepslope.finetuning.sources import classifier_net, open_fit_set, open_sources, oracle_net
from steepslope.heads import HEADS
from steepslope.oracle.base import loss_of

SAME = ("hidden", "precision")  # settings that are the same in all stages


def stages_of(request: FinetuneRequest) -> dict[str, Finetuning]:
    """Return each stage's recipe by its name, with all parameters of its loss and no others.

    Raises
    ------
    SteepslopeError
        For all that is known to be wrong before a file is opened; the message names the stage.
    """
    stages: dict[str, Finetuning] = {}
    for name, recipe in request.recipes.items():
        try:
            stages[name] = replace(recipe, parameters=loss_of(recipe).parameters)
            require_known("head", recipe.head, HEADS)
        except SteepslopeError as error:
            raise (error.within(f"stage {name}") if name else error) from error
    for name, recipe in stages.items():
        for problem in _problems_of_stage(request, recipe, next(iter(stages.values()))):
            raise SteepslopeError(problem, f"stage {name}" if name else None)
    for problem in _problems(request, stages.values()):
        raise SteepslopeError(problem)
    return stages


def _problems_of_stage(request: FinetuneRequest, recipe: Finetuning, first: Finetuning) -> Iterator[str]:
    if request.outputs is not None and recipe.select != "last" and request.valid is None:
        yield f"select {recipe.select}: expected outputs to compare epochs on (--valid), found none"
    for name in SAME:
        found, expected = getattr(recipe, name), getattr(first, name)
        if found != expected:
            yield f"{name}: expected {expected!r}, as for all stages, found {found!r}"


def _problems(request: FinetuneRequest, recipes: Collection[Finetuning]) -> Iterator[str]:
    if request.valid is not None and all(recipe.select == "last" for recipe in recipes):
        yield "valid: expected none where no epoch is selected (--select)"
    if request.outputs is not None and any(one is not None for one in request.classifier_input):
        yield "classifier size, mean, std, resize, channels and preprocessing: expected none beside outputs"
    if request.outputs is not None and request.classes is not None:
        yield "classes: expected none beside outputs, which hold the labels"
    if request.strategy != "auto" and not request.strategy.startswith("ddp"):
        yield f"strategy: expected auto, ddp or a kind of ddp, found {request.strategy!r}"


def machines_of(request: FinetuneRequest) -> Machines:
    """Return on what to run."""
    precision = next(iter(request.recipes.values())).precision
    nodes, strategy = request.num_nodes, request.strategy
    return Machines(devices=request.devices, num_nodes=nodes, strategy=strategy, precision=precision)


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


def plan_stages(request: FinetuneRequest, images: int | None = None, trial: int = 2) -> Iterator[str]:
    """Yield lines on each stage's cost, in the first process; without ``images``, those of the data are counted."""
    stages = stages_of(request)
    images, trial = require("images", images, optional(whole(1))), require("trial", trial, whole(1))
    if images is None and request.data is None:
        raise SteepslopeError("plan: expected the number of images (--images) or the data (--data), found neither")
    live = classifier_net(request)
    with launched(machines_of(request)) as fabric:
        rows = len(open_fit_set(request).rows) if images is None else images
        for name, recipe in stages.items():
            classifier = None if live is None else live.without_weights().load()
            recipe = replace(recipe, oracle_sees="image")
            oracle = new_oracle(oracle_net(request).without_weights().load(), recipe, classifier)
            lines = cost_lines(oracle, recipe, classifier, rows, fabric, trial)
            if fabric.is_global_zero:
                yield from [f"stage {name}", *lines] if name else lines
