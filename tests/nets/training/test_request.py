"""The recipe: what it allows, and its flat form in YAML and on an oracle's card."""

from __future__ import annotations

from dataclasses import fields

import pytest

from steepslope.errors import SteepslopeError
from steepslope.losses import LOSSES, loss_parameters
from steepslope.nets.training._launch import stages_of_request
from steepslope.nets.training._request import CHECKS, FinetuneRequest, Finetuning
from steepslope.oracle._base import loss_of_settings


def test_what_is_not_checked_is_a_flag_or_known_below() -> None:
    unchecked = {one.name for one in fields(Finetuning)} - CHECKS.keys()
    flags = {one.name for one in fields(Finetuning) if one.type is bool}
    assert unchecked - flags == {"loss", "parameters", "head"}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_card_holds_the_parameters_of_its_loss_alone(loss: str) -> None:
    given = {name: 0.5 for one in LOSSES for name in loss_parameters(one)}
    request = FinetuneRequest.from_flat(oracle="a", outputs="b", loss=loss, hidden=[3, 2], **given)
    card = stages_of_request(request)[""].as_json()
    assert {name for name in given if name in card} == set(loss_parameters(loss))
    assert card["hidden"] == [3, 2]
    assert Finetuning.from_flat(**card).as_json() == card  # as presets and cards are read
    defaults = {name: default for name, (default, _) in loss_parameters(loss).items()}
    assert loss_of_settings(Finetuning(loss=loss)).parameters == defaults


def test_a_stage_changes_some_parameters_and_keeps_others() -> None:
    recipe = Finetuning.from_flat(alpha_pos=2, alpha_neg=5).changed({"alpha_pos": 1, "epochs": 3})
    assert (recipe.parameters, recipe.epochs) == ({"alpha_pos": 1, "alpha_neg": 5}, 3)


def test_what_is_learnt_from_is_named() -> None:
    with pytest.raises(SteepslopeError, match="classifier and outputs: expected one of the two, found neither"):
        FinetuneRequest(oracle="net:digits-net")


def test_a_request_takes_one_number_or_one_per_channel() -> None:
    request = FinetuneRequest(oracle="a", outputs="b", oracle_input="mean=0.1,0.2,0.3&std=0.5")
    assert request.input_changes("oracle") == {"mean": (0.1, 0.2, 0.3), "std": (0.5,)}
    assert request.input_changes("classifier") == {}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("size=0", "oracle_input: size: expected a whole number >= 1, found 0"),
        ("size=8.5", "oracle_input: size: expected a whole number >= 1, found '8.5'"),
        ("mean=0.5,x", "oracle_input: mean: expected a list, each a number"),
        ("std=0", "oracle_input: std: expected a list, each a number"),
        ("mean=nan", "oracle_input: mean: expected a list, each a number"),
        ("resize=exact", "oracle_input: resize: expected crop or squash, found 'exact'"),
        ("sice=8", "oracle_input: unknown option of 'input\\?sice=8': 'sice': did you mean 'size'"),
        ("size=", "oracle_input: 'input\\?size=': expected a value after size=, found none"),
    ],
)
def test_what_is_wrong_of_an_input_is_named(spec: str, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        FinetuneRequest(oracle="a", outputs="b", oracle_input=spec)
