"""The shapes of named arrays as text: to check them, and to show them in place of their entries."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError

LONGEST = 80  # characters that are shown of one value
EMPTY = (str, tuple, list, Mapping)  # types whose values are left out where they are empty; arrays never are


class Brief:
    """A dataclass with ``repr=False`` whose ``repr`` shows the shapes of arrays, and nothing that is None or empty.

    >>> from dataclasses import dataclass
    >>> @dataclass(repr=False)
    ... class Rows(Brief):
    ...     points: Any
    ...     name: str | None = None
    >>> Rows(np.zeros((300, 2))), Rows({"first": np.zeros(4)}, "four")
    (Rows(points (300, 2)), Rows(points {first (4,)}, name='four'))
    """

    def __repr__(self: Any) -> str:
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.repr}
        return f"{type(self).__name__}({_shown_shapes(values)})"


def _shown_shapes(values: Mapping[str, Any]) -> str:
    """Return names and values on one line."""
    texts = []
    for name, value in values.items():
        if value is None or (isinstance(value, EMPTY) and not value):
            continue
        text = _shown_shape(name, value)
        texts.append(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")
    return ", ".join(texts)


def _shown_shape(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{name} {{{_shown_shapes(value)}}}"
    if isinstance(value, np.ndarray):
        return f"{name} {value.shape}"
    return f"{name}={value!r}"


def require_arrays(arrays: Mapping[str, NDArray[Any]], expected: Mapping[str, str], what: str = "arrays") -> None:
    """Raise unless there are exactly the expected arrays, each finite, with its type and its axes.

    An axis is a number, or a letter, which is the same length, at least 1, everywhere. ``float32|float64`` allows two
    types.

    >>> points = np.zeros((3, 2))
    >>> require_arrays({"points": points, "centre": points[0]}, {"points": "float64 n d", "centre": "float64 d"})
    >>> require_arrays({"points": points}, {"points": "float64 2 d"})
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: expected arrays points (float64 2 d), all finite, found points (float64 3 2)
    """
    sizes: dict[str, int] = {}
    if arrays.keys() == expected.keys() and all(
        _array_fits(arrays[name], text, sizes) for name, text in expected.items()
    ):
        return
    shapes = {name: " ".join(map(str, (array.dtype, *array.shape))) for name, array in arrays.items()}
    found = _listed_arrays(shapes) or "nothing"
    raise SteepslopeError(f"expected {what} {_listed_arrays(expected)}, all finite, found {found}")


def _listed_arrays(shapes: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({text})" for name, text in shapes.items())


def _array_fits(array: NDArray[Any], text: str, sizes: dict[str, int]) -> bool:
    types, *axes = text.split()
    if str(array.dtype) not in types.split("|") or array.ndim != len(axes):
        return False
    for axis, size in zip(axes, array.shape, strict=True):
        expected = int(axis) if axis.isdecimal() else sizes.setdefault(axis, size)
        if size != expected or size == 0:
            return False
    return bool(np.isfinite(array).all())
