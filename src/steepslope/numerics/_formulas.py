"""Functions for formulas. Each formula is written once, for NumPy arrays and for tensors that are traced.

Most of a formula uses the array API (``namespace_of``). This module has what that lacks, and what costs more in a graph
than in memory. There it calls a tensor's methods: the array API has no logsumexp, no largest values and no scatter, and
its ways to clip and to gather would export other graphs. Nothing here imports PyTorch.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

SPARE = 6  # candidates beyond those wanted
_Formula = TypeVar("_Formula", bound=Callable[..., Any])
Array = Any  # a NumPy array, or a tensor that is traced


def namespace_of(values: Array) -> Any:
    """Return the array API of an array's, or a tensor's, library."""
    return array_namespace(values)


def _is_traced(values: Array) -> bool:
    """Return whether a formula is being traced for a graph, and not computed."""
    return not isinstance(values, np.ndarray)


def quiet(formula: _Formula) -> _Formula:
    """Let a formula divide by 0 and take the logarithm of 0 without a warning, because it handles the results."""
    return np.errstate(divide="ignore", invalid="ignore", over="ignore")(formula)


def constant(array: NDArray[Any], like: Array) -> Array:
    """Return a learnt array in the library of ``like``, in C order; float16 becomes float32."""
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if _is_traced(like):
        return namespace_of(like).asarray(np.require(array, requirements=["C", "W"]))
    return np.asarray(array, order="C")  # as it comes from a file: products round by how their factors lie in memory


def float64(values: Array) -> Array:
    """Return values in float64."""
    xp = namespace_of(values)
    return xp.astype(values, xp.float64, copy=False)


def float32(values: Array) -> Array:
    """Return values in float32."""
    xp = namespace_of(values)
    return xp.astype(values, xp.float32, copy=False)


def clipped(values: Array, low: float | None = None, high: float | None = None) -> Array:
    """Return values clipped to [``low``, ``high``]; NaN stays."""
    if _is_traced(values):
        return values.clamp(low, high)
    return np.clip(values, low, high)


def logsumexp(values: Array, axis: int = 1, keepdims: bool = False) -> Array:
    """Return ln Σ eˣ along an axis; −∞ if all values are −∞."""
    if _is_traced(values):
        return values.logsumexp(dim=axis, keepdim=keepdims)
    top = _finite_top(values, axis)
    logs = np.log(np.exp(values - top).sum(axis=axis, keepdims=True)) + top
    if keepdims:
        return logs
    return logs.squeeze(axis)


def _finite_top(values: NDArray[Any], axis: int) -> NDArray[Any]:
    top = values.max(axis=axis, keepdims=True)
    return np.where(np.isfinite(top), top, 0).astype(values.dtype)


def log_softmax(values: Array, axis: int = 1) -> Array:
    """Return ln p of the softmax along an axis."""
    if _is_traced(values):
        return values.log_softmax(dim=axis)
    relative = values - _finite_top(values, axis)  # first, so that logarithms near 0 keep their digits
    return relative - np.log(np.exp(relative).sum(axis=axis, keepdims=True))


def in_order(values: Array) -> Array:
    """Return each row's values (m, K) in ascending order, so that sums do not depend on the numbering of the classes.

    In a graph they are not sorted, because that takes longer than everything else there.
    """
    if _is_traced(values):
        return values
    return np.sort(values, axis=1)


def highest(values: Array, count: int) -> Array:
    """Return each row's highest values, highest first, (m, K) -> (m, min(count, K))."""
    count = min(count, values.shape[1])
    if _is_traced(values):
        return values.topk(count, dim=1).values
    return -np.sort(np.partition(-values, count - 1, axis=1)[:, :count], axis=1)


def highest_places(values: Array, count: int) -> Array:
    """Return the places of each row's highest values, highest first, (m, K) -> (m, min(count, K)).

    Equal values keep their order, as in a graph's own search.
    """
    if _is_traced(values):
        return values.topk(min(count, values.shape[1]), dim=1).indices
    some = count + SPARE
    if some >= values.shape[1]:
        return np.argsort(-values, axis=1, kind="stable")[:, :count]
    candidates = np.sort(np.argpartition(-values, some - 1, axis=1)[:, :some], axis=1)
    largest = np.take_along_axis(values, candidates, axis=1)
    order = np.argsort(-largest, axis=1, kind="stable")[:, :count]
    places = np.take_along_axis(candidates, order, axis=1)
    last = np.take_along_axis(largest, order[:, -1:], axis=1)[:, 0]
    tied = np.flatnonzero(last <= largest.min(axis=1))
    places[tied] = np.argsort(-values[tied], axis=1, kind="stable")[:, :count]  # as others may come first
    return places


def taken(values: Array, places: Array) -> Array:
    """Return the values at some places along the last axis: (m, K) at (m, C), or (m, V, K) at (m, 1, C)."""
    if _is_traced(values):
        return values.gather(-1, _places_for_all(places, values))
    return np.take_along_axis(values, places, -1)


def _places_for_all(places: Array, values: Array) -> Array:
    if values.ndim == 2:
        return places
    return places.expand(-1, values.shape[1], -1)


def replaced(values: Array, places: Array, number: float) -> Array:
    """Return the values with a number at some places along the last axis; shapes are those of :func:`taken`."""
    if _is_traced(values):
        return values.scatter(-1, _places_for_all(places, values), number)
    changed = values.copy()
    np.put_along_axis(changed, places, number, -1)
    return changed


def log1p(x: Array) -> Array:
    """Return ln(1 + x) for x >= −1, exact for small x; ONNX has only the logarithm.

    The rounding error of 1 + x is divided out again (Kahan).
    """
    if not _is_traced(x):
        return np.log1p(x)
    xp = namespace_of(x)
    whole = 1 + x
    return xp.where(whole == 1, x, xp.log(whole) * (x / (whole - 1)))
