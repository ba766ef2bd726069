"""Runs side by side as tables, Markdown and JSON: complete, without NaN, and with what makes them doubtful."""

from __future__ import annotations

import json

import numpy as np
import pytest

from steepslope.metrics import METRICS, auroc
from steepslope.metrics.measures import table_metrics
from steepslope.report.comparison import Comparison, compare_runs
from steepslope.report.comparison_files import (
    compared_runs_grid,
    comparison_as_json,
    comparison_difference_grid,
    comparison_in_markdown,
)
from steepslope.report.tables import terminal_table_titles
from tests.report.runs import drawn, run_of

NAME = "b|</script><b>"


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    runs = [drawn("a"), drawn(NAME, model=2, strength=0.2), drawn("c", model=3, seed=4, n=200, prefix="new")]
    return compare_runs(runs, bootstrap=100)


def test_what_makes_it_doubtful_is_told() -> None:
    runs = [drawn("may", ids=False), drawn("june", model=2, ids=False), drawn("july", n=90, model=3, seed=4)]
    comparison = compare_runs(runs, bootstrap=0)
    found = comparison_as_json(comparison)
    warned = found["cautions"]
    assert warned == [
        f"july has only {runs[2].wrong} errors: below about 50, all its numbers depend on luck",
        "june and may are taken for the same 300 rows: they have no ids, but as many rows with the same labels in the "
        "same order; differences are paired",
        "july and may are not known to have the same rows (only july has ids): differences are unpaired",
    ]
    assert {str(row[3]) for row in comparison_difference_grid(comparison).rows} == {"paired (without ids)", "unpaired"}
    assert [run.get("paired_by_ids") for run in found["runs"]] == [None, False, None]
    assert all(f"WARNING: {line}" in comparison_in_markdown(comparison) for line in warned[:2])


def test_tables_are_square_and_complete(comparison: Comparison) -> None:
    runs, differences = compared_runs_grid(comparison), comparison_difference_grid(comparison)
    shown = compared_runs_grid(comparison, table_metrics())
    for grid in (runs, differences, shown):
        assert {len(row) for row in grid.rows} == {len(grid.columns)}
    assert [(row[0].text, row[1].text) for row in runs.rows] == [
        (run.name, score) for run in comparison.runs for score in run.scores
    ]
    assert all(metric.heading in runs.columns and metric.heading in differences.columns for metric in METRICS.values())
    assert len(shown.columns) == len(["run", *terminal_table_titles()])
    hows = {(row[0].text, row[3].text) for row in differences.rows}
    assert hows == {(NAME, "paired"), ("c", "unpaired")}
    place = list(runs.columns).index("AUC ↑")
    areas = [100 * auroc(z.confidence, run.is_correct) for run in comparison.runs for z in run.scores.values()]
    assert [row[place].text for row in runs.rows] == [f"{area:.1f}" for area in areas]


def test_json_has_all_and_no_nan(comparison: Comparison) -> None:
    found = json.loads(json.dumps(comparison_as_json(comparison), allow_nan=False, default=np.generic.item))
    assert found["baseline"] == "a"
    assert [(run["run"], run["n"], run.get("paired")) for run in found["runs"]] == [
        ("a", 300, None), (NAME, 300, True), ("c", 200, False)
    ]  # fmt: skip
    assert found["runs"][2]["why_unpaired"] == "0 ids in common of 300 and 200"
    assert [run["errors"] for run in found["runs"]] == [int((~run.is_correct).sum()) for run in comparison.runs]
    assert len(found["rows"]) == 9
    for line in found["differences"]:
        assert set(METRICS) <= set(line)
        sign = (line["auc"]["low"] > 0) - (line["auc"]["high"] < 0)
        assert line["verdicts"]["auc"] == {1: "clearly better", 0: "not clearly different", -1: "clearly WORSE"}[sign]
    accuracy = [run["accuracy"] for run in found["runs"]]
    assert found["differences"][0]["accuracy"]["value"] == pytest.approx(accuracy[1] - accuracy[0])


def test_without_errors_nothing_is_nan() -> None:
    right = np.ones(20, dtype=np.bool_)
    comparison = compare_runs([run_of(name, right, {"mcp": np.arange(20.0)}) for name in ("a", "b")], bootstrap=0)
    json.dumps(comparison_as_json(comparison), allow_nan=False, default=np.generic.item)
    text = comparison_in_markdown(comparison)
    assert "nan" not in text
    assert "b is not known without resamples by AURC, not known without resamples by accuracy, not def" in text
