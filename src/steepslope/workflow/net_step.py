"""The step that trains a small net as a classifier."""

from dataclasses import fields
from functools import partial

from steepslope.classifiers.checkpoints import CARD
from steepslope.classifiers.training import ClassifierTraining, recipe_for, train_classifier
from steepslope.data.datasets import SPLIT_SEED
from steepslope.errors import located, require_known
from steepslope.workflow.lab import TRAIN, Lab
from steepslope.workflow.step import Cost, Step, told


def net_steps(lab: Lab, name: str, seed: int) -> list[Step]:
    """Return the steps before a net can be run as a backbone: none where its weights are there."""
    settings = lab.preset.nets[name].train
    if not settings:
        return []
    known = {"net", "holdout", "split_seed", *(one.name for one in fields(ClassifierTraining) if one.name != "seed")}
    with located(f"nets.{name}.train"):
        for one in settings:
            require_known("setting", one, known)
        epochs = recipe_for(settings.get("net", ""), epochs=settings.get("epochs")).epochs
    cost = Cost(name, TRAIN, epochs, trained=epochs)
    about = f"train classifier {name}: {told(settings)}"
    return [Step(lab.folder("nets", name, seed), CARD, about, partial(train_net, name=name, seed=seed), costs=(cost,))]


def train_net(lab: Lab, name: str, seed: int) -> None:
    """Train it."""
    settings, out = dict(lab.preset.nets[name].train), lab.folder("nets", name, seed)
    net, holdout, split_seed = (settings.pop(key, default) for key, default in
                                (("net", ""), ("holdout", None), ("split_seed", SPLIT_SEED)))  # fmt: skip
    recipe = recipe_for(net, **settings, seed=seed)
    _, accuracy = train_classifier(net, lab.preset.data, out, recipe, holdout, split_seed, replace=False)
    lab.notice(f"{out}: classifier with {100 * accuracy:.2f} % accuracy on its held-out rows")
