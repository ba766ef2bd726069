"""The site of the documentation, as `make docs` built it, in a browser without a network."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SITE = ROOT / "site"
SOUGHT = ("abstain", "calibrate", "drift", "label shift", "reject", "selective risk", "threshold")
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
    assert word in page.inner_text(".md-search-result__list").lower()
