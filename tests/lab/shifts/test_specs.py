"""Shifts in data specs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.nets.data.shifted import Shifted
from steepslope.nets.data.specs import parse_data, shift_parsers

RECOLOR = "recolor:checkpoint:HOME/classifier"
STYLIZE = [
    *(f"stylize:STYLIZER?styles=STYLES{more}&style_crop=32" for more in ("", "&alpha=0.5", "&side=40", "&crop=24")),
    "stylize:STYLIZER?styles=STYLES&style_crop=32&seed=2",
]
TEXTS = [
    "corrupt:fog:3/digits:test",
    "corrupt:snow:1?seed=2&crop=64/corrupt:fog:3/idx:/some/where/digits:test",
    "distort:ghost:1/digits:test",
    "distort:blur:0?seed=2&crop=64/corrupt:fog:3/idx:/some/where/digits:test",
    *(f"{text}/images:PHOTOS" for text in STYLIZE),
    "recolor:timm:resnet18?weights=/a/b.pth&bound=0.03&steps=300&mean=0.5,0.5,0.4&image_size=64/images:there",
    "recolor:torchvision:resnet50?steps=9/corrupt:fog:3/digits:test",
]


@pytest.fixture(scope="session")
def places(stylizer_folder: Path, styles_folder: Path, photos_folder: Path, home: Path) -> dict[str, Path]:
    return {"STYLIZER": stylizer_folder, "STYLES": styles_folder, "PHOTOS": photos_folder, "HOME": home}


def filled(text: str, places: dict[str, Path]) -> str:
    """Put the folders of the fixtures in the places of their names."""
    for name, folder in places.items():
        text = text.replace(name, str(folder))
    return text


@pytest.mark.parametrize("text", TEXTS)
def test_a_spec_is_its_own_text(text: str, places: dict[str, Path]) -> None:
    spec = parse_data(filled(text, places))
    assert str(spec) == filled(text, places)
    assert parse_data(str(spec)) == spec
    assert spec.name == filled(text, places).removesuffix(":test")
    assert len(spec.shifts) == sum(text.count(f"{kind}:") for kind in shift_parsers())


def test_the_last_shift_comes_first() -> None:
    """Noise on contrast is not contrast on noise."""
    spec = parse_data("corrupt:contrast:5/corrupt:gaussian_noise:5/digits:test")
    one = np.asarray(spec.open().image(0))
    other = np.asarray(parse_data("corrupt:gaussian_noise:5/corrupt:contrast:5/digits:test").open().image(0))
    assert one.std() < 0.3 * other.std()


def test_a_shifted_data_set_has_the_labels_and_ids_of_the_original() -> None:
    plain, shifted = (parse_data(f"{shift}digits:test").open() for shift in ("", "corrupt:fog:3/"))
    assert isinstance(shifted, Shifted)
    assert len(shifted) == len(plain)
    assert np.array_equal(plain.labels, shifted.labels)  # type: ignore[arg-type]
    assert list(plain.ids) == list(shifted.ids)
    assert shifted.classes == plain.classes


def test_fingerprints_tell_shifts_apart(places: dict[str, Path]) -> None:
    shifts = ["corrupt:fog:3", "corrupt:fog:4", "corrupt:snow:3", "corrupt:fog:3?seed=1", "corrupt:fog:3?crop=8"]
    shifts += ["distort:fog:1", "distort:fog:1?seed=1"]
    shifts += STYLIZE
    shifts += [f"{RECOLOR}?{query}" for query in ("bound=0.06", "bound=0.05", "steps=9", "mean=0.4")]
    texts = ["digits:test", *(filled(f"{shift}/digits:test", places) for shift in shifts)]
    assert len({parse_data(text).look().open().fingerprint() for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corrupt:fogg:3/digits", "data spec 'corrupt:fogg:3/digits': unknown corruption 'fogg': did you mean 'fog'"),
        ("corrupt:fog:6/digits", "severity: expected a whole number from 1 to 5, found 6"),
        ("corrupt:fog:3?seed=-1/digits", "seed: expected a whole number from 0"),
        ("distort:fog:1?crop=0/digits", "crop: expected a whole number >= 1, found 0"),
        ("corrupt:fog/digits", "expected corrupt:KIND:SEVERITY, such as corrupt:fog:3, found corrupt:fog"),
        ("corrupt:fog:3", r"expected / and a data spec after corrupt:…, found none"),
        ("corrupt:fog:3/digit:test", "unknown data scheme in 'digit:test': 'digit': did you mean 'digits'"),
        ("corrupt:fog:3?sed=1/digits", "unknown option of 'fog:3[?]sed=1': 'sed': did you mean 'seed'"),
        ("distort:fogg:1/digits", "data spec 'distort:fogg:1/digits': unknown distortion 'fogg': did you mean 'fog'"),
        ("distort:fog:2/digits", "severity: expected a whole number from 0 to 1, found 2"),
        ("distort:fog/digits", "expected distort:KIND:SEVERITY, such as distort:blur:1, found distort:fog"),
        ("corrupt:fog:3?seed=x/digits", "seed: expected a whole number, found 'x'"),
        ("stylize:nowhere?styles=STYLES/digits", "nowhere: expected the folder of a stylizer .*, no such folder"),
        ("stylize:STYLES?styles=STYLES/digits", "expected the folder of a stylizer .*, it has no stylizer.json"),
        ("stylize:STYLIZER?styles=nowhere/digits", "styles: data spec 'images:nowhere': no such folder"),
        ("stylize:STYLIZER/digits", "styles: expected styles=FOLDER after [?]"),
        ("stylize:STYLIZER?styles=STYLES&alpha=2/digits", "alpha: expected a number from 0 to 1, found 2"),
        ("stylize:STYLIZER?styles=STYLES&alpha=x/digits", "alpha: expected numbers, found 'x'"),
        ("stylize:STYLIZER?style=STYLES/digits", "'style': did you mean 'styles'"),
        ("recolor:onnx:net.onnx/digits", "onnx:net.onnx: expected a classifier with gradients to recolour against"),
        ("recolor:timm:resnet18?bound=2/digits", "bound: expected a number from 0 to 1, found 2"),
        ("recolor:timm:resnet18?steps=0/digits", "steps: expected a whole number >= 1, found 0"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str, places: dict[str, Path]) -> None:
    with pytest.raises(SteepslopeError, match=message):
        parse_data(filled(text, places)).look()


def test_every_shift_is_known() -> None:
    assert set(shift_parsers()) >= {"corrupt", "distort", "stylize", "recolor"}
