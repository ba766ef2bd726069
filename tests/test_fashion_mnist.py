"""The whole line on real images: a part of Fashion-MNIST, as Debian's package holds it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from steepslope.data.datasets import parse_dataset
from steepslope.experiments.loss_table import loss_table
from tests.conftest import FASHION_MNIST, write_idx

pytestmark = [
    pytest.mark.fashion_mnist,
    pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason=f"no Fashion-MNIST in {FASHION_MNIST}"),
]


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep 4,000 training and 2,000 test images, in the same file format."""
    folder = tmp_path_factory.mktemp("fashion-mnist")
    for split, stem, n in (("train", "train", 4000), ("test", "t10k", 2000)):
        images = parse_dataset(f"idx:{FASHION_MNIST}").load(split)
        write_idx(folder / f"{stem}-images-idx3-ubyte.gz", images.pixels[:n])
        write_idx(folder / f"{stem}-labels-idx1-ubyte.gz", images.labels[:n].astype(np.uint8))
    return folder


def test_the_package_is_complete() -> None:
    train, test = (parse_dataset(f"idx:{FASHION_MNIST}").load(split) for split in ("train", "test"))
    assert train.pixels.shape == (60_000, 28, 28)
    assert test.pixels.shape == (10_000, 28, 28)
    assert np.bincount(test.labels).tolist() == [1000] * 10


def test_steep_slope_finds_errors_that_cross_entropy_trusts(part: Path, tmp_path: Path) -> None:
    """The paper's pattern, for oracles fitted on the rows that the classifier was fitted to."""
    loss_table(f"idx:{part}", str(tmp_path / "work"), str(tmp_path / "out"), seeds=(0,))
    rows = {row["score"]: row for row in json.loads((tmp_path / "out" / "rows.json").read_text())}
    assert rows["mcp"]["accuracy"]["value"] > 0.75
    assert rows["SS"]["tnr"]["value"] > rows["CE"]["tnr"]["value"] + 0.15
    assert rows["SS"]["tpr"]["value"] > 0.8
    assert rows["SS"]["auc"]["value"] > 0.7
    table = (tmp_path / "out" / "table.md").read_text()
    loss_table(f"idx:{part}", str(tmp_path / "work"), str(tmp_path / "out"), seeds=(0,))
    assert (tmp_path / "out" / "table.md").read_text() == table
