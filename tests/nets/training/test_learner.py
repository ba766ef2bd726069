"""What of a net learns: weights, modes and optimizers, and rates and momentum against torch's own schedule."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import nn

from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.training._learner import (
    OPTIMIZERS,
    _drop_path_layers,
    learning_rate_at,
    momentum_at,
    optimizer_of,
    set_layer_modes,
)
from steepslope.nets.training._loop import _TrainingRun
from steepslope.nets.training._request import CHECKS, Finetuning
from tests.nets.training.trainings import NORMED, SHAPE, training_of


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (True, True, 6)),  # without the net's own last layer
        ({"dropout": False, "batch_norm": "frozen"}, (False, False, 6)),
        ({"trainable": "head"}, (False, False, 2)),
        ({"trainable": "head", "frozen_dropout": "features"}, (False, True, 2)),
    ],
)
def test_what_trains_and_drops_is_as_in_the_recipe(changes: Any, expected: tuple[bool, bool, int], home: Path) -> None:
    """Batch normalisation, dropout, and the number of tensors that are trained."""
    training = training_of(home, oracle=NORMED, **SHAPE, **changes)
    _TrainingRun(training, home / "unused", Fabric(accelerator="cpu", devices=1))
    set_layer_modes(training.oracle.net, training.recipe)
    body: Any = training.oracle.net.backbone.get_submodule("model.body")
    trained = sum(one.requires_grad for one in training.oracle.net.parameters())
    assert (body[1].training, body[3].training, trained) == expected


def test_every_optimizer_that_a_recipe_may_name_is_known() -> None:
    assert [name for name in OPTIMIZERS if CHECKS["optimizer"].allows(name)] == ["sgd", "adam", "adamw"]
    optimizer = optimizer_of(Finetuning(optimizer="sgd", weight_decay=0.1), nn.Linear(2, 1))
    assert type(optimizer) is torch.optim.SGD
    assert (optimizer.param_groups[0]["weight_decay"], optimizer.param_groups[0]["momentum"]) == (0.1, 0.9)


def test_layers_that_leave_out_paths_and_hold_activations_are_known() -> None:
    assert len(_drop_path_layers(load_classifier("torchvision:efficientnet_b0?weights=random").net)) > 5
    converted = convert_sync_batchnorm(nn.Sequential(BatchNormAct2d(4)))
    assert isinstance(converted[0].act, nn.ReLU)


@pytest.mark.parametrize(("total", "warm"), [(1000, 100), (37, 5)])
def test_one_cycle_is_torchs(total: int, warm: int) -> None:
    recipe = Finetuning(
        optimizer="sgd", learning_rate=1e-5, momentum=0.05, schedule="one_cycle", warmup_steps=warm, cycle_momentum=True
    )
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1e-5, momentum=0.05)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1e-5, total_steps=total, pct_start=warm / total, div_factor=25, final_div_factor=1e4
    )
    for step in range(total):
        assert learning_rate_at(recipe, step, total) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        assert momentum_at(recipe, step, total) == pytest.approx(optimizer.param_groups[0]["momentum"], rel=1e-12)
        optimizer.step()
        if step + 1 < total:
            theirs.step()
    assert momentum_at(replace(recipe, cycle_momentum=False), 3, total) == 0.05


@pytest.mark.parametrize(("schedule", "last"), [("constant", 1.0), ("cosine", 0.0)])
def test_rates_rise_in_the_warm_up(schedule: str, last: float) -> None:
    recipe = Finetuning(schedule=schedule, learning_rate=1.0, warmup_steps=4)  # type: ignore[arg-type]
    assert [learning_rate_at(recipe, step, 1000) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert learning_rate_at(recipe, 999, 1000) == pytest.approx(last, abs=1e-5)
