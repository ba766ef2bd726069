"""Rows, tables, reports: what a reader is told, and that it is true."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.evaluation import Row, Scored, score_outputs, table_rows, verdict
from steepslope.metrics import auroc, compare, tnr
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report import plots, table
from steepslope.report.page import examples, page, write_report
from steepslope.scores import MCP
from tests.conftest import make_outputs

METRICS = {"accuracy", "auc", "fpr_at_95tpr", "aupr_error", "aupr_success", "tpr", "tnr", "aurc", "augrc"}


@pytest.fixture
def scored(outputs: ClassifierOutputs) -> list[Scored]:
    noise = np.random.default_rng(0).normal(size=len(outputs))
    return [*score_outputs([], outputs), Scored("noise", None, noise, 0.0)]


@pytest.fixture
def rows(scored: list[Scored], outputs: ClassifierOutputs) -> list[Row]:
    return table_rows(scored, outputs.is_correct, bootstrap=100)


def test_rows_hold_what_the_metrics_say(
    rows: list[Row], scored: list[Scored], outputs: ClassifierOutputs
) -> None:
    row = rows[1].as_json()
    assert set(row) == METRICS | {"score", "loss", "n", "delta_auc_vs_mcp"}
    assert row["auc"]["value"] == auroc(scored[1].confidence, outputs.is_correct)
    assert row["tnr"]["value"] == tnr(scored[1].confidence, outputs.is_correct, 0.0)
    difference = compare(scored[1].confidence, scored[0].confidence, outputs.is_correct, bootstrap=100)["auc"]
    assert row["delta_auc_vs_mcp"] == {bound: difference[bound] for bound in ("value", "low", "high")}
    assert json.loads(json.dumps(row)) == row


def test_mcp_comes_first_once(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    for name in ("a/ss", "b/ss", "b/ce"):
        Oracle(epochs=1).fit(outputs).save(tmp_path / name)
    names = [str(tmp_path / name) for name in ("a/ss", "b/ss", "b/ce")]
    scored = score_outputs(["mcp", *names, names[2]], outputs)
    assert [one.name for one in scored] == ["mcp", names[0], names[1], "ce"]
    np.testing.assert_array_equal(scored[0].confidence, MCP().confidence(outputs))
    assert [one.loss for one in scored] == [None] + 3 * ["steep_slope"]


def test_unknown_scores_are_named(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError, match="unknown score 'mpc': did you mean 'mcp'"):
        score_outputs(["mpc"], outputs)
    with pytest.raises(SteepslopeError, match="expected the folder of a fitted oracle"):
        score_outputs([str(tmp_path)], outputs)


@pytest.mark.parametrize(
    ("shift", "words"),
    [(3.0, "ranks better than MCP"), (-3.0, "does NOT beat MCP"), (0.0, "no significant difference")],
)
def test_verdicts_say_who_wins(outputs: ClassifierOutputs, shift: float, words: str) -> None:
    mcp = score_outputs([], outputs)[0]
    noise = 0.01 * np.random.default_rng(0).normal(size=len(outputs))
    other = Scored("other", None, mcp.confidence + shift * outputs.is_correct + noise, 0.0)
    assert words in verdict(table_rows([mcp, other], outputs.is_correct, bootstrap=200)[1])


def test_without_errors_the_table_says_so(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    right = ClassifierOutputs(outputs.logits, outputs.predictions, outputs.features)
    scored = score_outputs([], right)
    scored = [scored[0], Scored("same", None, scored[0].confidence, 0.0)]
    rows = table_rows(scored, right.is_correct, bootstrap=10)
    assert rows[0].as_json()["auc"] == {"value": None, "low": None, "high": None}
    write_report(tmp_path, "No errors", right, scored, rows)
    assert "–" in (tmp_path / "table.md").read_text()
    assert "cannot be compared" in (tmp_path / "table.md").read_text()


def test_the_markdown_table_is_square(rows: list[Row]) -> None:
    lines = [line for line in table.markdown(rows).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(rows)
    assert {line.count("|") for line in lines} == {len(table.titles()) + 1}


def test_plots_are_the_same_bytes_each_time(scored: list[Scored], outputs: ClassifierOutputs) -> None:
    for draw in (plots.histograms, plots.risk_coverage):
        first = draw(scored, outputs.is_correct)
        assert first == draw(scored, outputs.is_correct)
        assert first.startswith("<svg")


def test_the_page_needs_nothing_from_outside(
    scored: list[Scored], rows: list[Row], outputs: ClassifierOutputs
) -> None:
    html = page("Trust <me>", outputs, scored, rows)
    assert "Trust &lt;me&gt;" in html
    assert not re.search(r'(src|href)="(?!#)', html.replace("xlink:href", "href"))
    assert html.count("<svg") == 2


def test_examples_are_the_extremes(scored: list[Scored], outputs: ClassifierOutputs) -> None:
    least, errors = examples(scored[0], outputs)
    assert least[0].id == f"row/{scored[0].confidence.argmin()}"
    wrong = np.flatnonzero(~outputs.is_correct)
    assert errors[0].id == f"row/{wrong[scored[0].confidence[wrong].argmax()]}"
    assert all(one.predicted != one.label for one in errors)


def test_examples_without_ids_are_row_numbers() -> None:
    outputs = make_outputs(30)
    bare = ClassifierOutputs(outputs.logits, outputs.labels)
    assert examples(score_outputs([], bare)[0], bare)[0][0].id.isdecimal()
