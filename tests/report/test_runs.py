"""A line for each prediction, as a report keeps it; its folder is read as it was written, and what is none is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report._confidences import Scored
from steepslope.report._evaluation import Evaluation, evaluate_predictions
from steepslope.report._page import write_report
from steepslope.report._runs import read_run, write_run_rows
from tests.conftest import make_outputs
from tests.report.samples import with_scores

CLASSES = ("ant", "bee", "cat", "dog")


@pytest.fixture
def report(tmp_path: Path) -> Path:
    outputs = make_outputs(100).named(CLASSES)
    noise = np.random.default_rng(0).normal(size=100)
    scores = [Scored(f"{name}/oracle", "focal", noise, "rank") for name in "ab"]
    write_report(with_scores(outputs, *scores, bootstrap=0), tmp_path / "report")
    return tmp_path / "report"


def test_a_run_is_what_was_evaluated(report: Path) -> None:
    outputs, run = make_outputs(100), read_run(report, "mine")
    assert list(run.scores) == ["mcp", "a/oracle", "b/oracle"]
    for name, scored in zip(run.scores, with_scores(outputs, bootstrap=0).rows, strict=False):
        np.testing.assert_array_equal(run.scores[name].confidence, scored.confidence)
    assert [one.scale for one in run.scores.values()] == ["logit", "rank", "rank"]
    np.testing.assert_array_equal(run.is_correct, outputs.is_correct)
    assert run.ids is not None
    assert run.labels is not None
    assert run.ids.tolist() == [f"row/{row}" for row in range(100)]
    assert run.labels.tolist() == [CLASSES[label] for label in outputs.require_labels()]
    assert (run.name, run.clusters, run.wrong) == ("mine", None, (~outputs.is_correct).sum())


def test_rows_without_ids_have_none(tmp_path: Path) -> None:
    write_report(evaluate_predictions(make_outputs(50), [], bootstrap=0), tmp_path / "report")
    assert read_run(tmp_path / "report", "mine").ids is None


def test_what_is_no_report_is_named(report: Path, tmp_path: Path) -> None:
    for folder, words in (("no/such", "there is no such"), (tmp_path, r"it has no metrics\.json")):
        with pytest.raises(SteepslopeError, match=f"expected the report of evaluate or demo, but {words}"):
            read_run(Path(folder), "mine")
    rows, metrics = report / "rows.npz", report / "metrics.json"
    before = metrics.read_text()
    for text in ("{}", "[", "[]", "[1]"):
        metrics.write_text(text)
        with pytest.raises(SteepslopeError, match=r"metrics\.json: expected a report's metrics"):
            read_run(report, "mine")
    metrics.write_text(before)
    whole = dict(np.load(rows))
    damages = (
        lambda: rows.write_bytes(rows.read_bytes()[:200]),
        lambda: np.savez(rows, id=["a"]),  # of someone else
        lambda: np.savez(rows, **{**whole, "id": whole["id"].astype(object)}),  # pickled
        lambda: np.savez(rows, **{**whole, "score": whole["score"][::-1]}),
        lambda: rows.write_bytes(b""),
        rows.unlink,
    )
    for damage in damages:
        damage()
        with pytest.raises(SteepslopeError, match=r"rows\.npz: cannot be read as the rows of a report"):
            read_run(report, "mine")


def written(evaluation: Evaluation, path: Path) -> dict[str, NDArray[Any]]:
    write_run_rows(evaluation, path)
    return dict(np.load(path, allow_pickle=False))


@pytest.mark.nets
def test_rows_hold_names_confidences_and_decisions(tmp_path: Path) -> None:
    outputs = make_outputs(300).named(CLASSES)
    oracle = Oracle(epochs=5).fit(make_outputs(300, seed=1).changed(ids=None))
    oracle.save(tmp_path / "label")
    scores = ["margin", str(tmp_path / "label")]
    ids = outputs.require("ids")
    evaluation = replace(evaluate_predictions(outputs, scores, bootstrap=0), ids=lambda rows: ids[rows].tolist())
    rows = written(evaluation, tmp_path / "rows.npz")
    np.testing.assert_array_equal(rows["is_correct"], outputs.is_correct)
    assert rows["id"].tolist() == [f"row/{row}" for row in range(300)]
    assert rows["classes"][rows["label"]].tolist() == [CLASSES[label] for label in outputs.require_labels()]
    assert rows["classes"][rows["prediction"]].tolist() == [CLASSES[label] for label in outputs.predictions]
    assert rows["score"].tolist() == ["mcp", "margin", "label"]
    assert rows["scale"].tolist() == ["logit", "rank", "logit"]
    assert rows["confidence"].shape == (3, 300)
    assert rows["confidence"].dtype == np.float64
    np.testing.assert_array_equal(rows["confidence"][2], oracle.trust_logit(outputs))
    trusted = rows["confidence"] > rows["threshold"][:, None]
    np.testing.assert_array_equal(trusted[2], oracle.trusts(outputs))
    np.testing.assert_array_equal(np.isnan(rows["threshold"]), [False, True, False])
    assert "cluster" not in rows


def test_thresholds_give_the_coverage_at_each_risk() -> None:
    outputs = make_outputs(300)
    (row,) = evaluate_predictions(outputs, [], bootstrap=0).rows
    details = row.details_as_json()
    assert details["threshold_at_risk"].keys() == details["coverage_at_risk"].keys() == {1, 2, 5, 10}
    for percent, threshold in details["threshold_at_risk"].items():
        accepted = row.confidence >= threshold
        assert accepted.mean() == pytest.approx(details["coverage_at_risk"][percent]["value"])
        assert 1 - outputs.is_correct[accepted].mean() <= int(percent) / 100


def test_labels_of_none_of_the_classes_have_a_name(tmp_path: Path) -> None:
    logits, labels = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3 - 1
    evaluation = evaluate_predictions(ClassifierOutputs(logits, labels), [], bootstrap=0)
    rows = written(evaluation, tmp_path / "rows.npz")
    assert rows["id"].tolist() == [str(row) for row in range(60)]
    assert rows["classes"][rows["label"]].tolist() == ["unknown", "0", "1"] * 20
    np.testing.assert_allclose(rows["confidence"][0], logits.max(axis=1) - logits.min(axis=1), rtol=1e-9)


def test_rows_of_answers_have_clusters_and_no_threshold_where_nothing_can_be_accepted(tmp_path: Path) -> None:
    alone = ClassifierOutputs.from_answers([0, 1, 0, 1], [0.9, 0.8, 0.7, 0.6], [1, 1, 0, 0])
    evaluation = evaluate_predictions(alone, [], bootstrap=5, clusters=np.array([7, 7, 8, 9]))
    rows = written(evaluation, tmp_path / "rows.npz")
    assert {*rows} > {"id", "is_correct", "cluster", "score", "scale", "threshold", "confidence", "label"}
    assert rows["id"].tolist() == list("0123")
    assert rows["is_correct"].tolist() == [False, True, True, False]
    assert rows["cluster"].tolist() == [0, 0, 1, 2]
    assert set(evaluation.rows[0].details_as_json()["threshold_at_risk"].values()) == {None}
