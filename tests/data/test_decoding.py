"""Images that cannot be read stop a run by name, or are listed."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from steepslope.outputs import ClassifierOutputs
from tests.images import extract_folder, folder_of


def break_files(folder: Path) -> list[str]:
    """Put files that no decoder can read among the good ones; return their ids."""
    whole = (folder / "ant" / "0000.png").read_bytes()
    (folder / "ant" / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "bee" / "empty.jpg").write_bytes(b"")
    (folder / "cow" / "text.png").write_text("not an image")
    return ["ant/truncated.png", "bee/empty.jpg", "cow/text.png"]


def test_unreadable_images_stop_or_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder_of(tmp_path / "data", 3)
    broken = break_files(data)
    assert extract_folder(data, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert broken[0] in error
    assert error.count("\n") == 1
    assert extract_folder(data, tmp_path / "skipped", "--on-error", "skip") == 0
    assert "3 images could not be read" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "skipped" / "manifest.json").read_text())
    assert [one["id"] for one in manifest["skipped"]] == broken
    outputs = ClassifierOutputs.load(tmp_path / "skipped")
    assert len(outputs) == 9
    assert outputs.require_labels().tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_a_decompression_bomb_is_skipped(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 2)
    Image.new("1", (20_000, 20_000)).save(data / "ant" / "bomb.png")
    assert extract_folder(data, tmp_path / "out", "--on-error", "skip") == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [one["id"] for one in manifest["skipped"]] == ["ant/bomb.png"]


def test_worker_processes_give_the_same(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 20)
    assert extract_folder(data, tmp_path / "a", "--batch-size", "7") == 0
    assert extract_folder(data, tmp_path / "b", "--batch-size", "7", "--workers", "2") == 0
    assert (tmp_path / "a" / "logits.npy").read_bytes() == (tmp_path / "b" / "logits.npy").read_bytes()


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while where the tests run as root, who may read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_file_without_permission_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        root = Path(folder)
        data = folder_of(root / "data", 1)
        (data / "bee" / "0000.png").chmod(0)
        (root / "out").mkdir()
        for path in (root, root / "out"):
            path.chmod(0o777)
        with unprivileged():
            assert extract_folder(data, root / "out") == 2
            error = capsys.readouterr().err
            assert "bee/0000.png: cannot be read as an image" in error
            assert "Permission denied" in error
            assert error.count("\n") == 1
