"""Presets as plans, compared with the paper; and mnist from torchvision's files to Table 2, on a few digits."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from numpy.typing import NDArray

from steepslope.cli._main import main
from steepslope.nets.training._on_images import ImageOracle
from steepslope.outputs import ClassifierOutputs
from steepslope_lab.paper.oracle_steps import _spec_of_input
from steepslope_lab.paper.preset import read_paper_preset, training_settings
from tests.conftest import Captured, write_idx

TRAIN, TEST, HELD_OUT_HERE = 600, 200, 150  # images here
LINES = ["MCP", "MCDropout", "TrustScore", "TCP", "SS", "best single score", "TCP, new layers alone", "fused, free"]


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return scikit-learn's digits under noise, enlarged to 28×28 pixels, and their labels."""
    bunch = sklearn.datasets.load_digits()
    small = bunch.images[: TRAIN + TEST] * 15
    large = np.pad(small.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    noisy = large + np.random.default_rng(0).normal(scale=60, size=large.shape)
    return np.asarray(noisy.clip(0, 255), dtype=np.uint8), bunch.target[: TRAIN + TEST].astype(np.int64)


@pytest.mark.slow
def test_table_2_from_files_to_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Table 2 of one seed, shortened, from files as torchvision unpacks those that the preset names."""
    folder, out = tmp_path / "MNIST" / "raw", tmp_path / "out"
    folder.mkdir(parents=True)
    pixels, labels = digits()
    for stem, rows in (("train", slice(TRAIN)), ("t10k", slice(TRAIN, None))):
        write_idx(folder / f"{stem}-images-idx3-ubyte", pixels[rows])
        write_idx(folder / f"{stem}-labels-idx1-ubyte", labels[rows].astype(np.uint8))
    changes = ["nets.small.train.epochs=3", "nets.small.train.learning_rate=0.03", "nets.small.passes=4"]
    changes += [f"nets.small.train.holdout={HELD_OUT_HERE}", "resamples=20"]
    changes += [f"recipe.0.training.stages.{number}.epochs={number + 1}" for number in range(3)]
    monkeypatch.setenv("STEEPSLOPE_DATA", str(tmp_path))
    words = ["reproduce", "table2", "--preset", "mnist", "--seeds", "0", "--out", str(out), "--compare"]
    assert main([*words, "--set", ",".join(changes)]) == 0
    found = json.loads((out / "table2.json").read_text())["rows"]
    assert Counter(row["score"] for row in found) == dict.fromkeys(LINES, 1)
    assert {row["n"] for row in found} == {TEST}
    assert "MNIST" in (out / "table2-compared.md").read_text()
    outputs = {split: ClassifierOutputs.load(out / "work/outputs/small-0" / split) for split in ("holdout", "test")}
    assert len(outputs["holdout"]) == HELD_OUT_HERE
    assert found[0]["accuracy"][0] == pytest.approx(outputs["test"].is_correct.mean(), abs=1e-5)
    assert "dropout" in outputs["test"].arrays
    stages = out / "work/oracles/small-small-0/in-stages"
    recipes = [ImageOracle.load(stages / name).recipe for name in ("confidnet", "confidnet-tuned", "steep-slope")]
    assert [one["epochs"] for one in recipes] == [1, 2, 3]
    assert [one["loss"] for one in recipes] == ["true_class_probability"] * 2 + ["steep_slope"]
    assert [one["trainable"] for one in recipes] == ["head", "all", "all"]


# All sixteen trainings on ImageNet: paper, Section 4; where it is silent, the authors' code.
ON_IMAGENET = {
    "optimizer": "sgd", "learning_rate": "1e-05", "weight_decay": "0", "batch_size": "40", "epochs": "1",
    "schedule": "one_cycle", "warmup_steps": "100", "momentum": "0.05", "cycle_momentum": "True", "flip": "True",
    "gamma": "2", "select": "last",
}  # fmt: skip
AUTHORS_224, AUTHORS_384 = (f"size={side}&mean=0.5&std=0.5&resize=squash" for side in (224, 384))
PAIRS = {  # ⟨oracle, classifier⟩: its own settings
    ("vit", "vit"): {
        "classifier_input": AUTHORS_384, "oracle_input": AUTHORS_384, "alpha_pos": "1", "alpha_neg": "3",
    },
    ("vit", "rsn"): {
        "classifier_input": AUTHORS_224, "oracle_input": AUTHORS_384, "oracle_sees": "nearest", "alpha_pos": "1",
        "alpha_neg": "3",
    },
    ("rsn", "vit"): {
        "classifier_input": AUTHORS_384, "oracle_input": AUTHORS_224, "oracle_sees": "nearest", "alpha_pos": "2",
        "alpha_neg": "5",
    },
    ("rsn", "rsn"): {
        "classifier_input": AUTHORS_224, "oracle_input": AUTHORS_224, "alpha_pos": "2", "alpha_neg": "5",
    },
}  # fmt: skip
LOSSES = {"CE": "cross_entropy", "Focal": "focal", "TCP": "true_class_probability", "SS": "steep_slope"}

# The small data sets: the authors' code, a fork of ConfidNet.
CLASSIFIER = {
    "optimizer": "sgd", "learning_rate": "0.001", "momentum": "0.9", "batch_size": "128", "schedule": "constant",
}  # fmt: skip
CLASSIFIERS = {
    "mnist": {"net": "mnist-net", "epochs": "100", "weight_decay": "0.0001", "holdout": "6000"},
    "cifar10": {
        "net": "cifar-vgg", "epochs": "250", "weight_decay": "0.0005", "holdout": "5000",
        "flip": "True", "rotate": "15",
    },
}  # fmt: skip
STEEP_SLOPE = {
    "mnist": {"alpha_pos": "10", "alpha_neg": "6", "learning_rate": "5e-07", "epochs": "100"},
    "cifar10": {"alpha_pos": "1", "alpha_neg": "1", "learning_rate": "9e-07", "epochs": "5"},
}


def stages_of(preset: str) -> list[dict[str, str]]:
    """Return the three stages of a small data set: the new layers of TCP, its encoder too, and steep slope from it."""
    tcp = {"loss": "true_class_probability", "head": "linear", "batch_norm": "frozen"}
    first = {"trainable": "head", "learning_rate": "0.0001", "epochs": "500", "frozen_dropout": "predictions"}
    second = {"learning_rate": "1e-06", "epochs": "20", "dropout": "False"}
    third = {"loss": "steep_slope", "head": "hyperplane", "batch_norm": "frozen", "dropout": "True"}
    return [
        {"name": "confidnet", **tcp, **first},
        {"name": "confidnet-tuned", **tcp, **second},
        {"name": "steep-slope", **third, **STEEP_SLOPE[preset]},
    ]


Plan = dict[str, tuple[int, list[dict[str, str]]]]  # what steps do: how many there are, and their settings by stages


def plan_of(preset: str, capsys: Captured) -> Plan:
    """Plan all of a preset on the command line, for one seed of its three, and read what it says."""
    assert main(["reproduce", "all", "--preset", preset, "--seeds", "0", "--dry-run"]) == 0
    plan: Plan = {}
    for line in capsys.readouterr().out.splitlines():
        count, about = line.split(" × ", 1)
        title, _, settings = about.partition(": ")
        title = re.sub(r", [\d,]+ steps of \d+ images$", "", title)
        plan[title] = (
            int(count),
            [dict(re.findall(r"(\w+) ((?:[^,\[\]]|,(?! ))+)", part)) for part in settings.split("[")],
        )
    return plan


def check_imagenet(plan: Plan) -> None:
    """Compare the trainings of Table 1."""
    for (oracle, classifier), own in PAIRS.items():
        for name, loss in LOSSES.items():
            settings = {**ON_IMAGENET, **own, "loss": loss}
            assert plan[f"train oracle ⟨{oracle}, {classifier}⟩ {name} ({classifier} run live)"] == (1, [settings])


def check_small(preset: str) -> Callable[[Plan], None]:
    """Return the comparison of a classifier and its oracles in stages."""

    def check(plan: Plan) -> None:
        assert plan["train classifier small"] == (1, [{**CLASSIFIER, **CLASSIFIERS[preset]}])
        assert plan[IN_STAGES] == (1, [SHARED, *stages_of(preset)])
        for place in ("test", "holdout"):
            assert plan[f"extract small on {place}, 50 passes with dropout"][0] == 1

    return check


def check_public(plan: Plan) -> None:
    """Compare the oracles on a frozen classifier with those on the paper's: the recipe is the same."""
    assert not any(title.startswith("train classifier") for title in plan)
    inputs = {"oracle_input": "size=32&mean=0.485,0.456,0.406&std=0.229,0.224,0.225"}
    assert plan[IN_STAGES] == (1, [SHARED | inputs, *stages_of("cifar10")])


IN_STAGES = "train oracle ⟨small, small⟩ in stages"
SHARED = {
    "hidden": "400+400+400+400", "optimizer": "adam", "schedule": "constant", "batch_size": "128",
    "select": "aupr_error",
}  # fmt: skip
CHECKS = {
    "imagenet": check_imagenet, "mnist": check_small("mnist"), "cifar10": check_small("cifar10"),
    "cifar10-resnet20": check_public, "cifar10-resnet56": check_public,
}  # fmt: skip


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with another where torchvision's data sets would be, and without a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEEPSLOPE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(socket, "getaddrinfo", None)
    monkeypatch.setattr(socket.socket, "connect", None)
    return tmp_path


@pytest.mark.parametrize("preset", CHECKS)
def test_what_is_planned_is_the_paper(preset: str, bare: Path, capsys: Captured) -> None:
    assert read_paper_preset(preset).seeds == (0, 1, 2)
    CHECKS[preset](plan_of(preset, capsys))
    assert list(bare.iterdir()) == []  # nothing was downloaded or written


def test_nets_agree_with_the_trainings() -> None:
    """What the preset says of a net is what each training says of the oracle or classifier that it is."""
    preset = read_paper_preset("imagenet")
    names = {"vit": "vit", "rsn": "resnet"}
    assert [(pair.oracle, pair.classifier) for pair in preset.pairs] == [*PAIRS]
    for pair in preset.pairs:
        training = training_settings(f"imagenet-{names[pair.oracle]}-{names[pair.classifier]}")
        assert pair.training == training
        for role in ("oracle", "classifier"):
            net = preset.nets[getattr(pair, role)]
            assert training[role] == net.spec
            assert training[f"{role}_input"] == _spec_of_input(net.input)


def test_a_plan_without_the_images_tells_the_steps(capsys: Captured) -> None:
    """ImageNet has 1,281,167 training images, and the paper's batches 40."""
    assert main(["reproduce", "table1", "--preset", "imagenet", "--seeds", "0", "--dry-run"]) == 0
    trainings = [line for line in capsys.readouterr().out.splitlines() if "train oracle" in line]
    assert trainings
    assert all("32,030 steps of 40 images" in line for line in trainings)
