"""The report: its tables are square, its page needs nothing else, and its figures are reproducible."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from steepslope.cli._main import main
from steepslope.metrics import METRICS
from steepslope.metrics._measures import Metric
from steepslope.metrics._ranking import Ranking
from steepslope.outputs import ClassifierOutputs
from steepslope.report._confidences import Scored
from steepslope.report._evaluation import Evaluation
from steepslope.report._grid import grid_for_terminal
from steepslope.report._page import _html_page, write_report
from steepslope.report._tables import main_table, terminal_table_titles
from steepslope.report.web._charts import chart_looks, estimate_looks, page_charts
from tests.conftest import Captured, make_outputs
from tests.report.samples import with_noise, with_scores

ASSETS = files("steepslope.report.web") / "assets"


@pytest.fixture
def evaluation(outputs: ClassifierOutputs) -> Evaluation:
    return with_noise(outputs, bootstrap=5, title="Trust <me>")


def test_the_page_needs_nothing_from_outside(evaluation: Evaluation) -> None:
    html = _html_page(evaluation)
    assert "Trust &lt;me&gt;" in html
    own = html[: html.index('<script type="application/json"')]
    assert not re.search(r'(src|href)="(?!#|data:)', own)
    assert "default-src 'none'" in html


def test_odd_names_are_shown_as_they_are(outputs: ClassifierOutputs, tmp_path: Path) -> None:
    """And none is HTML where Markdown is rendered."""
    odd = ["ss [b]", "a|b", "$x^$", "run (2)", "[red]x", "<b>|oracle"]
    names = ("<img src=x onerror=alert(1)>", "</td><script>", "[a](javascript:b)", "![a](http://b)")
    evaluation = with_scores(outputs.named(names), *(Scored(one, "focal", np.arange(400.0), "logit") for one in odd))
    write_report(evaluation, tmp_path)
    printed = grid_for_terminal(main_table(evaluation.rows), terminal_table_titles())
    for name in odd:
        row = f'<th scope="row">{name.replace("<", "&lt;").replace(">", "&gt;")} <small>(focal)</small></th>'
        assert row in (tmp_path / "report.html").read_text()
        assert name in printed
    tokens = MarkdownIt().enable("table").parse((tmp_path / "table.md").read_text())
    parts = [part for token in tokens for part in token.children or [token]]
    assert not {part.type for part in parts} & {"html_inline", "html_block", "link_open", "image"}
    shown = "".join(part.content for part in parts)
    assert all(name in shown for name in (*names, *odd))


def test_an_entry_in_metrics_is_all_that_a_metric_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def toy(ranking: Ranking) -> float:
        return ranking.n_wrong / 1000

    monkeypatch.setitem(METRICS, "toy", Metric(toy, "Toy", "A toy.", "TOY", scale=1000, higher_is_better=False))
    outputs = make_outputs(60)
    outputs.save(tmp_path / "o.npz")
    words = f"evaluate --outputs {tmp_path / 'o.npz'} --scores margin --bootstrap 5 --out {tmp_path / 'out'}"
    assert main(words.split()) == 0
    wrong = int((~outputs.is_correct).sum())
    rows = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert [row["toy"]["value"] for row in rows] == [wrong / 1000] * 2
    assert rows[1]["vs_mcp"]["toy"]["value"] == 0
    table = (tmp_path / "out" / "table.md").read_text()
    assert table.count("| Toy ×1000 ↓ |") == 2  # in the main table, and among the differences
    assert f"| {wrong}.0 [" in table
    assert ">Toy ×1000 ↓</button>" in (tmp_path / "out" / "report.html").read_text()
    assert "TOY" in capsys.readouterr().out


def test_charts_name_what_the_page_has(evaluation: Evaluation) -> None:
    """Scores, rows and looks: what a chart names, and the page lacks, would be drawn nowhere."""
    script = (ASSETS / "charts.js").read_text(encoding="utf-8")
    marks = set(re.findall(r"^  (\w+): \(rows", script, re.MULTILINE))
    looks = {**chart_looks([row.name for row in evaluation.rows]), **estimate_looks()}
    charts = page_charts(evaluation)
    assert {"risk-coverage", "roc", "precision-recall", "histogram-0", "reliability-0"} <= charts.keys()
    for chart in charts.values():
        for axis in (chart["x"], chart["y"]):
            assert axis["domain"][0] < axis["domain"][1]
        for layer in chart["layers"]:
            assert layer["mark"] in marks
            assert layer.get("data", "now") in {"curves", "bands", "now", "certified"}
            assert {row["series"] for row in layer.get("rows", ()) if "series" in row} <= looks.keys()


def test_bars_of_each_side_sum_to_one(evaluation: Evaluation) -> None:
    chart = page_charts(evaluation)["histogram-0"]
    bars = chart["layers"][0]["rows"]
    for side in ("correct", "wrong"):
        assert sum(bar["part"] for bar in bars if bar["side"] == side) == pytest.approx(1, abs=1e-3)
    assert chart["y"]["domain"][1] > max(bar["part"] for bar in bars)
