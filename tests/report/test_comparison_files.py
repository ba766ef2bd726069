"""Runs side by side as tables, Markdown and JSON: complete, without NaN, and with what makes them doubtful."""

from __future__ import annotations

import json

import numpy as np
import pytest

from steepslope.metrics import METRICS, Metric, Ranking, auroc
from steepslope.report.comparison import AURC_COUNTS, Comparison, compare_runs
from steepslope.report.comparison_files import as_json, difference_grid, run_grid, terminal_grid, text
from steepslope.report.tables import terminal_titles
from tests.report.runs import drawn, fitted_on, run_of

NAME = "b|</script><b>"


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    runs = [drawn("a"), drawn(NAME, model=2, strength=0.2), drawn("c", model=3, seed=4, n=200, prefix="new")]
    return compare_runs(runs, bootstrap=100)


def test_what_makes_it_doubtful_is_told() -> None:
    runs = [drawn("may", ids=False), drawn("june", model=2, ids=False), drawn("july", n=90, model=3, seed=4)]
    runs[1] = fitted_on(runs[1], **dict.fromkeys(runs[1].scores, 30))
    comparison = compare_runs(runs, bootstrap=0)
    found = as_json(comparison)
    warned = found["cautions"]
    fitted = "of june was fitted on 30 of these 300 rows, so its numbers are better than they will be on others"
    assert warned[:3] == [f"{score} {fitted}" for score in runs[1].scores]
    assert warned[3:] == [
        f"july has only {runs[2].wrong} errors: below about 50, all its numbers depend on luck",
        "june and may are taken for the same 300 rows: they have no ids, but as many rows with the same labels in the "
        "same order; differences are paired",
        "july and may are not known to have the same rows (only july has ids): differences are unpaired",
    ]
    assert text(comparison).count("◄ FITTED ON 30 OF THESE ROWS") >= 3
    assert {str(row[3]) for row in difference_grid(comparison).rows} == {"paired (without ids)", "unpaired"}
    assert [run.get("paired_by_ids") for run in found["runs"]] == [None, False, None]
    assert all(f"WARNING: {line}" in text(comparison) for line in (warned[0], warned[4]))


def test_tables_are_square_and_complete(comparison: Comparison) -> None:
    runs, differences, shown = run_grid(comparison), difference_grid(comparison), terminal_grid(comparison)
    for grid in (runs, differences, shown):
        assert {len(row) for row in grid.rows} == {len(grid.columns)}
    assert [(row[0].text, row[1].text) for row in runs.rows] == [
        (run.name, score) for run in comparison.runs for score in run.scores
    ]
    assert all(metric.heading in runs.columns and metric.heading in differences.columns for metric in METRICS.values())
    assert list(shown.columns) == terminal_titles()
    hows = {(row[0].text, row[3].text) for row in differences.rows}
    assert hows == {(NAME, "paired"), ("c", "unpaired")}
    place = list(runs.columns).index("AUC ↑")
    areas = [100 * auroc(z.confidence, run.is_correct) for run in comparison.runs for z in run.scores.values()]
    assert [row[place].text for row in runs.rows] == [f"{area:.1f}" for area in areas]


def test_json_has_all_and_no_nan(comparison: Comparison) -> None:
    found = json.loads(json.dumps(as_json(comparison), allow_nan=False, default=np.generic.item))
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


def test_colours_are_those_of_the_verdicts(comparison: Comparison) -> None:
    by_name = {row[0].text: [cell.look for cell in row] for row in terminal_grid(comparison).rows}
    assert set(by_name["a mcp"]) == {""}
    weak = next(one for one in comparison.rivals[0].contrasts if one.score == one.baseline_score == "mcp")
    place = terminal_titles().index("AUC")
    assert (weak.sign("auc"), by_name[f"{NAME} mcp"][place]) == (-1, "worse")


def test_markdown_begins_with_the_verdict(comparison: Comparison) -> None:
    shown = text(comparison)
    assert shown.startswith(
        "# Runs side by side\n\nNext to a, by each run's best score: b|&lt;/script>&lt;b> is clearly WORSE by AURC"
    )
    assert AURC_COUNTS in difference_grid(comparison).note
    tables = [line for line in shown.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {17, 16}
    assert "## Differences to a" in shown


def test_a_metric_that_is_added_appears_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def toy(ranking: Ranking) -> float:
        return ranking.n_wrong / 1000

    before = [drawn("a", n=60)]
    monkeypatch.setitem(METRICS, "toy", Metric(toy, "Toy", "A toy.", "TOY", scale=1000, higher_is_better=False))
    after = [drawn("b", n=60, model=2), drawn("c", n=60, model=3)]
    comparison = compare_runs(after, bootstrap=20)
    wrong = [run.wrong for run in after]
    assert [row["toy"]["value"] for row in as_json(comparison)["rows"][::3]] == [one / 1000 for one in wrong]
    assert as_json(comparison)["differences"][0]["toy"]["value"] == pytest.approx((wrong[1] - wrong[0]) / 1000)
    assert text(comparison).count("| Toy ×1000 ↓ |") == 2
    assert "TOY‰" in terminal_grid(comparison).columns
    assert "toy" not in before[0].scores["mcp"].content


def test_without_errors_nothing_is_nan() -> None:
    right = np.ones(20, dtype=np.bool_)
    comparison = compare_runs([run_of(name, right, {"mcp": np.arange(20.0)}) for name in ("a", "b")], bootstrap=0)
    json.dumps(as_json(comparison), allow_nan=False, default=np.generic.item)
    assert "nan" not in text(comparison)
    assert (
        "b is not known without resamples by AURC, not known without resamples by accuracy, not defined by AUC."
        in text(comparison)
    )


def test_what_was_fitted_on_these_rows_is_marked_on_either_side() -> None:
    a, b = drawn("a"), fitted_on(drawn("b", model=2), noise=1200)
    for runs, column in (([a, b], 1), ([b, a], 2)):
        comparison = compare_runs(runs, bootstrap=0)
        rows = difference_grid(comparison).rows
        told = "◄ FITTED ON 1,200 OF THESE ROWS"
        assert [(row[1].text, row[2].text) for row in rows if told in row[column].aside] == [("noise", "noise")]
        assert text(comparison).count(told) == 2
