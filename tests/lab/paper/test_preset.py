"""Presets as they are read: trainings by name, and changes of single settings."""

from __future__ import annotations

import pytest

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.nets.training._recipes import training_recipes
from steepslope_lab.paper.preset import read_paper_preset
from tests.conftest import Captured


def test_changes_reach_into_trainings_that_are_named() -> None:
    changes = {"recipe.0.training.stages.0.epochs": "3", "nets.small.train.epochs": "2", "seeds": "[5]"}
    changed, usual = read_paper_preset("mnist", changes), read_paper_preset("mnist")
    assert [stage["epochs"] for stage in changed.recipe[0].training["stages"]] == [3, 20, 100]
    assert [stage["epochs"] for stage in usual.recipe[0].training["stages"]] == [500, 20, 100]
    assert (changed.nets["small"].train["epochs"], usual.nets["small"].train["epochs"]) == (2, 100)
    assert changed.seeds == (5,)


def test_changes_reach_into_what_a_preset_leaves_out() -> None:
    changed = read_paper_preset("imagenet", {"recolor.steps": "300", "features.hidden": "[64]"})
    assert (changed.recolor, changed.features) == ({"steps": 300}, {"hidden": [64]})
    assert (
        read_paper_preset("imagenet", {"recolor.steps": "100"}).features == read_paper_preset("imagenet").features == {}
    )


def test_pairs_that_share_a_training_are_changed_one_at_a_time() -> None:
    """In its file, all pairs of the preset have one mapping of settings."""
    pairs = read_paper_preset("digits", {"pairs.1.training.epochs": "9"}).pairs
    assert [pair.training["epochs"] for pair in pairs] == [5, 9, 5, 5]


def test_unknown_settings_are_named() -> None:
    with pytest.raises(SteepslopeError, match="preset mnist: unknown preset 'mnits': did you mean 'mnist'"):
        read_paper_preset("mnist", {"recipe.0.training": "mnits"})
    with pytest.raises(SteepslopeError, match=r"unknown place in 'recipe\.1\.oracle'"):
        read_paper_preset("mnist", {"recipe.1.oracle": "small"})
    with pytest.raises(SteepslopeError, match="unknown net in pairs 'smal': did you mean 'small'"):
        read_paper_preset("mnist", {"recipe.0.oracle": "smal"})


PRESETS = [*training_recipes()]


@pytest.mark.parametrize("name", PRESETS)
def test_its_command_takes_each_training(name: str) -> None:
    command = "train-classifier" if name.endswith("-classifier") else "finetune"
    nets = ["--oracle", "a", "--classifier", "b"] if command == "finetune" and not name.startswith("imagenet") else []
    assert main([command, "--config", name, *nets, "--data", "c", "--out", "o", "--print-config"]) == 0


def test_what_is_given_beside_a_preset_comes_after_it(capsys: Captured) -> None:
    assert main(["finetune", "--loss", "focal", "--config", "mnist", "--print-config"]) == 0
    printed = capsys.readouterr().out
    assert '"loss": "focal"' in printed
    assert '"alpha_pos": 10' in printed
    assert main(["finetune", "--config", "mnits"]) == 2
    assert "did you mean 'mnist'" in capsys.readouterr().err
