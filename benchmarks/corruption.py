"""Corrupted copies of photos on disk, by `shift corrupt` and by a loop around the package's own function.

Both decode the same JPEG files of 224 pixels a side, corrupt them, and write PNG files of the same compression.
"""

from __future__ import annotations

import tempfile
from itertools import count as counter
from pathlib import Path

import numpy as np
import skimage.data
from imagecorruptions import corrupt
from PIL import Image

from benchmarks.timing import Comparison, medians_in_turn
from steepslope.nets.data import Shifted, parse_data
from steepslope_lab.shifts.corruptions import Corruption
from steepslope_lab.shifts.writing import write_shifted

CHEAP = ("gaussian_noise", "impulse_noise", "speckle_noise", "defocus_blur", "motion_blur", "snow", "fog", "contrast",
         "pixelate", "jpeg_compression")  # fmt: skip
SIDE, SEVERITY = 224, 3


def corrupt_against_package(count: int = 200, kinds: int = len(CHEAP), rounds: int = 3) -> Comparison:
    """Corrupt photos by ten cheap kinds, in as many processes as there are cores, and in one loop."""
    names = CHEAP[:kinds]
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        _write_photos(photos, count)
        data, number = parse_data(f"images:{photos}").open(), counter()

        def ours() -> None:
            out = Path(folder) / f"ours{next(number)}"
            for kind in names:
                write_shifted(Shifted(data, Corruption(kind, SEVERITY)), "photos", out / kind)

        def theirs() -> None:
            out = Path(folder) / f"theirs{next(number)}"
            for kind in names:
                (out / kind).mkdir(parents=True)
                for path in sorted(photos.iterdir()):
                    with Image.open(path) as image:
                        changed = corrupt(np.asarray(image), SEVERITY, kind)
                    Image.fromarray(changed).save(out / kind / f"{path.stem}.png", compress_level=1)

        own, loop = medians_in_turn(ours, theirs, rounds)
    rates = " against ".join(f"{kinds * count / seconds:.0f}" for seconds in (own, loop))
    return Comparison(f"corrupt, {kinds} cheap kinds, {SIDE} px ({rates} images/s)", own, loop, goal=1)


def _write_photos(folder: Path, count: int) -> None:
    """Write crops of photos as JPEG files."""
    folder.mkdir()
    draw, sources = np.random.default_rng(0), (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea())
    for number in range(count):
        pixels = sources[number % len(sources)]
        top, left = (int(draw.integers(size - SIDE + 1)) for size in pixels.shape[:2])
        Image.fromarray(pixels[top : top + SIDE, left : left + SIDE]).save(folder / f"{number:04d}.jpg", quality=90)
