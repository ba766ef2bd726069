"""Folders of images: links, files of other kinds, and names of classes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from steepslope.cli.main import main
from steepslope.data.class_names import ClassNames
from steepslope.data.transforms import Transform
from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from tests.images import extract_folder, folder_of, opened
from tests.nets import six_channels


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 2)
    (data / "ant" / "loop").symlink_to(data / "ant")
    (data / "ant" / "._0000.png").write_text("what a Mac leaves beside an image")
    assert len(opened(f"imagefolder:{data}")) == 6


def test_images_without_classes(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 2)
    (data / "loose.png").write_bytes((data / "ant" / "0000.png").read_bytes())
    words = ["extract", "--classifier", "module:tests.nets:tiny", "--data", f"images:{data}", "--out"]
    assert main([*words, str(tmp_path / "out")]) == 0
    outputs = ClassifierOutputs.load(tmp_path / "out")
    assert outputs.labels is None
    names = [f"{name}/000{index}.png" for name in ("ant", "bee", "cow") for index in (0, 1)]
    assert outputs.require("ids").tolist() == ["loose.png", *names]
    assert extract_folder(data, tmp_path / "labelled") == 0
    np.testing.assert_array_equal(ClassifierOutputs.load(tmp_path / "labelled").logits, outputs.logits[1:])
    assert main([*words, str(tmp_path / "out"), "--augment", "1"]) == 2


def test_a_missing_class_folder_shifts_no_label(tmp_path: Path) -> None:
    """The names that an earlier extraction kept, or the classifier's own, give each folder its label."""
    data = folder_of(tmp_path / "data", 1)
    assert extract_folder(data, tmp_path / "whole") == 0
    shutil.rmtree(data / "bee")
    assert extract_folder(data, tmp_path / "part", "--classes", str(tmp_path / "whole")) == 0
    outputs = ClassifierOutputs.load(tmp_path / "part")
    assert (outputs.require_labels().tolist(), outputs.classes) == ([0, 2], ("ant", "bee", "cow"))


def test_arrays_of_many_channels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(65536, size=(4, 10, 12, 6), dtype=np.uint16)
    for row, name in enumerate(("fen", "fen", "oak", "tar")):
        (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
        array = pixels[row] if row else np.moveaxis(pixels[row], 2, 0)  # channels first, too
        np.save(tmp_path / "data" / name / f"{row}.npy", array)
    words = ["extract", "--classifier", "module:tests.nets:six_channels", "--image-size", "8", "--mean", "0.5"]
    words += ["--std", "0.25", "--resize", "squash", "--data", f"imagefolder:{tmp_path / 'data'}"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    outputs, net = ClassifierOutputs.load(tmp_path / "out"), six_channels()
    inputs = torch.from_numpy(np.moveaxis(pixels, 3, 1).astype(np.float32) / 65535)
    small = torch.nn.functional.interpolate(inputs, (8, 8), mode="bicubic", antialias=True)
    with torch.inference_mode():
        np.testing.assert_allclose(outputs.logits, net((small - 0.5) / 0.25).numpy(), atol=1e-4)
    assert (outputs.require_labels().tolist(), outputs.classes) == ([0, 0, 1, 2], ("fen", "oak", "tar"))


def test_names_give_the_order(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 1)
    images = opened(f"imagefolder:{data}", ClassNames.by_label(["cow", "bee", "ant"]))
    assert np.asarray(images.labels).tolist() == [2, 1, 0]
    with pytest.raises(SteepslopeError, match="expected a size of the classifier's input"):
        Transform((0, 0), (0.5,), (0.5,))(Image.new("L", (4, 4)))
