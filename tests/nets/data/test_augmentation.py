"""Augmented copies: the same whatever else is read, changed, and in the size and range of the image, or of the rows."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from steepslope.errors import SteepslopeError
from steepslope.nets.data.augmentation import AUGMENTATIONS, Augmented, augmented
from steepslope.nets.data.images import Images, decode_image
from steepslope.oracle.evidence.row_augmentation import ROW_AUGMENTATIONS, augmented_rows
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
        changed_image = augmented(image, kind, np.random.default_rng(0))
        assert (changed_image.size, changed_image.mode) == (image.size, image.mode)
        assert min(shape[:2]) == 1 or (pixels(changed_image) != pixels(image)).any()
    for value in (0, 255):
        image = Image.new("L", (20, 20), value)
        changed = pixels(augmented(image, kind, np.random.default_rng(1))).astype(int)
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
    copies = Augmented(data, 3, ALL_KINDS, 7)
    assert len(copies) == 18
    assert np.asarray(copies.labels).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] * 2
    assert copies.ids[:4] == ["a/0#1", "a/0#2", "a/0#3", "a/1#1"]
    forward = [pixels(copies.image(row)) for row in range(18)]
    for row in reversed(range(18)):
        np.testing.assert_array_equal(pixels(copies.image(row)), forward[row])
    alone = Augmented(data.subset(np.array([4])), 3, ALL_KINDS, 7)
    for copy in range(3):
        np.testing.assert_array_equal(pixels(alone.image(copy)), forward[12 + copy])
    assert len({array.tobytes() for array in forward}) == 18
    others = [replace(copies, seed=8), Augmented(replace(data, ids=np.char.add(data.ids, "x")), 3, ALL_KINDS, 7)]
    for other in others:
        assert sum(np.array_equal(pixels(other.image(row)), forward[row]) for row in range(18)) < 2


def test_the_draws_are_those_that_are_documented() -> None:
    data = images(12, 10)
    copies = Augmented(data, 2, ("blur", "noise", "shear"), 5)
    for row, (name, copy) in {0: ("a/0", 1), 7: ("a/3", 2)}.items():
        draw = np.random.default_rng(int(hashlib.sha256(f"5/{name}/{copy}".encode()).hexdigest(), 16))
        kind = ("blur", "noise", "shear")[draw.integers(3)]
        np.testing.assert_array_equal(copies.image(row), augmented(data.image(row // 2), kind, draw))


def test_fingerprints_tell_all_that_matters() -> None:
    data = images(4, 4)
    copies = Augmented(data, 3, ALL_KINDS, 0)
    others = [
        replace(copies, seed=1), replace(copies, copies=2), replace(copies, kinds=ALL_KINDS[::-1]),
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
    clear = augmented(Image.new("RGBA", (6, 4), (0, 0, 0, 0)), "shear", draw(0))
    np.testing.assert_array_equal(clear, flat())
    deep = augmented(Image.fromarray(np.full((4, 6), 128 * 256, np.uint16)), "shear", draw(0))
    np.testing.assert_array_equal(deep, flat((128, 128, 128)))
    for mode in ("1", "P", "CMYK", "LA", "F", "I"):
        assert augmented(Image.new(mode, (6, 4)), "blur", draw(0)).size == (6, 4)
    (tmp_path / "photos" / "ant").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.fromarray(images(20, 30, 3, n=1).pixels[0]).save(tmp_path / "photos" / "ant" / "a.jpg", exif=exif)
    copies = Augmented(opened(f"imagefolder:{tmp_path / 'photos'}"), 1, ("contrast",), 0)
    assert copies.image(0).size == (20, 30)
    upright = pixels(decode_image(tmp_path / "photos" / "ant" / "a.jpg").transpose(Image.Transpose.ROTATE_270))
    assert np.corrcoef(pixels(copies.image(0)).ravel(), upright.ravel())[0, 1] > 0.99


def test_unreadable_images_raise_as_the_original_does(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 1)
    (data / "ant" / "0000.png").write_text("text")
    original = opened(f"imagefolder:{data}")
    with pytest.raises(Exception, match=r".") as expected:
        original.image(0)
    with pytest.raises(type(expected.value), match=r".") as found:
        Augmented(original, 2, ALL_KINDS, 0).image(1)
    assert type(found.value) is type(expected.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"copies": 0}, "copies: expected a whole number >= 1, found 0"),
        ({"kinds": ("nois",)}, "unknown kind of augmentation 'nois': did you mean 'noise'?"),
        ({"kinds": ()}, "kinds: expected at least one, found none"),
        ({"seed": -1}, "seed: expected a whole number from 0"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"copies": 1, "kinds": ALL_KINDS, "seed": 0}
    with pytest.raises(SteepslopeError, match=message.replace("?", r"\?")):
        Augmented(images(4, 4), **{**settings, **changes})


Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def rows() -> Floats:
    scales = np.array([0.1, 1, 10, 5, 0])  # the last column is constant
    drawn: Floats = (np.random.default_rng(0).normal(size=(4000, 5)) * scales + [1, 2, 3, 4, 7]).astype(np.float32)
    return drawn


def changed_by(name: str, rows: Floats, seed: int = 1) -> Floats:
    changed: Floats = ROW_AUGMENTATIONS[name](rows, rows.std(axis=0), np.random.default_rng(seed))
    return changed


def test_jitter_is_noise_of_a_part_of_each_columns_deviation(rows: Floats) -> None:
    """The strength is uniform from .1 to 1, of mean square .37, and the same along a row."""
    noise = (changed_by("jitter", rows) - rows)[:, :4] / rows.std(axis=0)[:4]
    np.testing.assert_allclose(np.square(noise).mean(axis=0), 0.37, rtol=0.1)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.04)
    of_rows = np.square(noise).mean(axis=1)
    assert of_rows.var() > 0.5 * 0.37**2 + 0.02  # of the same strength in all rows: 2 / 4 · .37²
    np.testing.assert_allclose(changed_by("jitter", rows)[:, 4], rows[:, 4], atol=1e-4)


def test_scale_multiplies_all_of_a_row(rows: Floats) -> None:
    ratio = changed_by("scale", rows) / rows
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, -1:], ratio.shape), rtol=1e-4)
    assert 0.5 <= ratio[:, -1].min() < 0.52
    assert 1.58 < ratio[:, -1].max() <= 1.6
    assert ratio[:, -1].mean() == pytest.approx(1.05, abs=0.02)


def test_dropout_sets_some_entries_to_zero(rows: Floats) -> None:
    changed = changed_by("dropout", rows)
    zero = changed == 0
    np.testing.assert_array_equal(changed[~zero], rows[~zero])
    np.testing.assert_allclose(zero.mean(axis=0), 0.15, atol=0.025)


def test_a_mixture_lies_between_two_rows(rows: Floats) -> None:
    """Rows of one number each, at a distance of 1: mixed with another that is told by a second column."""
    numbers = np.arange(100, dtype=np.float32)
    marked = np.column_stack([numbers, np.square(numbers)])
    changed = changed_by("mixture", marked).astype(np.float64)
    found = 0
    for row, mixed in zip(marked.astype(np.float64), changed, strict=True):
        others = marked - row
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = (mixed - row) / others
        fits = np.isclose(parts[:, 0], parts[:, 1], rtol=1e-3) & (parts[:, 0] > 0.199) & (parts[:, 0] < 0.501)
        found += int(fits.sum() == 1)
    assert found >= 97  # all but those that were mixed with themselves


def test_each_row_has_one_kind_of_change(rows: Floats) -> None:
    """Constant, positive columns tell the kinds apart: scaled together, zero in part, or as they were."""
    ones = np.ones((4000, 6), dtype=np.float32)
    copies = augmented_rows(ones, 2, 3)
    assert copies.shape == (4000, 2, 6)
    assert copies.dtype == np.float32
    flat = copies.reshape(-1, 6)
    dropped = (flat == 0).any(axis=1)
    scaled = np.isclose(flat, flat[:, :1]).all(axis=1) & (np.abs(flat[:, 0] - 1) > 1e-3)
    together = np.isclose(flat, flat[:, :1]).all(axis=1)
    assert (dropped | together).all()
    assert dropped.mean() == pytest.approx((1 - 0.85**6) / 4, abs=0.02)
    assert scaled.mean() == pytest.approx(1 / 4, abs=0.02)


def test_the_seed_decides(rows: Floats) -> None:
    again, other = augmented_rows(rows, 2, 0), augmented_rows(rows, 2, 1)
    np.testing.assert_array_equal(augmented_rows(rows, 2), again)
    assert (other != again).any(axis=2).mean() > 0.9
    assert (again[:, 0] != again[:, 1]).any(axis=1).mean() > 0.8


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_any_floats_and_few_rows_will_do(dtype: type, rows: Floats) -> None:
    given: NDArray[Any] = rows[:100].astype(dtype)
    copies = augmented_rows(given, 1, 0)
    np.testing.assert_array_equal(given, rows[:100].astype(dtype))
    assert copies.dtype == np.float32
    assert np.isfinite(copies).all()
    for shape, count in (((1, 3), 4), ((2, 1), 4), ((5, 3), 0)):
        assert augmented_rows(np.ones(shape, dtype), count).shape == (shape[0], count, shape[1])


def test_a_new_kind_is_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROW_AUGMENTATIONS, "sign", lambda rows, *_: -rows)
    copies = augmented_rows(np.full((500, 2), 3.0), 1, 0)[:, 0]
    assert (copies == -3).all(axis=1).mean() == pytest.approx(0.2, abs=0.06)
