"""Distortions: what they say, on images of any size, the same in any order."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.nets._seeding import on_threads
from steepslope.nets.data._images import Images
from steepslope.nets.data._shifted import Shifted
from steepslope.nets.data._specs import parse_data
from steepslope_lab.shifts.corruptions import CORRUPTIONS, Corruption, ShiftByKind
from steepslope_lab.shifts.distortions import DISTORTIONS, Distortion, distorted
from tests.lab.shifts.test_corruptions import images, scene

SHAPES = [(1, 1, 1), (1, 5, 3), (20, 150, 3)]
DRAWN = ("noise", "erase", "fog", "shot", "glass")
ONE_WAY = ("scale", "gamma")  # severity 1 goes the other way than severity 0


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_severities_go_further(kind: str) -> None:
    data = parse_data("digits").load_into_memory("test").subset(np.arange(30))
    mild, strong = (
        np.mean([np.abs(distorted(image[..., None], kind, severity, row)[..., 0] - image.astype(float))
                 for row, image in enumerate(data.pixels)]) for severity in (0, 1)
    )  # fmt: skip
    assert mild > 0
    assert kind in ONE_WAY or mild < strong


@pytest.mark.parametrize("kind", DISTORTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_any_size_in_grey_and_colour(shape: tuple[int, ...], kind: str) -> None:
    pixels = scene(*shape)
    for severity in (0, 1):
        changed = distorted(pixels, kind, severity, 3)
        assert (changed.shape, changed.dtype.name) == (shape, "uint8")


def test_some_are_known_exactly() -> None:
    pixels = scene(28, 28, 1)
    expected = {
        ("invert", 1): 255 - pixels,
        ("shift", 1): np.roll(pixels, 4, axis=1),
        ("ghost", 0): (0.8 * pixels + 0.2 * pixels[::-1, ::-1]).round(),
        ("solarise", 1): np.where(pixels >= 0.6 * 255, 255 - pixels, pixels),
    }
    for (kind, severity), wanted in expected.items():
        found = distorted(pixels, kind, severity, 0).astype(float)
        is_exact = kind in ("invert", "shift", "solarise")
        assert np.abs(found - wanted).max() <= (0 if is_exact else 1), kind


def test_lengths_in_pixels_grow_with_the_image() -> None:
    """Where each pixel is repeated four times along both axes, all moves four times as far."""
    small = scene(28, 28, 1)
    large = small.repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(distorted(large, "shift", 1, 0)[::4, ::4], distorted(small, "shift", 1, 0))
    for side, expected in ((28, {"thicken": 2, "motion": 3}), (112, {"thicken": 8, "motion": 13})):
        point = np.zeros((side, side, 1), dtype=np.uint8)
        point[side // 2, side // 2] = 255
        widths = {kind: int(distorted(point, kind, 0, 0).any(axis=(0, 2)).sum()) for kind in expected}
        assert widths == expected


@pytest.mark.parametrize(
    "shift", [partial(Distortion, kind) for kind in DISTORTIONS] + [partial(Corruption, kind) for kind in CORRUPTIONS]
)
def test_an_image_becomes_the_same_in_any_order(shift: Callable[..., ShiftByKind]) -> None:
    """Nor does it matter what was drawn before, and what others draw is not disturbed."""
    data = images()
    forwards, backwards = (Shifted(data, shift(1, seed=1)) for _ in range(2))
    first = [np.asarray(forwards.image(row)) for row in range(5)]
    np.random.seed(9)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state(legacy=False)["state"]["key"].copy()  # noqa: NPY002
    with on_threads(2):
        last = [np.asarray(backwards.image(row)) for row in reversed(range(5))]
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state(legacy=False)["state"]["key"])  # noqa: NPY002
    assert all(np.array_equal(one, other) for one, other in zip(first, reversed(last), strict=True))
    part = Shifted(data.subset(np.array([3])), shift(1, seed=1))
    assert np.array_equal(np.asarray(part.image(0)), first[3])


@pytest.mark.parametrize("kind", DISTORTIONS)
def test_seeds_and_ids_decide_where_something_is_drawn(kind: str) -> None:
    twice = images(2)
    same = Images(twice.pixels[[0, 0]], twice.labels, twice.ids)
    found: list[NDArray[np.uint8]] = [
        np.asarray(Shifted(same, Distortion(kind, 1, seed=seed)).image(row)) for seed, row in ((0, 0), (0, 1), (1, 1))
    ]
    assert [(one != other).any() for one, other in pairwise(found)] == [kind in DRAWN] * 2


def test_other_channels_are_refused() -> None:
    with pytest.raises(SteepslopeError, match="expected a grey or colour image to distort, found 6 channels"):
        distorted(scene(20, 20, 6), "blur", 0, 0)
