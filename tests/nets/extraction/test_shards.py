"""Extractions that are killed, or run out of room, resume to the same bytes."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._specs import parse_data
from steepslope.nets.extraction._extraction import extract_to_folder
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import refused
from tests.conftest import Captured, contents, kill_once_there
from tests.images import extract_folder, folder_of


@pytest.mark.slow
def test_a_killed_extraction_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 300)
    words = ["extract", "--classifier", "module:tests.tiny_nets:tiny", "--data", f"imagefolder:{data}"]
    words += ["--shard-rows", "100", "--out"]
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    kill_once_there([sys.executable, "-m", "steepslope", *words, str(killed)], killed / ".shards" / "*.npz")
    assert not (killed / "manifest.json").exists()
    for out in (killed, unbroken):
        assert main([*words, str(out)]) == 0
    names = ["features.npy", "ids.json", "labels.npy", "logits.npy", "manifest.json", "noise.npy"]
    assert [*contents(unbroken)] == [*(f"augmented/{name}" for name in names), *names]
    assert contents(killed) == contents(unbroken)


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the system refuse files of more bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [3_000, 5_500])
def test_a_full_disk_is_one_line_and_resumable(room: int, tmp_path: Path, capsys: Captured) -> None:
    """There is room for no shard, or for each shard but not for the joined array."""
    data = folder_of(tmp_path / "data", 100)
    words = ["extract", "--classifier", "module:tests.tiny_nets:tiny", "--data", f"imagefolder:{data}"]
    words += ["--shard-rows", "60", "--out", str(tmp_path / "out")]
    with largest_file(room):
        assert main(words) == 2
    refused(capsys, "out", "writing failed (File too large)")
    assert len(list((tmp_path / "out" / ".shards").glob("*.npz"))) == (0 if room < 4_000 else 5)
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert main(words) == 0
    assert len(ClassifierOutputs.load(tmp_path / "out")) == 300


def test_a_stopped_run_goes_on_when_mended_or_told_to_skip(tmp_path: Path, capsys: Captured) -> None:
    data, options = folder_of(tmp_path / "data", 8), ("--shard-rows", "6", "--batch-size", "6")
    whole = (data / "cow" / "0003.png").read_bytes()
    for out, mend in (("mended", True), ("skipped", False)):
        (data / "cow" / "0003.png").write_bytes(whole[:100])
        assert extract_folder(data, tmp_path / out, *options) == 2
        assert len(list((tmp_path / out / ".shards").glob("*.npz"))) == 3
        assert extract_folder(data, tmp_path / out, *options, "--features", "float16") == 2
        if mend:
            (data / "cow" / "0003.png").write_bytes(whole)
        assert extract_folder(data, tmp_path / out, *options, *([] if mend else ["--on-error", "skip"])) == 0
        assert len(ClassifierOutputs.load(tmp_path / out)) == (24 if mend else 23)
    assert extract_folder(data, tmp_path / "skipped", *options) == 2
    (tmp_path / "skipped" / ".shards").mkdir()
    assert extract_folder(data, tmp_path / "skipped", *options, "--on-error", "skip") == 0
    assert not (tmp_path / "skipped" / ".shards").exists()


def test_a_failed_extraction_leaves_all_earlier_splits(idx_folder: Path, tmp_path: Path) -> None:
    spec, out = parse_data(f"idx:{idx_folder}"), tmp_path / "out"
    first = load_classifier("net:digits-net?classes=4").with_transform(mean=0.5, std=0.5)
    second = replace(first, digest="another")
    extract_to_folder(first, spec, out)
    before = {path: path.read_bytes() for path in sorted(out.rglob("*.npy"))}
    with pytest.raises(SteepslopeError, match="train: holds outputs already, with other digest: "):
        extract_to_folder(second, spec, out)
    extract_to_folder(first, spec, out)
    (idx_folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(SteepslopeError, match="expected a file t10k-labels-idx1-ubyte"):
        extract_to_folder(first, spec, out)
    assert {path: path.read_bytes() for path in sorted(out.rglob("*.npy"))} == before
