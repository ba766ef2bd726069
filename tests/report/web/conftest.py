"""A headless Chromium, and a report of images that tell which row they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steepslope.cli._main import main
from steepslope.gate import Gate
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES

CLASSES = ("<script>window.broken = 1", "b & c", '"quoted"', "plain")
ORACLE = "oracle <i> with_a_name_as_long_as_those_of_folders_are_and_longer_than_a_telephone_is_wide"
Open = Callable[..., "Opened"]


@dataclass
class Opened:
    """A page in a browser, and what went wrong there: messages on the console, errors, requests."""

    page: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Open files in fresh windows, which are closed after the test."""
    contexts = []

    def open_page(path: Path, width: int = 1280, scheme: str = "light") -> Opened:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        shown = Opened(context.new_page())
        shown.page.on("console", lambda message: shown.messages.append(f"{message.type}: {message.text}"))
        shown.page.on("pageerror", lambda error: shown.messages.append(str(error)))
        shown.page.on("request", lambda request: shown.requests.append(request.url))
        shown.page.goto(path.as_uri())
        shown.page.wait_for_selector("html[data-ready]", timeout=60_000)
        return shown

    yield open_page
    for context in contexts:
        context.close()


@dataclass(frozen=True)
class Shown:
    """A report, the outputs that it is of, and the colour of each image by its id."""

    report: Path
    outputs: ClassifierOutputs
    colors: dict[str, tuple[int, int, int]]
    oracle: Oracle
    gate: Gate


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Evaluate outputs on a folder of images of one colour each, with a fitted oracle, references and a gate."""
    work = tmp_path_factory.mktemp("shown")
    colors = make_images(work / "images")
    outputs, reference, held_out = (some.named(CLASSES) for some in make_outputs(sorted(colors)))
    outputs.save(work / "outputs")
    reference.save(work / "reference")
    oracle = Oracle(inputs=("logits",), head="hyperplane", epochs=5).fit(held_out)
    oracle.save(work / ORACLE)
    gate = Gate.of(SCORES["margin"](), held_out, 0.3)
    gate.save(work / "gate")
    scores = f"margin,trust_score,entropy,{work / ORACLE}"
    words = ["evaluate", "--outputs", str(work / "outputs"), "--reference", str(work / "reference"), "--scores", scores,
             "--data", f"imagefolder:{work / 'images'}", "--gates", str(work / "gate"), "--bootstrap", "50",
             "--out", str(work / "out")]  # fmt: skip
    assert main(words) == 0
    return Shown(work / "out" / "report.html", outputs, colors, oracle, gate)


def make_images(folder: Path, n: int = 240) -> dict[str, tuple[int, int, int]]:
    """Write images of one colour each, no two alike, and return the colours by id."""
    rng, colors = np.random.default_rng(0), {}
    for row in range(n):
        name = CLASSES[rng.integers(len(CLASSES))]
        (folder / name).mkdir(parents=True, exist_ok=True)
        color = (row, 255 - row, 3 * row % 256)
        Image.new("RGB", (12, 12), color).save(folder / name / f"<b>{row:03d}.png")
        colors[f"{name}/<b>{row:03d}.png"] = color
    return colors


def make_outputs(ids: list[str]) -> list[ClassifierOutputs]:
    """Make outputs of the images, and of rows to refer to and to fit on; features tell the classes apart."""
    rng, made = np.random.default_rng(1), []
    for prefix, names in (("", ids), ("reference/", ids), ("held-out/", [f"{n}" for n in range(600)])):
        labels = np.array([CLASSES.index(name.split("/")[0]) if "/" in name else rng.integers(4) for name in names])
        noise = 1 + rng.random((len(names), 1))
        logits = (noise * rng.normal(size=(len(names), 4)) + 2.2 * np.eye(4)[labels]).astype(np.float32)
        features = (rng.normal(size=(len(names), 6)) + 2 * np.eye(4, 6)[labels]).astype(np.float32)
        made.append(ClassifierOutputs(logits, labels, features, np.array([prefix + name for name in names])))
    return made
