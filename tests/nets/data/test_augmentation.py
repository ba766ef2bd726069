"""Augmented copies: the same whatever else is read, changed, and in the size and range of the image."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from steepslope.nets.data._augmentation import AUGMENTATIONS, Augmented, _augmented_image
from steepslope.nets.data._images import Images
from tests.images import folder_of, opened

ALL_KINDS = tuple(AUGMENTATIONS)
MOVING = "rotate", "scale", "shear", "perspective"
SHAPES = [(28, 28), (30, 50, 3), (1, 40, 3), (40, 1), (1, 1)]


def images(*shape: int, n: int = 6) -> Images:
    rng = np.random.default_rng(0)
    ids = np.array([f"a/{row}" for row in range(n)])
    return Images(rng.integers(256, size=(n, *shape), dtype=np.uint8), np.arange(n) % 3, ids)


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image)


def flat(rgb: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    return Image.new("RGB", (6, 4), rgb)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_kind_keeps_size_mode_and_range(kind: str) -> None:
    """Black and white wrap around if they leave the range; what moves or blurs a flat image leaves it as it is."""
    for shape in SHAPES:
        image = images(*shape, n=1).image(0)
        changed_image = _augmented_image(image, kind, np.random.default_rng(0))
        assert (changed_image.size, changed_image.mode) == (image.size, image.mode)
        assert min(shape[:2]) == 1 or (pixels(changed_image) != pixels(image)).any()
    for value in (0, 255):
        image = Image.new("L", (20, 20), value)
        changed = pixels(_augmented_image(image, kind, np.random.default_rng(1))).astype(int)
        if kind == "noise":
            assert 0.2 < (changed == value).mean() < 0.8  # half of the noise is cut off
        elif kind not in ("rectangle", "grating", *MOVING):
            assert (changed == value).all()


@pytest.mark.parametrize("kind", MOVING)
def test_what_comes_in_repeats_the_border_or_is_black(kind: str) -> None:
    """Of a white image: in about half of the copies that take in what lies outside, all of that is black."""
    white = np.ones((1, 21, 33), dtype=np.float32)
    moved = [AUGMENTATIONS[kind](white, np.random.default_rng(seed))[0] for seed in range(80)]
    assert all(one[5:-5, 8:-8].min() == pytest.approx(1) for one in moved)
    black = np.mean([one.min() < 0.5 for one in moved])
    assert 0.15 < black < 0.65


def test_each_kind_does_what_it_says() -> None:
    """Against what each does to a picture that shows it: a dot, a line, a step of grey."""
    draw = np.random.default_rng
    spot = np.zeros((1, 41, 41), np.float32)
    spot[0, 20, 20] = 1
    blurred = AUGMENTATIONS["blur"](spot, draw(0))
    sigma = draw(0).uniform(0.5, 1.6) * np.sqrt(41 / 28)
    around = np.arange(41) - 20
    normal = np.exp(-((around / sigma) ** 2) / 2) / np.exp(-((around / sigma) ** 2) / 2).sum()
    np.testing.assert_allclose(blurred[0], np.outer(normal, normal), atol=4e-3)
    noisy = AUGMENTATIONS["noise"](np.full((3, 100, 100), 0.5, np.float32), draw(0))
    assert noisy.std() == pytest.approx(draw(0).uniform(0.03, 0.25), rel=0.02)
    step = np.concatenate([np.full((1, 10, 5), 0.2), np.full((1, 10, 5), 0.8)], axis=2).astype(np.float32)
    factor = draw(0).uniform(0.3, 0.8)
    low, high = 0.5 - 0.3 * factor, 0.5 + 0.3 * factor
    assert np.unique(AUGMENTATIONS["contrast"](step, draw(0))).tolist() == pytest.approx([low, high])
    wave = AUGMENTATIONS["grating"](np.full((1, 200, 200), 0.5, np.float32), draw(0)) - 0.5
    assert 0.1 < wave.max() == pytest.approx(-wave.min(), rel=0.05)
    power = np.abs(np.fft.rfft2(wave[0]))
    assert (power > power.max() / 2).sum() <= 4  # one frequency
    assert wave.max() <= 0.4
    share = [(AUGMENTATIONS["rectangle"](np.ones((1, 100, 100), np.float32), draw(s)) < 1).mean() for s in range(50)]
    assert 0.03 < min(share) < 0.1 < 0.2 < max(share) < 0.32


@pytest.mark.parametrize("seed", range(2))
def test_what_moves_keeps_the_centre_and_moves_the_others(seed: int) -> None:
    """The centre of mass of a spot tells where it went: it is turned, scaled or sheared about the image's centre."""
    place = np.array([6.0, -9.0])  # of the spot, from the centre: rows down, columns right
    rows, columns = np.mgrid[-30:31, -35:36]
    spot = np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / 18).astype(np.float32)[None]

    def moved(kind: str) -> NDArray[Any]:
        weight = AUGMENTATIONS[kind](spot, np.random.default_rng(seed))[0].astype(np.float64)
        return np.array([np.average(rows, weights=weight), np.average(columns, weights=weight)])

    turned, scaled, sheared = moved("rotate"), moved("scale"), moved("shear")
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(place), abs=0.02)
    assert abs(np.degrees(np.arctan2(*turned) - np.arctan2(*place))) <= 25
    factor = np.linalg.norm(scaled) / np.linalg.norm(place)
    np.testing.assert_allclose(scaled, factor * place, atol=0.02)
    assert 0.7 <= factor <= 1.35
    assert sheared[0] == pytest.approx(place[0], abs=0.02)
    assert abs(sheared[1] - place[1]) <= 0.3 * abs(place[0]) + 0.02


@pytest.mark.parametrize("seed", range(2))
def test_a_perspective_keeps_lines_straight_and_moves_corners_a_little(seed: int) -> None:
    """Of an image whose rows and columns are its values: it is a projection, and lines stay lines."""
    rows, columns = np.meshgrid(np.arange(41.0), np.arange(61.0), indexing="ij")
    image = np.stack([rows, columns, np.ones_like(rows)]).astype(np.float32)
    found = AUGMENTATIONS["perspective"](image, np.random.default_rng(seed)).astype(np.float64)
    inside = found[2] > 0.999
    inside &= (found[0] > 0.01) & (found[0] < 39.9) & (found[1] > 0.01) & (found[1] < 59.9)
    places, ones = np.stack([rows, columns])[:, inside], np.ones(inside.sum())
    # a projection: sources × (h · place + 1) is linear in the place
    for source in (found[0][inside], found[1][inside]):
        design = np.column_stack([places.T, ones, -source[:, None] * places.T])
        fitted, *_ = np.linalg.lstsq(design, source)
        np.testing.assert_allclose(design @ fitted, source, atol=0.02)
    moved = np.hypot(found[0] - rows, found[1] - columns)[inside]
    assert 0.5 < moved.max() < 0.15 * np.hypot(41, 61) * 1.5


def test_copies_lie_beside_their_original_and_depend_on_nothing_else() -> None:
    data = images(12, 10, 3)
    copies = Augmented(data, 3)
    assert len(copies) == 18
    assert np.asarray(copies.labels).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] * 2
    assert copies.ids[:4] == ["a/0#1", "a/0#2", "a/0#3", "a/1#1"]
    forward = [pixels(copies.image(row)) for row in range(18)]
    for row in reversed(range(18)):
        np.testing.assert_array_equal(pixels(copies.image(row)), forward[row])
    alone = Augmented(data.subset(np.array([4])), 3)
    for copy in range(3):
        np.testing.assert_array_equal(pixels(alone.image(copy)), forward[12 + copy])
    assert len({array.tobytes() for array in forward}) == 18
    other = Augmented(replace(data, ids=np.char.add(data.ids, "x")), 3)
    assert sum(np.array_equal(pixels(other.image(row)), forward[row]) for row in range(18)) < 2


def test_the_draws_are_those_that_are_documented() -> None:
    data = images(12, 10)
    copies = Augmented(data, 2)
    for row, (name, copy) in {0: ("a/0", 1), 7: ("a/3", 2)}.items():
        draw = np.random.default_rng(int(hashlib.sha256(f"0/{name}/{copy}".encode()).hexdigest(), 16))
        kind = ALL_KINDS[draw.integers(len(ALL_KINDS))]
        np.testing.assert_array_equal(copies.image(row), _augmented_image(data.image(row // 2), kind, draw))


def test_fingerprints_tell_all_that_matters() -> None:
    data = images(4, 4)
    copies = Augmented(data, 3)
    others = [
        replace(copies, copies=2),
        replace(copies, data=replace(data, pixels=255 - data.pixels)),
        replace(copies, data=replace(data, ids=np.char.add(data.ids, "x"))),
    ]  # fmt: skip
    found = [one.fingerprint() for one in (copies, *others)]
    found += [copies.fingerprint(slice(start, stop)) for start in range(4) for stop in range(start + 1, 7)]
    assert len(set(found)) == len(found)
    assert copies.fingerprint() == replace(copies).fingerprint() == copies.fingerprint(slice(0, 18))


def test_images_of_other_modes_and_turned_ones(tmp_path: Path) -> None:
    """What is transparent becomes white, 16 bits become 8, and a photo's orientation is applied first."""
    draw = np.random.default_rng
    clear = _augmented_image(Image.new("RGBA", (6, 4), (0, 0, 0, 0)), "shear", draw(0))
    np.testing.assert_array_equal(clear, flat())
    deep = _augmented_image(Image.fromarray(np.full((4, 6), 128 * 256, np.uint16)), "shear", draw(0))
    np.testing.assert_array_equal(deep, flat((128, 128, 128)))
    for mode in ("1", "P", "CMYK", "LA", "F", "I"):
        assert _augmented_image(Image.new(mode, (6, 4)), "blur", draw(0)).size == (6, 4)
    (tmp_path / "photos" / "ant").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.fromarray(images(20, 30, 3, n=1).pixels[0]).save(tmp_path / "photos" / "ant" / "a.jpg", exif=exif)
    assert Augmented(opened(f"imagefolder:{tmp_path / 'photos'}"), 1).image(0).size == (20, 30)


def test_unreadable_images_raise_as_the_original_does(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 1)
    (data / "ant" / "0000.png").write_text("text")
    original = opened(f"imagefolder:{data}")
    with pytest.raises(Exception, match=r".") as expected:
        original.image(0)
    with pytest.raises(type(expected.value), match=r".") as found:
        Augmented(original, 2).image(1)
    assert type(found.value) is type(expected.value)
