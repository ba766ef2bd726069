"""A report's folder is read as it was written; what is no report, or an earlier version's, is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.report.confidences import score_predictions
from steepslope.report.runs import read_run
from tests.conftest import make_outputs


@pytest.fixture
def report(tmp_path: Path) -> Path:
    make_outputs(100).named(("ant", "bee", "cat", "dog")).save(tmp_path / "o")
    words = f"evaluate --outputs {tmp_path}/o --scores margin --bootstrap 0 --out {tmp_path}/report"
    assert main(words.split()) == 0
    return tmp_path / "report"


def test_a_run_is_what_was_evaluated(report: Path) -> None:
    outputs, run = make_outputs(100), read_run(report, "mine")
    mcp, margin = score_predictions(["margin"], outputs)
    assert list(run.scores) == ["mcp", "margin"]
    np.testing.assert_array_equal(run.scores["mcp"].confidence, mcp.confidence)
    np.testing.assert_array_equal(run.scores["margin"].confidence, margin.confidence)
    assert [one.scale for one in run.scores.values()] == ["logit", "rank"]
    np.testing.assert_array_equal(run.is_correct, outputs.is_correct)
    assert run.ids is not None
    assert run.labels is not None
    assert run.ids.tolist() == [f"row/{row}" for row in range(100)]
    assert run.labels.tolist() == [("ant", "bee", "cat", "dog")[label] for label in outputs.require_labels()]
    assert (run.name, run.clusters, run.folder, run.wrong) == ("mine", None, str(report), (~outputs.is_correct).sum())


def test_rows_without_ids_have_none(tmp_path: Path) -> None:
    make_outputs(50).changed(ids=None).save(tmp_path / "o.npz")
    assert main(f"evaluate --outputs {tmp_path}/o.npz --bootstrap 0 --out {tmp_path}/report".split()) == 0
    assert read_run(tmp_path / "report", "mine").ids is None


def test_what_is_no_report_is_named(report: Path, tmp_path: Path) -> None:
    for folder, words in (("no/such", "there is no such"), (tmp_path, r"it has no metrics\.json")):
        with pytest.raises(SteepslopeError, match=f"expected the report of evaluate or demo, but {words}"):
            read_run(Path(folder), "mine")
    rows = report / "rows.parquet"
    damages = (
        lambda: rows.write_bytes(rows.read_bytes()[:200]),
        lambda: pq.write_table(pa.table({"id": ["a"]}), rows),  # of someone else
        rows.unlink,
    )
    for damage in damages:
        damage()
        with pytest.raises(SteepslopeError, match=r"rows\.parquet: cannot be read as the rows of a report"):
            read_run(report, "mine")
