"""From opened sources to one training: an oracle on its backbone, its examples, targets and validation."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from steepslope.errors import SteepslopeError
from steepslope.losses import LossSettings
from steepslope.nets.classifiers import Classifier, TwoParts, architecture_spec
from steepslope.nets.data import Dataset, image_rows_by_id, transform_for_data
from steepslope.nets.training._examples import (
    CachedTargets,
    DroppedFeatures,
    Examples,
    Features,
    LiveTargets,
    Source,
    Targets,
)
from steepslope.nets.training._learner import features_stay, learns_of_dropped, take_init_weights
from steepslope.nets.training._on_images import ImageOracle, build_image_oracle_net, run_on_images
from steepslope.nets.training._request import FinetuneRequest, Finetuning
from steepslope.nets.training._sources import FitSet, digest_of_outputs, load_net_of_role
from steepslope.oracle import loss_of_settings, require_errors
from steepslope.outputs import ClassifierOutputs

_MOST_BYTES = 2**32  # of what is kept in memory of a fit set


@dataclass(frozen=True, eq=False)
class Validation:
    """The rows on which epochs are compared: which are correct, (n,), and what gives the trust logits of some rows.

    ``trust_logit`` takes the numbers of rows, (m,), and runs the oracle as it is then: float64 (m,), on the CPU.
    """

    is_correct: NDArray[np.bool_]
    trust_logit: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Training:
    """An oracle, how it is trained and on what.

    ``source`` gives the examples, ``targets`` what to teach of them; ``key`` holds all that decides the result, as JSON
    does. Where the source gives features, only the net's top is run.
    """

    oracle: ImageOracle
    recipe: Finetuning
    source: Source
    targets: Targets
    loss: Callable[[Tensor, Tensor], Tensor]
    validation: Validation | None
    key: dict[str, Any]
    workers: int = 0


def prepare_training(
    request: FinetuneRequest, fit_set: FitSet, recipe: Finetuning, fabric: Fabric, init: Path | None = None
) -> Training:
    """Put an oracle on a fresh backbone, with all that its training works on.

    ``init`` is the folder of a trained oracle whose weights it takes.
    """
    workers = request.workers
    backbone = load_net_of_role(request, "oracle")
    loss = loss_of_settings(recipe)
    oracle = new_oracle(backbone, recipe, fit_set.classifier, fit_set.num_classes)
    oracle = replace(oracle, record_=fit_set.record())
    key: dict[str, Any] = {"oracle": [request.oracle, backbone.digest], **fit_set.identity(), **oracle.card()}
    key["valid"] = None
    compared = None if recipe.select == "last" else fit_set.validation
    if compared is not None:
        key["valid"] = digest_of_outputs(compared[1])
    key["processes"] = fabric.world_size
    key["recipe"] = recipe.as_json()
    del key["recipe"]["save_every"]
    key["init"] = None if init is None else take_init_weights(oracle, init)
    fabric.to_device(oracle.net)
    outputs = counted = None
    if fit_set.classifier is None or features_stay(oracle.net, recipe):
        outputs = counted = fit_set.known_outputs(workers)
        require_errors(outputs)
    elif loss.needs_counts:  # a live classifier is run once over the images as they are, only to count its errors
        counted = fit_set.known_outputs(workers)
    source = _source_of_examples(oracle, recipe, fit_set, backbone.names, workers)
    targets = _prepared_targets(outputs, fit_set, loss, fabric, isinstance(source, DroppedFeatures))
    validation = None if compared is None else _validation_of_epochs(oracle, recipe, *compared, workers)
    key = json.loads(json.dumps(key))
    return Training(oracle, recipe, source, targets, loss.bind(counted), validation, key, workers)


def new_oracle(backbone: Classifier, recipe: Finetuning, live: Classifier | None, num_classes: int = 2) -> ImageOracle:
    """Put a new head on a backbone; it sees its own input, or the live classifier's where the recipe has it so."""
    transform = backbone.transform
    if recipe.oracle_sees == "nearest":
        if live is None:
            raise SteepslopeError("oracle-sees nearest: expected a live classifier, whose input the oracle is to see")
        transform = live.transform
        if transform.channels != backbone.transform.channels:
            expected = f"expected {backbone.transform.channels} channels, as the oracle takes"
            raise SteepslopeError(f"oracle-sees nearest: {expected}, found the classifier's {transform.channels}")
    net = build_image_oracle_net(backbone, recipe.hidden, recipe.head, recipe.seed)
    return ImageOracle(net, architecture_spec(backbone), transform, num_classes, recipe.as_json())


def _source_of_examples(
    oracle: ImageOracle, recipe: Finetuning, fit_set: FitSet, names: tuple[str, ...] | None, workers: int
) -> Source:
    """Return the source of examples; ``names`` are those of the backbone's own classes."""
    if learns_of_dropped(oracle.net, recipe):
        return _dropped_source(oracle, recipe, fit_set, names, workers)
    if features_stay(oracle.net, recipe):
        features = run_on_images(oracle.net.features, oracle.net, oracle.transform, fit_set.data, fit_set.rows, workers)
        return Features(features.float())
    for_oracle = for_classifier = None
    if recipe.oracle_sees == "image":
        for_oracle = transform_for_data(fit_set.data, oracle.transform)
    if fit_set.classifier is not None:
        for_classifier = transform_for_data(fit_set.data, fit_set.classifier.transform)
    return Examples(fit_set.data, fit_set.rows, recipe, for_oracle, for_classifier)


def _dropped_source(
    oracle: ImageOracle, recipe: Finetuning, fit_set: FitSet, names: tuple[str, ...] | None, workers: int
) -> DroppedFeatures:
    """Return the source that drops units. Without augmentation, a net of ours runs once up to there, if that fits."""
    backbone = oracle.net.backbone
    device = next(oracle.net.parameters()).device
    image = torch.zeros((1, oracle.transform.channels, *oracle.net.size), device=device)
    fit_set.require_classes_of_backbone(oracle.net.features_and_logits(image)[1].shape[1], names)
    if isinstance(backbone, TwoParts) and not recipe.augments:
        size = 4 * backbone.before_dropout(image).numel()
        if size * len(fit_set.rows) <= _MOST_BYTES:

            def run(images: Tensor) -> Tensor:
                return backbone.before_dropout(oracle.net.resized(images))

            inputs = run_on_images(run, oracle.net, oracle.transform, fit_set.data, fit_set.rows, workers)
            return DroppedFeatures(Features(inputs.float()), backbone.from_dropout, device)
    transform = transform_for_data(fit_set.data, oracle.transform)
    images = Examples(fit_set.data, fit_set.rows, recipe, transform, None)
    return DroppedFeatures(images, oracle.net.features_and_logits, device)


def _prepared_targets(
    known: ClassifierOutputs | None, fit_set: FitSet, loss: LossSettings, fabric: Fabric, same_pass: bool
) -> Targets:
    if known is not None and not same_pass:
        is_correct = torch.from_numpy(known.is_correct.copy())
        target = torch.from_numpy(loss.target(known).copy())
        return CachedTargets(is_correct.to(fabric.device), target.to(fabric.device))
    live = None
    if fit_set.classifier is not None and not same_pass:
        live = fit_set.classifier.net.requires_grad_(False)
    return LiveTargets(live, torch.from_numpy(fit_set.labels).to(fabric.device), loss, fabric)


def _validation_of_epochs(
    oracle: ImageOracle, recipe: Finetuning, images: Dataset, outputs: ClassifierOutputs, workers: int
) -> Validation:
    """Return the rows on which epochs are compared, and how the oracle is run on them.

    It is run on the images each time, or its top on their features where the backbone is frozen.
    """
    if recipe.trainable == "head":
        places = image_rows_by_id(images, outputs.ids)
        net = oracle.net
        features = run_on_images(net.features, net, oracle.transform, images, places, workers).float()

        def trust_logit(rows: Tensor) -> Tensor:
            z: Tensor = net.top(features[rows.to(features.device)])
            return z.double().cpu()
    else:
        on_images = oracle.on(images, workers)

        def trust_logit(rows: Tensor) -> Tensor:
            return torch.from_numpy(on_images.trust_logit(outputs.subset(rows.numpy())))

    return Validation(outputs.is_correct, trust_logit)
