"""The arrays that outputs may hold: one literal, from which all checks, files and tables derive.

A new array is one entry in ``ARRAYS``. Outputs then take it by its name, keep it in folders and ``.npz`` files, and
give it to evidence that names it. ``OPINIONS`` has those of which there may be several, each with a name of its own.
People hold their numbers in tensors on any device, frames, series, and lists of these; their libraries are recognised
by what they offer (``detach``, ``to_numpy``, ``columns``, ``index``).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, require_known
from steepslope.numerics import Values, blocks

_LARGEST_WHOLE = 2**53  # up to it, float64 holds every whole number


def as_array(values: Any, axes: int) -> Values:
    """Return values as an array; of a list of tensors or arrays, parts are joined, and rows are stacked.

    A single column, (n, 1), is taken for a vector where one is expected.

    >>> as_array([np.zeros((2, 3)), np.zeros((1, 3))], axes=2).shape, as_array([np.zeros(3), np.zeros(3)], axes=2).shape
    ((3, 3), (2, 3))
    """
    array = _array_of_parts(values, axes) if isinstance(values, list | tuple) else _array_of_values(values)
    if axes == 1 and array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    return array


def _array_of_parts(values: list[Any] | tuple[Any, ...], axes: int) -> Values:
    if not values or not all(hasattr(value, "detach") or isinstance(value, np.ndarray) for value in values):
        return np.asarray(values)
    arrays = [_array_of_values(value) for value in values]
    if arrays[0].ndim == axes:
        return np.concatenate(arrays)
    return np.stack(arrays)


def _array_of_values(values: Any) -> Values:
    if isinstance(values, np.ma.MaskedArray):
        if not np.ma.is_masked(values):
            return np.asarray(values.data)
        return np.asarray(np.where(np.ma.getmaskarray(values), np.nan, values.data))  # what is masked is missing
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # which NumPy does not have
            values = values.float()
    elif hasattr(values, "to_numpy"):
        values = values.to_numpy()
    array: Values = np.asanyarray(values)  # one that is mapped from a file stays so
    if array.dtype != object or array.ndim == 0:
        return array
    inferred: Values = np.array(array.tolist())
    if inferred.dtype.kind in "US" and not all(isinstance(value, str | bytes) for value in array.flat):
        return array  # of both text and numbers, NumPy would make text
    return inferred


def column_names(values: Any) -> list[Any] | None:
    """Return the names of a frame's columns; None of anything else, of one column, and where they only number them."""
    columns = getattr(values, "columns", None)
    if columns is None or callable(columns):
        return None
    names = list(columns)
    if len(names) == 1 or names == list(range(len(names))):
        return None
    return names


def require_arrays_in_one_order(given: Mapping[str, Any]) -> None:
    """Raise if frames and series have the same index in different orders, since rows go by their places."""
    first = ""
    expected = None
    for name, values in given.items():
        index = getattr(values, "index", None)
        if index is None or not hasattr(index, "equals"):
            continue
        if expected is None:
            first = name
            expected = index
        elif not index.equals(expected) and index.sort_values().equals(expected.sort_values()):
            remedy = f"sort them alike, or give {name}.to_numpy() if they are in order all the same"
            raise SteepslopeError(f"expected the index of the {first}, found it in another order: {remedy}", name)


def as_float_array(name: str, array: Values) -> Values:
    """Return whole numbers as floats that hold them; floats stay as they are, and what else there is, is refused."""
    if array.dtype.kind in "OUST" and array.ndim:
        for index, value in np.ndenumerate(array):
            if not _is_array_number(value):
                found = f"found {str(value)!r} in row {index[0]}"
                raise SteepslopeError(f"expected numbers, {found}: leave columns of text out", name)
    if array.dtype.kind in "iu":
        return array.astype(np.result_type(array.dtype, np.float32))
    return array


def as_whole_array(name: str, array: Values) -> Values:
    """Return booleans and whole floats as integers; the first row that holds something else is named."""
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    if array.dtype.kind == "O":
        numbers = [value if _is_array_number(value) else np.nan for value in array.flat]
        array = np.array(numbers, np.float64).reshape(array.shape)
    if array.dtype.kind != "f" or array.ndim == 0:
        return array
    whole = (np.abs(array) <= _LARGEST_WHOLE) & (array == np.floor(array))
    bad = np.flatnonzero(~whole.reshape(len(array), -1).all(axis=1))
    if len(bad):
        row = bad[0]
        value = array[row][~whole[row]].flat[0]
        remedy = "leave such rows out" if np.isnan(value) else "give the number of each row's class"
        found = f"found {value} in row {row} ({len(bad)} such rows)"
        raise SteepslopeError(f"expected whole numbers, {found}: {remedy}", name)
    return array.astype(np.int64)


def _is_array_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


Arrays = dict[str, NDArray[Any]]
_FLOATS = "float16, float32 or float64"
INTEGERS = "integers"
STRINGS = "strings"  # whatever is given is turned into text
_CHARACTERS = {_FLOATS: "efd", INTEGERS: np.typecodes["AllInteger"], STRINGS: "U"}  # of NumPy's types
_BINARY = "; one number for two classes is a probability (from_probabilities), or np.stack([0 * score, score], axis=1)"
NOT_FINITE: dict[str, str] = {
    "-inf": "give probabilities, of which zeros are taken (from_probabilities, --probabilities), or clip at -100",
    "inf": "clip such values",
    "nan": "leave such rows out",
}  # what to do about them


@dataclass(frozen=True)
class Array:
    """The axes of an array: n predictions, K classes, a fixed number, or any other letter for any length >= 1.

    The same letter is the same length in all arrays of the same outputs, such as A, the copies of each image.

    ``kind`` is floats, integers or strings, as ids alone are. A ``finite`` array is searched for NaN and infinity when
    outputs are made. ``column`` is the name of a vector's column in tables, or what the numbered columns of a matrix
    begin with; None keeps the array out. ``remedy`` is what to do about another shape.
    """

    axes: tuple[str | int, ...]
    kind: str = _FLOATS
    finite: bool = False
    column: str | None = None
    remedy: str = ""


ARRAYS: dict[str, Array] = {
    "ids": Array(("n",), STRINGS, column="id"),
    "labels": Array(("n",), INTEGERS, column="label", remedy="; of one-hot labels give labels.argmax(axis=1)"),
    "logits": Array(("n", "K"), finite=True, column="logit", remedy=_BINARY),
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
OPINION = "opinion_"  # so begin the names of arrays with the opinions of other classifiers
VOTE = "vote_"
_SIGNAL_NAMES = re.compile(r"[^+,/\\\s](?:[^+,/\\\x00-\x1f]*[^+,/\\\s])?")  # they stand in lists and names of files
_OPINION_NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_OPINIONS: dict[str, Array] = {
    OPINION: Array(("n", "K")),  # log-probabilities; NaN in a row that lacks the opinion
    VOTE: Array(("n",), INTEGERS),  # classes; K for one that this classifier lacks, -1 in a row without a vote
    f"augmented_{OPINION}": Array(("n", "A", "K")),
}  # followed by the name of the other classifier
SIGNAL = "signal_"  # so begin the names of arrays with signals
_NAMED: dict[str, Array] = {**_OPINIONS, SIGNAL: Array(("n",))}  # a signal is NaN in a row that lacks it
OF_COPIES = "augmented_"  # so begin the names of arrays of copies; what follows is the copies' own array
CLASSES = "classes"  # so files call the names of the classes, (K,) strings
_LEAST_LENGTHS = {"K": 2}  # of every other axis it is 1


def is_opinion_array(name: str) -> bool:
    """Return whether an array holds the opinions of another classifier.

    >>> is_opinion_array("opinion_resnet56"), is_opinion_array("vote_people"), is_opinion_array("features")
    (True, True, False)
    """
    return name.startswith((OPINION, VOTE)) and name not in _OPINIONS


def is_signal_array(name: str) -> bool:
    """Return whether an array holds a signal, such as ``signal_entropy``."""
    return name.startswith(SIGNAL) and name != SIGNAL


def rows_may_lack(name: str) -> bool:
    """Return whether rows may lack what an array holds: an opinion, or a signal."""
    return is_opinion_array(name) or is_signal_array(name)


def opinion_of_array(array: str) -> str:
    """Return the name of the other classifier, or of the signal, by that of its array.

    >>> opinion_of_array("opinion_resnet_56")
    'resnet_56'
    """
    return array.partition("_")[2]


def array_of(name: str) -> Array:
    """Return what is expected of an array; raise for an unknown name, with the closest one."""
    if is_signal_array(name):
        require_signal_name(name.removeprefix(SIGNAL))
        return _NAMED[SIGNAL]
    for beginning, array in _OPINIONS.items():
        if name.startswith(beginning) and name != beginning:
            require_opinion_name(name.removeprefix(beginning))
            return array
    require_known("array", name, ARRAYS)
    return ARRAYS[name]


def require_opinion_name(name: str) -> str:
    """Return the name of an opinion; raise unless it has letters, digits, ``_`` and ``-`` alone."""
    if not _OPINION_NAMES.fullmatch(name):
        raise SteepslopeError(f"expected letters, digits, '_' and '-', found {name!r}", "opinion")
    return name


def require_signal_name(name: str) -> str:
    """Return the name of a signal; raise if it has a plus, a comma or a slash, or a space at an end."""
    if not _SIGNAL_NAMES.fullmatch(name):
        raise SteepslopeError(f"expected a name without '+', ',', '/' and '\\', found {name!r}", "signals")
    return name


def arrays_in_order(names: Iterable[str]) -> list[str]:
    """Return those names that are arrays', in the order of :data:`ARRAYS`, and then opinions and signals as they come.

    >>> arrays_in_order(["vote_people", "logits", "opinion_forest", "ids", "weather"])
    ['ids', 'logits', 'vote_people', 'opinion_forest']
    """
    given_names = list(names)
    fixed = [name for name in ARRAYS if name in given_names]
    named = [name for name in given_names if name.startswith(tuple(_NAMED)) and name not in _NAMED]
    return fixed + named


def checked_arrays(given: Mapping[str, Any]) -> Arrays:
    """Return the values that are given as the arrays of their names, in the order of :data:`ARRAYS`.

    Logits are checked first, since n and K are theirs; every other axis has its length from the first array with it.

    Raises
    ------
    SteepslopeError
        If a type or shape is not as :data:`ARRAYS` has it, or a value is not finite that should be.
    """
    names = arrays_in_order(given)
    sizes: dict[str | int, int] = {}
    arrays = {}
    for name in dict.fromkeys(["logits", *names]):
        expected = array_of(name)
        if name == "logits" or given[name] is not None:
            arrays[name] = _checked_array(name, expected, given[name], sizes)
    return {name: arrays[name] for name in names if name in arrays}


def _checked_array(name: str, expected: Array, values: Any, sizes: dict[str | int, int]) -> Values:
    """Return values as the array of that name, and add the lengths of its axes to those that are known."""
    with explained(f"expected an array of {expected.kind}", name, (TypeError, ValueError, RuntimeError)):
        array = as_array(values, len(expected.axes))
    if expected.kind == STRINGS:
        array = array.astype(np.str_)
    elif expected.kind == _FLOATS:
        array = as_float_array(name, array)
    else:
        array = as_whole_array(name, array)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    _require_type_and_shape(name, expected, array, sizes)
    sizes.update(zip(expected.axes, array.shape, strict=True))
    if expected.finite:
        require_finite_array(name, array)
    if expected.kind == INTEGERS:
        return np.require(array, np.int64, "W")  # PyTorch wants integers it may write to
    return array


def checked_class_names(classes: Iterable[str] | None, num_classes: int) -> tuple[str, ...] | None:
    """Return the names of the classes; raise unless there are as many different ones as there are classes.

    >>> checked_class_names(["cat", "dog"], 2), checked_class_names(None, 2)
    (('cat', 'dog'), None)
    """
    if classes is None:
        return None
    names = tuple(map(str, classes))
    if len(names) != num_classes:
        raise SteepslopeError(f"expected {num_classes} names, one a class, found {len(names)}", "classes")
    for name, times in Counter(names).items():
        if times > 1:
            raise SteepslopeError(f"expected different names, found {name!r} twice", "classes")
    return names


def difference(expected: Sequence[str], found: Sequence[str]) -> str:
    """Say in words how the names of classes differ.

    >>> difference(["cat", "dog"], ["dog", "cat"])
    "0 is 'cat', found 'dog'"
    >>> difference(["cat", "dog"], ["cat"])
    '2 of them, found 1'
    """
    for label, (name, other) in enumerate(zip(expected, found, strict=False)):
        if name != other:
            return f"{label} is {name!r}, found {other!r}"
    return f"{len(expected)} of them, found {len(found)}"


def require_same_class_names(name: str, expected: Sequence[str] | None, found: Sequence[str] | None) -> None:
    """Raise if the names of classes are known on both sides, and differ in one or in their order.

    >>> require_same_class_names("reference", ["cat", "dog"], ["dog", "cat"])
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: reference: expected the same classes in the same order: 0 is 'cat', found 'dog'
    """
    if expected is not None and found is not None and tuple(expected) != tuple(found):
        raise SteepslopeError(f"expected the same classes in the same order: {difference(expected, found)}", name)


def require_finite_array(name: str, array: Values) -> None:
    """Raise at the first row that holds NaN or infinity."""
    for rows in blocks(len(array)):
        part = array[rows]
        infinite = ~np.isfinite(part).reshape(len(part), -1)
        if infinite.any():
            row = int(infinite.any(axis=1).argmax())
            value = part[row].flat[infinite[row].argmax()]
            found = f"found {value} in row {rows.start + row}: {NOT_FINITE[str(value)]}"
            raise SteepslopeError(f"expected finite values, {found}", name)


def _require_type_and_shape(name: str, expected: Array, array: Values, sizes: Mapping[str | int, int]) -> None:
    is_type = array.dtype.char in _CHARACTERS[expected.kind]
    fits = is_type and array.ndim == len(expected.axes)
    if fits and len(array) != sizes.get("n", len(array)):
        raise SteepslopeError(f"expected {sizes['n']} rows like the logits, found {len(array)}", name)
    if fits and all(map(partial(_fits_axis, sizes), expected.axes, array.shape)):
        return
    lengths = []
    for axis in expected.axes:
        if axis in sizes and isinstance(axis, str):
            lengths.append(f"{axis} = {sizes[axis]}")
        elif isinstance(axis, str):
            lengths.append(f"{axis} >= {_LEAST_LENGTHS.get(axis, 1)}")
    axes = str(expected.axes).replace("'", "")
    wanted = f"expected {expected.kind} of shape {axes}, {', '.join(lengths)}"
    remedy = expected.remedy if is_type else ""
    raise SteepslopeError(f"{wanted}, found {array.dtype} of shape {array.shape}{remedy}", name)


def _fits_axis(sizes: Mapping[str | int, int], axis: str | int, size: int) -> bool:
    if isinstance(axis, int):
        return size == axis
    if axis in sizes:
        return size == sizes[axis]
    return size >= _LEAST_LENGTHS.get(axis, 1)
