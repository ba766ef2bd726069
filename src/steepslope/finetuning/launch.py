"""Carry out what was asked for: one training after another, or what each would cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lightning_fabric import Fabric

from steepslope.classifiers.specs import load_classifier
from steepslope.errors import SteepslopeError
from steepslope.extraction.machines import together
from steepslope.extraction.options import Machines
from steepslope.finetuning.cost import cost_of, lines
from steepslope.finetuning.loop import finetune
from steepslope.finetuning.prepare import new_oracle, prepare
from steepslope.finetuning.request import FinetuneRequest
from steepslope.finetuning.sources import open_fit_set, with_input
from steepslope.utilities.progress import console


def machines_of(asked: FinetuneRequest) -> Machines:
    """Return on what to run."""
    return Machines(
        devices=asked.devices, num_nodes=asked.num_nodes, strategy=asked.strategy, precision=asked.precision
    )


def train_stages(asked: FinetuneRequest, out: Path, fabric: Fabric) -> None:
    """Train each stage, beginning with the oracle of the one before."""
    init = None if asked.init is None else Path(asked.init)
    for name, recipe in asked.recipes.items():
        with together(fabric):
            task = prepare(asked, recipe, fabric, init)
        finetune(task, out / name, fabric)
        if fabric.is_global_zero:
            said = f"{recipe.loss} oracle on {task.oracle.backbone}, trained on {len(task.source):,} images"
            console().print(f"{out / name}: {said}")
        init = out / name


def plan_stages(asked: FinetuneRequest, images: int | None, trial: int, fabric: Fabric) -> Iterator[str]:
    """Yield what to say of each stage's cost."""
    if trial < 1 or (images is not None and images < 1):
        raise SteepslopeError(f"images and trial: expected whole numbers >= 1, found {images} and {trial}")
    rows = images
    if rows is None:
        if asked.data is None:
            raise SteepslopeError("plan: expected the number of images (--images) or the data (--data), found neither")
        rows = len(open_fit_set(asked).rows)
    for name, recipe in asked.recipes.items():
        backbone = with_input(load_classifier(without_weights(asked.oracle)), asked.oracle_input, "oracle")
        live = None
        if asked.classifier is not None:
            live = with_input(load_classifier(without_weights(asked.classifier)), asked.classifier_input, "classifier")
        recipe = replace(recipe, between="image")
        oracle = new_oracle(backbone, recipe, live)
        if name:
            yield f"stage {name}"
        yield from lines(cost_of(oracle, recipe, live, rows, fabric, trial), recipe, fabric.world_size)


def without_weights(spec: str) -> str:
    """Return a spec of the same architecture that needs no weights.

    >>> without_weights("timm:resnet50?weights=mine.safetensors"), without_weights("checkpoint:runs/mine")
    ('timm:resnet50?weights=random', 'checkpoint:runs/mine')
    """
    name = spec.partition("?")[0]
    return f"{name}?weights=random" if name.startswith(("timm:", "torchvision:")) else spec
