"""Stylisation as a shift: images of any size and kind, styles by id, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.nets.data._shifted import Shifted
from steepslope.nets.data._specs import parse_data
from steepslope_lab.shifts.options import StylizeOptions
from steepslope_lab.shifts.pixels import picture_as_floats
from steepslope_lab.shifts.stylization import Stylization, look_at_stylizer_and_styles


@pytest.fixture
def spec(stylizer_folder: Path, styles_folder: Path) -> StylizeOptions:
    return StylizeOptions(stylizer=str(stylizer_folder), styles=str(styles_folder), style_crop=32)


def shifted(spec: StylizeOptions, photos: Path) -> Shifted:
    return Shifted(parse_data(f"images:{photos}").open(), Stylization.of(spec))


def pixels(data: Shifted, row: int) -> NDArray[np.float32]:
    return np.asarray(data.image(row))


def test_photos_of_any_size_keep_it_and_grey_stays_grey(spec: StylizeOptions, photos_folder: Path) -> None:
    data = shifted(spec, photos_folder)
    found = {str(name): pixels(data, row) for row, name in enumerate(data.ids)}
    assert {name: one.shape for name, one in found.items()} == {
        "astronaut.png": (36, 48, 3), "camera.png": (45, 30, 1), "chelsea.png": (7, 11, 3), "coffee.png": (36, 48, 3),
    }  # fmt: skip
    for row, one in enumerate(found.values()):
        assert one.dtype == np.float32
        assert 0 <= one.min() <= one.max() <= 1
        original = data.data.image(row)
        assert np.abs(one - picture_as_floats(original)).max() > 0.05


def test_the_style_of_an_image_depends_on_its_id_and_the_seed_alone(spec: StylizeOptions, photos_folder: Path) -> None:
    data = shifted(spec, photos_folder)
    alone = data.subset(np.array([3]))
    np.testing.assert_allclose(pixels(alone, 0), pixels(data, 3), atol=1e-4)
    shift, other = (shifted(replace(spec, seed=seed), photos_folder).shift for seed in (0, 1))
    assert isinstance(shift, Stylization)
    assert isinstance(other, Stylization)
    drawn = [shift.style(f"image/{row}") for row in range(40)]
    assert {one.shape for one in drawn} == {torch.Size((3, 32, 32))}
    assert len({one.mean().item() for one in drawn}) > 20
    assert torch.equal(drawn[0], shift.style("image/0"))
    assert not torch.equal(drawn[0], other.style("image/0"))


def test_small_images_are_stylised_at_a_side_and_brought_back(spec: StylizeOptions, photos_folder: Path) -> None:
    data = shifted(replace(spec, side=40), photos_folder)
    row = list(data.ids).index("chelsea.png")
    assert pixels(data, row).shape == (7, 11, 3)
    assert np.abs(pixels(data, row) - pixels(shifted(spec, photos_folder), row)).max() > 1e-3


def test_all_settings_are_parts_of_the_fingerprint(spec: StylizeOptions, photos_folder: Path) -> None:
    changes: list[dict[str, Any]] = [{}, {"alpha": 0.5}, {"side": 40}, {"crop": 24}, {"seed": 2}]
    found = [shifted(replace(spec, **change), photos_folder).fingerprint() for change in changes]
    assert len(set(found)) == len(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stylizer": "nowhere"}, "nowhere: expected the folder of a stylizer .*, no such folder"),
        ({"stylizer": "."}, "expected the folder of a stylizer .*, it has no stylizer.json"),
        ({"styles": "nowhere"}, "styles: data spec 'images:nowhere': no such folder"),
        ({"alpha": 2}, "alpha: expected a number from 0 to 1, found 2"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str, spec: StylizeOptions) -> None:
    with pytest.raises(SteepslopeError, match=message):
        look_at_stylizer_and_styles(replace(spec, **change))


def test_other_channels_are_refused(spec: StylizeOptions) -> None:
    shift = Stylization.of(spec)
    with pytest.raises(SteepslopeError, match="six: expected an image in grey or in colour, found 6 channels"):
        shift([np.zeros((9, 9, 6), np.float32)], ["six"])
