"""From the bytes of a file to pixels: as a viewer shows the image, whatever its kind, and never more than the limit."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.exceptions import HTTPException

from steepslope.serve._bodies import pixels_of_body
from tests.serve.models import encoded, png

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(256, size=(8, 8, 3), dtype=np.uint8)
ORIENTATION = 274  # in EXIF


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(Image.fromarray(COLOUR), "PNG", exif=exif)


def animated() -> bytes:
    file = io.BytesIO()
    frames = [Image.fromarray(COLOUR), Image.new("RGB", (8, 8))]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return file.getvalue()


ODD: dict[str, bytes] = {
    **{f"turned by EXIF, {number}": turned(number) for number in range(1, 9)},
    "an orientation of 77": turned(77),
    "half transparent": encoded(Image.fromarray(np.dstack([COLOUR, COLOUR[..., 0]]))),
    "CMYK": encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
    "an animation": animated(),
    "TIFF": encoded(COLOUR, "TIFF"),
    "WebP": encoded(COLOUR, "WEBP"),
    "1×1": encoded(COLOUR[:1, :1]),
    "10,000×1": encoded(np.zeros((1, 10_000, 3), np.uint8)),
    "8×5": encoded(Image.fromarray(COLOUR[:5]), "JPEG"),
}


def pixels(data: bytes, channels: int = 3) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = pixels_of_body(data, channels, 100_000)
    assert found.shape[0] == 1
    assert found.dtype == np.uint8
    return np.asarray(found[0])


@pytest.mark.parametrize("case", ODD)
def test_every_kind_is_decoded(case: str) -> None:
    with Image.open(io.BytesIO(ODD[case])) as image:
        width, height = image.size
    for channels in (1, 3):
        assert sorted(pixels(ODD[case], channels).shape[:2]) == sorted((height, width))


# What EXIF's numbers mean, from the standard: of row 0 and column 0 as they are stored, where a viewer shows them.
UPRIGHT = {
    1: COLOUR, 2: COLOUR[:, ::-1], 3: COLOUR[::-1, ::-1], 4: COLOUR[::-1], 5: COLOUR.swapaxes(0, 1),
    6: np.rot90(COLOUR, -1), 7: COLOUR[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(COLOUR),
}  # fmt: skip


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_turned_image_is_shown_upright(orientation: int) -> None:
    np.testing.assert_array_equal(pixels(ODD[f"turned by EXIF, {orientation}"]), UPRIGHT[orientation])


def test_of_an_animation_the_first_frame_is_taken() -> None:
    found = pixels(ODD["an animation"]).astype(int)
    assert np.abs(found - COLOUR).mean() < 20  # of 256 colours
    assert found.max() > 0


def test_a_bomb_takes_no_memory() -> None:
    data = png(80_000, 1_000)
    tracemalloc.start()
    with pytest.raises(HTTPException) as raised:
        pixels_of_body(data, 3, 1_000_000)
    assert raised.value.status_code == 413
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_the_limit_is_exact() -> None:
    data = encoded(np.zeros((20, 50, 3), np.uint8))
    assert pixels_of_body(data, 3, 1000).shape == (1, 20, 50, 3)
    with pytest.raises(HTTPException, match="at most 999 pixels, found 50×20"):
        pixels_of_body(data, 3, 999)


def test_other_channels_have_to_be_in_the_file() -> None:
    rgba = np.dstack([COLOUR, COLOUR[..., 0]])
    found = pixels_of_body(encoded(rgba), 4, 1000)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], rgba / 255, rtol=1e-6)
    with pytest.raises(HTTPException, match="expected an image of 4 channels, found RGB"):
        pixels_of_body(encoded(COLOUR), 4, 1000)
