"""The arrays that outputs may hold: one literal, from which all checks, files and tables derive.

A new array is one entry here. Outputs then take it by its name, keep it in folders and ``.npz`` files, and give it to
evidence that names it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.numerics.blocks import blocks
from steepslope.outputs.conversion import as_array, floats, whole_numbers

Arrays = dict[str, NDArray[Any]]
TYPES: dict[str, tuple[str, ...]] = {
    "float16, float32 or float64": ("float16", "float32", "float64"),
    "integers": tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}
FLOATS, INTEGERS = TYPES
STRINGS = "strings"  # whatever is given is turned into text
BINARY = "; one number for two classes is a probability (from_probabilities), or np.stack([0 * score, score], axis=1)"
NOT_FINITE: dict[str, str] = {
    "-inf": "give probabilities, of which zeros are taken (from_probabilities, --probabilities), or clip at -100",
    "inf": "clip such values",
    "nan": "leave such rows out",
}  # what to do about them


@dataclass(frozen=True)
class Array:
    """The axes of an array: n predictions, K classes, a fixed number, or any other letter for any length >= 1.

    The same letter is the same length in all arrays of the same outputs, such as A, the copies of each image.

    ``kind`` is one of :data:`TYPES`; ids are the only strings. A ``finite`` array is searched for NaN and infinity when
    outputs are made. ``column`` is the name of a vector's column in tables, or what the numbered columns of a matrix
    begin with; None keeps the array out. ``remedy`` is what to do about another shape.
    """

    axes: tuple[str | int, ...]
    kind: str = FLOATS
    finite: bool = False
    column: str | None = None
    remedy: str = ""


ARRAYS: dict[str, Array] = {
    "ids": Array(("n",), STRINGS, column="id"),
    "labels": Array(("n",), INTEGERS, column="label", remedy="; of one-hot labels give labels.argmax(axis=1)"),
    "logits": Array(("n", "K"), finite=True, column="logit", remedy=BINARY),
    "features": Array(("n", "d"), column="feature"),
    "views": Array(("n", "V", "K")),
    "dropout": Array(("n", 2, "K")),
    "auxiliary": Array(("n", "e")),
    "noise": Array(("n", "s"), finite=True, column="noise"),
    "augmented_logits": Array(("n", "A", "K"), finite=True),
    "augmented_features": Array(("n", "A", "d")),
    "augmented_auxiliary": Array(("n", "A", "e")),
    "augmented_noise": Array(("n", "A", "s"), finite=True),
}
OF_COPIES = "augmented_"  # so begin the names of arrays of copies; what follows is the copies' own array
CLASSES = "classes"  # so files call the names of the classes, (K,) strings
LEAST: dict[str, int] = {"K": 2}  # of every other axis it is 1
FORMER_NAMES: dict[str, str] = {"auxiliary": "foreign"}  # in files of earlier versions


def checked_all(given: Mapping[str, ArrayLike | None], sizes: Mapping[str, int]) -> Arrays:
    """Return the values that are given as the arrays of their names, in the order of :data:`ARRAYS`.

    Each is checked as in :func:`checked`, with the lengths of the axes of those before it.
    """
    kept: Arrays = {}
    known = dict(sizes)
    for name in ARRAYS:
        values = given.get(name)
        if values is not None:
            kept[name] = checked(name, values, known)
            known |= {
                axis: n for axis, n in zip(ARRAYS[name].axes, kept[name].shape, strict=True) if isinstance(axis, str)
            }
    return kept


def checked(name: str, values: ArrayLike, sizes: Mapping[str, int]) -> NDArray[Any]:
    """Return values as the array of that name.

    ``sizes`` are the lengths of the axes that are known, such as n.

    Raises
    ------
    SteepslopeError
        If the type or shape is not as :data:`ARRAYS` has it, or a value is not finite that should be.
    """
    array = _native(name, values)
    _require_shape(name, array, sizes)
    if ARRAYS[name].finite:
        require_finite(name, array)
    return np.require(array, np.int64, "W") if ARRAYS[name].kind == INTEGERS else array  # torch wants no read-only ones


def checked_classes(classes: Iterable[str] | None, num_classes: int) -> tuple[str, ...] | None:
    """Return the names of the classes; raise unless there are as many different ones as there are classes.

    >>> checked_classes(["cat", "dog"], 2), checked_classes(None, 2)
    (('cat', 'dog'), None)
    """
    if classes is None:
        return None
    names = tuple(map(str, classes))
    twice = next((name for name in names if names.count(name) > 1), None)
    if len(names) != num_classes:
        raise SteepslopeError(
            f"expected {num_classes} names, one a column of the logits, found {len(names)}", "classes"
        )
    if twice is not None:
        raise SteepslopeError(f"expected different names, found {twice!r} twice", "classes")
    return names


def difference(expected: Sequence[str], found: Sequence[str]) -> str:
    """Say in words how the names of classes differ.

    >>> difference(["cat", "dog"], ["dog", "cat"])
    "0 is 'cat', found 'dog'"
    >>> difference(["cat", "dog"], ["cat"])
    '2 of them, found 1'
    """
    for label, (one, other) in enumerate(zip(expected, found, strict=False)):
        if one != other:
            return f"{label} is {one!r}, found {other!r}"
    return f"{len(expected)} of them, found {len(found)}"


def require_same_names(name: str, expected: Sequence[str] | None, found: Sequence[str] | None) -> None:
    """Raise if the names of classes are known on both sides, and differ in one or in their order.

    >>> require_same_names("reference", ["cat", "dog"], ["dog", "cat"])
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: reference: expected the same classes in the same order: 0 is 'cat', found 'dog'
    """
    if expected is not None and found is not None and tuple(expected) != tuple(found):
        raise SteepslopeError(f"expected the same classes in the same order: {difference(expected, found)}", name)


def require_finite(name: str, array: NDArray[Any]) -> None:
    """Raise at the first row that holds NaN or infinity."""
    for rows in blocks(len(array)):
        bad = ~np.isfinite(array[rows]).reshape(len(array[rows]), -1).all(axis=1)
        if bad.any():
            row = int(bad.argmax())
            value = next(value for value in array[rows][row].flat if not np.isfinite(value))
            found = f"found {value} in row {rows.start + row}: {NOT_FINITE[str(value)]}"
            raise SteepslopeError(f"expected finite values, {found}", name)


def _native(name: str, values: ArrayLike) -> NDArray[Any]:
    """Return an array in the machine's order of bytes; one that is mapped from a file stays so."""
    kind, axes = ARRAYS[name].kind, len(ARRAYS[name].axes)
    with explained(f"expected an array of {kind}", name, (TypeError, ValueError, RuntimeError)):
        array = as_array(values, axes)
    if kind == STRINGS:
        return array.astype(np.str_)
    array = floats(name, array) if kind == FLOATS else whole_numbers(name, array)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _require_shape(name: str, array: NDArray[Any], sizes: Mapping[str, int]) -> None:
    spec = ARRAYS[name]
    right_kind = spec.kind == STRINGS or array.dtype.name in TYPES[spec.kind]
    if right_kind and array.ndim == len(spec.axes) and len(array) != sizes.get("n", len(array)):
        raise SteepslopeError(f"expected {sizes['n']} rows like the logits, found {len(array)}", name)
    fits = array.ndim == len(spec.axes) and all(
        _fits(axis, size, sizes) for axis, size in zip(spec.axes, array.shape, strict=True)
    )
    if not (right_kind and fits):
        axes = ", ".join(map(str, spec.axes)) + ("," if len(spec.axes) == 1 else "")
        known = [f"{axis} = {sizes[axis]}" if axis in sizes else f"{axis} >= {LEAST.get(axis, 1)}"
                 for axis in spec.axes if isinstance(axis, str)]  # fmt: skip
        found = f"{array.dtype} of shape {array.shape}"
        expected = f"expected {spec.kind} of shape ({axes}), {', '.join(known)}"
        raise SteepslopeError(f"{expected}, found {found}{spec.remedy if right_kind else ''}", name)


def _fits(axis: str | int, size: int, sizes: Mapping[str, int]) -> bool:
    if isinstance(axis, int):
        return size == axis
    return size == sizes[axis] if axis in sizes else size >= LEAST.get(axis, 1)
