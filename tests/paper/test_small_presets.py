"""The presets mnist and cifar10 from torchvision's files to Table 2, on a few digits in the shapes of their images."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

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
from tests.conftest import write_idx

COUNTS = {"mnist": (600, 200), "cifar10": (150, 60)}  # images to train and to test
HELD_OUT = {"mnist": 150, "cifar10": 50}
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
    changes = [*CHANGES[preset], f"nets.small.train.holdout={HELD_OUT[preset]}", "resamples=20"]
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
    held_out = HELD_OUT[table2.preset]
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
