"""Bad and odd images, folders, names of classes and preprocessing: the one line that each gets, or that it passes.

Each case is the options of `extract`, with `{}` for the folder of the inputs, the words of the line, and the exit code.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from steepslope.cli._main import main
from tests.images import folder_of

TINY = "--classifier module:tests.tiny_nets:tiny"  # 3 classes, colour, 8 x 8, all of its input known
OPEN = "--classifier module:tests.tiny_nets:tiny_convolutions"  # 3 classes, colour, nothing of its input known
GREY = "--classifier module:tests.tiny_nets:grey --image-size 8 --mean 0.5 --std 0.25"
SIX = "--classifier module:tests.tiny_nets:six_channels --image-size 8 --mean 0.5 --std 0.25"
GIVEN = "--data imagefolder:{}/good"
TRANSFORM = {"size": [8, 8], "mean": [0.5] * 3, "std": [0.5] * 3}

CASES: list[tuple[str, str, int]] = [
    # images without classes
    (f"{TINY} --data images:{{}}/flat", "3 predictions, without labels", 0),
    (f"{TINY} --data images:{{}}/flat/a.png", "flat/a.png': it is a file", 2),
    (f"{TINY} --data images:{{}}/flat --augment 1", "augment: expected labelled images to fit oracles on", 2),
    # folders of classes
    (f"{TINY} --data imagefolder:{{}}/flat", "flat: .*found images alone: images:.*/flat reads", 2),
    (f"{TINY} --data imagefolder:{{}}/two", "two: expected 3 class folders, .*, found 2: .*--classes FILE", 2),
    (f"{TINY} --data imagefolder:{{}}/four --classes {{}}/good.txt", "warning: .*: 'dog' .1.\\n.*1 out-of-class", 0),
    (f"{TINY} --data imagefolder:{{}}/hollow", r"hollow/bee: expected images \(", 2),
    # names of classes
    (f"{TINY} --data digits --classes {{}}/good.txt", "classes: expected none for digits", 2),
    # what is not there
    (f"{TINY} --data images:https://me@host/a", "'images:https://host/a': expected files on a disk, found a URL", 2),
    ("--classifier timm:resnet50 --data imagefolder:{}/none", "none': no such folder", 2),  # and no download
    # grey and many channels
    (f"{GREY} --data images:{{}}/modes", "6 predictions, without labels", 0),
    (f"{GREY} {GIVEN} --channels 3", "cannot run on images of shape 2 × 3 × 8 × 8: --channels", 2),
    (f"{TINY} {GIVEN} --channels 1", "--mean and --std: have to be given, since module:tests.tiny_nets:tiny", 2),
    (f"{SIX} --data images:{{}}/arrays", "2 predictions, without labels", 0),
    (f"{SIX} --data images:{{}}/flat", r"a.png: expected an image of 6 channels, found \(12, 10, 3\): .*\.npy", 2),
    (f"{SIX} --data images:{{}}/pickles", "p.npy: cannot be read as an image", 2),
    # size, mean, std and channels
    (f"{OPEN} {GIVEN}", "--image-size, --mean and --std: have to be given", 2),
    ("--classifier module:tests.tiny_nets:flat_grey {G}", r"size, --mean, --std and --channels \(unless 3\): have", 2),
    # one preprocessing file
    (f"{OPEN} {GIVEN} --preprocessing {{}}/no-mean.json", "expected size, mean and std, found no mean", 2),
    (f"{OPEN} {GIVEN} --preprocessing {{}}/zero.json", "zero.json: std: expected a list, each a number from 1e-12", 2),
    (f"{OPEN} {GIVEN} --preprocessing {{}}/stretch.json", "resize: expected crop or squash or exact, found 's", 2),
    (f"{OPEN} {GIVEN} --preprocessing {{}}/sizes.json", "did you mean 'size'", 2),
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write every folder and file that the cases name; tests must not write there."""
    root = tmp_path_factory.mktemp("inputs")
    folder_of(root / "good", 1)
    folder_of(root / "two", 1, ("ant", "cow"))
    folder_of(root / "four", 1, ("ant", "bee", "cow", "dog"))
    (folder_of(root / "hollow", 1) / "bee" / "0000.png").unlink()
    for name in ("flat", "modes", "arrays", "pickles"):
        (root / name).mkdir()
    image = Image.open(root / "good" / "ant" / "0000.png")
    for name in ("flat/a.png", "flat/b.png", "flat/c.jpg"):
        image.save(root / name)
    for mode in ("1", "L", "P", "RGBA", "I;16"):
        Image.new(mode, (9, 9)).save(root / "modes" / f"{mode.replace(';', '')}.png")
    Image.new("CMYK", (9, 9)).save(root / "modes" / "CMYK.jpg")
    for row in range(2):
        np.save(root / "arrays" / f"{row}.npy", np.full((9, 9, 6), row / 2, dtype=np.float32))
    np.save(root / "pickles" / "p.npy", np.array([{}], dtype=object), allow_pickle=True)
    (root / "good.txt").write_text("ant\nbee\ncow")
    for name, changes in PREPROCESSING.items():
        (root / f"{name}.json").write_text(json.dumps({**TRANSFORM, **changes}))
    (root / "no-mean.json").write_text(json.dumps({"size": [8, 8], "std": [1]}))
    return root


PREPROCESSING: dict[str, dict[str, Any]] = {
    "zero": {"std": [0, 1, 1]},
    "stretch": {"resize": "stretch"},
    "sizes": {"sizes": [8, 8]},
}


@pytest.mark.parametrize(("options", "words", "code"), CASES)
def test_odd_inputs(
    options: str, words: str, code: int, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(inputs.rglob("*"))
    given = options.replace("{G}", GIVEN).replace("{}", str(inputs)).split()
    assert main(["extract", *given, "--evidence", "features", "--out", str(tmp_path / "out")]) == code
    said = capsys.readouterr().err
    assert re.search(words, said), said
    if code:
        assert said.count("\n") == 1
        assert "internal error" not in said
    assert (tmp_path / "out" / "manifest.json").exists() == (code == 0)
    assert sorted(inputs.rglob("*")) == before
