"""Extractions that are killed, or run out of room, resume to the same bytes."""

from __future__ import annotations

import contextlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from steepslope.cli import main
from steepslope.outputs import ClassifierOutputs
from tests.images import folder_of


def test_a_killed_extraction_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 500)
    words = ["extract", "--classifier", "module:tests.nets:tiny", "--data", f"imagefolder:{data}"]
    words += ["--shard-rows", "100", "--out"]
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    process = subprocess.Popen([sys.executable, "-m", "steepslope", *words, str(killed)])
    deadline = time.monotonic() + 100
    while not list(killed.glob(".shards/*.npz")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(killed.glob(".shards/*.npz"))
    assert not (killed / "manifest.json").exists()
    for out in (killed, unbroken):
        assert main([*words, str(out)]) == 0
    files = sorted(path.name for path in unbroken.iterdir())
    assert files == ["features.npy", "ids.parquet", "labels.npy", "logits.npy", "manifest.json"]
    for name in files:
        assert (killed / name).read_bytes() == (unbroken / name).read_bytes()


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
def test_a_full_disk_is_one_line_and_resumable(room: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is room for no shard, or for each shard but not for the joined array."""
    data = folder_of(tmp_path / "data", 100)
    words = ["extract", "--classifier", "module:tests.nets:tiny", "--data", f"imagefolder:{data}"]
    words += ["--shard-rows", "60", "--out", str(tmp_path / "out")]
    with largest_file(room):
        assert main(words) == 2
    error = capsys.readouterr().err
    assert "out" in error
    assert "writing failed (File too large)" in error
    assert error.count("\n") == 1
    assert len(list((tmp_path / "out" / ".shards").glob("*.npz"))) == (0 if room < 4_000 else 5)
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert main(words) == 0
    assert len(ClassifierOutputs.load(tmp_path / "out")) == 300
