"""The page of runs side by side in a browser: it asks for nothing, shows what is chosen, and is read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from steepslope.cli.main import main
from steepslope.metrics import METRICS
from steepslope.report.comparison import Comparison, compare_runs
from steepslope.report.comparison_page import page
from tests.report.runs import drawn
from tests.report.web.conftest import Open, Opened
from tests.report.web.test_browser import move

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


@pytest.fixture
def one(file: Path, opened: Open) -> Opened:
    return opened(file)


def attributes(one: Opened, selector: str, name: str) -> list[str]:
    found: list[str] = one.page.eval_on_selector_all(selector, f"all => all.map(one => one.getAttribute('{name}'))")
    return found


def test_nothing_is_asked_for_and_nothing_goes_wrong(file: Path, one: Opened) -> None:
    one.page.select_option("#metric", "auc")
    one.page.select_option("#curve", label="noise")
    assert one.messages == []
    assert [url for url in one.requests if not url.startswith(("data:", "blob:"))] == [file.as_uri()]


def test_every_metric_has_its_dots(one: Opened, comparison: Comparison) -> None:
    """They lie in the order of the values, whichever metric is chosen."""
    values = {
        name: [one.metrics[name]["value"] for run in comparison.runs for one in run.scores.values()] for name in METRICS
    }
    for name in METRICS:
        one.page.select_option("#metric", name)
        one.page.wait_for_timeout(100)
        places = [float(text.split("(")[1].split(",")[0]) for text in attributes(one, DOTS, "transform")]
        assert len(places) == len(values[name])
        ordered = [place for _, place in sorted(zip(values[name], places, strict=True))]
        assert ordered == sorted(places)


def test_a_score_has_a_curve_for_each_run_that_has_it(one: Opened) -> None:
    for label, runs in (("the best of each run", 3), ("mcp", 3), ("only_july", 1)):
        one.page.select_option("#curve", label=label)
        one.page.wait_for_timeout(100)
        assert len([d for d in attributes(one, LINES, "d") if d]) == runs


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


def opened_page(tmp_path: Path, opened: Open, heading: str, lines: Iterable[str]) -> Opened:
    """Evaluate a file of comma-separated values, and open its page, on which nothing may go wrong."""
    (tmp_path / "mine.csv").write_text("\n".join([heading, *lines]), encoding="utf-8")
    words = ["evaluate", "--outputs", str(tmp_path / "mine.csv"), "--bootstrap", "20", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    one = opened(tmp_path / "out" / "report.html")
    assert one.messages == []
    return one


def test_confidences_alone_make_a_page(tmp_path: Path, opened: Open) -> None:
    lines = (f"row {row},{row / 50},{row % 7 > 1}" for row in range(50))
    one = opened_page(tmp_path, opened, "id,confidence,is_correct", lines)
    assert "the predictions come with a confidence alone" in one.text("main")
    numbers = move(one, "confidence", 0.5)
    accepted = sum(row / 50 > numbers["threshold"] for row in range(50))
    assert numbers["trusted_correct"] + numbers["trusted_wrong"] == accepted


def test_without_errors_a_page_is_made(tmp_path: Path, opened: Open) -> None:
    one = opened_page(tmp_path, opened, "label,logit_0,logit_1", (f"0,{1 + row},0" for row in range(20)))
    assert "needs both errors and correct predictions" in one.text("header")
