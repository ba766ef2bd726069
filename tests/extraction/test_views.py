"""Views of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from steepslope.extraction.engine import VIEWS
from steepslope.extraction.options import VIEW_NAMES
from steepslope.files.folders import read_json
from tests.images import TINY, extracted


def test_each_view_does_what_it_says() -> None:
    assert tuple(VIEWS) == VIEW_NAMES
    images = torch.zeros(2, 1, 28, 28)
    images[:, 0, 10, 20] = 1
    places = {name: divmod(int(view(images)[1].argmax()), 28) for name, view in VIEWS.items()}
    moved = {"flip": (10, 7), "left": (10, 19), "right": (10, 21), "up": (9, 20), "down": (11, 20)}
    assert {name: places[name] for name in moved} == moved
    assert places["shrink"] == (10, 19)
    assert places["grow"] == (10, 21)
    assert places["turn_left"][0] < 10 < places["turn_right"][0]
    assert float(VIEWS["blur"](images).max()) < 0.5
    assert float(VIEWS["more_contrast"](images).std()) == pytest.approx(1.2 * float(images.std()))
    assert float(VIEWS["less_contrast"](images).mean()) == pytest.approx(float(images.mean()), abs=1e-6)
    flat = torch.full((1, 3, 30, 20), 0.7)
    for name, view in VIEWS.items():
        torch.testing.assert_close(view(flat), flat, msg=f"{name} brings something in from outside")


def test_views_are_the_logits_of_changed_images(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outputs = extracted(TINY, images, out, "--evidence", "views,features", "--views", "flip,right")
    assert outputs.views is not None
    assert outputs.views.shape == (24, 2, 3)
    assert read_json(out / "manifest.json", "outputs")["views"] == ["flip", "right"]
    mirrored = tmp_path / "mirrored"
    for path in images.rglob("*.png"):
        (mirrored / path.parent.name).mkdir(parents=True, exist_ok=True)
        ImageOps.mirror(Image.open(path)).save(mirrored / path.parent.name / path.name)
    expected = extracted(TINY, mirrored, tmp_path / "expected")
    np.testing.assert_allclose(outputs.views[:, 0], expected.logits, atol=0.02)  # resizing rounds to whole pixels
    assert np.abs(outputs.views[:, 0] - outputs.logits).mean() > 0.02


def test_views_do_not_depend_on_the_precision(images: Path, tmp_path: Path) -> None:
    exact, half = (
        extracted(TINY, images, tmp_path / precision, "--evidence", "views", "--precision", precision)
        for precision in ("32", "bf16")
    )
    np.testing.assert_allclose(half.require("views"), exact.require("views"), atol=0.02)
