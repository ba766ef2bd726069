"""Images that cannot be read stop a run by name, or are listed."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import pytest

from steepslope.data.transforms import decoded
from steepslope.outputs import ClassifierOutputs
from tests.images import extract_folder, folder_of, opened


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


def test_a_decompression_bomb_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "bomb.ppm").write_bytes(b"P6 20000 20000 255\n")
    reason = decoded(opened(f"images:{tmp_path}"), 0, lambda picture: picture)
    assert "could be decompression bomb" in str(reason)


def test_a_file_without_permission_is_named() -> None:
    """To nobody, where the tests run as root, who may read everything."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to other users
        data = folder_of(Path(folder) / "data", 1)
        (data / "bee" / "0000.png").chmod(0)
        Path(folder).chmod(0o777)
        images = opened(f"imagefolder:{data}")
        os.seteuid(65534 if user == 0 else user)
        try:
            reason = decoded(images, 1, lambda picture: picture)
        finally:
            os.seteuid(user)
    assert re.match(r"cannot be read as an image \(.*Permission denied", str(reason))
