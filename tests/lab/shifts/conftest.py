"""Styles, and photos of several sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from skimage import data as pictures


@pytest.fixture(scope="session")
def styles_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("styles")
    for name in ("grass", "immunohistochemistry", "colorwheel"):
        Image.fromarray(getattr(pictures, name)()).resize((60, 50)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="session")
def photos_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two photos of one size, a grey one, and a small one."""
    folder = tmp_path_factory.mktemp("photos")
    for name, size in (("astronaut", (48, 36)), ("coffee", (48, 36)), ("camera", (30, 45)), ("chelsea", (11, 7))):
        Image.fromarray(getattr(pictures, name)()).resize(size).save(folder / f"{name}.png")
    return folder
