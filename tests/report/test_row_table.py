"""A line for each prediction, as a report keeps it: names, confidences and decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report.evaluation import Evaluation, evaluate_predictions
from steepslope.report.row_table import write_row_table
from tests.conftest import make_outputs

CLASSES = ("ant", "bee", "cat", "dog")


def written(evaluation: Evaluation, path: Path) -> dict[str, NDArray[Any]]:
    write_row_table(evaluation, path)
    return dict(np.load(path, allow_pickle=False))


def test_rows_hold_names_confidences_and_decisions(tmp_path: Path) -> None:
    outputs = make_outputs(300).named(CLASSES)
    oracle = Oracle(epochs=5).fit(make_outputs(300, seed=1).changed(ids=None))
    oracle.save(tmp_path / "label")
    scores = ["margin", str(tmp_path / "label")]
    ids = outputs.require("ids")
    evaluation = evaluate_predictions(outputs, scores, bootstrap=0, ids=lambda rows: ids[rows].tolist())
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
