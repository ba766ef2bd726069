"""Rates and momentum against torch's own schedule."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from steepslope.finetuning.recipe import Finetuning
from steepslope.finetuning.schedules import momentum_at, rate_at


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
        assert rate_at(recipe, step, total) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        assert momentum_at(recipe, step, total) == pytest.approx(optimizer.param_groups[0]["momentum"], rel=1e-12)
        optimizer.step()
        if step + 1 < total:
            theirs.step()
    assert momentum_at(replace(recipe, cycle_momentum=False), 3, total) == 0.05


@pytest.mark.parametrize(("schedule", "last"), [("constant", 1.0), ("cosine", 0.0)])
def test_rates_rise_in_the_warm_up(schedule: str, last: float) -> None:
    recipe = Finetuning(schedule=schedule, learning_rate=1.0, warmup_steps=4)  # type: ignore[arg-type]
    assert [rate_at(recipe, step, 1000) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rate_at(recipe, 999, 1000) == pytest.approx(last, abs=1e-5)
