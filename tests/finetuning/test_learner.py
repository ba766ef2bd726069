"""What of a net learns: weights, modes and optimizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import nn

from steepslope.classifiers.specs import load_classifier
from steepslope.finetuning.learner import OPTIMIZERS, optimizer_of, path_layers, set_modes
from steepslope.finetuning.loop import Run
from steepslope.finetuning.recipe import CHECKS, Finetuning
from tests.finetuning.trainings import NORMED, SHAPE, training_of


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (True, True, 6)),  # without the net's own last layer
        ({"dropout": False, "batch_norm": "frozen"}, (False, False, 6)),
        ({"trainable": "head"}, (False, False, 2)),
        ({"trainable": "head", "frozen_dropout": True}, (False, True, 2)),
    ],
)
def test_what_trains_and_drops_is_as_in_the_recipe(changes: Any, expected: tuple[bool, bool, int], home: Path) -> None:
    """Batch normalisation, dropout, and the number of tensors that are trained."""
    training = training_of(home, oracle=NORMED, **SHAPE, **changes)
    Run(training, home / "unused", Fabric(accelerator="cpu", devices=1))
    set_modes(training.oracle.net, training.recipe)
    body: Any = training.oracle.net.backbone.get_submodule("model.body")
    trained = sum(one.requires_grad for one in training.oracle.net.parameters())
    assert (body[1].training, body[3].training, trained) == expected


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam),
                                            ("adamw", torch.optim.AdamW)])  # fmt: skip
def test_optimizers(name: Any, kind: type) -> None:
    optimizer = optimizer_of(Finetuning(optimizer=name, weight_decay=0.1), nn.Linear(2, 1))
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["weight_decay"] == 0.1
    assert optimizer.param_groups[0].get("momentum", 0.9) == 0.9


def test_every_optimizer_that_a_recipe_may_name_is_known() -> None:
    assert [name for name in OPTIMIZERS if CHECKS["optimizer"].allows(name)] == ["sgd", "adam", "adamw"]


def test_layers_that_leave_out_paths_and_hold_activations_are_known() -> None:
    assert len(path_layers(load_classifier("torchvision:efficientnet_b0?weights=random").net)) > 5
    converted = convert_sync_batchnorm(nn.Sequential(BatchNormAct2d(4)))
    assert isinstance(converted[0].act, nn.ReLU)
