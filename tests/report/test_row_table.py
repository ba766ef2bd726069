"""A line for each prediction, as a report keeps it: names, confidences and decisions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs, Confidences
from steepslope.report.evaluation import Evaluation, evaluate_predictions
from steepslope.report.row_table import write_row_table
from tests.conftest import make_outputs

CLASSES = ("ant", "bee", "cat", "dog")


def written(evaluation: Evaluation, path: Path) -> pa.Table:
    write_row_table(evaluation, path)
    return pq.read_table(path)


def test_rows_hold_names_confidences_and_decisions(tmp_path: Path) -> None:
    """An oracle in a folder that is called as a column is has a column of its own."""
    outputs = make_outputs(300).named(CLASSES)
    oracle = Oracle(epochs=5).fit(make_outputs(300, seed=1).changed(ids=None))
    oracle.save(tmp_path / "label")
    scores = ["margin", str(tmp_path / "label")]
    evaluation = evaluate_predictions(
        outputs, scores, bootstrap=0, ids=lambda rows: outputs.require("ids")[rows].tolist()
    )
    table = written(evaluation, tmp_path / "rows.parquet")
    names = "id label prediction is_correct mcp mcp_trusted margin score_label score_label_trusted"
    assert table.column_names == names.split()
    assert table["is_correct"].to_pylist() == outputs.is_correct.tolist()
    assert table.schema.field("margin").type == pa.float64()
    assert table["id"].to_pylist() == [f"row/{row}" for row in range(300)]
    assert table["label"].to_pylist() == [CLASSES[label] for label in outputs.require_labels()]
    assert table["prediction"].to_pylist() == [CLASSES[label] for label in outputs.predictions]
    np.testing.assert_array_equal(table["score_label"], oracle.trust_logit(outputs))
    np.testing.assert_array_equal(table["score_label_trusted"], oracle.trusts(outputs))
    about = json.loads(table.schema.metadata[b"steepslope"])["scores"]
    assert [(one["score"], one["confidence"], one["trusted"], one["loss"], one["scale"]) for one in about] == [
        ("mcp", "mcp", "mcp_trusted", None, "logit"),
        ("margin", "margin", None, None, "rank"),
        ("label", "score_label", "score_label_trusted", "steep_slope", "logit"),
    ]


def test_thresholds_give_the_coverage_at_each_risk() -> None:
    outputs = make_outputs(300)
    (row,) = evaluate_predictions(outputs, [], bootstrap=0).rows
    details = row.details_as_json()
    assert details["threshold_at_risk"].keys() == details["coverage_at_risk"].keys() == {1, 2, 5, 10}
    for percent, threshold in details["threshold_at_risk"].items():
        accepted = row.confidence >= threshold
        assert accepted.mean() == pytest.approx(details["coverage_at_risk"][percent]["value"])
        assert 1 - outputs.is_correct[accepted].mean() <= int(percent) / 100


def test_rows_of_many_batches_stay_together(tmp_path: Path) -> None:
    n = 70_000  # a batch is 65,536 rows
    logits, labels = np.random.default_rng(0).normal(size=(n, 2)), np.arange(n) % 2
    evaluation = evaluate_predictions(ClassifierOutputs(logits, labels), [], bootstrap=0)
    table = written(evaluation, tmp_path / "rows.parquet")
    assert table["id"].to_pylist() == [str(row) for row in range(n)]
    assert table["label"].to_numpy().tolist() == labels.tolist()
    np.testing.assert_allclose(table["mcp"], logits.max(axis=1) - logits.min(axis=1), rtol=1e-9)


def test_rows_of_confidences_alone_have_no_label(tmp_path: Path) -> None:
    """And no threshold where nothing can be accepted."""
    alone = Confidences(np.array([0.9, 0.5, 0.4, 0.3]), np.array([False, True, True, False]))
    evaluation = evaluate_predictions(alone, [], bootstrap=5, clusters=np.array([7, 7, 8, 9]))
    lines = written(evaluation, tmp_path / "rows.parquet").to_pylist()
    assert list(lines[0]) == ["id", "is_correct", "cluster", "confidence", "confidence_trusted"]
    assert [line["id"] for line in lines] == list("0123")
    assert [line["is_correct"] for line in lines] == [False, True, True, False]
    assert [line["cluster"] for line in lines] == [0, 0, 1, 2]
    assert set(evaluation.rows[0].details_as_json()["threshold_at_risk"].values()) == {None}
