"""IDX files: plain, gzipped, damaged, missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.data.benchmark_sets import read_idx
from steepslope.data.specs import parse_dataset
from steepslope.errors import SteepslopeError
from tests.conftest import write_idx


def test_idx_files_plain_and_gzipped(idx_folder: Path) -> None:
    train, test = (parse_dataset(f"idx:{idx_folder}").load_into_memory(split) for split in ("train", "test"))
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
        read_idx(tmp_path / "file", 3)


def test_damaged_gzip_is_named(tmp_path: Path) -> None:
    """Cut off, or with a bit that was flipped."""
    write_idx(tmp_path / "file.gz", np.random.default_rng(0).integers(256, size=5000, dtype=np.uint8))
    content = (tmp_path / "file.gz").read_bytes()
    for damaged in (content[:-12], content[:30] + bytes([content[30] ^ 255]) + content[31:]):
        (tmp_path / "file.gz").write_bytes(damaged)
        with pytest.raises(SteepslopeError, match=r"file\.gz: cannot be read"):
            read_idx(tmp_path / "file.gz", 1)


def test_missing_and_mismatched_idx_files_are_named(idx_folder: Path) -> None:
    write_idx(idx_folder / "train-labels-idx1-ubyte", np.zeros(3, dtype=np.uint8))
    with pytest.raises(SteepslopeError, match="expected 40 labels, one for each train image, found 3"):
        parse_dataset(f"idx:{idx_folder}").load("train")
    (idx_folder / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(SteepslopeError, match="expected a file train-labels-idx1-ubyte"):
        parse_dataset(f"idx:{idx_folder}").load("train")
