"""The page of runs side by side: one file, in which nothing of the user's is read as HTML or script."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pyarrow.csv as pc
import pytest
from pyarrow import BufferReader

from steepslope.metrics import METRICS
from steepslope.report.comparison import Comparison, compare_runs
from steepslope.report.comparison_page import page
from tests.report.runs import drawn


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    runs = [drawn("</script><b>may"), drawn("june", model=2), drawn("july", model=3, seed=4, prefix="new")]
    return compare_runs(runs, bootstrap=20)


@pytest.fixture(scope="module")
def html(comparison: Comparison) -> str:
    return page(comparison)


def test_the_page_needs_nothing_from_outside(html: str) -> None:
    body = re.sub(r"<script\b.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r'(src|href)="(?!#|data:)', body)
    assert "</script><b>may" not in html
    assert "&lt;/script&gt;&lt;b&gt;may" in body
    assert html.count("<table data-sortable") == 2
    assert "Beside &lt;/script&gt;&lt;b&gt;may, by each run&#39;s best score" in body
    assert "AURC counts the errors too, so fewer errors lower it." in body


def test_what_makes_it_doubtful_stands_at_its_head() -> None:
    runs = [drawn("may", ids=False), drawn("june", model=2, ids=False), drawn("july", n=90, model=3, seed=4)]
    runs[1] = replace(runs[1], rows=[{**row, "fit_rows": 30} for row in runs[1].rows])
    html = page(compare_runs(runs, bootstrap=5))
    warned = re.findall(r'<li class="warns"><strong>Caution:</strong> (.*?)</li>', html)
    fitted = "of june was fitted on 30 of these 300 rows, so its numbers are better than they will be on others"
    assert warned[:3] == [f"{score} {fitted}" for score in runs[1].scores]
    assert warned[3:] == [
        f"july has only {runs[2].errors} errors: below about 50, all its numbers depend on luck",
        "june and may are taken for the same 300 rows: they have no ids, but as many rows with the same labels in the "
        "same order; differences are paired",
        "july and may are not known to have the same rows (only july has ids): differences are unpaired",
    ]
    assert html.count("<small>◄ FITTED ON 30 OF THESE ROWS</small>") >= 3


def test_its_data_are_those_of_the_tables(comparison: Comparison, html: str) -> None:
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    data = json.loads(found[0])
    assert list(data["values"]) == list(data["metrics"]) == list(METRICS)
    assert {name: len(rows) for name, rows in data["values"].items()} == dict.fromkeys(METRICS, 9)
    assert all(row["value"] <= 100 for row in data["values"]["auc"])
    assert [one["best"] for one in data["curves"]].count(True) == 3
    assert all(one["coverage"][-1] == 1 and len(one["coverage"]) <= 201 for one in data["curves"])
    contrasts = sum(len(rival.contrasts) for rival in comparison.rivals)
    for name, lines in (("metrics", 9), ("differences", contrasts)):
        table = pc.read_csv(BufferReader(data["files"][name].encode()))
        assert table.num_rows == lines * len(METRICS)
        assert {"run", "score", "metric", "value", "low", "high"} | (
            {"fit_rows"} if name == "metrics" else set()
        ) <= set(table.column_names)


def test_every_heading_that_is_not_plain_is_defined(html: str) -> None:
    headings = re.findall(r'<button type="button"( data-definition[^>]*)?>([^<]*)</button></th>', html)
    assert len(headings) > 2 * len(METRICS)
    assert [name for defined, name in headings if not defined] == []
