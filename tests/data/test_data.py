"""Data specs, IDX files, classifiers and extraction."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from steepslope.classifiers.classifier import CARD, WEIGHTS
from steepslope.classifiers.specs import load_classifier
from steepslope.classifiers.training import recipe_for, train_classifier
from steepslope.data.datasets import DATASETS, holdout_split, parse_dataset
from steepslope.data.idx import read_idx
from steepslope.data.images import Images
from steepslope.errors import SteepslopeError
from steepslope.extraction.extraction import extract, extract_to_folder, named_data
from steepslope.extraction.options import ExtractionOptions
from steepslope.outputs import ClassifierOutputs
from steepslope.utilities.files import read_json, write_json
from tests.conftest import write_idx


def test_digits_are_cut_once() -> None:
    train, test = (parse_dataset("digits").load_into_memory(split) for split in ("train", "test"))
    assert (len(train), len(test)) == (1000, 797)
    assert set(train.ids).isdisjoint(test.ids)
    assert train.pixels.shape[1:] == (8, 8)
    assert train.pixels.max() == 255


def test_idx_files_plain_and_gzipped(idx_folder: Path) -> None:
    train, test = (parse_dataset(f"idx:{idx_folder}").load_into_memory(split) for split in ("train", "test"))
    expected = np.random.default_rng(0).integers(256, size=(40, 8, 8), dtype=np.uint8)
    np.testing.assert_array_equal(train.pixels, expected)
    assert test.labels.tolist() == [0, 1, 2, 3] * 5
    assert test.ids[3] == "test/00003"


@pytest.mark.parametrize(
    ("spec", "rest", "split"),
    [
        ("digits", "", None),
        ("digits:test", "", "test"),
        ("idx:/a/b", "/a/b", None),
        ("idx:/a:b:train", "/a:b", "train"),
    ],
)
def test_specs(spec: str, rest: str, split: str | None) -> None:
    parsed = parse_dataset(spec)
    assert (parsed.rest, parsed.split) == (rest, split)
    assert str(parsed) == spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", r"unknown data scheme .* did you mean 'digits'"),
        ("digits:x", "expected digits, digits:train or digits:test"),
        ("idx:/no/such", "no such folder"),
        ("torchvision:MNITS", "did you mean 'MNIST'"),
    ],
)
def test_bad_specs_are_named(spec: str, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        parse_dataset(spec).load("train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an IDX file"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x01A", "in 3 dimensions"),
        (b"\x00\x00\x08\x03" + b"\x00\x00\x00\x02" * 3 + b"1234567", "expected 8 bytes of data, found 7"),
        (b"\x00\x00\x08\x03\x00", "expected an IDX file"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(SteepslopeError, match=message):
        read_idx(tmp_path / "file", 3)


def test_damaged_gzip_is_named(tmp_path: Path) -> None:
    write_idx(tmp_path / "file.gz", np.zeros(1000, dtype=np.uint8))
    (tmp_path / "file.gz").write_bytes((tmp_path / "file.gz").read_bytes()[:-12])
    with pytest.raises(SteepslopeError, match=r"file\.gz: cannot be read"):
        read_idx(tmp_path / "file.gz", 1)


def test_missing_and_mismatched_idx_files_are_named(idx_folder: Path) -> None:
    write_idx(idx_folder / "train-labels-idx1-ubyte", np.zeros(3, dtype=np.uint8))
    with pytest.raises(SteepslopeError, match="expected 40 labels, one for each train image, found 3"):
        parse_dataset(f"idx:{idx_folder}").load("train")
    (idx_folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(SteepslopeError, match="expected a file train-labels-idx1-ubyte"):
        parse_dataset(f"idx:{idx_folder}").load("train")


def test_torchvision_reads_its_own_folder(idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give torchvision the raw files where it would download them to; its own loader does the rest."""
    raw = tmp_path / "cache" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    images = {split: parse_dataset(f"idx:{idx_folder}").load_into_memory(split) for split in ("train", "test")}
    for split, stem in (("train", "train"), ("test", "t10k")):
        write_idx(raw / f"{stem}-images-idx3-ubyte", images[split].pixels)
        write_idx(raw / f"{stem}-labels-idx1-ubyte", images[split].labels.astype(np.uint8))
    monkeypatch.setenv("STEEPSLOPE_DATA", str(tmp_path / "cache"))
    loaded = parse_dataset("torchvision:MNIST").load_into_memory("test")
    np.testing.assert_array_equal(loaded.pixels, images["test"].pixels)
    assert loaded.labels.tolist() == images["test"].labels.tolist()


def test_torchvision_says_when_it_cannot_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets

    monkeypatch.setenv("STEEPSLOPE_DATA", str(tmp_path))
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", ["file:///no/such/place/"])
    with pytest.raises(SteepslopeError, match="torchvision:KMNIST: neither found in"):
        parse_dataset("torchvision:KMNIST").load("test")


def test_every_scheme_is_documented() -> None:
    for family in DATASETS.values():
        assert (family.load_split or family.open_whole).__doc__


def test_holdout_is_a_partition_fixed_by_its_seed() -> None:
    fitted, held_out = holdout_split(1000, 300, seed=1)
    assert sorted([*fitted, *held_out]) == list(range(1000))
    np.testing.assert_array_equal(held_out, holdout_split(1000, 300, seed=1)[1])
    assert held_out.tolist() != holdout_split(1000, 300, seed=2)[1].tolist()
    assert len(holdout_split(1000, None, seed=1)[1]) == 500


@pytest.mark.parametrize("count", [0, 10, -1])
def test_holdout_must_leave_both_sides(count: int) -> None:
    with pytest.raises(SteepslopeError, match=f"expected 1 to 9 of the 10 training rows, found {count}"):
        holdout_split(10, count, seed=0)


def test_extraction_keeps_rows_and_splits(demo: Path, tmp_path: Path) -> None:
    classifier = load_classifier(f"checkpoint:{demo / 'seed0' / 'classifier'}")
    splits = {name: ClassifierOutputs.load(demo / "seed0" / "outputs" / name) for name in ("train", "holdout", "test")}
    ids = [set(outputs.ids.tolist()) for outputs in splits.values() if outputs.ids is not None]
    assert sum(len(some) for some in ids) == len(set.union(*ids)) == 1797
    images = parse_dataset("digits").load("test")
    out = tmp_path / "again"
    again = extract(classifier, {out: ("digits:test", images)}, ExtractionOptions(batch_size=100))[out]
    np.testing.assert_allclose(again.logits, splits["test"].logits, atol=1e-5)
    assert again.features is not None
    assert again.features.shape == (797, 32)


def test_held_out_rows_are_known_under_any_name(idx_folder: Path, tmp_path: Path) -> None:
    """The split is recognised by the images, not by their folder's name; other images get a cut of their own."""
    recipe = recipe_for("digits-net", epochs=1)
    classifier, _ = train_classifier("digits-net", f"idx:{idx_folder}", tmp_path / "c", recipe, holdout=5)
    assert classifier.card is not None
    fitted, held_out = holdout_split(40, 5, classifier.card.split_seed)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(idx_folder, elsewhere)
    for spec in (f"idx:{idx_folder}/", f"idx:{elsewhere}"):
        splits = named_data(classifier, parse_dataset(spec), None)
        assert list(splits["holdout"].ids) == [f"train/{row:05d}" for row in held_out]
        assert len(splits["train"]) == len(fitted)
    write_idx(elsewhere / "train-images-idx3-ubyte", np.zeros((40, 8, 8), dtype=np.uint8))
    assert len(named_data(classifier, parse_dataset(f"idx:{elsewhere}"), None)["holdout"]) == 20


def test_a_failed_extraction_leaves_all_earlier_splits(idx_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_for("digits-net", epochs=1)
    spec, out = parse_dataset(f"idx:{idx_folder}"), tmp_path / "out"
    first, _ = train_classifier("digits-net", str(spec), tmp_path / "a", recipe)
    second, _ = train_classifier("digits-net", str(spec), tmp_path / "b", recipe_for("digits-net", epochs=1, seed=1))
    extract_to_folder(first, spec, out)
    before = {path: path.read_bytes() for path in sorted(out.rglob("*.npy"))}
    with pytest.raises(SteepslopeError, match=r"train: holds outputs of another extraction .* digest: expected"):
        extract_to_folder(second, spec, out)
    extract_to_folder(first, spec, out)
    (idx_folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(SteepslopeError, match="expected a file t10k-labels-idx1-ubyte"):
        extract_to_folder(first, spec, out)
    assert {path: path.read_bytes() for path in sorted(out.rglob("*.npy"))} == before


def test_empty_and_flat_images_are_refused(idx_folder: Path, demo: Path, tmp_path: Path) -> None:
    classifier = load_classifier(f"checkpoint:{demo / 'seed0' / 'classifier'}")
    none = Images(np.zeros((0, 8, 8), np.uint8), np.zeros(0, np.int64), np.array([], dtype=str))
    with pytest.raises(SteepslopeError, match="mine: expected images, found none"):
        extract(classifier, {tmp_path / "none": ("mine", none)}, ExtractionOptions())
    write_idx(idx_folder / "train-images-idx3-ubyte", np.zeros((40, 8, 8), dtype=np.uint8))
    with pytest.raises(SteepslopeError, match="expected images that differ"):
        train_classifier("digits-net", f"idx:{idx_folder}", tmp_path / "c", recipe_for("digits-net"))


def test_a_flipped_bit_in_a_gzip_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    write_idx(path, np.random.default_rng(0).integers(256, size=5000, dtype=np.uint8))
    content = bytearray(path.read_bytes())
    content[30] ^= 255
    path.write_bytes(content)
    with pytest.raises(SteepslopeError, match=r"file\.gz"):
        read_idx(path, 1)


def test_a_named_split_goes_to_the_folder_itself(demo: Path, tmp_path: Path) -> None:
    classifier = load_classifier(f"checkpoint:{demo / 'seed0' / 'classifier'}")
    written = extract_to_folder(classifier, parse_dataset("digits:test"), tmp_path / "out")
    assert list(written) == [tmp_path / "out"]
    assert len(ClassifierOutputs.load(tmp_path / "out")) == 797


def test_images_that_do_not_fit_are_refused(demo: Path, tmp_path: Path) -> None:
    classifier = load_classifier(f"checkpoint:{demo / 'seed0' / 'classifier'}")
    pixels, ids = np.zeros((2, 8, 8), dtype=np.uint8), np.array(["a", "b"])
    wrong = Images(pixels, np.array([0, 10]), ids)
    with pytest.raises(SteepslopeError, match="expected labels in 0…9, the classifier's classes, found 10 in row 1"):
        extract(classifier, {tmp_path: ("mine", wrong)}, ExtractionOptions())
    large = Images(np.zeros((2, 28, 28, 3), np.uint8), np.array([0, 1]), ids)
    with pytest.raises(SteepslopeError, match=r"mine: a: .*expected an image of 8×8 pixels, found 28×28"):
        extract(classifier, {tmp_path: ("mine", large)}, ExtractionOptions())


@pytest.mark.parametrize("damage", ["card", "weights", "nan", "net", "field", "count"])
def test_damaged_checkpoints_are_named(demo: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "classifier"
    shutil.copytree(demo / "seed0" / "classifier", folder)
    card = read_json(folder / CARD, "a card")
    changes: dict[str, dict[str, object]] = {
        "net": {"net": "mnistnet"},
        "field": {"mean": "grey"},
        "count": {"num_classes": -5},
    }
    if damage == "card":
        (folder / CARD).write_text("{")
    elif damage == "weights":
        (folder / WEIGHTS).write_bytes(b"\0" * 100)
    elif damage == "nan":
        save_file({name: tensor * torch.nan for name, tensor in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)
    else:
        write_json(folder / CARD, card | changes[damage])
    with pytest.raises(SteepslopeError, match=str(folder)):
        load_classifier(f"checkpoint:{folder}")


def test_unknown_classifier_scheme_is_named() -> None:
    with pytest.raises(SteepslopeError, match="did you mean 'checkpoint'"):
        load_classifier("checkpont:x")
