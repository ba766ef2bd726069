"""WebDataset shards, in small tar files that the tests write."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from webdataset.tariterators import group_by_keys, tar_file_iterator

from steepslope.errors import SteepslopeError
from steepslope.nets.data.class_names import ClassNames
from tests.images import PIXELS, opened, png, write_shard


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
    assert np.asarray(images.labels).tolist() == [2, 0, 1]
    assert images.ids == ["data-000.tar/a/0", "data-000.tar/a/1", "data-001.tar/7"]
    for row in range(3):
        np.testing.assert_array_equal(np.asarray(images.image(row)), PIXELS[row])
    assert images.fingerprint() != opened(f"wds:{shards}/data-000.tar").fingerprint()


def test_webdataset_is_what_the_library_reads(shards: Path) -> None:
    with (shards / "data-000.tar").open("rb") as file:
        theirs = list(group_by_keys([{**member, "__url__": ""} for member in tar_file_iterator(file)]))
    ours = opened(f"wds:{shards}/data-000.tar")
    assert [sample["__key__"] for sample in theirs] == [name.split("/", 1)[1] for name in ours.ids]
    assert [int(sample["cls"].decode()) for sample in theirs] == np.asarray(ours.labels).tolist()


def test_webdataset_class_names(shards: Path) -> None:
    write_shard(shards / "named.tar", {"x.png": png(PIXELS[0]), "x.cls": b"bee"})
    assert np.asarray(opened(f"wds:{shards}/named.tar", ClassNames(given={"ant": 0, "bee": 4})).labels).tolist() == [4]
    assert np.asarray(opened(f"wds:{shards}/named.tar", ClassNames(own={"bee": 5})).labels).tolist() == [5]
    with pytest.raises(SteepslopeError, match=r"x\.cls: expected a whole number or a class's name"):
        opened(f"wds:{shards}/named.tar")
    texts = {"x.cls": b"bee", "y.cls": b"unknown", "z.cls": b"-1"}
    write_shard(shards / "unknown.tar", {**{f"{key}.png": png(PIXELS[0]) for key in "xyz"}, **texts})
    labels = opened(f"wds:{shards}/unknown.tar", ClassNames(own={"bee": 5})).labels
    assert np.asarray(labels).tolist() == [5, -1, -1]


@pytest.mark.parametrize(
    ("files", "message"),
    [
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
