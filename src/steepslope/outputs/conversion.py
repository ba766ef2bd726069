"""What people hold their numbers in, as NumPy arrays: tensors on any device, frames and series, lists of these.

Their libraries are told by what they offer (``detach``, ``to_numpy``, ``columns``, ``index``) and are never imported.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError

LARGEST_WHOLE = 2**53  # up to it, float64 holds every whole number


def as_array(values: Any, axes: int) -> NDArray[Any]:
    """Return values as an array; of a list of tensors or arrays, parts are joined, and rows are stacked.

    A single column, (n, 1), is taken for a vector where one is expected.

    >>> as_array([np.zeros((2, 3)), np.zeros((1, 3))], axes=2).shape, as_array([np.zeros(3), np.zeros(3)], axes=2).shape
    ((3, 3), (2, 3))
    """
    array = _joined(values, axes) if isinstance(values, list | tuple) else _converted(values)
    return array[:, 0] if axes == 1 and array.ndim == 2 and array.shape[1] == 1 else array


def _joined(values: list[Any] | tuple[Any, ...], axes: int) -> NDArray[Any]:
    if not values or not all(hasattr(value, "detach") or isinstance(value, np.ndarray) for value in values):
        return np.asarray(values)
    parts = [_converted(value) for value in values]
    return np.concatenate(parts) if parts[0].ndim == axes else np.stack(parts)


def _converted(values: Any) -> NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray):  # what is masked is missing, which is then said
        return (
            np.where(np.ma.getmaskarray(values), np.nan, np.asarray(values)) if np.ma.is_masked(values) else values.data
        )
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if str(values.dtype) == "torch.bfloat16" else values  # which NumPy does not have
    elif hasattr(values, "to_numpy"):
        values = values.to_numpy()
    array = values if isinstance(values, np.ndarray) else np.asarray(values)  # one that is mapped from a file stays so
    return _inferred(array) if array.dtype == object and array.ndim else array


def _inferred(array: NDArray[Any]) -> NDArray[Any]:
    """Return objects, such as a frame's, as text or numbers where all are; NumPy would make text of both together."""
    found = np.array(array.tolist())
    mixed = found.dtype.kind in "US" and not all(isinstance(one, str | bytes) for one in array.flat)
    return array if mixed else found


def column_names(values: Any) -> list[Any] | None:
    """Return the names of a frame's columns; None of anything else, of one column, and where they only number them."""
    columns = getattr(values, "columns", None)
    names = None if columns is None or callable(columns) else list(columns)
    return None if names is None or len(names) == 1 or names == list(range(len(names))) else names


def require_one_order(given: Mapping[str, Any]) -> None:
    """Raise if frames and series have the same index in different orders, since rows go by their places."""
    indices = {
        name: values.index for name, values in given.items() if hasattr(getattr(values, "index", None), "equals")
    }
    first = next(iter(indices), "")
    for name, index in indices.items():
        other = indices[first]
        if not index.equals(other) and index.sort_values().equals(other.sort_values()):
            remedy = f"sort them alike, or give {name}.to_numpy() if they are in order all the same"
            raise SteepslopeError(f"expected the index of the {first}, found it in another order: {remedy}", name)


def floats(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers as floats that hold them; floats stay as they are, and what else there is, is refused."""
    if array.dtype.kind in "OUST" and array.ndim:
        for index, one in np.ndenumerate(array):
            if not _is_number(one):
                found = f"found {str(one)!r} in row {index[0]}"
                raise SteepslopeError(f"expected numbers, {found}: leave columns of text out", name)
    return array.astype(np.result_type(array.dtype, np.float32)) if array.dtype.kind in "iu" else array


def whole_numbers(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return booleans and whole floats as integers; the first row that holds something else is named."""
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    if array.dtype.kind == "O":
        array = np.array([one if _is_number(one) else np.nan for one in array.flat], np.float64).reshape(array.shape)
    if array.dtype.kind != "f" or array.ndim == 0:
        return array
    whole = (np.abs(array) <= LARGEST_WHOLE) & (array == np.floor(array))
    bad = np.flatnonzero(~whole.reshape(len(array), -1).all(axis=1))
    if len(bad):
        value = array[bad[0]][~whole[bad[0]]].flat[0]
        remedy = "leave such rows out" if np.isnan(value) else "give the number of each row's class"
        found = f"found {value} in row {bad[0]} ({len(bad)} such rows)"
        raise SteepslopeError(f"expected whole numbers, {found}: {remedy}", name)
    return array.astype(np.int64)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
