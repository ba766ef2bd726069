"""A contact sheet: originals above, and what shifts made of them below, in one small picture."""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from steepslope.data.images import Picture
from steepslope.shifts.pixels import as_bytes

CELL = 96  # pixels a side of each image
GAP = 4
TEXT_HEIGHT = 16


def contact_sheet(rows: Mapping[str, Sequence[Picture]]) -> Image.Image:
    """Return rows of images, each under its title; small images are enlarged without smoothing."""
    columns = max(map(len, rows.values()))
    height = TEXT_HEIGHT + CELL + GAP
    sheet = Image.new("RGB", (GAP + columns * (CELL + GAP), GAP + len(rows) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for row, (title, images) in enumerate(rows.items()):
        top = GAP + row * height
        draw.text((GAP, top), title, fill="black", font=font)
        for column, image in enumerate(images):
            small = _thumbnail(image)
            left = GAP + column * (CELL + GAP) + (CELL - small.width) // 2
            sheet.paste(small, (left, top + TEXT_HEIGHT + (CELL - small.height) // 2))
    return sheet


def _thumbnail(image: Picture) -> Image.Image:
    """Return an image that fits its cell; of arrays with other channels than colour has, the first alone in grey."""
    pixels = as_bytes(image)
    pixels = pixels if pixels.shape[2] == 3 else pixels[..., :1].repeat(3, axis=2)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    factor = CELL / max(picture.size)
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    return picture.resize(size, Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS)
