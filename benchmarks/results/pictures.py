"""Pictures that come with scikit-image and scikit-learn, as folders: what a stylizer is trained and tried on offline.

Run ``python -m benchmarks.results pictures --out runs/pictures --data idx:DIR``.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import skimage.data
import sklearn.datasets
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from steepslope.nets.data import parse_data

TRAINED_ON = ("rocket", "camera", "hubble_deep_field", "coins", "moon", "brick", "grass", "gravel", "retina",
              "immunohistochemistry", "colorwheel")  # fmt: skip
TRIED_ON = ("astronaut", "coffee", "chelsea")
TEXTURES = ("brick", "grass", "gravel", "immunohistochemistry", "retina", "hubble_deep_field", "colorwheel")
CROPS = 60  # of each picture that a stylizer is trained on
SMALL = 700  # images of the data set beside them
PAINTED = 24
SIDE = 320  # pixels of a painted style

Rows = NDArray[np.int64]


def pictures(out: str, data: str, seed: int = 0) -> None:
    """Write the folders content (to train on), styles, and photos (to try, not among the content).

    Parameters
    ----------
    out
        Folder for the three folders.
    data
        Data spec of small images whose training split is to be among the content.
    seed
        Seed of crops, of the small images and of painted styles.
    """
    draw = np.random.default_rng(seed)
    small = parse_data(data).load_into_memory("train")
    chosen = small.subset(draw.choice(len(small), SMALL, replace=False))
    _write(Path(out) / "photos", {name: _picture(name) for name in TRIED_ON}.items())
    _write(Path(out) / "content", _content(draw))
    _write(Path(out) / "content", ((f"small-{row:03d}", chosen.image(row)) for row in range(SMALL)))
    _write(Path(out) / "styles", {name: _picture(name) for name in TEXTURES}.items())
    _write(Path(out) / "styles", ((f"painted-{one:02d}", _painted(one, draw)) for one in range(PAINTED)))


def _picture(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)()).convert("RGB")


def _write(folder: Path, images: Iterable[tuple[str, Image.Image]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images:
        image.save(folder / f"{name}.png")


def _content(draw: np.random.Generator) -> Iterator[tuple[str, Image.Image]]:
    """Yield square crops of pictures, between a third and all of the shorter side."""
    found = {name: _picture(name) for name in TRAINED_ON}
    found |= {name: Image.fromarray(sklearn.datasets.load_sample_image(f"{name}.jpg")) for name in ("china", "flower")}
    for name, image in found.items():
        for one in range(CROPS):
            side = int(draw.uniform(0.35, 1) * min(image.size))
            left, top = (int(draw.integers(length - side + 1)) for length in image.size)
            yield f"{name}-{one:02d}", image.crop((left, top, left + side, top + side)).resize((160, 160))


def _painted(number: int, draw: np.random.Generator) -> Image.Image:
    """Paint a mosaic, bands, or strokes, in six colours."""
    colours = draw.random((6, 3))
    fields = _mosaic, _bands, _strokes
    chosen = colours[fields[number % len(fields)](draw) % len(colours)]
    return Image.fromarray((255 * ndimage.gaussian_filter(chosen, (0.7, 0.7, 0))).astype(np.uint8))


def _mosaic(draw: np.random.Generator) -> Rows:
    """Return the nearest of some points, by pixel."""
    seeds = np.zeros((SIDE, SIDE), dtype=np.int64)
    count = int(draw.integers(100, 500))
    places = draw.choice(SIDE * SIDE, count, replace=False)
    seeds.flat[places] = 1 + np.arange(count)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    found: Rows = seeds[tuple(nearest)]
    return found


def _bands(draw: np.random.Generator) -> Rows:
    smooth = ndimage.gaussian_filter(draw.standard_normal((SIDE, SIDE)), 16, mode="wrap")
    bands: Rows = np.floor(draw.uniform(2, 5) * smooth / smooth.std()).astype(np.int64)
    return bands


def _strokes(draw: np.random.Generator) -> Rows:
    """Return noise smeared along one direction that turns slowly."""
    angle = ndimage.gaussian_filter(draw.standard_normal((SIDE, SIDE)), 24, mode="wrap") * 40
    rows, columns = np.mgrid[:SIDE, :SIDE]
    noise = draw.standard_normal((SIDE, SIDE))
    places = ([rows + step * np.sin(angle), columns + step * np.cos(angle)] for step in range(-10, 11))
    smeared = np.mean([ndimage.map_coordinates(noise, place, order=1, mode="wrap") for place in places], axis=0)
    strokes: Rows = np.floor(2 * smeared / smeared.std()).astype(np.int64)
    return strokes
