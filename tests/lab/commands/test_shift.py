"""`steepslope shift`, and shifted data in extract, evaluate and predict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from steepslope.cli._main import main
from steepslope.outputs import ClassifierOutputs
from steepslope_lab.shifts.stylizer import Stylizer
from tests.cli.predictions import refuses
from tests.conftest import Captured
from tests.images import folder_of, opened


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("styles")
    for one in range(2):
        pixels = np.random.default_rng(one).integers(256, size=(40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{one}.png")
    return folder


def test_a_stylizer_is_trained_and_stylises(styles: Path, tmp_path: Path, capsys: Captured) -> None:
    train = (
        "shift train-stylizer --backbone timm:mobilenetv3_small_100?weights=random --content digits:train --crop 16 "
        f"--styles {styles} --steps 2 --batch-size 2 --width 4 --out {tmp_path}/stylizer"
    )
    assert main(train.split()) == 0
    stylize = f"shift stylize --data digits:test --stylizer {tmp_path}/stylizer --styles {styles} --style-crop 32"
    assert main(f"{stylize} --side 16 --out {tmp_path}/images".split()) == 0
    found = opened(f"imagefolder:{tmp_path}/images")
    assert (len(found), np.asarray(found.image(0)).shape) == (797, (8, 8))
    card = json.loads((tmp_path / "images" / "shift.json").read_text())
    assert (card["method"], card["alpha"], card["side"]) == ("stylize", 1.0, 16)
    assert card["stylizer"] == Stylizer.load(tmp_path / "stylizer").digest
    assert f"imagefolder:{tmp_path}/images" in capsys.readouterr().err


@pytest.mark.slow
def test_extract_takes_all_splits_of_shifted_data(home: Path, tmp_path: Path) -> None:
    """They are cut as the originals are, so that no row that the classifier was fitted to is held out."""
    data = ["--data", "corrupt:gaussian_noise:2/digits", "--out", str(tmp_path)]
    assert main(["extract", "--classifier", f"checkpoint:{home}/classifier", *data]) == 0
    for name in ("train", "holdout", "test"):
        shifted, plain = (ClassifierOutputs.load(folder / name) for folder in (tmp_path, home / "outputs"))
        assert shifted.ids is not None
        assert plain.ids is not None
        assert shifted.ids.tolist() == plain.ids.tolist()
        assert (shifted.logits != plain.logits).any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("corrupt --data digits:test --kind fogg --severity 3", "unknown corruption 'fogg': did you mean 'fog'"),
        ("corrupt --data digits:test --kind fog --severity 6", "expected a whole number from 1 to 5, found 6"),
        ("corrupt --data digits --kind fog --severity 1", "data digits: expected one split, such as digits:test"),
        ("corrupt --data digits:test --kind none --severity 1", "expected at least one kind and one severity"),
        ("corrup --data digits:test", "unknown command 'corrup': did you mean 'corrupt'"),
        ("stylize --data digits:test --stylizer no --styles no", "no: expected the folder of a stylizer"),
        ("recolor --data digits:test --classifier onnx:a.onnx", "a.onnx: expected an ONNX file, but it cannot be read"),
        ("train-stylizer --content digits:train --styles no", "data spec 'images:no': no such folder"),
    ],
)
def test_what_is_wrong_is_one_line(words: str, message: str, tmp_path: Path, capsys: Captured) -> None:
    refuses(["shift", *words.split(), "--out", str(tmp_path / "out")], capsys, message)
    assert not (tmp_path / "out").exists()


def test_classifiers_are_not_trained_on_shifted_images(tmp_path: Path, capsys: Captured) -> None:
    words = f"train-classifier --net digits-net --data corrupt:fog:3/digits --out {tmp_path}/out"
    refuses(words, capsys, "data: expected images that are not shifted, found corrupt:fog:3/digits")


def test_images_are_not_written_into_their_source(tmp_path: Path, capsys: Captured) -> None:
    folder_of(tmp_path / "photos", 1)
    words = f"shift corrupt --data imagefolder:{tmp_path}/photos --kind fog --severity 1 --out"
    for out in (tmp_path / "photos", tmp_path / "photos" / "inside", tmp_path):
        refuses(f"{words} {out}", capsys, "expected a folder apart from that of the images")
