"""From what the user names to a training's task, with all that can be checked beforehand checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import architecture, load_classifier
from steepslope.data.decoding import decoded_batches
from steepslope.data.images import Dataset, rows_by_id
from steepslope.errors import SteepslopeError, require_known
from steepslope.finetuning.examples import Examples, Features, Source
from steepslope.finetuning.loop import Task, Validation
from steepslope.finetuning.recipe import Finetuning
from steepslope.finetuning.request import FinetuneRequest, Input
from steepslope.finetuning.sources import BATCH, FitSet, digest_of, open_fit_set, open_valid, with_input
from steepslope.finetuning.targets import Cached, Judge, Live
from steepslope.heads import HEADS
from steepslope.losses import LossSettings
from steepslope.oracle.base import check_errors
from steepslope.oracle.on_images import ImageOracle, build_net
from steepslope.oracle.storage import CARD, WEIGHTS
from steepslope.outputs import ClassifierOutputs
from steepslope.utilities.files import read_json
from steepslope.utilities.weights import load_weights


def check(asked: FinetuneRequest) -> None:
    """Raise for what is known to be wrong with the request, or any of its stages, before the first is trained."""
    recipes = asked.recipes
    for name, recipe in recipes.items():
        try:
            _check_stage(asked, recipe)
            if recipe.hidden != next(iter(recipes.values())).hidden:
                raise SteepslopeError(f"hidden: expected the same layers in all stages, found {recipe.hidden}")
        except SteepslopeError as error:
            raise SteepslopeError(f"stage {name}: {error}" if name else str(error)) from error
    if asked.valid is not None and all(recipe.select == "last" for recipe in recipes.values()):
        raise SteepslopeError("valid: expected none where no epoch is selected (--select)")
    if asked.outputs is not None and asked.classifier_input != Input():
        raise SteepslopeError("classifier size, mean, std and resize: expected none beside outputs")
    if asked.strategy != "auto" and not asked.strategy.startswith("ddp"):
        raise SteepslopeError(f"strategy: expected auto, ddp or a kind of ddp, found {asked.strategy!r}")


def _slopes(recipe: Finetuning) -> dict[str, float]:
    return {name: getattr(recipe, name) for name in ("alpha_pos", "alpha_neg", "gamma", "beta")}


def _check_stage(asked: FinetuneRequest, recipe: Finetuning) -> None:
    LossSettings(recipe.loss, _slopes(recipe))
    require_known("head", recipe.head, HEADS)
    if asked.outputs is None and recipe.loss == "class_balanced" and not recipe.features_stay:
        raise SteepslopeError("class_balanced weighs by how many are wrong: extract the outputs and give --outputs")
    if recipe.select != "last" and asked.valid is None and asked.outputs is not None:
        raise SteepslopeError(f"select {recipe.select}: expected outputs to compare epochs on (--valid), found none")


def prepare(asked: FinetuneRequest, recipe: Finetuning, fabric: Fabric, init: Path | None = None) -> Task:
    """Load what is asked for, and put an oracle on its backbone; ``init`` is an oracle whose weights it takes."""
    fit_set = open_fit_set(asked)
    if fit_set.classifier is not None:
        fabric.to_device(fit_set.classifier.net)
    valid = open_valid(asked, recipe, fit_set)
    backbone = with_input(load_classifier(asked.oracle), asked.oracle_input, "oracle")
    oracle = new_oracle(backbone, recipe, fit_set.classifier, fit_set.num_classes)
    key = {"oracle": [asked.oracle, backbone.digest], **fit_set.marks(), **oracle.card()}
    key |= {"valid": None if valid is None else digest_of(valid[1]), "processes": fabric.world_size}
    key["recipe"] = {name: value for name, value in recipe.as_json().items() if name != "save_every"}
    key["init"] = None if init is None else take_weights(oracle, init)
    fabric.to_device(oracle.net)
    seen = fit_set.said(asked.workers) if recipe.features_stay else fit_set.outputs
    if seen is not None:
        check_errors(seen)
    return Task(
        oracle,
        recipe,
        _source(oracle, recipe, fit_set, asked),
        _judge(seen, fit_set, recipe, fabric),
        LossSettings(recipe.loss, _slopes(recipe)).bind(seen),
        None if valid is None else _validation(oracle, recipe, *valid, asked.workers),
        json.loads(json.dumps(key)),
        asked.workers,
        asked.tensorboard,
    )


def new_oracle(backbone: Classifier, recipe: Finetuning, live: Classifier | None, num_classes: int = 2) -> ImageOracle:
    """Put a new head on a backbone; it sees its own input, or the live classifier's where the recipe says so."""
    transform = backbone.transform
    if recipe.between == "nearest":
        if live is None:
            raise SteepslopeError("between nearest: expected a live classifier, whose input the oracle is to see")
        transform = live.transform
        if transform.channels != backbone.transform.channels:
            raise SteepslopeError(
                f"between nearest: expected {backbone.transform.channels} channels, as the oracle takes, "
                f"found the classifier's {transform.channels}"
            )
    net = build_net(backbone, recipe.hidden, recipe.head, recipe.seed)
    return ImageOracle(net, architecture(backbone), transform, num_classes, recipe.as_json())


def take_weights(oracle: ImageOracle, folder: Path) -> str:
    """Load the weights of a trained oracle of the same backbone and head; return what tells them from others."""
    card = read_json(folder / CARD, "a trained oracle to begin with")
    own = oracle.card()
    for name in ("kind", "backbone"):
        if card.get(name) != own[name]:
            raise SteepslopeError(f"init {folder}: expected the {name} {own[name]!r}, found {card.get(name)!r}")
    load_weights(oracle.net, folder / WEIGHTS)
    return hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()


def _source(oracle: ImageOracle, recipe: Finetuning, fit_set: FitSet, asked: FinetuneRequest) -> Source:
    if recipe.features_stay:
        return Features(_features(oracle, fit_set.data, fit_set.rows, asked.workers))
    live = fit_set.classifier
    own = oracle.transform if recipe.between == "image" else None
    return Examples(fit_set.data, fit_set.rows, recipe, own, None if live is None else live.transform)


def _features(oracle: ImageOracle, data: Dataset, rows: NDArray[np.int64], workers: int) -> Tensor:
    """Return the backbone's features, (n, d), on its device."""
    device = next(oracle.net.parameters()).device
    with torch.no_grad():
        parts = [
            oracle.net.features(images.to(device)).float()
            for images in decoded_batches(data, rows, oracle.transform, BATCH, workers)
        ]
    return torch.cat(parts)


def _judge(seen: ClassifierOutputs | None, fit_set: FitSet, recipe: Finetuning, fabric: Fabric) -> Judge:
    if seen is not None:
        return Cached.of(seen, recipe.loss, fabric.device)
    assert fit_set.classifier is not None
    labels = torch.from_numpy(fit_set.labels).to(fabric.device)
    return Live(fit_set.classifier.net.requires_grad_(False), labels, recipe.loss, fabric)


def _validation(
    oracle: ImageOracle, recipe: Finetuning, images: Dataset, outputs: ClassifierOutputs, workers: int
) -> Validation:
    """Look at the images anew each time, or at their features where these stay."""
    if not recipe.features_stay:
        looking = oracle.on(images, workers)
        return Validation(outputs, lambda rows: looking.trust_logit(outputs.subset(rows)))
    features = _features(oracle, images, rows_by_id(images, outputs.ids), workers)
    return Validation(outputs, lambda rows: _top(oracle, features[torch.from_numpy(rows).to(features.device)]))


def _top(oracle: ImageOracle, features: Tensor) -> NDArray[np.float64]:
    with torch.no_grad():
        return np.asarray(oracle.net.top(features).double().cpu())
