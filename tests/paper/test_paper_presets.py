"""The presets for the paper's own data: what they plan is the paper, number by number, without data or weights."""

from __future__ import annotations

import math
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from steepslope.paper import steps as planning
from steepslope.paper.preset import read_preset, training_settings
from tests.paper.plans import Plan, plan_of

# All sixteen trainings on ImageNet: paper, Section 4; where it is silent, the authors' code.
ON_IMAGENET = {
    "optimizer": "sgd", "learning_rate": "1e-05", "weight_decay": "0", "batch_size": "40", "epochs": "1",
    "schedule": "one_cycle", "warmup_steps": "100", "momentum": "0.05", "cycle_momentum": "True", "flip": "True",
    "oracle_resize": "squash", "classifier_resize": "squash", "oracle_mean": "0.5", "oracle_std": "0.5",
    "classifier_mean": "0.5", "classifier_std": "0.5", "gamma": "2", "select": "last",
}  # fmt: skip
PAIRS = {  # ⟨oracle, classifier⟩: its own settings
    ("vit", "vit"): {"classifier_size": "384", "oracle_size": "384", "alpha_pos": "1", "alpha_neg": "3"},
    ("vit", "rsn"): {
        "classifier_size": "224", "oracle_size": "384", "oracle_sees": "nearest", "alpha_pos": "1", "alpha_neg": "3",
    },
    ("rsn", "vit"): {
        "classifier_size": "384", "oracle_size": "224", "oracle_sees": "nearest", "alpha_pos": "2", "alpha_neg": "5",
    },
    ("rsn", "rsn"): {"classifier_size": "224", "oracle_size": "224", "alpha_pos": "2", "alpha_neg": "5"},
}  # fmt: skip
LOSSES = {"CE": "cross_entropy", "Focal": "focal", "TCP": "true_class_probability", "SS": "steep_slope"}
IMAGES, STEPS = 1_281_167, 32_030

# The small data sets: the authors' code, a fork of ConfidNet.
CLASSIFIER = {
    "optimizer": "sgd", "learning_rate": "0.001", "momentum": "0.9", "batch_size": "128", "schedule": "constant",
    "split_seed": "42",
}  # fmt: skip
CLASSIFIERS = {
    "mnist": {"net": "mnist-net", "epochs": "100", "weight_decay": "0.0001", "holdout": "6000"},
    "cifar10": {
        "net": "cifar-vgg", "epochs": "250", "weight_decay": "0.0005", "holdout": "5000",
        "flip": "True", "rotate": "15",
    },
}  # fmt: skip
FITTED, HELD_OUT = {"mnist": 54_000, "cifar10": 45_000}, {"mnist": 6_000, "cifar10": 5_000}  # 10 % are held out
STEEP_SLOPE = {
    "mnist": {"alpha_pos": "10", "alpha_neg": "6", "learning_rate": "5e-07", "epochs": "100"},
    "cifar10": {"alpha_pos": "1", "alpha_neg": "1", "learning_rate": "9e-07", "epochs": "5"},
}


def stages_of(preset: str) -> list[dict[str, str]]:
    """Return the three stages of a small data set: the new layers of TCP, its encoder too, and steep slope from it."""
    tcp = {"loss": "true_class_probability", "head": "linear", "batch_norm": "frozen"}
    first = {"trainable": "head", "learning_rate": "0.0001", "epochs": "500", "frozen_dropout": "True"}
    second = {"learning_rate": "1e-06", "epochs": "20", "dropout": "False"}
    third = {"loss": "steep_slope", "head": "hyperplane", "batch_norm": "frozen", "dropout": "False"}
    return [
        {"name": "confidnet", **tcp, **first},
        {"name": "confidnet-tuned", **tcp, **second},
        {"name": "steep-slope", **third, **STEEP_SLOPE[preset]},
    ]


def check_imagenet(plan: Plan) -> None:
    """Compare the trainings of Table 1."""
    oracles = plan.oracles()
    for (oracle, classifier), own in PAIRS.items():
        for name, loss in LOSSES.items():
            line = oracles[oracle, classifier, name]
            assert line.settings == {**ON_IMAGENET, **own, "loss": loss}
            assert line.count == 3  # runs
            assert line.oracle["live"] == classifier
            assert line.images == IMAGES
            assert math.ceil(line.images / int(line.settings["batch_size"])) == STEPS


def check_small(preset: str) -> Callable[[Plan], None]:
    """Return the comparison of a classifier and its oracles in stages."""

    def check(plan: Plan) -> None:
        classifier = plan.only("train classifier")
        assert classifier.settings == {**CLASSIFIER, **CLASSIFIERS[preset]}
        assert (classifier.count, classifier.images) == (3, FITTED[preset] * int(CLASSIFIERS[preset]["epochs"]))
        oracle = plan.oracles()["small", "small", "in stages"]
        shared = {"hidden": "400+400+400+400", "optimizer": "adam", "schedule": "constant", "batch_size": "128",
                  "select": "aupr_error"}  # fmt: skip
        assert oracle.settings == {**shared, "stages": stages_of(preset)}
        epochs = 500 + 20 + int(STEEP_SLOPE[preset]["epochs"])
        assert (oracle.count, oracle.images) == (3, FITTED[preset] * epochs)
        assert plan.only("extract small on test, 50 passes with dropout").images == 51 * 10_000
        assert plan.only("extract small on holdout, 50 passes with dropout").images == 51 * HELD_OUT[preset]

    return check


CHECKS = {"imagenet": check_imagenet, "mnist": check_small("mnist"), "cifar10": check_small("cifar10")}


def refuse(*_: Any) -> NoReturn:
    """Stand for the network."""
    raise AssertionError("a plan needs no network")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with another where torchvision's data sets would be, and without a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEEPSLOPE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tmp_path


@pytest.fixture
def untried(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take it that each net sees 1,000 images a second."""
    monkeypatch.setattr(planning, "images_per_second", lambda workspace, name: 1000.0)


@pytest.mark.parametrize("preset", CHECKS)
def test_what_is_planned_is_the_paper(preset: str, bare: Path, untried: None) -> None:
    CHECKS[preset](plan_of(preset))
    assert list(bare.iterdir()) == []  # nothing was downloaded or written


CHANGES = [
    ("imagenet", "pairs.0.training.learning_rate=1.0e-4"),
    ("imagenet", "pairs.1.training.oracle_sees=image"),
    ("imagenet", "pairs.2.training.warmup_steps=1000"),
    ("imagenet", "pairs.3.training.alpha_neg=3"),
    ("imagenet", "pairs.3.training.dropout=false"),  # a setting that the authors leave as it is
    ("imagenet", "nets.rsn.size=256"),
    ("imagenet", "seeds=[0]"),
    ("mnist", "nets.small.train.epochs=99"),
    ("mnist", "recipe.0.training.stages.2.alpha_pos=9"),
    ("mnist", "nets.small.passes=10"),
    ("cifar10", "nets.small.train.rotate=10"),
    ("cifar10", "recipe.0.training.hidden=400"),
]


@pytest.mark.parametrize(("preset", "change"), CHANGES)
def test_another_number_is_seen(preset: str, change: str, untried: None) -> None:
    """The comparison fails wherever a preset differs."""
    experiment = "table1" if preset == "imagenet" else "table2"
    CHECKS[preset](plan_of(preset, experiment=experiment))
    with pytest.raises(AssertionError):
        CHECKS[preset](plan_of(preset, "--set", change, experiment=experiment))


def test_forward_passes_are_counted(untried: None) -> None:
    """A step of training counts three; dropout in the frozen encoder needs its passes anew each epoch."""
    classifier = 3 * 100 * 54_000
    outputs = 51 * 10_000 + 51 * 6_000 + 54_000 + 54_000 + 6_000  # with copies of the fit set and the held-out rows
    stages = (500 + 3 * 20 + 3 * 100) * 54_000
    judged = 3 * 10_000  # the oracle of each stage
    assert plan_of("mnist").passes == {"small": 3 * (classifier + outputs + stages + judged)}
    quick = plan_of("mnist", "--set", "recipe.0.training.stages.0.frozen_dropout=false").passes["small"]
    assert quick == 3 * (classifier + outputs + (1 + 3 * 20 + 3 * 100) * 54_000 + judged)


def test_a_live_classifier_is_counted(untried: None) -> None:
    """Table 1 with one seed: each net is the backbone of eight oracles, and the classifier beside eight."""
    passes = plan_of("imagenet", "--seeds", "0", experiment="table1").passes
    trainings = 8 * 3 * IMAGES + 8 * IMAGES
    outputs = IMAGES + 50_000
    scores = 2 * 4 * 40_000  # on two classifiers: four losses; what is cut elsewhere is not run again
    assert passes == dict.fromkeys(("vit", "rsn"), trainings + outputs + scores)


def test_nets_agree_with_the_trainings() -> None:
    """What the preset says of a net is what each training says of the oracle or classifier that it is."""
    preset = read_preset("imagenet")
    names = {"vit": "vit", "rsn": "resnet"}
    assert [(pair.oracle, pair.classifier) for pair in preset.pairs] == [*PAIRS]
    for pair in preset.pairs:
        training = training_settings(f"imagenet-{names[pair.oracle]}-{names[pair.classifier]}")
        assert pair.training == training
        for role in ("oracle", "classifier"):
            net = preset.nets[getattr(pair, role)]
            assert training[role] == net.spec
            assert {name: training[f"{role}_{name}"] for name in ("size", "mean", "std", "resize")} == net.input


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "nets"), [("imagenet", {"vit", "rsn"}), ("mnist", {"small"}), ("cifar10", {"small"})]
)
def test_nets_are_tried_without_weights(preset: str, nets: set[str], bare: Path) -> None:
    assert set(plan_of(preset, "--seeds", "0").passes) == nets
    assert list(bare.iterdir()) == []
