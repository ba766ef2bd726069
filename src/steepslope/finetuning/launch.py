"""Carry out a request: one training after another, or what each would cost."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from steepslope.checks import optional, require, whole
from steepslope.errors import SteepslopeError
from steepslope.extraction.machines import launched, together
from steepslope.extraction.options import Machines
from steepslope.finetuning.cost import cost_of, lines
from steepslope.finetuning.loop import Notice, finetune
from steepslope.finetuning.prepare import new_oracle, prepare
from steepslope.finetuning.request import FinetuneRequest
from steepslope.finetuning.sources import classifier_net, open_fit_set, open_sources, oracle_net
from steepslope.finetuning.stages import stages_of


def machines_of(request: FinetuneRequest) -> Machines:
    """Return on what to run."""
    precision = next(iter(request.recipes.values())).precision
    return Machines(
        devices=request.devices, num_nodes=request.num_nodes, strategy=request.strategy, precision=precision
    )


def train_stages(request: FinetuneRequest, out: Path, notice: Notice = lambda line: None) -> None:
    """Train each stage, beginning with the oracle of the one before.

    ``notice`` gets a line of each oracle that is trained, and what :func:`finetune` tells it.
    """
    stages = stages_of(request)
    init = None if request.init is None else Path(request.init)
    with launched(machines_of(request)) as fabric:
        with together(fabric):
            sources = open_sources(request, fabric)
        for name, recipe in stages.items():
            with together(fabric):
                training = prepare(sources, recipe, fabric, init)
            finetune(training, out / name, fabric, notice)
            if fabric.is_global_zero:
                trained = f"{recipe.loss} oracle on {training.oracle.backbone}, trained on"
                notice(f"{out / name}: {trained} {len(training.source):,} images")
            init = out / name


def plan_stages(request: FinetuneRequest, images: int | None = None, trial: int = 2) -> Iterator[str]:
    """Yield lines on each stage's cost, in the first process; without ``images``, those of the data are counted."""
    stages = stages_of(request)
    require("images", images, optional(whole(1)))
    require("trial", trial, whole(1))
    if images is None and request.data is None:
        raise SteepslopeError("plan: expected the number of images (--images) or the data (--data), found neither")
    live = classifier_net(request)
    with launched(machines_of(request)) as fabric:
        rows = len(open_fit_set(request).rows) if images is None else images
        for name, recipe in stages.items():
            classifier = None if live is None else live.without_weights().load()
            recipe = replace(recipe, between="image")
            oracle = new_oracle(oracle_net(request).without_weights().load(), recipe, classifier)
            cost = cost_of(oracle, recipe, classifier, rows, fabric, trial)
            if fabric.is_global_zero:
                yield from [f"stage {name}"] if name else []
                yield from lines(cost, recipe, fabric.world_size)
