"""Rows, tables, reports: what a reader is told, and that it is true."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from steepslope.errors import SteepslopeError
from steepslope.evaluation.details import Context, Details, details
from steepslope.evaluation.rows import Row, Scored, score_predictions, table_rows, verdict
from steepslope.metrics import aupr_success, auroc, compare, coverage_at_risk, risk_at_coverage, tnr
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report import plots
from steepslope.report.grid import markdown, terminal
from steepslope.report.page import Report, example_grids, page, write_report
from steepslope.report.table import TERMINAL_TITLES, main_grid
from steepslope.scores import MCP

METRICS = {"accuracy", "auc", "fpr_at_95tpr", "aupr_error", "aupr_success", "tpr", "tnr", "aurc", "augrc"}


@pytest.fixture
def scored(outputs: ClassifierOutputs) -> list[Scored]:
    noise = np.random.default_rng(0).normal(size=len(outputs))
    return [*score_predictions([], outputs), Scored("noise", None, noise, "logit")]


@pytest.fixture
def rows(scored: list[Scored], outputs: ClassifierOutputs) -> list[Row]:
    return table_rows(scored, outputs.is_correct, bootstrap=100)


def test_rows_hold_what_the_metrics_say(rows: list[Row], scored: list[Scored], outputs: ClassifierOutputs) -> None:
    row = rows[1].as_json()
    assert set(row) == METRICS | {
        "score", "loss", "n", "delta_auc_vs_mcp", "e_aurc", "vs_mcp", "replicates_lacking_a_class"
    }  # fmt: skip
    assert row["vs_mcp"]["aurc"]["p"] <= 1
    assert row["auc"]["value"] == auroc(scored[1].confidence, outputs.is_correct)
    assert row["tnr"]["value"] == tnr(scored[1].confidence, outputs.is_correct, 0.0)
    difference = compare(scored[1].confidence, scored[0].confidence, outputs.is_correct, bootstrap=100)["auc"]
    assert row["delta_auc_vs_mcp"] == {bound: difference[bound] for bound in ("value", "low", "high")}
    assert json.loads(json.dumps(row)) == row


def test_mcp_comes_first_once(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    for name in ("a/ss", "b/ss", "b/ce"):
        Oracle(epochs=1).fit(outputs).save(tmp_path / name)
    names = [str(tmp_path / name) for name in ("a/ss", "b/ss", "b/ce")]
    scored = score_predictions(["mcp", *names, f"{names[2]}/", str(tmp_path / "b" / ".." / "b" / "ce")], outputs)
    assert [one.name for one in scored] == ["mcp", names[0], names[1], "ce"]
    np.testing.assert_array_equal(scored[0].confidence, MCP().confidence(outputs))
    assert [one.loss for one in scored] == [None] + 3 * ["steep_slope"]


def test_unknown_scores_are_named(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError, match="unknown score 'mpc': did you mean 'mcp'"):
        score_predictions(["mpc"], outputs)
    with pytest.raises(SteepslopeError, match="expected the folder of a fitted oracle"):
        score_predictions([str(tmp_path)], outputs)


@pytest.mark.parametrize(
    ("shift", "words"),
    [(3.0, "ranks better than MCP"), (-3.0, "does NOT beat MCP"), (0.0, "no significant difference")],
)
def test_verdicts_say_who_wins(outputs: ClassifierOutputs, shift: float, words: str) -> None:
    mcp = score_predictions([], outputs)[0]
    noise = 0.01 * np.random.default_rng(0).normal(size=len(outputs))
    other = Scored("other", None, mcp.confidence + shift * outputs.is_correct + noise, "logit")
    assert words in verdict(table_rows([mcp, other], outputs.is_correct, bootstrap=200)[1])


def test_without_errors_the_table_says_so(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    right = ClassifierOutputs(outputs.logits, outputs.predictions, outputs.features)
    scored = score_predictions([], right)
    scored = [scored[0], Scored("same", None, scored[0].confidence, "logit")]
    rows = table_rows(scored, right.is_correct, bootstrap=10)
    assert rows[0].as_json()["auc"] == {"value": None, "low": None, "high": None}
    write_report(make_report(right, scored, rows), tmp_path)
    assert "–" in (tmp_path / "table.md").read_text()
    assert "cannot be compared" in (tmp_path / "table.md").read_text()


def test_the_markdown_table_is_square(rows: list[Row]) -> None:
    lines = [line for line in markdown(main_grid(rows)).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(rows)
    assert {line.count("|") for line in lines} == {len(TERMINAL_TITLES) + 1}


def test_plots_are_the_same_bytes_each_time(scored: list[Scored], outputs: ClassifierOutputs) -> None:
    rows = table_rows(scored, outputs.is_correct, bootstrap=0)
    first, again = ((plots.histograms(scored, outputs.is_correct), plots.risk_coverage(rows)) for _ in range(2))
    assert first == again
    assert all(svg.startswith("<svg") for svg in first)


def test_the_page_needs_nothing_from_outside(scored: list[Scored], rows: list[Row], outputs: ClassifierOutputs) -> None:
    html = page(make_report(outputs, scored, rows, "Trust <me>"))
    assert "Trust &lt;me&gt;" in html
    assert not re.search(r'(src|href)="(?!#)', html.replace("xlink:href", "href"))
    assert html.count("<svg") == 2


def test_examples_are_the_extremes(scored: list[Scored], outputs: ClassifierOutputs) -> None:
    least, errors = example_grids(scored[0], outputs, _names)
    assert least.rows[0][0].text == f"row/{scored[0].confidence.argmin()}"
    wrong = np.flatnonzero(~outputs.is_correct)
    assert errors.rows[0][0].text == f"row/{wrong[scored[0].confidence[wrong].argmax()]}"
    assert all(predicted.text != label.text for _, predicted, label, _ in errors.rows)


def _names(rows: NDArray[np.int64]) -> list[str]:
    return [f"row/{row}" for row in rows]


def make_report(outputs: ClassifierOutputs, scored: list[Scored], rows: list[Row], title: str = "") -> Report:
    return Report(title, outputs, _names, scored, rows, make_details(outputs, scored, rows))


def make_details(outputs: ClassifierOutputs, scored: list[Scored], rows: list[Row]) -> list[Details]:
    context = Context(outputs.is_correct, outputs.num_classes, outputs.labels, paper=True)
    return [details(one, row, context) for one, row in zip(scored, rows, strict=True)]


def test_details_hold_what_the_metrics_say(scored: list[Scored], rows: list[Row], outputs: ClassifierOutputs) -> None:
    noise = make_details(outputs, scored, rows)[1].as_json()
    confidence, is_correct = scored[1].confidence, outputs.is_correct
    assert noise["risk_at_coverage"][80]["value"] == risk_at_coverage(confidence, is_correct, 0.8)
    assert noise["coverage_at_risk"][10]["value"] == coverage_at_risk(confidence, is_correct, 0.1)
    assert noise["confusion"]["trusted_wrong"] == np.sum(~is_correct & (confidence > 0))
    assert noise["cuts"]["0.750"]["tnr"] == tnr(confidence, is_correct, np.log(3))
    assert [one["group"] for one in noise["groups"]] == ["0", "1", "2", "3"]
    assert sum(one["n"] for one in noise["groups"]) == len(outputs)
    assert noise["paper"]["aupr_error"] == aupr_success(confidence.astype(np.float32), ~is_correct)
    assert json.loads(json.dumps(noise))["score"] == "noise"


def test_cuts_follow_the_alphas_of_a_steep_slope_oracle(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    Oracle(alpha_pos=2, alpha_neg=5, epochs=1).fit(outputs).save(tmp_path / "ss")
    scored = score_predictions([str(tmp_path / "ss")], outputs)
    assert [list(row.cuts) for row in table_rows(scored, outputs.is_correct, bootstrap=0)] == [[0.5, 5 / 7]] * 2


def test_a_score_that_only_ranks_has_no_cuts(outputs: ClassifierOutputs) -> None:
    ranks = Scored("ranks", None, np.arange(400.0) * 100, "rank")
    rows = table_rows([ranks], outputs.is_correct, bootstrap=10)
    row = rows[0].as_json()
    assert row["tpr"]["value"] is row["tnr"]["value"] is row["delta_auc_vs_mcp"]["value"] is None
    assert (rows[0].confusion, rows[0].cuts) == (None, {})
    assert make_details(outputs, [ranks], rows)[0].groups == []
    assert 0 < ranks.unit_confidence.min() < ranks.unit_confidence.max() == 1


def test_lacking_replicates_are_counted_and_told() -> None:
    is_correct = np.array([True] * 9 + [False])
    row = table_rows([Scored("mcp", None, np.arange(10.0), "logit")], is_correct, bootstrap=500)[0]
    expected = 500 * 0.9**10
    assert row.lacking == pytest.approx(expected, abs=4 * np.sqrt(expected))
    assert "replicates lacked an error" in main_grid([row]).note


@pytest.mark.parametrize("name", ["ss [b]", "a|b", "$x^$", "run (2)", "[red]x"])
def test_odd_names_are_shown_as_they_are(name: str, outputs: ClassifierOutputs, tmp_path: Path) -> None:
    scored = [*score_predictions([], outputs), Scored(name, "focal", np.arange(400.0), "logit")]
    rows = table_rows(scored, outputs.is_correct, bootstrap=5)
    write_report(make_report(outputs, scored, rows), tmp_path)
    assert f"<td>{name}<br><small>(focal)</small></td>" in (tmp_path / "report.html").read_text()
    assert name.replace("|", "\\|") in (tmp_path / "table.md").read_text()
    console = Console(file=StringIO(), width=80)
    console.print(terminal(main_grid(rows), TERMINAL_TITLES))
    assert name in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_two_figures_of_a_page_share_no_ids(
    scored: list[Scored], rows: list[Row], outputs: ClassifierOutputs
) -> None:
    drawn = plots.histograms(scored, outputs.is_correct), plots.risk_coverage(rows)
    first, second = (set(re.findall(r' id="([a-z]\w{10,})"', svg)) for svg in drawn)
    assert first
    assert second
    assert first.isdisjoint(second)
