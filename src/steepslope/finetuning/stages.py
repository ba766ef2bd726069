"""The stages of a request, each with its whole recipe, and all that can be checked before the first is trained."""

from collections.abc import Collection, Iterator
from dataclasses import replace

from steepslope.errors import SteepslopeError, require_known
from steepslope.finetuning.recipe import Finetuning
from steepslope.finetuning.request import FinetuneRequest, Input
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
    if request.outputs is None and recipe.loss == "class_balanced" and not recipe.features_stay:
        yield "class_balanced weighs by how many are wrong: extract the outputs and give --outputs"
    if request.outputs is not None and recipe.select != "last" and request.valid is None:
        yield f"select {recipe.select}: expected outputs to compare epochs on (--valid), found none"
    for name in SAME:
        found, expected = getattr(recipe, name), getattr(first, name)
        if found != expected:
            yield f"{name}: expected {expected!r}, as for all stages, found {found!r}"


def _problems(request: FinetuneRequest, recipes: Collection[Finetuning]) -> Iterator[str]:
    if request.valid is not None and all(recipe.select == "last" for recipe in recipes):
        yield "valid: expected none where no epoch is selected (--select)"
    if request.outputs is not None and request.classifier_input != Input():
        yield "classifier size, mean, std and resize: expected none beside outputs"
    if request.outputs is not None and request.classes is not None:
        yield "classes: expected none beside outputs, which hold the labels"
    if request.strategy != "auto" and not request.strategy.startswith("ddp"):
        yield f"strategy: expected auto, ddp or a kind of ddp, found {request.strategy!r}"
