"""The page of runs side by side in a browser: it asks for nothing, shows what is chosen, and is read."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from steepslope.metrics import METRICS
from steepslope.report.comparison import Comparison, compare_runs
from steepslope.report.comparison_page import page
from tests.report.runs import drawn
from tests.report.web.conftest import Open, Opened

pytestmark = pytest.mark.slow
DOTS, LINES = "[data-chart=dots] .mark-symbol path", "[data-chart=curves] .mark-line path"


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    names = "</script><i>may", "june"
    runs = [drawn(name, model=place, strength=1.0 + place) for place, name in enumerate(names)]
    return compare_runs([*runs, drawn("july", model=5, seed=4, n=200, prefix="new")], bootstrap=50)


@pytest.fixture(scope="module")
def file(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compared") / "compare.html"
    path.write_text(page(comparison), encoding="utf-8")
    return path


def attributes(one: Opened, selector: str, name: str) -> list[str]:
    found: list[str] = one.page.eval_on_selector_all(selector, f"all => all.map(one => one.getAttribute('{name}'))")
    return found


def test_nothing_is_asked_for_and_nothing_goes_wrong(file: Path, opened: Open) -> None:
    one = opened(file)
    one.page.select_option("#metric", "auc")
    one.page.select_option("#curve", label="noise")
    assert one.messages == []
    assert [url for url in one.requests if not url.startswith(("data:", "blob:"))] == [file.as_uri()]


def test_every_metric_has_its_dots(file: Path, opened: Open, comparison: Comparison) -> None:
    """They lie in the order of the values, whichever metric is chosen."""
    one = opened(file)
    values = {name: [row[name]["value"] for run in comparison.runs for row in run.rows] for name in METRICS}
    for name in METRICS:
        one.page.select_option("#metric", name)
        one.page.wait_for_timeout(100)
        places = [float(text.split("(")[1].split(",")[0]) for text in attributes(one, DOTS, "transform")]
        assert len(places) == len(values[name])
        ordered = [place for _, place in sorted(zip(values[name], places, strict=True))]
        assert ordered == sorted(places)


def test_a_score_has_a_curve_for_each_run_that_has_it(file: Path, opened: Open) -> None:
    one = opened(file)
    for label, runs in (("the best of each run", 3), ("mcp", 3), ("only_july", 1)):
        one.page.select_option("#curve", label=label)
        one.page.wait_for_timeout(100)
        assert len([d for d in attributes(one, LINES, "d") if d]) == runs


def test_tables_sort_and_are_downloaded(file: Path, opened: Open, comparison: Comparison) -> None:
    one = opened(file)
    table = "[aria-label='Runs and scores']"
    one.page.click(f"{table} thead th:nth-child(6) button")
    shown = one.page.eval_on_selector_all(
        f"{table} tbody tr", "all => all.map(row => parseFloat(row.cells[5].innerText))"
    )
    assert shown == sorted(shown, reverse=True)
    with one.page.expect_download() as waiting:
        one.page.click("[data-download=metrics]")
    lines = list(csv.DictReader(io.StringIO(Path(waiting.value.path()).read_text())))
    assert len(lines) == len(METRICS) * sum(len(run.rows) for run in comparison.runs)
    assert {line["run"] for line in lines} == {run.name for run in comparison.runs}


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_serious(file: Path, opened: Open, width: int, scheme: str) -> None:
    one = opened(file, width=width, scheme=scheme)
    found: Any = Axe().run(one.page).response
    bad = [
        (rule["id"], rule["nodes"][0]["html"])
        for rule in found["violations"]
        if rule["impact"] in ("serious", "critical")
    ]
    assert bad == []
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
