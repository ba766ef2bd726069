"""From opened sources to one training: an oracle on its backbone, its examples, targets and validation."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from steepslope.errors import SteepslopeError, UndefinedMetricError
from steepslope.files import DIGEST, folder_or_hub_snapshot
from steepslope.losses import LossSettings
from steepslope.metrics import aupr_error
from steepslope.nets._weights import load_weights
from steepslope.nets.classifiers import Classifier, TwoParts, architecture_spec
from steepslope.nets.data import Dataset, decoded_image_batches, image_rows_by_id, transform_for_data
from steepslope.nets.extraction import failing_together
from steepslope.nets.training._examples import (
    CachedTargets,
    DroppedFeatures,
    Examples,
    Features,
    LiveTargets,
    Source,
    Targets,
)
from steepslope.nets.training._learner import features_stay, learns_of_dropped
from steepslope.nets.training._on_images import ImageOracle, build_image_oracle_net
from steepslope.nets.training._request import FinetuneRequest, Finetuning
from steepslope.nets.training._sources import BATCH, FitSet, digest_of_outputs, load_net_of_role
from steepslope.oracle import ORACLE, WEIGHTS, loss_of_settings, require_errors
from steepslope.outputs import ClassifierOutputs, require_same_class_names

MOST_BYTES = 2**32  # of what is kept in memory of a fit set


def validation_score(trust_logit: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> float:
    """Return the AUPR-Error, −inf where no prediction is wrong or none correct."""
    try:
        return float(aupr_error(trust_logit, is_correct))
    except UndefinedMetricError:
        return -math.inf


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
    validation: Callable[[Fabric], float] | None
    key: dict[str, Any]
    workers: int = 0


def prepare_training(
    request: FinetuneRequest, fit_set: FitSet, recipe: Finetuning, fabric: Fabric, init: Path | None = None
) -> Training:
    """Put an oracle on a fresh backbone, with all that its training works on.

    ``init`` is the folder of a trained oracle whose weights it takes.
    """
    workers = request.workers
    validation = None if recipe.select == "last" else fit_set.validation
    backbone = load_net_of_role(request, "oracle")
    loss = loss_of_settings(recipe)
    oracle = new_oracle(backbone, recipe, fit_set.classifier, fit_set.num_classes)
    oracle = replace(oracle, record_=fit_set.record())
    key = {"oracle": [request.oracle, backbone.digest], **fit_set.identity(), **oracle.card()}
    key |= {"valid": None if validation is None else digest_of_outputs(validation[1]), "processes": fabric.world_size}
    key["recipe"] = {name: value for name, value in recipe.as_json().items() if name != "save_every"}
    key["init"] = None if init is None else take_init_weights(oracle, init)
    fabric.to_device(oracle.net)
    is_live = fit_set.classifier is not None and not features_stay(oracle.net, recipe)
    outputs = None if is_live else fit_set.known_outputs(workers)
    if outputs is not None:
        require_errors(outputs)
    # a live classifier is run once over the images as they are, only to count its errors
    counted = fit_set.known_outputs(workers) if loss.needs_counts and outputs is None else outputs
    source = _source_of_examples(oracle, recipe, fit_set, backbone.names, workers)
    targets = _prepared_targets(outputs, fit_set, loss, fabric, isinstance(source, DroppedFeatures))
    score = None if validation is None else _validation_of_epochs(oracle, recipe, *validation, workers)
    key = json.loads(json.dumps(key))
    return Training(oracle, recipe, source, targets, loss.bind(counted), score, key, workers)


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


def take_init_weights(oracle: ImageOracle, folder: Path) -> str:
    """Load the weights of a trained oracle of the same backbone and head; return what tells them from others."""
    card = ORACLE.sealed_card(folder_or_hub_snapshot(folder))
    expected = oracle.card()
    for name in ("kind", "backbone"):
        if card.get(name) != expected[name]:
            raise SteepslopeError(f"init {folder}: expected the {name} {expected[name]!r}, found {card.get(name)!r}")
    load_weights(oracle.net, folder_or_hub_snapshot(folder) / WEIGHTS)
    return str(card[DIGEST])


def _source_of_examples(
    oracle: ImageOracle, recipe: Finetuning, fit_set: FitSet, names: tuple[str, ...] | None, workers: int
) -> Source:
    """Return the source of examples; ``names`` are those of the backbone's own classes."""
    if learns_of_dropped(oracle.net, recipe):
        return _dropped_source(oracle, recipe, fit_set, names, workers)
    if features_stay(oracle.net, recipe):
        return Features(_run_once_on_images(oracle.net.features, oracle, fit_set.data, fit_set.rows, workers))
    of_oracle = oracle.transform if recipe.oracle_sees == "image" else None
    of_classifier = None if fit_set.classifier is None else fit_set.classifier.transform
    transforms = (None if one is None else transform_for_data(fit_set.data, one) for one in (of_oracle, of_classifier))
    return Examples(fit_set.data, fit_set.rows, recipe, *transforms)


def _dropped_source(
    oracle: ImageOracle, recipe: Finetuning, fit_set: FitSet, names: tuple[str, ...] | None, workers: int
) -> DroppedFeatures:
    """Return the source that drops units. Without augmentation, a net of ours runs once up to there, if that fits."""
    device, backbone = next(oracle.net.parameters()).device, oracle.net.backbone
    image = torch.zeros((1, oracle.transform.channels, *oracle.net.size), device=device)
    classes = oracle.net.features_and_logits(image)[1].shape[1]
    if classes != fit_set.num_classes:
        expected = f"expected a backbone that predicts the classifier's {fit_set.num_classes} classes"
        raise SteepslopeError(f"{expected}, found one of {classes}", "frozen_dropout")
    require_same_class_names("frozen_dropout", fit_set.classes, names)
    two_parts = backbone if isinstance(backbone, TwoParts) and not recipe.augments else None
    if two_parts and 4 * two_parts.before_dropout(image).numel() * len(fit_set.rows) <= MOST_BYTES:

        def run(images: Tensor) -> Tensor:
            return two_parts.before_dropout(oracle.net.resized(images))

        dropout_inputs = _run_once_on_images(run, oracle, fit_set.data, fit_set.rows, workers)
        return DroppedFeatures(Features(dropout_inputs), two_parts.from_dropout, device)
    images = Examples(fit_set.data, fit_set.rows, recipe, transform_for_data(fit_set.data, oracle.transform), None)
    return DroppedFeatures(images, oracle.net.features_and_logits, device)


def _run_once_on_images(
    run: Callable[[Tensor], Tensor], oracle: ImageOracle, data: Dataset, rows: NDArray[np.int64], workers: int
) -> Tensor:
    """Return what a part of an oracle's net makes of images, (n, ...), on its device."""
    device = next(oracle.net.parameters()).device
    batches = decoded_image_batches(data, rows, oracle.transform, BATCH, workers)
    with torch.no_grad():
        return torch.cat([run(images.to(device)).float() for images in batches])


def _prepared_targets(
    known: ClassifierOutputs | None, fit_set: FitSet, loss: LossSettings, fabric: Fabric, same_pass: bool
) -> Targets:
    if known is not None and not same_pass:
        arrays = known.is_correct, loss.target(known)
        return CachedTargets(*(torch.from_numpy(array.copy()).to(fabric.device) for array in arrays))
    live = None if same_pass or fit_set.classifier is None else fit_set.classifier.net.requires_grad_(False)
    return LiveTargets(live, torch.from_numpy(fit_set.labels).to(fabric.device), loss, fabric)


def _validation_of_epochs(
    oracle: ImageOracle, recipe: Finetuning, images: Dataset, outputs: ClassifierOutputs, workers: int
) -> Callable[[Fabric], float]:
    """Return what scores the oracle as it is then; each process takes some of the rows.

    The oracle is run on the images each time, or its top on their features where the backbone is frozen.
    """
    on_images, features = oracle.on(images, workers), None
    if recipe.trainable == "head":
        rows = image_rows_by_id(images, outputs.ids)
        features = _run_once_on_images(oracle.net.features, oracle, images, rows, workers)

    def score(fabric: Fabric) -> float:
        z = torch.zeros(len(outputs), dtype=torch.float64)
        mine = torch.arange(fabric.global_rank, len(z), fabric.world_size)
        with failing_together(fabric), torch.no_grad():
            if features is None:
                z[mine] = torch.from_numpy(on_images.trust_logit(outputs.subset(mine.numpy())))
            else:
                z[mine] = oracle.net.top(features[mine.to(features.device)]).double().cpu()
        total = fabric.all_reduce(z.to(fabric.device), reduce_op="sum")
        assert isinstance(total, Tensor)
        return validation_score(total.cpu().numpy(), outputs.is_correct)

    return score
