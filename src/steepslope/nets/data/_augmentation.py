"""Augmented copies of images: what a fit set might look like in other domains, so that an oracle has seen some.

Every kind maps an image, float32 (C, H, W) in [0, 1], to another of the same shape, at a strength that it draws. Blur
grows with the image's side, so that it looks alike in all sizes. A new kind is a function and its entry in
``AUGMENTATIONS``. All is NumPy and SciPy on one thread: a copy is the same to the bit however many cores there are.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import ndimage

from steepslope.errors import require_all, whole
from steepslope.nets._seeding import seed_of
from steepslope.nets.data._images import ALL, Dataset, Labels, as_colour, image_in_pil
from steepslope.outputs import augmented_copy_ids

_Floats = NDArray[np.float32]
_Places = NDArray[np.float64]  # rows and columns of pixels
_Draw = np.random.Generator
_SMALL_SIDE = 28  # pixels, at which strengths are as written
_COPY_SEED = 0  # of all draws


def _augment_by_blur(image: _Floats, draw: _Draw) -> _Floats:
    sigma = draw.uniform(0.5, 1.6) * _strength_zoom(image)
    blurred: _Floats = ndimage.gaussian_filter(image, (0, sigma, sigma), mode="nearest", truncate=2.5)
    return blurred


def _augment_by_noise(image: _Floats, draw: _Draw) -> _Floats:
    deviation = np.float32(draw.uniform(0.03, 0.25))
    return image + deviation * draw.standard_normal(image.shape, dtype=np.float32)


def _augment_contrast(image: _Floats, draw: _Draw) -> _Floats:
    mean = np.float32(image.mean(dtype=np.float64))
    return mean + np.float32(draw.uniform(0.3, 0.8)) * (image - mean)


def _augment_by_rectangle(image: _Floats, draw: _Draw) -> _Floats:
    """Fill a rectangle of 4 to 30 % of the area with one grey value, or black."""
    height, width = image.shape[-2:]
    area = draw.uniform(0.04, 0.3) * height * width
    aspect = math.exp(draw.uniform(-0.7, 0.7))
    tall = _side_within(math.sqrt(area * aspect), height)
    wide = _side_within(math.sqrt(area / aspect), width)
    top = draw.integers(height - tall + 1)
    left = draw.integers(width - wide + 1)
    grey = 0.0
    if draw.uniform() < 0.5:
        grey = draw.uniform()
    filled = image.copy()
    filled[:, top : top + tall, left : left + wide] = grey
    return filled


def _augment_by_grating(image: _Floats, draw: _Draw) -> _Floats:
    """Add a wave in any direction: .1 to .4 high, and 2.5 to 12 pixels long."""
    length = draw.uniform(2.5, 12) * _strength_zoom(image)
    angle = draw.uniform(0, math.pi)
    phase = draw.uniform(0, 2 * math.pi)
    rows, columns = np.ogrid[: image.shape[-2], : image.shape[-1]]
    along = rows * math.sin(angle) + columns * math.cos(angle)
    wave = draw.uniform(0.1, 0.4) * np.sin(2 * math.pi * along / length + phase)
    return image + wave.astype(np.float32)


def _augment_affine(
    image: _Floats, draw: _Draw, angle: float = 0, log_scale: tuple[float, float] = (0, 0), shear: float = 0
) -> _Floats:
    """Turn by up to so many degrees, scale or shear about the centre."""
    turn = math.radians(draw.uniform(-angle, angle))
    scale = math.exp(draw.uniform(*log_scale))
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    sheared = np.array([[1.0, 0.0], [draw.uniform(-shear, shear), 1.0]])
    matrix = rotation @ sheared / scale  # from new to old (row, column)
    centre = (np.array(image.shape[-2:]) - 1) / 2
    offset = centre - matrix @ centre
    outside = _drawn_border_mode(draw)
    moved = [ndimage.affine_transform(channel, matrix, offset, order=1, mode=outside) for channel in image]
    return np.stack(moved)


def _augment_perspective(image: _Floats, draw: _Draw) -> _Floats:
    """Move each corner by up to 15 % of the sides, in or out."""
    height, width = image.shape[-2:]
    corners = np.array([[0, 0], [0, width - 1], [height - 1, 0], [height - 1, width - 1]], dtype=np.float64)
    moved = corners + draw.uniform(-0.15, 0.15, size=(4, 2)) * [height, width]
    places = _homography(moved, corners, np.indices((height, width), dtype=np.float64).reshape(2, -1))
    outside = _drawn_border_mode(draw)
    channels = [ndimage.map_coordinates(channel, places, order=1, mode=outside) for channel in image]
    return np.stack(channels).reshape(image.shape)


def _homography(sources: _Places, targets: _Places, places: _Places) -> _Places:
    """Map places (2, n) by the projection that takes four sources (4, 2) to four targets (4, 2)."""
    plane = np.hstack([sources, np.ones((4, 1))])
    zeros = np.zeros((4, 3))
    for_rows = np.hstack([plane, zeros, -targets[:, :1] * sources])
    for_columns = np.hstack([zeros, plane, -targets[:, 1:] * sources])
    system = np.vstack([for_rows, for_columns])
    solution = np.linalg.lstsq(system, targets.T.ravel())[0]  # a side of one pixel leaves it open
    matrix = np.append(solution, 1).reshape(3, 3)
    row, column, depth = matrix @ np.vstack([places, np.ones(places.shape[1])])
    return np.stack([row / depth, column / depth])


def _drawn_border_mode(draw: _Draw) -> str:
    """Return what comes in from outside: the border again, or black, in half of the copies each."""
    if draw.uniform() < 0.5:
        return "nearest"
    return "grid-constant"


def _side_within(length: float, longest: int) -> int:
    return max(1, min(longest, round(length)))


def _strength_zoom(image: _Floats) -> float:
    """Return by how much strengths in pixels grow: with the root of the side, since large images show finer things."""
    return math.sqrt(max(1.0, min(image.shape[-2:]) / _SMALL_SIDE))


AUGMENTATIONS: dict[str, Callable[[_Floats, _Draw], _Floats]] = {
    "blur": _augment_by_blur,
    "noise": _augment_by_noise,
    "contrast": _augment_contrast,
    "rectangle": _augment_by_rectangle,
    "grating": _augment_by_grating,
    "rotate": partial(_augment_affine, angle=25),
    "scale": partial(_augment_affine, log_scale=(math.log(0.7), math.log(1.35))),
    "shear": partial(_augment_affine, shear=0.3),
    "perspective": _augment_perspective,
}


def _augmented_image(image: Image.Image, kind: str, draw: _Draw) -> Image.Image:
    """Return one image changed by a kind of :data:`AUGMENTATIONS`, in the same size; grey stays grey, else RGB.

    >>> _augmented_image(Image.new("L", (5, 3), 200), "rectangle", np.random.default_rng(0)).mode
    'L'
    """
    is_grey = image.mode == "L" and "transparency" not in image.info
    if not is_grey:
        image = as_colour(image)
    pixels = np.asarray(image, dtype=np.float32) / np.float32(255)
    channels = np.moveaxis(np.atleast_3d(pixels), 2, 0)
    changed = (AUGMENTATIONS[kind](channels, draw).clip(0, 1) * 255).round().astype(np.uint8)
    if is_grey:
        return Image.fromarray(changed[0])
    return Image.fromarray(np.moveaxis(changed, 0, 2).copy())


@dataclass(frozen=True, eq=False)
class Augmented:
    """Augmented copies of a data set's images: row r is a copy of its row ``r // copies``, with the same label.

    A copy depends on the image, its id and the copy's number alone.

    Parameters
    ----------
    data
        The images to copy.
    copies
        Copies of each image, >= 1; each is changed by one of :data:`AUGMENTATIONS`, drawn evenly.

    Raises
    ------
    SteepslopeError
        If there are to be no copies.
    """

    data: Dataset
    copies: int

    def __post_init__(self) -> None:
        require_all(self, {"copies": whole(1)})

    def __len__(self) -> int:
        return len(self.data) * self.copies

    @property
    def labels(self) -> Labels | None:
        """The classes of the originals, each as often as there are copies, (n × copies,); None where not known."""
        if self.data.labels is None:
            return None
        return np.repeat(self.data.labels, self.copies)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes."""
        return self.data.classes

    @property
    def ids(self) -> list[str]:
        """Names of the copies: those of the originals, with ``#1``, ``#2``… at the end."""
        return augmented_copy_ids(self._names, self.copies)

    @property
    def recipe(self) -> dict[str, Any]:
        """What makes the copies from the data, as JSON holds it."""
        return {"copies": self.copies, "kinds": list(AUGMENTATIONS), "seed": _COPY_SEED}

    def image(self, row: int) -> Image.Image:
        """Decode an image and change it; an unreadable one raises as in the data set."""
        original, copy = divmod(row, self.copies)
        draw = np.random.default_rng(seed_of(_COPY_SEED, self._names[original], copy + 1))
        kind = list(AUGMENTATIONS)[draw.integers(len(AUGMENTATIONS))]
        image = image_in_pil(self.data.image(original))
        return _augmented_image(ImageOps.exif_transpose(image), kind, draw)

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return the SHA-256 of the originals' hash and ids, the recipe, and which of the first's copies these are."""
        start, stop, _ = rows.indices(len(self))
        first = start // self.copies
        originals = slice(first, math.ceil(stop / self.copies))
        of_originals = [self.data.fingerprint(originals, verify), *self._names[originals]]
        of_copies = [self.recipe, start - first * self.copies, stop - start]
        return hashlib.sha256(repr((of_originals, of_copies)).encode()).hexdigest()

    @cached_property
    def _names(self) -> list[str]:
        return [str(name) for name in self.data.ids]  # once: some data sets make them again each time
