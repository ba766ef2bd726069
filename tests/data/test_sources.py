"""Data sets of other libraries, in small copies of their own formats that the tests write."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets as hub
import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets
from numpy.typing import NDArray
from PIL import Image

from steepslope.cli import main
from steepslope.data.datasets import parse_dataset
from steepslope.data.imagefolder import ImageFiles
from steepslope.data.images import ClassNames, Dataset
from steepslope.data.torchvision_data import TORCHVISION
from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(256, size=(6, 32, 32, 3), dtype=np.uint8)
LABELS = np.array([3, 0, 9, 9, 1, 2])
NO_NAMES = ClassNames()


def png(pixels: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where torchvision looks; its checksums are those of the real files, so the small ones go without."""
    monkeypatch.setenv("STEEPSLOPE_DATA", str(tmp_path))
    for kind in (torchvision.datasets.CIFAR10, torchvision.datasets.CIFAR100):
        for name in ("train_list", "test_list"):
            monkeypatch.setattr(kind, name, [[file, None] for file, _ in getattr(kind, name)])
        monkeypatch.setattr(kind, "meta", kind.meta | {"md5": None})
    lists = {split: [entry[0], entry[1], None] for split, entry in torchvision.datasets.SVHN.split_list.items()}
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", lists)
    return tmp_path


def write_cifar(folder: Path, kind: type[torchvision.datasets.CIFAR10], key: str) -> None:
    folder = folder / kind.base_folder
    folder.mkdir()
    rows = PIXELS.transpose(0, 3, 1, 2).reshape(len(PIXELS), -1)
    for name in [file for file, _ in [*kind.train_list, *kind.test_list]]:
        (folder / name).write_bytes(pickle.dumps({"data": rows, key: LABELS.tolist()}))
    meta = {kind.meta["key"]: [str(index) for index in range(10)]}
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps(meta))


def test_cifar_and_svhn_as_torchvision_reads_them(cache: Path) -> None:
    write_cifar(cache, torchvision.datasets.CIFAR10, "labels")
    write_cifar(cache, torchvision.datasets.CIFAR100, "fine_labels")
    for split in ("train", "test"):
        content = {"X": PIXELS.transpose(1, 2, 3, 0), "y": np.where(LABELS == 0, 10, LABELS)[:, None]}
        scipy.io.savemat(cache / f"{split}_32x32.mat", content)
    for name, parts in (("CIFAR10", 5), ("CIFAR100", 1), ("SVHN", 1)):
        images = parse_dataset(f"torchvision:{name}").load_into_memory("test")
        np.testing.assert_array_equal(images.pixels, PIXELS)
        np.testing.assert_array_equal(np.asarray(images.image(2)), PIXELS[2])
        assert images.labels.tolist() == LABELS.tolist()
        assert len(parse_dataset(f"torchvision:{name}").load("train")) == 6 * parts


def test_imagenet_is_read_file_by_file(cache: Path) -> None:
    """Labels are those of all 1,000 classes; files lie as torchvision unpacks them."""
    root = cache / "imagenet"
    for split in ("train", "val"):
        for wordnet_id in ("n03888605", "n01440764"):
            (root / split / wordnet_id).mkdir(parents=True)
            for index in range(2):
                (root / split / wordnet_id / f"{index}.JPEG").write_bytes(png(PIXELS[index]))
    torch.save(({"n03888605": ("parallel bars",), "n01440764": ("tench",)}, []), root / "meta.bin")
    images = parse_dataset("torchvision:ImageNet").load("test")
    assert isinstance(images, ImageFiles)
    assert images.labels.tolist() == [0, 0, 702, 702]
    np.testing.assert_array_equal(np.asarray(images.image(3)), PIXELS[1])
    assert list(images.subset(np.array([2])).ids) == ["n03888605/0.JPEG"]
    with pytest.raises(SteepslopeError, match="expected small images of one size"):
        parse_dataset("torchvision:ImageNet").load_into_memory("test")


def test_missing_imagenet_is_named(cache: Path) -> None:
    assert "ImageNet" in TORCHVISION
    with pytest.raises(SteepslopeError, match=r"torchvision:ImageNet: neither found in"):
        parse_dataset("torchvision:ImageNet").load("test")


@pytest.fixture
def hub_folder(tmp_path: Path) -> Iterator[Path]:
    """Save data sets with and without splits, as the library itself does."""
    hub.disable_progress_bars()
    features = hub.Features({"image": hub.Image(), "label": hub.ClassLabel(names=["ant", "bee", "cow"])})
    rows: dict[str, list[Any]] = {"image": [Image.fromarray(pixels) for pixels in PIXELS], "label": [2, 0, 1, 1, 0, 2]}
    table = hub.Dataset.from_dict(rows, features=features)
    hub.DatasetDict({"train": table, "validation": table.select([3, 1])}).save_to_disk(str(tmp_path / "both"))
    table.save_to_disk(str(tmp_path / "one"))
    other = rows | {"image": rows["image"][::-1]}
    hub.Dataset.from_dict(other, features=features).save_to_disk(str(tmp_path / "other"))
    plain = hub.Dataset.from_dict(rows | {"second": rows["image"]}, hub.Features(features | {"second": hub.Image()}))
    missing = hub.Dataset.from_dict(rows | {"label": [None, 1, 1, 1, 1, 1]}, features=features)
    missing.save_to_disk(str(tmp_path / "missing"))
    plain.cast_column("label", hub.Value("int64")).save_to_disk(str(tmp_path / "plain"))
    yield tmp_path
    hub.enable_progress_bars()


def opened(spec: str, names: ClassNames = NO_NAMES) -> Dataset:
    return parse_dataset(spec).open(names)


def test_hub_data_as_saved(hub_folder: Path) -> None:
    for spec, rows in (("both:validation", [3, 1]), ("one", range(6)), ("both:train", range(6))):
        images = opened(f"hf:{hub_folder}/{spec}")
        assert images.labels.tolist() == [[2, 0, 1, 1, 0, 2][row] for row in rows]
        np.testing.assert_array_equal(np.asarray(images.image(1)), PIXELS[rows[1]])
        assert len(images.ids) == len(set(images.ids)) == len(images)
    assert opened(f"hf:{hub_folder}/one").fingerprint() == images.fingerprint()
    assert opened(f"hf:{hub_folder}/other").fingerprint() != images.fingerprint()


def test_hub_columns_and_names(hub_folder: Path) -> None:
    images = opened(f"hf:{hub_folder}/plain?image=second&label=label")
    assert images.labels.tolist() == [2, 0, 1, 1, 0, 2]
    named = opened(f"hf:{hub_folder}/one", ClassNames(given={"cow": 0, "bee": 1, "ant": 5}))
    assert named.labels.tolist() == [0, 5, 1, 1, 5, 0]
    own = opened(f"hf:{hub_folder}/one", ClassNames(own={"cow": 7, "bee": 8, "ant": 9, "dog": 1}))
    assert own.labels.tolist() == [7, 9, 8, 8, 9, 7]
    other = opened(f"hf:{hub_folder}/one", ClassNames(own={"n01440764": 0}, num_classes=3))
    assert other.labels.tolist() == [2, 0, 1, 1, 0, 2]
    with pytest.raises(SteepslopeError, match="expected 5 classes, as the classifier has, or --classes"):
        opened(f"hf:{hub_folder}/one", ClassNames(own={"n01440764": 0}, num_classes=5))
    with pytest.raises(SteepslopeError, match="the class 'bee' is none of the classifier's"):
        opened(f"hf:{hub_folder}/one", ClassNames(own={"ant": 0}))


def test_hub_folders_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    for name, pixels in (("bee", PIXELS[0]), ("ant", PIXELS[1])):
        (tmp_path / "files" / "test" / name).mkdir(parents=True)
        (tmp_path / "files" / "test" / name / "1.png").write_bytes(png(pixels))
    images = opened(f"hf:{tmp_path}/files:test")
    assert images.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(np.asarray(images.image(0)), PIXELS[1])


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("both", "expected one of its splits (train, validation) after a colon, found none"),
        ("both:test", "expected one of its splits (train, validation) after a colon, found test"),
        ("one:test", "expected no split"),
        ("plain", "expected one image column, found 2 among image, label, second; choose with ?image=NAME"),
        ("plain?image=second", "expected one label column, found 0"),
        ("plain?image=label&label=label", "expected images in the column 'label'"),
        ("plain?image=imag&label=label", "did you mean 'image'"),
        ("plain?image=image&label=second", "expected whole numbers in the column 'second'"),
        ("plain?colum=image", "unknown option of"),
        ("none", "no such folder"),
        ("missing", "expected whole numbers in the column 'label', found missing values"),
    ],
)
def test_wrong_hub_specs_are_named(rest: str, message: str, hub_folder: Path) -> None:
    with pytest.raises(SteepslopeError) as error:
        opened(f"hf:{hub_folder}/{rest}")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_given_names_must_cover_the_classes(hub_folder: Path) -> None:
    with pytest.raises(SteepslopeError, match="the class 'ant' is none of the classifier's"):
        opened(f"hf:{hub_folder}/one", ClassNames(given={"cow": 0}))


def write_shard(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_shard(
        tmp_path / "data-000.tar",
        {"a/0.png": png(PIXELS[0]), "a/0.cls": b"2\n", "a/1.cls": b"0", "a/1.JPG": png(PIXELS[1]), "a/1.json": b"{}"},
    )
    write_shard(
        tmp_path / "data-001.tar", {"0.right.png": b"", "0.seg.txt": b"", "7.png": png(PIXELS[2]), "7.cls": b"1"}
    )
    return tmp_path


@pytest.mark.parametrize("pattern", ["data-{000..001}.tar", "data-*.tar"])
def test_webdataset_shards(pattern: str, shards: Path) -> None:
    images = opened(f"wds:{shards}/{pattern}")
    assert images.labels.tolist() == [2, 0, 1]
    assert images.ids == ["data-000.tar/a/0", "data-000.tar/a/1", "data-001.tar/7"]
    for row in range(3):
        np.testing.assert_array_equal(np.asarray(images.image(row)), PIXELS[row])
    assert images.fingerprint() != opened(f"wds:{shards}/data-000.tar").fingerprint()


def test_webdataset_is_what_the_library_reads(shards: Path) -> None:
    from webdataset.tariterators import group_by_keys, tar_file_iterator

    with (shards / "data-000.tar").open("rb") as file:
        theirs = list(group_by_keys([{**member, "__url__": ""} for member in tar_file_iterator(file)]))
    ours = opened(f"wds:{shards}/data-000.tar")
    assert [sample["__key__"] for sample in theirs] == [name.split("/", 1)[1] for name in ours.ids]
    assert [int(sample["cls"].decode()) for sample in theirs] == ours.labels.tolist()


def test_webdataset_class_names(shards: Path) -> None:
    write_shard(shards / "named.tar", {"x.png": png(PIXELS[0]), "x.cls": b"bee"})
    assert opened(f"wds:{shards}/named.tar", ClassNames(given={"ant": 0, "bee": 4})).labels.tolist() == [4]
    assert opened(f"wds:{shards}/named.tar", ClassNames(own={"bee": 5})).labels.tolist() == [5]
    with pytest.raises(SteepslopeError, match=r"x\.cls: expected a whole number or a class's name"):
        opened(f"wds:{shards}/named.tar")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.png": b""}, r"expected a label in a\.cls beside a\.png, found none"),
        ({"a.png": b"", "a.jpg": b"", "a.cls": b"0"}, "expected one image a sample, found two of 'a'"),
        ({"a.cls": b"0"}, "expected images, found none"),
        ({"a.png": b"", "a.cls": b"\xff"}, "cannot be read as an uncompressed tar file"),
    ],
)
def test_odd_shards_are_named(files: dict[str, bytes], message: str, tmp_path: Path) -> None:
    write_shard(tmp_path / "x.tar", files)
    with pytest.raises(SteepslopeError, match=message):
        opened(f"wds:{tmp_path}/x.tar")


def test_truncated_and_missing_shards_are_named(shards: Path) -> None:
    content = (shards / "data-000.tar").read_bytes()
    for size in (1000, 1024 + 512):
        (shards / "data-000.tar").write_bytes(content[:size])
        with pytest.raises(SteepslopeError, match=r"data-000\.tar: cannot be read as an uncompressed tar file"):
            opened(f"wds:{shards}/data-000.tar")
    for pattern in ("", "/", "{0..1"):
        with pytest.raises(SteepslopeError, match="wds:"):
            opened(f"wds:{pattern}")
    with pytest.raises(SteepslopeError, match="data spec 'hf:': expected a name"):
        opened("hf:")
    with pytest.raises(SteepslopeError, match=r"no such file: .*data-002\.tar"):
        opened(f"wds:{shards}/data-{{001..002}}.tar")


def test_shards_and_hub_data_are_extracted(shards: Path, hub_folder: Path, tmp_path: Path) -> None:
    for index, spec in enumerate((f"wds:{shards}/data-*.tar", f"hf:{hub_folder}/both:validation")):
        words = [
            "extract",
            "--classifier",
            "module:tests.nets:tiny",
            "--data",
            spec,
            "--workers",
            "1",
        ]
        assert main([*words, "--out", str(tmp_path / str(index))]) == 0
        outputs = ClassifierOutputs.load(tmp_path / str(index))
        assert outputs.labels.tolist() == [[2, 0, 1], [1, 0]][index]
