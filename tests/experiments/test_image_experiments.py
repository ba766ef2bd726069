"""The experiments on image oracles, small, and the committed results of the large ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from steepslope.cli import main
from steepslope.errors import SteepslopeError
from steepslope.experiments import image_table as image_module, recipe_table as recipe_module
from steepslope.experiments.image_table import image_table
from steepslope.experiments.probe_table import probe, probed_outputs
from steepslope.experiments.recipe_table import recipe_table
from steepslope.losses import PAPER_LOSSES
from steepslope.outputs import ClassifierOutputs
from steepslope.presets import preset

RESULTS = Path(__file__).parents[2] / "results"
SHORT: dict[str, Any] = {"epochs": 1, "batch_size": 32, "learning_rate": 1e-3, "alpha_pos": 0.5, "alpha_neg": 3}
PAIRS = [("lite0", "net"), ("lite0", "lite0"), ("net", "net"), ("net", "lite0")]
NET = "net:digits-net?classes=10"
TWO_LOSSES = {"CE": "cross_entropy", "SS": "steep_slope"}
STAGES = ["confidnet", "confidnet-tuned", "steep-slope"]

pytestmark = pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")


def short_preset(name: str) -> dict[str, Any]:
    """Return what stands in for a pair's preset."""
    return SHORT | ({"oracle_mean": 0.5, "oracle_std": 0.5} if "-lite0-" in name else {})


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the table of two seeds: classifiers of the digits, and an untrained net that is probed."""
    folder = tmp_path_factory.mktemp("images")
    for seed in ("0", "1"):
        given = ["--net", "digits-net", "--data", "digits", "--epochs", "12", "--seed", seed]
        assert main(["train-classifier", *given, "--out", str(folder / "nets" / f"seed{seed}" / "classifier")]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_module, "preset", short_preset)
        patch.setattr(image_module, "PAPER_LOSSES", TWO_LOSSES)
        make_images(folder / "nets", folder)
    return folder


def make_images(
    nets: Path, folder: Path, fit_rows: int = 300, seeds: tuple[int, ...] = (0, 1), split: str = "test"
) -> None:
    """Make the table, or find it."""
    work, out = str(folder / "work"), str(folder / "out")
    image_table("digits", str(nets), work, out, NET, fit_rows, seeds, split)


@pytest.fixture
def copied(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give all but the nets, to be written to; their paths are among what decides an oracle."""
    monkeypatch.setattr(image_module, "preset", short_preset)
    monkeypatch.setattr(image_module, "PAPER_LOSSES", TWO_LOSSES)
    for name in ("work", "out"):
        shutil.copytree(images / name, tmp_path / name)
    return tmp_path


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Read the rows that were written."""
    return list(json.loads((folder / "rows.json").read_text()))


def written(folder: Path) -> dict[Path, int]:
    """Return when each file of weights and of rows was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.suffix in (".safetensors", ".json")}


def test_every_pair_and_loss(images: Path) -> None:
    rows = rows_of(images / "out")
    found = [(row["seed"], row["oracle"], row["classifier"], row["score"]) for row in rows]
    assert found == [(seed, *pair, name) for seed in (0, 1) for pair in PAIRS for name in ("mcp", *TWO_LOSSES)]
    assert image_module.tables(rows) == (images / "out" / "table.md").read_text()  # from numbers that JSON has held
    slopes = {(row["split"], row["fit_rows"], row["alpha_pos"], row["alpha_neg"]) for row in rows}
    assert slopes == {("test", 300, 0.5, 3)}


def test_a_row_is_of_the_classifier_that_it_names(images: Path) -> None:
    work = images / "work"
    train, test = (ClassifierOutputs.load(work / "backbone" / name) for name in ("train", "test"))
    accuracies = {}
    for seed in (0, 1):
        net = ClassifierOutputs.load(work / f"seed{seed}" / "net" / "test")
        accuracies[seed, "net"] = net.is_correct.mean()
        accuracies[seed, "lite0"] = probed_outputs(test, *probe(train, seed)).is_correct.mean()
    assert len(set(accuracies.values())) == 4
    for row in rows_of(images / "out"):
        assert row["accuracy"]["value"] == pytest.approx(accuracies[row["seed"], row["classifier"]])


def test_differences_are_those_to_cross_entropy(images: Path) -> None:
    plain: dict[str, Any] = {}
    for row in rows_of(images / "out"):
        plain = row if row["score"] == "CE" else plain
        if row["score"] == "mcp":
            assert "tnr_minus_ce" not in row
            continue
        assert row["tnr_minus_ce"]["value"] == pytest.approx(row["tnr"]["value"] - plain["tnr"]["value"])
        assert row["cuts"]["0.5"]["tnr"] == pytest.approx(row["tnr"]["value"])
        cut = plain["cuts"][str(3 / 3.5)]["tnr"]
        if row["score"] == "SS":
            assert row["tnr_minus_ce_at_cut"]["value"] == pytest.approx(row["tnr"]["value"] - cut)
        else:
            assert "tnr_minus_ce_at_cut" not in row
    assert plain["tnr_minus_ce"]["value"] == 0


def test_seeds_draw_other_rows_and_end_in_other_weights(images: Path) -> None:
    work = images / "work"
    ids = {
        (seed, name): list(ClassifierOutputs.load(work / f"seed{seed}" / f"fit-{name}").ids)  # type: ignore[arg-type]
        for seed in (0, 1)
        for name in ("net", "lite0")
    }
    assert ids[0, "net"] == ids[0, "lite0"]
    assert ids[1, "net"] == ids[1, "lite0"]
    assert len(set(ids[0, "net"])) == len(set(ids[1, "net"])) == 300
    assert ids[0, "net"] != ids[1, "net"]
    for oracle, classifier in PAIRS:
        one, other = (work / f"seed{seed}" / f"{oracle}-{classifier}" / "SS" for seed in (0, 1))
        weights = (folder / "oracle.safetensors" for folder in (one, other))
        assert next(weights).read_bytes() != next(weights).read_bytes()


def test_a_second_run_finds_all_and_says_the_same(images: Path, copied: Path) -> None:
    """Rows that were kept are not made again; without them they come out the same."""
    text, made = (copied / "out" / "table.md").read_text(), written(copied / "work")
    assert len([path for path in made if path.name == "oracle.safetensors"]) == 2 * len(PAIRS) * len(TWO_LOSSES)
    shutil.rmtree(copied / "out")
    (copied / "work" / "seed1" / "net-net" / "rows.json").unlink()
    make_images(images / "nets", copied)
    assert (copied / "out" / "table.md").read_text() == text
    again = written(copied / "work")
    assert [path for path, when in again.items() if made[path] != when] == [
        copied / "work" / "seed1" / "net-net" / "rows.json"
    ]


def test_what_does_not_fit_is_refused(images: Path, copied: Path) -> None:
    """Nothing that is there is changed, whether work or results."""
    made = written(copied)
    with pytest.raises(SteepslopeError, match="expected the 299 rows drawn by seed 0, found others"):
        make_images(images / "nets", copied, fit_rows=299)
    probed = round(0.8 * len(ClassifierOutputs.load(copied / "work" / "backbone" / "train")))
    for fit_rows in (0, probed + 1):
        with pytest.raises(SteepslopeError, match=f"fit_rows: expected a whole number from 1 to {probed}"):
            make_images(images / "nets", copied, fit_rows=fit_rows)
    with pytest.raises(SteepslopeError, match="did you mean 'holdout'"):
        make_images(images / "nets", copied, split="hold-out")
    with pytest.raises(SteepslopeError, match="seeds: expected at least one"):
        make_images(images / "nets", copied, seeds=())
    assert written(copied) == made


def test_held_out_rows_are_called_so(images: Path, copied: Path) -> None:
    """One seed alone, so without a standard deviation."""
    make_images(images / "nets", copied, seeds=(0,), split="holdout")
    rows, text = rows_of(copied / "out"), (copied / "out" / "table.md").read_text()
    assert {row["split"] for row in rows} == {"holdout"}
    assert f"{rows[0]['n']} held-out rows; one seed, in percent" in text
    assert "test rows" not in text
    assert "nan" not in text


@pytest.fixture
def short_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    shortened = preset("fashion-mnist") | {"hidden": [8]}
    shortened["stages"] = [stage | {"epochs": 1} for stage in shortened["stages"]]
    classifier = preset("fashion-mnist-classifier") | {"net": "digits-net", "epochs": 8, "learning_rate": 0.05}
    settings = {"a": classifier | {"holdout": 200}, "b": shortened, "other": classifier | {"holdout": 300}}
    monkeypatch.setattr(recipe_module, "preset", settings.__getitem__)


@pytest.mark.usefixtures("short_recipe")
def test_the_recipe_from_the_classifier_on(tmp_path: Path) -> None:
    """Twice: the second run finds all trained and says the same; another classifier's recipe is refused."""
    work, out = tmp_path / "work", tmp_path / "out"
    recipe_table("digits", str(work), str(out), "a", "b", seeds=(0,))
    rows, text, made = rows_of(out), (out / "table.md").read_text(), written(work)
    assert [row["score"] for row in rows] == ["mcp", "mc_dropout", "trust_score", *STAGES]
    assert rows[0]["accuracy"]["value"] > 0.8
    assert {row["split"] for row in rows} == {"test"}
    aucs = {row["score"]: row["auc"]["value"] for row in rows}
    difference = aucs["steep-slope"] - aucs["confidnet-tuned"]
    assert [row["minus_tcp"]["auc"]["value"] for row in rows if "minus_tcp" in row] == [pytest.approx(difference)]
    errors = int((~ClassifierOutputs.load(work / "seed0" / "test-dropout").is_correct).sum())
    assert f"| steep-slope, seed 0 | {errors} |" in text
    assert recipe_module.tables(rows) == text
    shutil.rmtree(out)
    recipe_table("digits", str(work), str(out), "a", "b", seeds=(0,))
    assert (out / "table.md").read_text() == text
    assert written(work) == made
    with pytest.raises(SteepslopeError, match=r"less 300 rows .* choose another work folder"):
        recipe_table("digits", str(work), str(out), "other", "b", seeds=(0,))
    assert (out / "table.md").read_text() == text


def test_the_committed_table_of_images_is_that_of_its_rows() -> None:
    """Every pair and loss over three seeds; steep slope finds more errors than cross entropy in each of them."""
    rows = rows_of(RESULTS / "images")
    assert image_module.tables(rows) == (RESULTS / "images" / "table.md").read_text()
    found = [(row["seed"], row["oracle"], row["classifier"], row["score"]) for row in rows]
    wanted = [(seed, *pair, name) for seed in range(3) for pair in PAIRS for name in ("mcp", *PAPER_LOSSES)]
    assert sorted(found) == sorted(wanted)
    steep = [row for row in rows if row["score"] == "SS"]
    assert min(row["tnr_minus_ce"]["low"] for row in steep) > 0


def test_the_committed_table_of_the_recipe_is_that_of_its_rows() -> None:
    rows = rows_of(RESULTS / "recipe")
    assert recipe_module.tables(rows) == (RESULTS / "recipe" / "table.md").read_text()
    names = ["mcp", "mc_dropout", "trust_score", *STAGES]
    assert [(row["seed"], row["score"]) for row in rows] == [(seed, name) for seed in range(3) for name in names]
