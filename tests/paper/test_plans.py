"""The presets mnist and cifar10 from torchvision's files to Table 2, on a few digits in the shapes of their images."""

from __future__ import annotations

import json
import math
import pickle
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pytest
import sklearn.datasets
import torch
import torchvision.datasets
from numpy.typing import NDArray

from steepslope.classifiers.specs import load_classifier
from steepslope.cli.main import main
from steepslope.oracle.on_images import ImageOracle
from steepslope.outputs import ClassifierOutputs
from steepslope.paper import steps as planning
from steepslope.paper.preset import read_preset, training_settings
from tests.conftest import write_idx
from tests.paper.plans import Plan, plan_of

COUNTS = {"mnist": (600, 200), "cifar10": (150, 60)}  # images to train and to test
SMALL_HELD_OUT = {"mnist": 150, "cifar10": 50}
STAGES = ["confidnet", "confidnet-tuned", "steep-slope"]
LINES = ["MCP", "MCDropout", "TrustScore", "TCP", "SS", "best single score", "TCP, new layers alone", "fused, free"]
CHANGES = {
    "mnist": ["nets.small.train.epochs=3", "nets.small.train.learning_rate=0.03", "nets.small.passes=4"],
    "cifar10": ["nets.small.train.epochs=2", "nets.small.train.learning_rate=0.005", "nets.small.passes=2"],
}


def digits(preset: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return scikit-learn's digits under noise, enlarged to 28×28 pixels, or to 32×32 in colour; and their labels."""
    rng, count = np.random.default_rng(0), sum(COUNTS[preset])
    bunch = sklearn.datasets.load_digits()
    small = bunch.images[:count] * 15
    if preset == "mnist":
        large = np.pad(small.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    else:
        large = small.repeat(4, axis=1).repeat(4, axis=2)[..., None] * rng.uniform(0.5, 1, size=(count, 1, 1, 3))
    noisy = large + rng.normal(scale=60, size=large.shape)
    return np.asarray(noisy.clip(0, 255), dtype=np.uint8), bunch.target[:count].astype(np.int64)


def write_mnist(root: Path) -> None:
    """Write the four files as torchvision unpacks them."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    pixels, labels = digits("mnist")
    train = COUNTS["mnist"][0]
    for stem, rows in (("train", slice(train)), ("t10k", slice(train, None))):
        write_idx(folder / f"{stem}-images-idx3-ubyte", pixels[rows])
        write_idx(folder / f"{stem}-labels-idx1-ubyte", labels[rows].astype(np.uint8))


def write_cifar(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Write the pickles, and have torchvision read them without the checksums, which are those of the real files."""
    kind = torchvision.datasets.CIFAR10
    for name in ("train_list", "test_list"):
        patch.setattr(kind, name, [[file, None] for file, _ in getattr(kind, name)])
    patch.setattr(kind, "meta", kind.meta | {"md5": None})
    folder = root / kind.base_folder
    folder.mkdir()
    pixels, labels = digits("cifar10")
    rows, train = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1), COUNTS["cifar10"][0]
    batches = [*np.split(np.arange(train), len(kind.train_list)), np.arange(train, len(pixels))]
    for (file, _), batch in zip([*kind.train_list, *kind.test_list], batches, strict=True):
        (folder / file).write_bytes(pickle.dumps({"data": rows[batch], "labels": labels[batch].tolist()}))
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps({kind.meta["key"]: [*map(str, range(10))]}))


class Run(NamedTuple):
    """A preset, where its results lie, and the rows of its table."""

    preset: str
    out: Path
    rows: list[dict[str, Any]]

    @property
    def outputs(self) -> dict[str, ClassifierOutputs]:
        """The classifier's outputs by split."""
        folder = self.out / "work/outputs/small-0"
        return {split: ClassifierOutputs.load(folder / split) for split in ("train", "holdout", "test")}


@pytest.fixture(scope="module", params=COUNTS)
def table2(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Make Table 2 of one seed, shortened, from the data that the preset itself names."""
    preset, root = str(request.param), tmp_path_factory.mktemp("data")
    out = tmp_path_factory.mktemp(preset) / "out"
    changes = [*CHANGES[preset], f"nets.small.train.holdout={SMALL_HELD_OUT[preset]}", "resamples=20"]
    changes += [f"recipe.0.training.stages.{number}.epochs={number + 1}" for number in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEEPSLOPE_DATA", str(root))
        write_mnist(root) if preset == "mnist" else write_cifar(root, patch)
        words = ["reproduce", "table2", "--preset", preset, "--seeds", "0", "--out", str(out), "--compare"]
        assert main([*words, "--set", ",".join(changes)]) == 0
        yield Run(preset, out, json.loads((out / "table2.json").read_text())["rows"])


@pytest.mark.slow
def test_table_2_is_complete(table2: Run) -> None:
    assert Counter(row["score"] for row in table2.rows) == dict.fromkeys(LINES, 1)
    for row in table2.rows:
        assert row["n"] == COUNTS[table2.preset][1]
        for name in ("fpr_at_95tpr", "aupr_error", "aupr_success", "auc"):
            assert 0 <= row[name][0] <= 1, (row["score"], name)
    for end in ("md", "tex", "csv"):
        assert (table2.out / f"table2.{end}").stat().st_size > 0
    title = {"mnist": "MNIST", "cifar10": "CIFAR-10"}[table2.preset]
    assert title in (table2.out / "table2-compared.md").read_text()


@pytest.mark.slow
def test_accuracy_is_that_of_the_classifier(table2: Run) -> None:
    """Its checkpoint, run on the pixels that were written, gives the accuracy of every row."""
    pixels, labels = (array[COUNTS[table2.preset][0] :] for array in digits(table2.preset))
    classifier = load_classifier(f"checkpoint:{table2.out}/work/nets/small-0")
    card = classifier.card
    assert card is not None
    inputs = (torch.from_numpy(pixels.astype(np.float32)) / 255 - card.mean) / card.std
    _, logits = classifier(inputs.unsqueeze(1) if inputs.ndim == 3 else inputs.permute(0, 3, 1, 2))
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    assert 0 < accuracy < 1
    for row in table2.rows:
        assert row["accuracy"][0] == pytest.approx(accuracy, abs=1e-5)


@pytest.mark.slow
def test_a_tenth_is_held_out_and_judges_epochs(table2: Run) -> None:
    """The held-out rows are none of those that the classifier and the oracles learn from."""
    ids = {split: {*np.asarray(outputs.ids).tolist()} for split, outputs in table2.outputs.items()}
    held_out = SMALL_HELD_OUT[table2.preset]
    train, test = COUNTS[table2.preset]
    assert [len(ids[one]) for one in ("train", "holdout", "test")] == [train - held_out, held_out, test]
    assert not ids["train"] & ids["holdout"]
    card = load_classifier(f"checkpoint:{table2.out}/work/nets/small-0").card
    assert card is not None
    assert (card.holdout, card.split_seed) == (held_out, 42)
    assert table2.outputs["test"].arrays.keys() >= {"dropout"}


@pytest.mark.slow
def test_stages_follow_one_another(table2: Run) -> None:
    """The first leaves the classifier's encoder as it is, batch normalisation included; the others train it too."""
    folder = table2.out / "work/oracles/small-small-0/in-stages"
    oracles = [ImageOracle.load(folder / name) for name in STAGES]
    assert [one.recipe["epochs"] for one in oracles] == [1, 2, 3]
    assert [one.recipe["loss"] for one in oracles] == ["true_class_probability"] * 2 + ["steep_slope"]
    assert [one.recipe["trainable"] for one in oracles] == ["head", "all", "all"]
    assert {tuple(one.recipe["hidden"]) for one in oracles} == {(400, 400, 400, 400)}
    classifier = load_classifier(f"checkpoint:{table2.out}/work/nets/small-0").net.state_dict()
    encoders = [{name.removeprefix("backbone."): weight for name, weight in one.net.state_dict().items()
                 if name.startswith("backbone.")} for one in oracles]  # fmt: skip
    trained = [name for name in encoders[0] if name.endswith("weight") and "encoder" in name]
    assert trained
    for name in encoders[0]:
        torch.testing.assert_close(encoders[0][name], classifier[name], rtol=0, atol=0)
    assert all(any(not torch.equal(one[name], classifier[name]) for name in trained) for one in encoders[1:])
    for name in (name for name in encoders[0] if "running" in name):
        torch.testing.assert_close(encoders[2][name], classifier[name], rtol=0, atol=0)


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


OTHER_NUMBERS = [
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


@pytest.mark.parametrize(("preset", "change"), OTHER_NUMBERS)
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


def test_fewer_images_than_are_held_out_are_refused_before_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """Digits have 1,000 training images, of which the preset would hold 6,000 out."""
    assert main(["reproduce", "table2", "--preset", "mnist", "--data", "digits", "--dry-run"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "nets.small.train.holdout: expected 1 to 999 of the 1,000 images of digits, found 6,000" in shown.err
