"""The whole line on real images: a part of Fashion-MNIST, as Debian's package holds it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from steepslope.classifiers.training import recipe_for
from steepslope.data.datasets import parse_dataset
from steepslope.errors import SteepslopeError
from steepslope.experiments import loss_table as loss_module
from steepslope.experiments.loss_table import loss_table, mean_table
from tests.conftest import FASHION_MNIST, write_idx

needs_data = pytest.mark.skipif(not FASHION_MNIST.is_dir(), reason=f"no Fashion-MNIST in {FASHION_MNIST}")
RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep 4,000 training and 2,000 test images, in the same file format."""
    folder = tmp_path_factory.mktemp("fashion-mnist")
    for split, stem, n in (("train", "train", 4000), ("test", "t10k", 2000)):
        images = parse_dataset(f"idx:{FASHION_MNIST}").load_into_memory(split)
        write_idx(folder / f"{stem}-images-idx3-ubyte.gz", images.pixels[:n])
        write_idx(folder / f"{stem}-labels-idx1-ubyte.gz", images.labels[:n].astype(np.uint8))
    return folder


@pytest.mark.fashion_mnist
@needs_data
def test_the_package_is_complete() -> None:
    train, test = (parse_dataset(f"idx:{FASHION_MNIST}").load_into_memory(split) for split in ("train", "test"))
    assert train.pixels.shape == (60_000, 28, 28)
    assert test.pixels.shape == (10_000, 28, 28)
    assert np.bincount(test.labels).tolist() == [1000] * 10


@pytest.mark.slow
@pytest.mark.fashion_mnist
@needs_data
def test_steep_slope_finds_errors_that_cross_entropy_trusts(part: Path, tmp_path: Path) -> None:
    """The paper's pattern, for oracles fitted on the rows that the classifier was fitted to."""
    loss_table(f"idx:{part}", str(tmp_path / "work"), str(tmp_path / "out"), seeds=(0,), flip=True)
    rows = {row["score"]: row for row in json.loads((tmp_path / "out" / "rows.json").read_text())}
    assert rows["mcp"]["accuracy"]["value"] > 0.75
    assert rows["SS"]["tnr"]["value"] > rows["CE"]["tnr"]["value"] + 0.15
    assert rows["SS"]["tpr"]["value"] > 0.8
    assert rows["SS"]["auc"]["value"] > 0.7
    table = (tmp_path / "out" / "table.md").read_text()
    loss_table(f"idx:{part}", str(tmp_path / "work"), str(tmp_path / "out"), seeds=(0,), flip=True)
    assert (tmp_path / "out" / "table.md").read_text() == table


@pytest.mark.parametrize("folder", ["fashion-mnist", "fashion-mnist-holdout"])
def test_committed_tables_are_those_of_their_rows(folder: str) -> None:
    rows = json.loads((RESULTS / folder / "rows.json").read_text())
    assert mean_table(rows) == (RESULTS / folder / "table.md").read_text()


def test_committed_rows_show_the_papers_pattern() -> None:
    """Means of three seeds: the classifier is good, CE trusts its errors, SS finds them and keeps the rest."""
    rows = json.loads((RESULTS / "fashion-mnist" / "rows.json").read_text())

    def mean(score: str, metric: str) -> float:
        return float(np.mean([row[metric]["value"] for row in rows if row["score"] == score]))

    assert len({row["seed"] for row in rows}) == 3
    assert mean("mcp", "accuracy") >= 0.91
    assert mean("CE", "tnr") <= 0.10
    assert mean("SS", "tnr") >= 0.40
    assert mean("SS", "tpr") >= 0.90


@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_work_of_another_recipe_is_not_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_module, "recipe_for", partial(recipe_for, epochs=2))
    monkeypatch.setattr(loss_module, "PAPER_LOSSES", {"CE": "cross_entropy"})
    arguments = {"work": str(tmp_path / "work"), "out": str(tmp_path / "out"), "net": "digits-net", "seeds": (0,)}
    loss_table("digits", fit_split="holdout", **arguments)  # type: ignore[arg-type]
    with pytest.raises(SteepslopeError, match="choose another work folder"):
        loss_table("digits", fit_split="holdout", flip=True, **arguments)  # type: ignore[arg-type]
    with pytest.raises(SteepslopeError, match="did you mean 'holdout'"):
        loss_table("digits", fit_split="hold-out", **arguments)  # type: ignore[arg-type]
    with pytest.raises(SteepslopeError, match="seeds: expected at least one"):
        loss_table("digits", **(arguments | {"seeds": ()}))  # type: ignore[arg-type]


def test_the_readme_shows_the_committed_means() -> None:
    readme = (RESULTS.parent / "README.md").read_text().replace("**", "")
    for line in (RESULTS / "fashion-mnist" / "table.md").read_text().splitlines()[2:7]:
        name, *numbers = [cell.strip() for cell in line.strip("|").split("|")]
        shown = {"mcp": "MCP"}.get(name, name.split(" ")[0])
        assert f"| {shown} | {' | '.join(numbers[:8])} |" in readme
