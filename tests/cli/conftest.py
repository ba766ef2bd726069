"""Some images of the digits as files, which several tests read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.predictions import ROWS
from tests.conftest import write_idx
from tests.images import opened


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write some images of the digits as files, and as IDX files; tests must not write there."""
    home, data = tmp_path_factory.mktemp("photos"), opened("digits:test")
    pixels = np.stack([np.asarray(data.image(row)) for row in range(ROWS)])
    for name in ("flat", "classes/3", "classes/7", "idx"):
        (home / name).mkdir(parents=True)
    for row, one in enumerate(pixels):
        Image.fromarray(one).save(home / "flat" / f"{row:03d}.png")
        Image.fromarray(one).save(home / "classes" / "37"[row % 2] / f"{row:03d}.png")
    for stem in ("train", "t10k"):
        write_idx(home / "idx" / f"{stem}-images-idx3-ubyte", pixels)
        write_idx(home / "idx" / f"{stem}-labels-idx1-ubyte", (np.arange(ROWS) % 10).astype(np.uint8))
    return home
