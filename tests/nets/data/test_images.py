"""What is decoded, of every kind as 8-bit colour or grey; what cannot be stops a run by name, or is listed."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from steepslope.nets.data._images import as_colour, as_grey, decode_image
from steepslope.nets.data._transforms import decoded_or_reason
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import refused
from tests.conftest import Captured
from tests.images import extract_folder, folder_of, opened


def test_colours_are_what_a_viewer_shows() -> None:
    grey16 = Image.fromarray(np.full((2, 2), 0x80FF, dtype=np.uint16))
    assert np.asarray(as_colour(grey16)).tolist() == [[[128] * 3] * 2] * 2
    clear = Image.new("RGBA", (1, 1), (255, 0, 0, 0))
    assert np.asarray(as_colour(clear)).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize(("values", "expected"), [([0, 7, 255], [0, 7, 255]), ([0, 256, 65535], [0, 1, 255])])
def test_whole_numbers_of_32_bits_are_taken_by_their_range(
    values: list[int], expected: list[int], tmp_path: Path
) -> None:
    Image.fromarray(np.array([values], dtype=np.int32)).save(tmp_path / "a.tif")
    assert np.asarray(as_grey(decode_image(tmp_path / "a.tif"))).tolist() == [expected]


def test_an_image_of_floats_is_refused(tmp_path: Path) -> None:
    """PIL would make whole numbers from 0 to 255 of it, and black of what lies between 0 and 1."""
    Image.fromarray(np.full((4, 5), 0.7, dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"found an image of floats: save it as \.npy"):
        decode_image(tmp_path / "a.tif")
    Image.new("L", (4, 5), 7).save(tmp_path / "b.tif")
    assert decode_image(tmp_path / "b.tif").getpixel((0, 0)) == 7


def test_postscript_under_an_images_name_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a Ghostscript that would leave a file where it is started."""
    program, started = tmp_path / "bin" / "gs", tmp_path / "started"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho 10 | tee -a {started}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    Image.new("RGB", (10, 12)).save(tmp_path / "photo.png", "EPS")
    reason = decoded_or_reason(opened(f"images:{tmp_path}"), 0, lambda picture: picture)
    assert str(reason).startswith("cannot be read as an image (cannot identify image file")
    assert not started.exists()


def break_files(folder: Path) -> list[str]:
    """Put files that no decoder can read among the good ones; return their ids."""
    whole = (folder / "ant" / "0000.png").read_bytes()
    (folder / "ant" / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (folder / "bee" / "empty.jpg").write_bytes(b"")
    (folder / "cow" / "text.png").write_text("not an image")
    return ["ant/truncated.png", "bee/empty.jpg", "cow/text.png"]


def test_unreadable_images_stop_or_are_listed(tmp_path: Path, capsys: Captured) -> None:
    data = folder_of(tmp_path / "data", 3)
    broken = break_files(data)
    assert extract_folder(data, tmp_path / "out") == 2
    refused(capsys, broken[0])
    assert extract_folder(data, tmp_path / "skipped", "--on-error", "skip") == 0
    assert "3 images could not be read" in capsys.readouterr().err
    manifest = json.loads((tmp_path / "skipped" / "manifest.json").read_text())
    assert [one["id"] for one in manifest["skipped"]] == broken
    outputs = ClassifierOutputs.load(tmp_path / "skipped")
    assert len(outputs) == 9
    assert outputs.require_labels().tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_a_decompression_bomb_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "bomb.ppm").write_bytes(b"P6 20000 20000 255\n")
    reason = decoded_or_reason(opened(f"images:{tmp_path}"), 0, lambda picture: picture)
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
            reason = decoded_or_reason(images, 1, lambda picture: picture)
        finally:
            os.seteuid(user)
    assert re.match(r"cannot be read as an image \(.*Permission denied", str(reason))
