"""The site of the documentation, as `make docs` built it, in a browser without a network."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.results.screenshots import SHOWN, opened_report, text_of_report
from PIL import Image

ROOT = Path(__file__).parents[1]
SITE = ROOT / "site"
SOUGHT = (
    "abstain", "calibrate", "drift", "how many labels", "label shift", "reject option", "selective prediction",
    "selective risk", "threshold",
)  # fmt: skip
LEAST_CONTRAST = 4.5  # of text by WCAG 2.2, level AA
MOST_NUMBERS = 0.9  # of a picture's that are near today's: another machine changed 6 of 191
NUMBER = r"[-+]?\d+(?:\.\d+)?"
TELEPHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def site() -> Path:
    """Build the site where it is not there."""
    if not (SITE / "index.html").exists():
        subprocess.run(["make", "docs"], cwd=ROOT, check=True)
    return SITE


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """Open a window as wide as a telephone, without a network."""
    context = browser.new_context(viewport=TELEPHONE, offline=True)
    yield context.new_page()
    context.close()


@pytest.mark.slow
def test_no_page_is_wider_than_a_telephone_or_asks_another_host(site: Path, page: Any) -> None:
    asked: list[str] = []
    wide, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for path in site.rglob("*.html"):
        if path.name != "404.html":  # its links are those of a server
            page.goto(path.as_uri())
            if page.evaluate("document.scrollingElement.scrollWidth > innerWidth"):
                wide.append(path.name)
    assert (wide, wrong) == ([], [])
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []


@pytest.mark.slow
@pytest.mark.parametrize("word", SOUGHT)
def test_a_search_finds_the_words_of_the_field(word: str, site: Path, page: Any) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto((site / "index.html").as_uri())
    page.click(".md-search__input")
    page.wait_for_function("document.querySelector('.md-search-result__meta').textContent.includes('start searching')")
    page.keyboard.type(word)
    page.wait_for_selector(".md-search-result__item")
    found = page.inner_text(".md-search-result__list").lower()
    assert all(part in found for part in word.split())


def words_and_numbers(text: str) -> tuple[list[str], list[float]]:
    """Split a report's text; a verdict that hangs on the last digit of a number is neither."""
    plain = re.sub(r"clearly \w+", "", text)
    return re.sub(NUMBER, "0", plain).split(), [float(number) for number in re.findall(NUMBER, plain)]


@pytest.mark.slow
def test_pictures_show_what_the_page_shows_today(demo: Path, browser: Any) -> None:
    """The demo trains nets, whose numbers differ a little from one machine to another: a FPR95 by one quantile."""
    page = opened_report(browser, demo / "report.html", "light")
    words, numbers = words_and_numbers(text_of_report(page))
    for name in ("report", "gallery"):
        for scheme in ("light", "dark"):
            with Image.open(ROOT / "docs" / f"{name}-{scheme}.png") as picture:
                shown, shown_numbers = words_and_numbers(picture.info[SHOWN])
            assert shown == words, f"{name}-{scheme}.png: make screenshots"
            near = np.isclose(shown_numbers, numbers, rtol=0.02, atol=1)
            assert near.mean() > MOST_NUMBERS, f"{name}-{scheme}.png: make screenshots"
    page.close()


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb, as WCAG defines it."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_of_the_site_can_be_read() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    text = (ROOT / "docs" / "stylesheets" / "site.css").read_text(encoding="utf-8")
    for scheme, background in (("default", "#ffffff"), ("slate", "#1e2129")):
        (rule,) = re.findall(rf'^\[data-md-color-scheme="{scheme}"\] {{(.*)}}$', text, re.MULTILINE)
        for name, colour in re.findall(r"(--[\w-]+): (#\w{6})", rule):
            assert contrast(colour, background) >= LEAST_CONTRAST, (scheme, name)
    (header,) = re.findall(r"--md-primary-fg-color: (#\w{6})", text)
    assert contrast(header, "#ffffff") >= LEAST_CONTRAST
