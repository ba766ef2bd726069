"""The pictures of the README: the top of the demo's report, light and dark, as small as they can be.

Needs Debian's ``chromium``, and playwright from the dev extra.
"""

import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH = 1180
LAST = "[data-chart=risk-coverage]"  # the chart that is the last in the picture
COLORS = 100


def screenshots(report: str = "runs/demo/report.html", out: str = "docs") -> None:
    """Take a picture of a report in each of the two colour schemes.

    Parameters
    ----------
    report
        The page.
    out
        Folder for report-light.png and report-dark.png.
    """
    executable = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            _write(_picture(browser, Path(report), scheme), Path(out) / f"report-{scheme}.png")
        browser.close()


def _picture(browser: Any, report: Path, scheme: str) -> bytes:
    page = browser.new_page(viewport={"width": WIDTH, "height": WIDTH}, color_scheme=scheme)
    page.goto(report.resolve().as_uri())
    page.wait_for_selector("html[data-ready]")
    last = page.locator(LAST).bounding_box()
    part = {"x": 0, "y": 0, "width": WIDTH, "height": last["y"] + last["height"]}
    return bytes(page.screenshot(full_page=True, clip=part))


def _write(screenshot: bytes, path: Path) -> None:
    with Image.open(io.BytesIO(screenshot)) as picture:
        few = picture.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
