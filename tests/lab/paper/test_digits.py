"""Everything on digits, once: the files, and the numbers in them, recomputed by another library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from steepslope.cli._main import main
from steepslope.nets.data._specs import SPLIT_SEED
from steepslope.numerics import _small_net as small_net
from steepslope_lab.paper.experiment import read_experiment
from steepslope_lab.paper.methods import stored_line_name
from steepslope_lab.paper.preset import read_paper_preset
from steepslope_lab.paper.steps import folder_slug

pytestmark = pytest.mark.slow
SEEDS = (0,)
BESIDE = ("on-features",)
TABLES = ["table1", "table2", "table3", "appendix-f", "appendix-g", "appendix-h", "on-features"]
Row = dict[str, Any]
Arrays = tuple[NDArray[np.float64], NDArray[np.bool_]]


def reproduce_all(out: Path) -> None:
    """Make all of the paper, then what is not the paper's, from the same work."""
    for name in ("all", *BESIDE):
        words = ["--preset", "digits", "--seeds", "0", "--set", "resamples=20", "--out", str(out)]
        assert main(["reproduce", name, *words]) == 0


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run everything once; tests read its folder."""
    folder = tmp_path_factory.mktemp("all") / "digits"
    with pytest.MonkeyPatch.context() as patch:  # the fused oracles' small nets learn for no time
        patch.setattr(small_net, "LEAST_STEPS", 30)
        patch.setattr(small_net, "EPOCHS", 1)
        reproduce_all(folder)
    return folder


def rows_of(out: Path, name: str) -> list[Row]:
    """Return the rows behind a table, with all that the work folder knows of them; they name the experiment."""
    rows = json.loads((out / f"{name}.json").read_text())["rows"]
    found = [{**row, "experiment": name, "pair": f"⟨{row['oracle']}, {row['classifier']}⟩"} for row in rows]
    return [{**_measured(folder_of(out, row)), **row} for row in found]


def _measured(folder: Path) -> Row:
    row = json.loads((folder / "row.json").read_text())
    return {key: [*one.values()] if isinstance(one, dict) else one for key, one in row.items()}


def folder_of(out: Path, row: Row) -> Path:
    """Return the folder of a row's line: of oracles on images, that of the oracle's backbone."""
    method = read_experiment(row["experiment"]).lines[row["score"]]
    place = row["where"].replace(":", "-")
    place = f"adversarial-{row['classifier']}-{row['seed']}" if place == "adversarial" else place
    folder = out / "work" / "scores" / f"{row['classifier']}-{row['seed']}" / place
    folder /= row["oracle"] if method["kind"] in ("images", "cut") else ""
    return folder / folder_slug(stored_line_name(row["score"], method))


def confidences(out: Path, row: Row) -> Arrays:
    """Return the confidences that are kept of a row's line, and which predictions are correct."""
    with np.load(folder_of(out, row) / "confidence.npz") as arrays:
        return arrays["confidence"], arrays["is_correct"]


def by_scikit_learn(confidence: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> dict[str, float]:
    """Return the metrics that need no cut."""
    fpr, tpr, _ = roc_curve(is_correct, confidence, drop_intermediate=False)
    return {
        "auc": roc_auc_score(is_correct, confidence),
        "aupr_success": average_precision_score(is_correct, confidence),
        "aupr_error": average_precision_score(~is_correct, -confidence),
        "paper_aupr_error": average_precision_score(~is_correct, confidence),
        "fpr_at_95tpr": fpr[tpr >= 0.95].min(),
    }


@pytest.mark.parametrize("name", TABLES)
def test_metrics_are_those_of_scikit_learn(name: str, out: Path) -> None:
    """On the scale of logits a score trusts above 0; other scales have no cut, and no TPR and TNR."""
    rows = rows_of(out, name)
    assert {row["seed"] for row in rows} == {*SEEDS}
    assert {"CE", "SS", "MCP"} & {row["score"] for row in rows if row["tpr"][0] is not None}
    for row in rows:
        confidence, is_correct = confidences(out, row)
        expected = by_scikit_learn(confidence, is_correct)
        if row["tpr"][0] is not None:
            expected |= {"tpr": (confidence[is_correct] > 0).mean(), "tnr": (confidence[~is_correct] <= 0).mean()}
        found = {metric: row[metric][0] for metric in expected}
        tight = {metric: expected[metric] for metric in expected if metric != "paper_aupr_error"}
        assert {metric: found[metric] for metric in tight} == pytest.approx(tight, abs=1e-5), row
        assert found["paper_aupr_error"] == pytest.approx(expected["paper_aupr_error"], abs=5e-3)  # float32's ties


def best_sigmoid(probability: float, gamma: float) -> float:
    """Return at which sigmoid the expected focal loss is least where so many predictions are right."""

    def expected(p: float) -> float:
        return float(-probability * (1 - p) ** gamma * np.log(p) - (1 - probability) * p**gamma * np.log(1 - p))

    return float(minimize_scalar(expected, bounds=(1e-6, 1 - 1e-6), method="bounded", options={"xatol": 1e-9}).x)


@pytest.mark.parametrize("name", ["table1", "table3"])
def test_cross_entropy_cut_elsewhere_ranks_as_before(name: str, out: Path) -> None:
    """It trusts where it thinks a prediction right with a probability of more than α⁻/(α⁺+α⁻).

    That is its sigmoid for cross entropy; the focal loss is least at another one.
    """
    rows = {(row["pair"], row["where"], row["seed"], row["score"]): row for row in rows_of(out, name)}
    pairs = {pair.title: pair for pair in read_paper_preset("digits").pairs}
    found = [key for key in rows if key[-1].endswith("at the cut of SS")]
    assert len(found) == len(rows) * 2 / len({key[-1] for key in rows})
    for key in found:
        loss, training = key[-1].split(" ")[0], pairs[key[0]].training
        plain, cut = rows[(*key[:-1], loss)], rows[key]
        probability = training["alpha_neg"] / (training["alpha_pos"] + training["alpha_neg"])
        threshold = best_sigmoid(probability, gamma={"CE": 0, "Focal": 2}[loss])
        confidence, is_correct = confidences(out, plain)
        trusted = 1 / (1 + np.exp(-confidence)) > threshold
        assert cut["auc"] == plain["auc"]
        assert cut["tpr"][0] == pytest.approx(trusted[is_correct].mean(), abs=1e-5)
        assert cut["tnr"][0] == pytest.approx(1 - trusted[~is_correct].mean(), abs=1e-5)


def test_what_shifts_is_shifted(out: Path) -> None:
    """Accuracy falls, on the same rows of the test images; the few steps of the attack may change nothing."""
    rows = [row for row in rows_of(out, "table3") if row["score"] == "MCP"]
    assert [row["where"] for row in rows[:: len(SEEDS)]] == ["stylized", "adversarial", "corrupt:defocus_blur:5"]
    drawn = np.random.default_rng(SPLIT_SEED).permutation(797)[:200]
    for row in rows:
        clean = confidences(out, {**row, "where": "test"})[1][drawn].mean()
        lost = clean - row["accuracy"][0]
        assert row["n"] == 200
        assert lost >= 0 if row["where"] == "adversarial" else lost > 0.2, row["where"]


def test_the_slope_that_is_frozen_is_the_best_of_its_trials(out: Path) -> None:
    sweep = read_paper_preset("digits").sweep
    found = list((out / "work" / "sweeps").glob("*/*/search.json"))
    assert [path.parent.parent.name for path in found] == ["late-late-0"]  # one seed is swept
    search = json.loads(found[0].read_text())
    first, second = search["alpha_neg_trials"], search["alpha_pos_trials"]
    assert [(one["alpha_pos"], one["alpha_neg"]) for one in first] == [(1, value) for value in sweep["negatives"]]
    assert [one["alpha_pos"] for one in second] == sweep["positives"]
    best = np.argmax([(one["tpr"] + one["tnr"]) / 2 for one in first])
    assert {one["alpha_neg"] for one in second} == {first[int(best)]["alpha_neg"]}


def test_a_second_run_does_nothing_and_writes_the_same(out: Path) -> None:
    files = [path for path in out.rglob("*") if path.is_file()]
    work = {path: path.stat().st_mtime_ns for path in files if out / "work" in path.parents}
    shown = {path: path.read_bytes() for path in files if path.parent == out}
    reproduce_all(out)
    again = {path for path in out.rglob("*") if path.is_file()}
    assert again == {*files}
    assert {path: path.stat().st_mtime_ns for path in work} == work
    assert {path: path.read_bytes() for path in shown} == shown
