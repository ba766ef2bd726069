"""The page of runs side by side: one file, in which nothing of the user's is read as HTML or script."""

from __future__ import annotations

import json
import re

import pyarrow.csv as pc
import pytest
from pyarrow import BufferReader

from steepslope.evaluation.comparison import Comparison, compare_runs
from steepslope.metrics import METRICS
from steepslope.report.comparison_page import page
from tests.evaluation.runs import drawn


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
    assert "Beside &lt;/script&gt;&lt;b&gt;may, by the AURC of each run&#39;s best score" in body
    assert "unpaired, july: 0 ids in common of 300 and 300" in body


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
        assert {"run", "score", "metric", "value", "low", "high"} <= set(table.column_names)


def test_every_heading_that_is_not_plain_is_defined(html: str) -> None:
    headings = re.findall(r'<button type="button"( data-definition[^>]*)?>([^<]*)</button></th>', html)
    assert len(headings) > 2 * len(METRICS)
    assert [name for defined, name in headings if not defined] == []
