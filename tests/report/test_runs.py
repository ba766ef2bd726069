"""A report's folder is read as it was written; what is no report, or an earlier version's, is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.report.confidences import Scored
from steepslope.report.evaluation import evaluate_predictions
from steepslope.report.page import write_report
from steepslope.report.runs import read_run
from tests.conftest import make_outputs
from tests.report.samples import with_scores


@pytest.fixture
def report(tmp_path: Path) -> Path:
    outputs = make_outputs(100).named(("ant", "bee", "cat", "dog"))
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
    assert [one.loss for one in run.scores.values()] == [None, "focal", "focal"]
    np.testing.assert_array_equal(run.is_correct, outputs.is_correct)
    assert run.ids is not None
    assert run.labels is not None
    assert run.ids.tolist() == [f"row/{row}" for row in range(100)]
    assert run.labels.tolist() == [("ant", "bee", "cat", "dog")[label] for label in outputs.require_labels()]
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
