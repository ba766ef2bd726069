"""Folders of images: links, files of other kinds, and names of classes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from steepslope.data.transforms import Transform
from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from tests.images import extract_folder, folder_of


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 2)
    (data / "ant" / "loop").symlink_to(data / "ant")
    (data / "ant" / "._0000.png").write_text("what a Mac leaves beside an image")
    assert extract_folder(data, tmp_path / "out") == 0
    assert len(ClassifierOutputs.load(tmp_path / "out")) == 6


def test_classes_file_gives_the_order(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 1)
    (tmp_path / "classes.txt").write_text("cow\nbee\nant\n")
    assert extract_folder(data, tmp_path / "out", "--classes", str(tmp_path / "classes.txt")) == 0
    assert ClassifierOutputs.load(tmp_path / "out").require_labels().tolist() == [2, 1, 0]
    with pytest.raises(SteepslopeError, match="expected a size of the classifier's input"):
        Transform((0, 0), (0.5,), (0.5,))(Image.new("L", (4, 4)))
