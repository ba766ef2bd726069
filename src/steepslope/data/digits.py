"""scikit-learn's digits: the embedded data set, which needs no download."""

import numpy as np

from steepslope.data.images import Images, row_ids
from steepslope.errors import SteepslopeError


def load_digits(argument: str, split: str) -> Images:
    """Load the 1,797 digits of 8×8 pixels: 1,000 to train, 797 to test, drawn once."""
    from sklearn import datasets  # takes a second, and specs are parsed by commands that never open one

    look_at_digits(argument)
    bunch = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    rows = order[:1000] if split == "train" else order[1000:]
    pixels = (bunch.images * (255 / 16)).round().astype(np.uint8)
    classes = tuple(map(str, bunch.target_names))
    return Images(pixels[rows], bunch.target[rows].astype(np.int64), row_ids("digits", rows), classes)


def look_at_digits(argument: str, split: str = "") -> None:
    """Raise unless nothing but a split follows the scheme."""
    if argument:
        raise SteepslopeError(f"expected digits, digits:train or digits:test, found digits:{argument}", "data")
