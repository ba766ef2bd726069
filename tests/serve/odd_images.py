"""Image files of many kinds, each of 8×8 pixels unless its name tells another size."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from tests.serve.models import encoded

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(256, size=(8, 8, 3), dtype=np.uint8)
DEEP = RNG.integers(65536, size=(8, 8), dtype=np.uint16)
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


def palette() -> Image.Image:
    image = Image.fromarray(COLOUR).quantize(16)
    image.info["transparency"] = 3
    return image


ODD: dict[str, bytes] = {
    **{f"turned by EXIF, {number}": turned(number) for number in range(1, 9)},
    "an orientation of 77": turned(77),
    "16-bit grey": encoded(Image.fromarray(DEEP)),
    "a palette with a transparent colour": encoded(palette()),
    "half transparent": encoded(Image.fromarray(np.dstack([COLOUR, COLOUR[..., 0]]))),
    "grey with alpha": encoded(Image.fromarray(COLOUR[..., :2], "LA")),
    "black and white": encoded(Image.fromarray(COLOUR).convert("1")),
    "CMYK": encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
    "an animation": animated(),
    "BMP": encoded(COLOUR, "BMP"),
    "TIFF": encoded(COLOUR, "TIFF"),
    "WebP": encoded(COLOUR, "WEBP"),
    "PPM": encoded(COLOUR, "PPM"),
    "1×1": encoded(COLOUR[:1, :1]),
    "10,000×1": encoded(np.zeros((1, 10_000, 3), np.uint8)),
    "1×10,000": encoded(np.zeros((10_000, 1, 3), np.uint8)),
    "8×5": encoded(Image.fromarray(COLOUR[:5]), "JPEG"),
}
