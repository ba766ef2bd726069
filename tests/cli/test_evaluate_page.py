"""What `evaluate` puts into its page: images or why there are none, gates, groups, searches; and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steepslope.cli._main import main
from steepslope.gate import Gate
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.report import _evaluation as evaluation
from steepslope.scores import SCORES
from tests.cli.predictions import refuses
from tests.conftest import Captured, make_outputs


def page_data(folder: Path) -> dict[str, Any]:
    """Return what the page's scripts read."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def evaluated(tmp_path: Path, options: str, outputs: str = "outputs") -> dict[str, Any]:
    words = f"evaluate --outputs {tmp_path / outputs} --bootstrap 0 --replace --out {tmp_path / 'out'} {options}"
    assert main(words.split()) == 0
    return page_data(tmp_path / "out")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write outputs and a folder of the images that they are of."""
    outputs = make_outputs(120)
    names = np.array([f"c{label}/{row:03d}.png" for row, label in enumerate(outputs.require_labels())])
    for name in names:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 9).save(tmp_path / "images" / name)
    named = ClassifierOutputs(outputs.logits, outputs.labels, outputs.features, names)
    named.save(tmp_path / "outputs")
    return tmp_path


def test_images_are_embedded_unless_they_are_not_wanted(folder: Path) -> None:
    data = evaluated(folder, f"--data imagefolder:{folder / 'images'}")
    assert all(card["image"].startswith("data:image/png;base64,") for card in data["cards"])
    data = evaluated(folder, f"--data imagefolder:{folder / 'images'} --images false")
    assert not any("image" in card for card in data["cards"])
    assert "Without images: they were not wanted." in (folder / "out" / "report.html").read_text()
    evaluated(folder, "")
    told = f"Without images: {folder.name}/outputs: does not say where its images are: give --data"
    assert told in (folder / "out" / "report.html").read_text()


def test_without_pillow_a_page_names_the_extra_where_there_are_images(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    evaluated(folder, "")
    assert "does not say where its images are" in (folder / "out" / "report.html").read_text()
    words = f"evaluate --outputs {folder}/outputs --out {folder}/new --data imagefolder:{folder / 'images'}"
    refuses(words.split(), capsys, "to read images needs PIL: pip install 'steepslope[nets]'")


def test_of_data_that_are_named_the_first_image_has_to_be_there_before_anything_is_computed(
    folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ClassifierOutputs.load(folder / "outputs").require("ids").tolist()
    options = f"--data imagefolder:{folder / 'images'}"
    (folder / "images" / ids[0]).unlink()
    monkeypatch.setattr(evaluation, "evaluate_predictions", lambda *_, **__: pytest.fail("too late"))
    words = f"evaluate --outputs {folder}/outputs --out {folder}/new {options}"
    refuses(words, capsys, f"found none with the id {ids[0]!r}")


def test_gates_are_marked_at_the_score_that_they_rank_by(tmp_path: Path) -> None:
    outputs, held_out = make_outputs(300), make_outputs(900, seed=1)
    outputs.save(tmp_path / "outputs")
    oracle = Oracle(inputs=("logits",), head="hyperplane", epochs=40).fit(make_outputs(600, seed=2))
    for name, model in (("of mcp", SCORES["mcp"]()), ("of-oracle", oracle)):
        Gate.of(model, held_out, (0.2, 0.27)).save(tmp_path / name.replace(" ", "-"))
    data = evaluated(tmp_path, f"--gates {tmp_path}/of-mcp,{tmp_path}/of-oracle")
    assert [one["name"] for one in data["scores"]] == ["mcp", "of-oracle"]
    for score, confidence in zip(data["scores"], (SCORES["mcp"]().confidence(outputs), None), strict=True):
        gate = Gate.load(tmp_path / ("of-mcp" if confidence is not None else "of-oracle"))
        assert gate.source is not None
        accepted = [gate.at(risk).accepts(gate.source.confidence(outputs)).mean() for risk in (0.2, 0.27)]
        points, stops = score["points"], score["stops"][: score["certified"]]
        counts = [points["correct"][stop["place"]] + points["wrong"][stop["place"]] for stop in stops]
        assert [count / len(outputs) for count in counts] == pytest.approx(accepted)
        assert [stop["label"] for stop in stops] == [f"certified: risk ≤ {risk} % (δ 2.5 %)" for risk in (20, 27)]
        start = score["points"]["threshold"][score["start"]]
        assert score["points"]["p"][score["start"]] == pytest.approx(gate.p_correct(np.array([start]))[0], abs=1e-4)


def test_gates_that_do_not_fit_are_refused(tmp_path: Path, capsys: Captured) -> None:
    outputs, held_out = make_outputs(300), make_outputs(600, seed=1)
    outputs.save(tmp_path / "outputs")
    oracle = Oracle(inputs=("logits",), head="hyperplane", epochs=2).fit(outputs)
    Gate.of(oracle, held_out, 0.3).save(tmp_path / "same-rows")
    Gate.of(SCORES["mcp"](), make_outputs(600, num_classes=3, seed=1), 0.3).save(tmp_path / "three")
    rng = np.random.default_rng(0)
    Gate.calibrate(rng.random(400), rng.random(400) < 0.9, max_risk=0.3).save(tmp_path / "alone")
    messages = {
        "same-rows": "300 of these 300 rows are those it was fitted on",
        "three": "expected 3 classes, as the gate was calibrated for, found 4",
        "alone": "found one of confidences alone",
        "nothing": "nothing",
    }
    for name, message in messages.items():
        refuses(
            f"evaluate --outputs {tmp_path}/outputs --gates {tmp_path}/{name} --out {tmp_path}/out", capsys, message
        )
    assert not (tmp_path / "out" / "report.html").exists()
