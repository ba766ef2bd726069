"""IDX files, plain, gzipped, damaged and missing; torchvision's data sets, in small copies that the tests write."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import torchvision.datasets

from steepslope.errors import SteepslopeError
from steepslope.nets.data._benchmark_sets import _read_idx
from steepslope.nets.data._image_files import ImageFiles
from steepslope.nets.data._specs import parse_data
from tests.conftest import write_idx
from tests.images import PIXELS, png


def test_idx_files_plain_and_gzipped(idx_folder: Path) -> None:
    train, test = (parse_data(f"idx:{idx_folder}").load_into_memory(split) for split in ("train", "test"))
    expected = np.random.default_rng(0).integers(256, size=(40, 8, 8), dtype=np.uint8)
    np.testing.assert_array_equal(train.pixels, expected)
    assert test.labels.tolist() == [0, 1, 2, 3] * 5
    assert test.ids[3] == "test/00003"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected an IDX file"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x01A", "in 3 dimensions"),
        (b"\x00\x00\x08\x03" + b"\x00\x00\x00\x02" * 3 + b"1234567", "expected 8 bytes of data, found 7"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(SteepslopeError, match=message):
        _read_idx(tmp_path / "file", 3)


def test_damaged_gzip_is_named(tmp_path: Path) -> None:
    """Cut off, or with a bit that was flipped."""
    write_idx(tmp_path / "file.gz", np.random.default_rng(0).integers(256, size=5000, dtype=np.uint8))
    content = (tmp_path / "file.gz").read_bytes()
    for damaged in (content[:-12], content[:30] + bytes([content[30] ^ 255]) + content[31:]):
        (tmp_path / "file.gz").write_bytes(damaged)
        with pytest.raises(SteepslopeError, match=r"file\.gz: cannot be read"):
            _read_idx(tmp_path / "file.gz", 1)


def test_missing_and_mismatched_idx_files_are_named(idx_folder: Path) -> None:
    write_idx(idx_folder / "train-labels-idx1-ubyte", np.zeros(3, dtype=np.uint8))
    with pytest.raises(SteepslopeError, match="expected 40 labels, one for each train image, found 3"):
        parse_data(f"idx:{idx_folder}").load("train")
    (idx_folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(SteepslopeError, match="expected a file train-labels-idx1-ubyte"):
        parse_data(f"idx:{idx_folder}").load("train")


LABELS = np.array([3, 0, 9, 9, 1, 2])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder that torchvision reads, without the checksums, which are those of the real files."""
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
        images = parse_data(f"torchvision:{name}").load_into_memory("test")
        np.testing.assert_array_equal(images.pixels, PIXELS)
        np.testing.assert_array_equal(np.asarray(images.image(2)), PIXELS[2])
        assert np.asarray(images.labels).tolist() == LABELS.tolist()
        assert len(parse_data(f"torchvision:{name}").load("train")) == 6 * parts


def test_imagenet_is_read_file_by_file(cache: Path) -> None:
    """Labels are those of all 1,000 classes; files lie as torchvision unpacks them."""
    root = cache / "imagenet"
    for split in ("train", "val"):
        for wordnet_id in ("n03888605", "n01440764"):
            (root / split / wordnet_id).mkdir(parents=True)
            for index in range(2):
                (root / split / wordnet_id / f"{index}.JPEG").write_bytes(png(PIXELS[index]))
    torch.save(({"n03888605": ("parallel bars",), "n01440764": ("tench",)}, []), root / "meta.bin")
    images = parse_data("torchvision:ImageNet").load("test")
    assert isinstance(images, ImageFiles)
    assert np.asarray(images.labels).tolist() == [0, 0, 702, 702]
    np.testing.assert_array_equal(np.asarray(images.image(3)), PIXELS[1])
    assert list(images.subset(np.array([2])).ids) == ["n03888605/0.JPEG"]
    (root / "val" / "n03888605" / "1.JPEG").write_bytes(png(PIXELS[1][:-1]))
    with pytest.raises(SteepslopeError, match="expected images of one size and kind"):
        parse_data("torchvision:ImageNet").load_into_memory("test")


def test_what_is_missing_and_cannot_be_downloaded_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.KMNIST, "mirrors", ["file:///no/such/place/"])
    for name in ("KMNIST", "ImageNet"):
        with pytest.raises(SteepslopeError, match=f"torchvision:{name}: neither found in"):
            parse_data(f"torchvision:{name}").load("test")
