"""What several tests read: images of the digits as files, and a gate with what it decided on three days."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from steepslope.gate import Gate
from steepslope.scores import MCP
from tests.cli.predictions import LABELLED, NEW, RISK, ROWS, predicted
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


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a gate of MCP, its decisions on three days, and those on all with an audit; tests must not write there."""
    home = tmp_path_factory.mktemp("watched")
    Gate.of(MCP(), LABELLED, max_risk=RISK).save(home / "gate")
    LABELLED.save(home / "labelled")
    NEW.save(home / "outputs")
    for number, part in enumerate(np.array_split(np.arange(len(NEW)), 3)):
        NEW.subset(part).save(home / f"outputs{number}")
        predicted(home / "gate", home / f"day{number}.parquet", "--outputs", str(home / f"outputs{number}"))
    predicted(home / "gate", home / "audited.parquet", "--outputs", str(home / "outputs"), "--audit", "150")
    return home
