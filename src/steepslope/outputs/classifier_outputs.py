"""What a frozen classifier said about a data set: the arrays on which everything later works."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steepslope.errors import SteepslopeError
from steepslope.utilities.blocks import BLOCK_ROWS, blocks

BLOCK_ENTRIES = 2**21  # rows times classes, in float64
FLOATS = ("float16", "float32", "float64")
COLUMNS = {"logits": "K", "noise": "s"}  # what the second axis is called
OPTIONAL = ("features", "ids", "views", "dropout", "auxiliary", "noise")


@dataclass(frozen=True, eq=False)
class ClassifierOutputs:
    """Logits and labels of n predictions over K classes, and what else was kept of them.

    Parameters
    ----------
    logits
        Floats (n, K), K ≥ 2, finite; in memory or memory-mapped.
    labels
        Integers (n,) in 0…K−1: the true classes.
    features
        Floats (n, d): the classifier's penultimate representation.
    ids
        Strings (n,) that name the inputs.
    views
        Floats (n, V, K): the logits of V small changes of each input, such as its mirror image.
    dropout
        Floats (n, 2, K): over passes with dropout, the log of each class's mean probability, and its deviation.
    auxiliary
        Floats (n, e): features of the same inputs by another backbone than the classifier's.
    noise
        Floats (n, s): estimates of the noise in each input, as the classifier sees it, all on one scale.

    Raises
    ------
    SteepslopeError
        If a shape, a type, a label or a logit is not as described; the message names the first such row.

    >>> outputs = ClassifierOutputs(logits=[[2.0, 0.0], [0.0, 1.0]], labels=[0, 0])
    >>> outputs.is_correct
    array([ True, False])
    >>> outputs.true_class_probability.round(3)
    array([0.881, 0.269])
    """

    logits: NDArray[Any]
    labels: NDArray[Any]
    features: NDArray[Any] | None = None
    ids: NDArray[Any] | None = None
    views: NDArray[Any] | None = None
    dropout: NDArray[Any] | None = None
    auxiliary: NDArray[Any] | None = None
    noise: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        logits = _float_matrix("logits", self.logits)
        labels = _label_vector(self.labels, len(logits), logits.shape[1])
        _require_finite("logits", logits)
        object.__setattr__(self, "logits", logits)
        object.__setattr__(self, "labels", labels)
        for name in ("features", "auxiliary", "noise"):
            if getattr(self, name) is not None:
                matrix = _float_matrix(name, getattr(self, name))
                _require_length(name, len(matrix), len(logits))
                object.__setattr__(self, name, matrix)
        if self.ids is not None:
            ids = np.asarray(self.ids).astype(np.str_)
            if ids.ndim != 1:
                raise SteepslopeError(f"ids: expected strings of shape (n,), found shape {ids.shape}")
            _require_length("ids", len(ids), len(logits))
            object.__setattr__(self, "ids", ids)
        for name, axis in (("views", "V"), ("dropout", "2")):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _float_cube(name, getattr(self, name), axis, logits.shape))
        if self.noise is not None:
            _require_finite("noise", self.noise)

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def num_classes(self) -> int:
        """The number of classes, K."""
        return int(self.logits.shape[1])

    @cached_property
    def predictions(self) -> NDArray[np.int64]:
        """The predicted classes, (n,): the first largest logit."""
        return np.concatenate([self.logits[rows].argmax(axis=1) for rows in logit_blocks(self)])

    @cached_property
    def is_correct(self) -> NDArray[np.bool_]:
        """Whether each prediction is the label, (n,) (paper, Eq. 2)."""
        return np.asarray(self.predictions == self.labels)

    @cached_property
    def true_class_probability(self) -> NDArray[np.float64]:
        """The classifier's softmax probability of the label, (n,), in [0, 1]."""
        return np.concatenate([self._true_class_probability(rows) for rows in logit_blocks(self)])

    def _true_class_probability(self, rows: slice) -> NDArray[np.float64]:
        logits = np.asarray(self.logits[rows], dtype=np.float64)
        gaps = logits - np.take_along_axis(logits, self.labels[rows, None], axis=1)
        with np.errstate(over="ignore"):  # an infinite sum is a probability of 0
            return np.asarray(1 / np.exp(gaps).sum(axis=1))

    def require_features(self) -> NDArray[Any]:
        """Return the features, or say that these outputs have none."""
        return self.require("features")

    def require(self, name: str) -> NDArray[Any]:
        """Return an optional array, or say that these outputs have none."""
        array: NDArray[Any] | None = getattr(self, name)
        if array is None:
            raise SteepslopeError(f"the outputs hold no {name}: give outputs that do, or choose what needs none")
        return array

    def subset(self, rows: slice | NDArray[np.int64]) -> ClassifierOutputs:
        """Return some rows, by a slice or by their numbers."""
        arrays = {name: getattr(self, name) for name in OPTIONAL}
        taken = {name: array[rows] for name, array in arrays.items() if array is not None}
        return ClassifierOutputs(self.logits[rows], self.labels[rows], **taken)

    def with_auxiliary(self, other: ClassifierOutputs) -> ClassifierOutputs:
        """Return the same with another backbone's features of the same inputs; the ids must be the same."""
        if self.ids is None or other.ids is None or not np.array_equal(self.ids, other.ids):
            raise SteepslopeError("auxiliary: expected outputs of the same inputs, with the same ids in the same order")
        return replace(self, auxiliary=other.require_features())

    def save(self, path: str | Path) -> None:
        """Write a folder, or a file if ``path`` ends in .npz, .csv or .parquet; replace an earlier one."""
        from steepslope.outputs.formats import save

        save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> ClassifierOutputs:
        """Read a folder (memory-mapped) or an .npz, .csv or .parquet file; errors name the path."""
        from steepslope.outputs.formats import load

        return load(Path(path))


@dataclass(frozen=True, eq=False)
class Confidences:
    """Predictions of which only a confidence (n,) and ``is_correct`` (n,) are known: enough to evaluate."""

    confidence: NDArray[np.float64]
    is_correct: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.confidence)


def logit_blocks(outputs: ClassifierOutputs) -> Iterator[slice]:
    """Cut the rows into slices whose logits need little memory, whatever the number of classes."""
    return blocks(len(outputs), max(1, min(BLOCK_ROWS, BLOCK_ENTRIES // outputs.num_classes)))


def over_logits(
    outputs: ClassifierOutputs, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Apply a function of float64 logits (m, K) -> (m, …) to all rows, block by block."""
    parts = [function(np.asarray(outputs.logits[rows], dtype=np.float64)) for rows in logit_blocks(outputs)]
    return np.concatenate(parts)


def require_classes(who: str, outputs: ClassifierOutputs, num_classes: int) -> None:
    """Raise unless the outputs have as many classes as what ``who`` was fitted on."""
    if outputs.num_classes != num_classes:
        raise SteepslopeError(f"{who}: fitted for {num_classes} classes, found {outputs.num_classes}")


def read_rows(array: NDArray[Any], rows: slice) -> NDArray[Any]:
    """Return a slice of the rows; of a mapped file they are copied, and the mapping's own memory is given back."""
    base: Any = array.base  # of a whole file: the mapping itself, where a view has another array
    if not isinstance(array, np.memmap) or not isinstance(base, mmap.mmap) or array.mode != "r":
        return array[rows]
    copied = np.array(array[rows])
    if hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)
    return copied


def _float_matrix(name: str, values: ArrayLike) -> NDArray[Any]:
    try:
        array = values if isinstance(values, np.ndarray) else np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SteepslopeError(f"{name}: expected an array of floats ({' '.join(str(error).split())})") from error
    least = 2 if name == "logits" else 1
    if array.ndim != 2 or array.dtype.name not in FLOATS or array.shape[1] < least or len(array) == 0:
        raise SteepslopeError(
            f"{name}: expected float16, float32 or float64 of shape (n, {COLUMNS.get(name, 'd')}) and "
            f"at least 1 row, {least} columns, found {array.dtype} of shape {array.shape}"
        )
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _float_cube(name: str, values: ArrayLike, axis: str, logits_shape: tuple[int, ...]) -> NDArray[Any]:
    array = np.asanyarray(values)
    n, num_classes = logits_shape
    fits = array.ndim == 3 and array.shape[1] > 0 and (axis == "V" or array.shape[1] == int(axis))
    if not fits or array.dtype.name not in FLOATS or (array.shape[0], array.shape[2]) != (n, num_classes):
        raise SteepslopeError(
            f"{name}: expected floats of shape (n, {axis}, K) = ({n}, {axis}, {num_classes}), "
            f"found {array.dtype} of shape {array.shape}"
        )
    return array


def _label_vector(values: ArrayLike, n: int, num_classes: int) -> NDArray[np.int64]:
    labels = np.asarray(values)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise SteepslopeError(f"labels: expected integers of shape (n,), found {labels.dtype} of shape {labels.shape}")
    _require_length("labels", len(labels), n)
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(outside):
        raise SteepslopeError(
            f"labels: expected values in 0…{num_classes - 1}, the classes of the logits, "
            f"found {labels[outside[0]]} in row {outside[0]} ({len(outside)} such rows)"
        )
    return labels.astype(np.int64, copy=False)


def _require_length(name: str, found: int, expected: int) -> None:
    if found != expected:
        raise SteepslopeError(f"{name}: expected {expected} rows like the logits, found {found}")


def _require_finite(name: str, array: NDArray[Any]) -> None:
    for rows in blocks(len(array)):
        bad = ~np.isfinite(array[rows]).all(axis=1)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            value = next(value for value in array[rows][row] if not np.isfinite(value))
            raise SteepslopeError(f"{name}: expected finite values, found {value} in row {rows.start + row}")
