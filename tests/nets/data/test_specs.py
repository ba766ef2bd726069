"""Data specs, what holds of every entry of the registry, and what a new entry takes."""

from __future__ import annotations

import pickle
from importlib.metadata import EntryPoint
from pathlib import Path

import datasets as hub
import numpy as np
import pytest
from PIL import Image

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data import _specs as specs
from steepslope.nets.data._class_names import ClassNames
from steepslope.nets.data._images import Images, image_row_ids
from steepslope.nets.data._specs import DATASETS, Source, _train_and_test, holdout_split, parse_data
from steepslope.nets.extraction._extraction import data_by_split, extract
from steepslope.nets.extraction._options import ExtractionOptions
from steepslope.outputs import ClassifierOutputs
from tests.conftest import write_idx
from tests.images import PIXELS, folder_of, png, table_of


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
    monkeypatch.setattr(hub.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "hub").mkdir()
    hub.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "hub" / "rows.parquet"))
    hub.enable_progress_bars()
    return {
        "digits": "digits:test",
        "idx": f"idx:{idx_folder}:test",
        "torchvision": "torchvision:MNIST:test",
        "imagefolder": f"imagefolder:{folder_of(tmp_path / 'folder', 2, tuple('abcdefghij'))}",
        "images": f"images:{tmp_path / 'folder'}",
        "paths": f"paths:{table_of(tmp_path / 'folder', tmp_path / 'paths.csv')}",
        "hf": f"hf:{tmp_path / 'hub'}",
    }


def test_every_source_keeps_the_contract(examples: dict[str, str], tmp_path: Path) -> None:
    """And its labels and classes go into outputs; worker processes get it, too."""
    assert examples.keys() == DATASETS.keys()
    net = load_classifier("module:tests.tiny_nets:ten_classes").with_transform(12, 0.5, 0.5)
    sources = {tmp_path / "out" / scheme: (scheme, parse_data(spec).open()) for scheme, spec in examples.items()}
    extracted = extract(net, sources, ExtractionOptions(evidence=()))
    for out, (scheme, data) in sources.items():
        assert len(data) == len(data.ids) == len(set(data.ids)) > 1
        assert (data.labels is None) == (scheme in ("images", "paths"))
        assert data.classes is None or data.labels is None or len(data.classes) > data.labels.max()
        assert isinstance(data.image(1), Image.Image)
        spec = parse_data(examples[scheme])
        assert data.fingerprint() == spec.open().fingerprint() != data.fingerprint(slice(0, 1))
        assert (spec.split in spec.splits) == bool(spec.splits)
        np.testing.assert_array_equal(extracted[out].labels, data.labels)
        assert extracted[out].classes == data.classes
        image = np.asarray(pickle.loads(pickle.dumps(data)).image(1))
        np.testing.assert_array_equal(image, np.asarray(data.image(1)))


def load_toy(argument: str, split: str, names: ClassNames) -> Images:
    """Draw 200 images of noise in three classes that nothing tells apart."""
    rng = np.random.default_rng(["train", "test"].index(split))
    pixels = rng.integers(256, size=(200, 8, 8, 3), dtype=np.uint8)
    return Images(pixels, rng.integers(3, size=200), image_row_ids(f"{argument}/{split}", np.arange(200)))


def test_a_new_source_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else has to know it, from the command line to the outputs of its splits."""
    monkeypatch.setitem(DATASETS, "toy", Source(load_toy, lambda *_: None, _train_and_test, named=False))
    words = ["extract", "--classifier", "module:tests.tiny_nets:tiny", "--data", "toy:noise", "--out", str(tmp_path)]
    assert main(words) == 0
    outputs = ClassifierOutputs.load(tmp_path / "test")
    np.testing.assert_array_equal(outputs.labels, load_toy("noise", "test", ClassNames()).labels)
    assert outputs.require("ids")[0] == "noise/test/00000"
    assert len(ClassifierOutputs.load(tmp_path / "holdout")) == 100


def test_digits_are_cut_once() -> None:
    train, test = (parse_data("digits").load_into_memory(split) for split in ("train", "test"))
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
    parsed = parse_data(spec)
    assert (parsed.argument, parsed.split) == (argument, split)
    assert str(parsed) == spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digit", r"unknown data scheme .* did you mean 'digits'"),
        ("wds:data-*.tar", r"unknown data scheme .* hf:FOLDER\?label=cls reads WebDataset shards by datasets"),
        ("images:s3://key:secret@lake/a", "^'images:s3://lake/a': expected files on a disk, found a URL: .*datasets"),
        ("s3://lake/a", "^'s3://lake/a': expected files on a disk, found a URL"),
        ("digits:x", "expected digits, digits:train or digits:test"),
        ("imagefolder:/no/such", "expected a data set with a training and a test split"),
    ],
)
def test_bad_specs_are_named(spec: str, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        parse_data(spec).load("train")
    with pytest.raises(SteepslopeError, match="expected one split, such as digits:test"):
        parse_data("digits").open()


def test_a_folder_of_train_and_val_comes_in_splits(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("val", 2)):
        folder_of(tmp_path / "photos" / split, count, ("ant", "bee"))
    whole = parse_data(f"imagefolder:{tmp_path}/photos")
    assert whole.splits == ("train", "val")
    val = parse_data(f"{whole}:val")
    assert (val.argument, val.split) == (f"{tmp_path}/photos", "val")
    assert val.open().fingerprint() == parse_data(f"imagefolder:{tmp_path}/photos/val").open().fingerprint()
    assert len(whole.load("train")) == 6
    with pytest.raises(SteepslopeError, match=r"expected one split, such as .*photos:val"):
        whole.open()
    named = data_by_split(load_classifier("module:tests.tiny_nets:tiny"), whole, {"ant": 2, "bee": 0})
    assert {name: len(data) for name, data in named.items()} == {"train": 3, "holdout": 3, "val": 4}
    assert named["val"].labels is not None
    assert named["val"].labels.tolist() == [2, 2, 0, 0]


@pytest.mark.parametrize("others", [("cat",), (), ("val/a.png",)])
def test_a_folder_with_others_has_classes_by_these_names(others: tuple[str, ...], tmp_path: Path) -> None:
    for split in ("train", "val") if others else ("train",):
        folder_of(tmp_path / split, 1, ("ant", "bee"))
    for name in others:
        (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).write_bytes(png(PIXELS[0]))
    assert parse_data(f"imagefolder:{tmp_path}").splits == ()


def test_images_of_other_sizes_do_not_go_into_memory(tmp_path: Path) -> None:
    for split in ("train", "test"):
        folder_of(tmp_path / split, 2, ("ant", "bee"))
    images = parse_data(f"imagefolder:{tmp_path}").load_into_memory("train")
    assert images.pixels.shape == (4, *images.pixels.shape[1:])
    assert images.classes == ("ant", "bee")
    Image.new("L", (3, 5)).save(tmp_path / "train" / "bee" / "z.png")
    with pytest.raises(SteepslopeError, match=r"expected images of one size and kind, .* found \(5, 3\) in bee/z.png"):
        parse_data(f"imagefolder:{tmp_path}").load_into_memory("train")


def test_holdout_is_a_partition_fixed_by_its_seed() -> None:
    fitted, held_out = holdout_split(1000, 300, seed=1)
    assert sorted([*fitted, *held_out]) == list(range(1000))
    np.testing.assert_array_equal(held_out, holdout_split(1000, 300, seed=1)[1])
    assert held_out.tolist() != holdout_split(1000, 300, seed=2)[1].tolist()
    assert len(holdout_split(1000, None, seed=1)[1]) == 500

    for count in (0, 10):
        with pytest.raises(SteepslopeError, match=f"expected 1 to 9 of the 10 training rows, found {count}"):
            holdout_split(10, count, seed=0)


def test_a_shift_is_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another package's shift, named ``upside-down``, and one of which a library is missing."""
    entries = [
        EntryPoint("upside-down", f"{__name__}:UpsideDown", specs.SHIFT_GROUP),
        EntryPoint("lacking", "no_such_library:parse", specs.SHIFT_GROUP),
    ]
    monkeypatch.setattr(specs, "entry_points", lambda group: entries if group == specs.SHIFT_GROUP else [])
    spec = parse_data("upside-down:1/upside-down:2/digits:test")
    assert str(spec) == "upside-down:1/upside-down:2/digits:test"
    assert [str(shift) for shift in spec.shifts] == ["upside-down:1", "upside-down:2"]
    with pytest.raises(SteepslopeError, match=r"lacking needs no_such_library: pip install 'steepslope\[lab\]'"):
        parse_data("lacking:1/digits:test")
    with pytest.raises(SteepslopeError, match="'upside-dow': did you mean 'upside-down'"):
        parse_data("upside-dow:1/digits:test")
    with pytest.raises(SteepslopeError, match="unknown data scheme in 'digit:test': 'digit'"):
        parse_data("upside-down:1/digit:test")


class UpsideDown:
    """A shift that is named only."""

    def __init__(self, argument: str) -> None:
        self.argument = argument

    def __str__(self) -> str:
        return f"upside-down:{self.argument}"
