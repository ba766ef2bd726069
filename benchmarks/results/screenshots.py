"""The pictures of README and site: the top of the demo's report, and its gallery, light and dark, in small files.

Needs Debian's ``chromium``, and playwright from the dev extra.
"""

import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import sync_playwright

WIDTH = 1180
LAST = "[data-chart=risk-coverage]"  # the chart that is the last in the picture of the top
GALLERY = "section[aria-labelledby=gallery]"
TALLEST = 760  # of the gallery
COLORS = 100
SHOWN = "shown"  # the key of the text in a picture


def screenshots(report: str = "runs/demo/report.html", out: str = "docs") -> None:
    """Take a picture of a report in each of the two colour schemes.

    Parameters
    ----------
    report
        The page.
    out
        Folder for report-light.png, gallery-light.png, and likewise dark.
    """
    executable = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            page = opened_report(browser, Path(report), scheme)
            for name, picture in _pictures(page).items():
                _write(picture, text_of_report(page), Path(out) / f"{name}-{scheme}.png")
        browser.close()


def opened_report(browser: Any, report: Path, scheme: str) -> Any:
    """Return a report in a window of its own, as it looks when all is drawn."""
    page = browser.new_page(viewport={"width": WIDTH, "height": WIDTH}, color_scheme=scheme)
    page.goto(report.resolve().as_uri())
    page.wait_for_selector("html[data-ready]")
    return page


def text_of_report(page: Any) -> str:
    """Return the words and numbers at the top of a report: its finding, and its table of scores."""
    return "\n".join(page.inner_text(part) for part in ("header", "table"))


def _pictures(page: Any) -> dict[str, bytes]:
    """Return the parts of a report that are shown, by the names of their files."""
    last, gallery = page.locator(LAST).bounding_box(), page.locator(GALLERY).bounding_box()
    heights = {"report": (0, last["y"] + last["height"]), "gallery": (gallery["y"], min(TALLEST, gallery["height"]))}
    return {
        name: bytes(page.screenshot(full_page=True, clip={"x": 0, "y": top, "width": WIDTH, "height": height}))
        for name, (top, height) in heights.items()
    }


def _write(screenshot: bytes, text: str, path: Path) -> None:
    """Write a picture with few colours. It holds the report's text, so that a test can tell when it is out of date."""
    about = PngInfo()
    about.add_text(SHOWN, text, zip=True)
    with Image.open(io.BytesIO(screenshot)) as picture:
        few = picture.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        few.save(path, optimize=True, pnginfo=about)
