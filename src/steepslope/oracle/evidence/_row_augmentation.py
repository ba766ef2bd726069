"""Augmented copies of rows of numbers, for inputs that are not images, and for features without their images.

Every kind maps rows (n, d), given each column's standard deviation (d,), to changed rows. A new kind is a function and
its entry in ``ROW_AUGMENTATIONS``.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from steepslope.numerics import Singles

_Draw = np.random.Generator
_RowKind = Callable[[Singles, Singles, _Draw], Singles]


def _jittered_rows(rows: Singles, deviation: Singles, draw: _Draw) -> Singles:
    """Add noise of 0.1 to 1 standard deviations."""
    strength = _strength_by_row(rows, draw, 0.1, 1.0)
    return rows + strength * deviation * draw.standard_normal(rows.shape, dtype=np.float32)


def _scaled_rows(rows: Singles, deviation: Singles, draw: _Draw) -> Singles:
    """Multiply each row by a factor from 0.5 to 1.6."""
    return rows * _strength_by_row(rows, draw, 0.5, 1.6)


def _rows_with_zeros(rows: Singles, deviation: Singles, draw: _Draw) -> Singles:
    """Set 15 % of the entries to zero."""
    return np.where(draw.uniform(size=rows.shape) < 0.15, np.float32(0), rows)


def _mixed_rows(rows: Singles, deviation: Singles, draw: _Draw) -> Singles:
    """Mix a fifth to a half of another row in."""
    part = _strength_by_row(rows, draw, 0.2, 0.5)
    return (1 - part) * rows + part * rows[draw.permutation(len(rows))]


def _strength_by_row(rows: Singles, draw: _Draw, low: float, high: float) -> Singles:
    return draw.uniform(low, high, size=(len(rows), 1)).astype(np.float32)


ROW_AUGMENTATIONS: dict[str, _RowKind] = {
    "jitter": _jittered_rows,
    "scale": _scaled_rows,
    "dropout": _rows_with_zeros,
    "mixture": _mixed_rows,
}


def augmented_rows(rows: NDArray[np.floating], copies: int = 1, seed: int = 0) -> Singles:
    """Return ``copies`` changed copies of each row, each by a random kind: (n, d) -> float32 (n, copies, d).

    If you have the classifier, run it on the copies, and pass its outputs with those of the originals:

    >>> rows = np.random.default_rng(1).normal(size=(5, 3))
    >>> copies = augmented_rows(rows, 2)
    >>> copies.shape, bool(np.isfinite(copies).all())
    ((5, 2, 3), True)
    """
    draw = np.random.default_rng(seed)
    plain = np.asarray(rows, dtype=np.float32)
    deviation = plain.std(axis=0)
    augmented = np.empty((len(plain), copies, plain.shape[1]), dtype=np.float32)
    for copy in range(copies):
        kinds = draw.integers(len(ROW_AUGMENTATIONS), size=len(plain))
        for number, kind in enumerate(ROW_AUGMENTATIONS.values()):
            chosen = kinds == number
            augmented[chosen, copy] = kind(plain[chosen], deviation, draw)
    return augmented
