"""What named arrays have to be, as text: their types, and axes that have to fit one another."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError


def require_arrays(arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, str], what: str = "arrays") -> None:
    """Raise unless there are exactly the expected arrays, each finite, of its type and with its axes.

    An axis is a number, or a letter: that is the same length, at least 1, wherever it stands. A type may be one of two.

    >>> points = np.zeros((3, 2))
    >>> require_arrays({"points": points, "centre": points[0]}, {"points": "float64 n d", "centre": "float64 d"})
    >>> require_arrays({"points": points}, {"points": "float64 2 d"})
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: expected arrays points (float64 2 d), all finite, found points (float64 3 2)
    """
    sizes: dict[str, int] = {}
    if arrays.keys() == expected.keys() and all(_fits(arrays[name], text, sizes) for name, text in expected.items()):
        return
    wanted = ", ".join(f"{name} ({text})" for name, text in expected.items())
    found = ", ".join(f"{name} ({' '.join(map(str, (array.dtype, *array.shape)))})" for name, array in arrays.items())
    raise SteepslopeError(f"expected {what} {wanted}, all finite, found {found or 'nothing'}")


def _fits(array: NDArray[Any], text: str, sizes: dict[str, int]) -> bool:
    types, *axes = text.split()
    if str(array.dtype) not in types.split("|") or array.ndim != len(axes):
        return False
    lengths = [
        int(axis) if axis.isdecimal() else sizes.setdefault(axis, size)
        for axis, size in zip(axes, array.shape, strict=True)
    ]
    return lengths == list(array.shape) and 0 not in lengths and bool(np.isfinite(array).all())
