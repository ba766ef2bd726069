"""Data specs, what holds of every entry of the registry, and what a new entry takes."""

from __future__ import annotations

from pathlib import Path

import datasets as hub
import numpy as np
import pytest
from PIL import Image

from steepslope.cli.main import main
from steepslope.data.images import Images, row_ids
from steepslope.data.specs import DATASETS, InSplits, holdout_split, parse_dataset
from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from tests.conftest import write_idx
from tests.images import PIXELS, folder_of, png, table_of, write_shard


@pytest.fixture
def examples(idx_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Write a small data set for every scheme, and return their specs."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for stem, n in (("train", 3), ("t10k", 3)):
        write_idx(raw / f"{stem}-images-idx3-ubyte", np.arange(n * 784, dtype=np.uint8).reshape(n, 28, 28))
        write_idx(raw / f"{stem}-labels-idx1-ubyte", np.arange(n, dtype=np.uint8))
    monkeypatch.setenv("STEEPSLOPE_DATA", str(tmp_path))
    features = hub.Features({"image": hub.Image(), "label": hub.ClassLabel(num_classes=10)})
    rows = {"image": [Image.fromarray(pixels) for pixels in PIXELS[:2]], "label": [2, 0]}
    hub.disable_progress_bars()
    hub.Dataset.from_dict(rows, features=features).save_to_disk(str(tmp_path / "hub"))
    hub.enable_progress_bars()
    write_shard(tmp_path / "0.tar", {"a.png": png(PIXELS[0]), "a.cls": b"2", "b.png": png(PIXELS[1]), "b.cls": b"0"})
    return {
        "digits": "digits:test",
        "idx": f"idx:{idx_folder}:test",
        "torchvision": "torchvision:MNIST:test",
        "imagefolder": f"imagefolder:{folder_of(tmp_path / 'folder', 2, tuple('abcdefghij'))}",
        "images": f"images:{tmp_path / 'folder'}",
        "paths": f"paths:{table_of(tmp_path / 'folder', tmp_path / 'paths.csv')}",
        "hf": f"hf:{tmp_path / 'hub'}",
        "wds": f"wds:{tmp_path}/*.tar",
    }


def test_examples_are_of_all_schemes(examples: dict[str, str]) -> None:
    assert examples.keys() == DATASETS.keys()


@pytest.mark.parametrize("scheme", DATASETS)
def test_every_source_keeps_the_contract(scheme: str, examples: dict[str, str]) -> None:
    spec = parse_dataset(examples[scheme])
    data = spec.open()
    assert len(data) == len(data.ids) == len(set(data.ids)) > 1
    assert (data.labels is None) == (scheme in ("images", "paths"))
    if data.labels is not None:
        assert len(data.labels) == len(data)
        assert data.labels.dtype == np.int64
        assert data.classes is None or len(data.classes) > data.labels.max()
    assert isinstance(data.image(1), Image.Image)
    assert data.fingerprint() == spec.open().fingerprint() != data.fingerprint(slice(0, 1))
    assert (spec.split in spec.splits) == bool(spec.splits)


@pytest.mark.parametrize("scheme", DATASETS)
def test_every_source_is_extracted(scheme: str, examples: dict[str, str], tmp_path: Path) -> None:
    words = ["extract", "--classifier", "module:tests.nets:ten_classes", "--image-size", "12", "--mean", "0.5"]
    out = tmp_path / "out"
    assert main([*words, "--std", "0.5", "--workers", "1", "--data", examples[scheme], "--out", str(out)]) == 0
    outputs, data = ClassifierOutputs.load(out), parse_dataset(examples[scheme]).open()
    np.testing.assert_array_equal(outputs.labels, data.labels)
    assert outputs.classes == data.classes


def load_toy(argument: str, split: str) -> Images:
    """Draw 200 images of noise in three classes that nothing tells apart."""
    rng = np.random.default_rng(["train", "test"].index(split))
    pixels = rng.integers(256, size=(200, 8, 8, 3), dtype=np.uint8)
    return Images(pixels, rng.integers(3, size=200), row_ids(f"{argument}/{split}", np.arange(200)))


def test_a_new_source_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else has to know it, from the images to the report."""
    monkeypatch.setitem(DATASETS, "toy", InSplits(load_toy))
    out, oracle = tmp_path / "outputs", str(tmp_path / "oracle")
    words = ["extract", "--classifier", "module:tests.nets:tiny", "--data", "toy:noise", "--out", str(out)]
    assert main(words) == 0
    assert main(["fit", "--outputs", str(out / "holdout"), "--reference", str(out / "train"), "--out", oracle]) == 0
    report = ["--scores", f"mcp,{oracle}", "--out", str(tmp_path / "report")]
    assert main(["evaluate", "--outputs", str(out / "test"), *report]) == 0
    assert (tmp_path / "report" / "report.html").exists()


def test_digits_are_cut_once() -> None:
    train, test = (parse_dataset("digits").load_into_memory(split) for split in ("train", "test"))
    assert (len(train), len(test)) == (1000, 797)
    assert set(train.ids).isdisjoint(test.ids)
    assert train.pixels.shape[1:] == (8, 8)
    assert train.pixels.max() == 255


@pytest.mark.parametrize(
    ("spec", "argument", "split"),
    [
        ("digits", "", None),
        ("digits:test", "", "test"),
        ("idx:/a/b", "/a/b", None),
        ("idx:/a:b:train", "/a:b", "train"),
        ("imagefolder:/a:train", "/a:train", None),
    ],
)
def test_specs(spec: str, argument: str, split: str | None) -> None:
    parsed = parse_dataset(spec)
    assert (parsed.argument, parsed.split) == (argument, split)
    assert str(parsed) == spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", r"unknown data scheme .* did you mean 'digits'"),
        ("digits:x", "expected digits, digits:train or digits:test"),
        ("idx:/no/such", "no such folder"),
        ("torchvision:MNITS", "did you mean 'MNIST'"),
        ("imagefolder:/no/such", "expected a data set with a training and a test split"),
    ],
)
def test_bad_specs_are_named(spec: str, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        parse_dataset(spec).load("train")
    with pytest.raises(SteepslopeError, match="expected one split, such as digits:test"):
        parse_dataset("digits").open()


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
