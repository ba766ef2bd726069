"""What a scikit-learn classifier gives of rows that it has not seen, as the logits and features that an oracle sees.

Some rows are held out to calibrate on. Of the others, each fold is predicted by a clone that is fitted to the rest.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.utils import _safe_indexing

from steepslope.checks import require, whole
from steepslope.errors import SteepslopeError, explained
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.probabilities import LARGEST

Floats = NDArray[np.float64]
NUMBERS = "biuf"  # kinds of arrays
COLUMNS = 2  # dimensions of a table


@dataclass(frozen=True, eq=False)
class Standardiser:
    """The mean and the standard deviation of each column, (d,) each."""

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, X: Any) -> Standardiser | None:
        """Learn both from a table of numbers (n, d); return None for text, sparse matrices and mixed columns.

        >>> Standardiser.of([[1.0, 5.0], [3.0, 5.0]]).columns([[1.0, np.nan]])
        array([[-1.,  0.]])
        >>> Standardiser.of(["a text", "another"]) is None
        True
        """
        table = _table(X)
        if table is None or 0 in table.shape:
            return None
        known = np.isfinite(table)
        count = np.maximum(1, known.sum(axis=0))
        mean = table.sum(axis=0, where=known) / count
        scale = np.sqrt(np.square(table - mean, where=known, out=np.zeros_like(table)).sum(axis=0) / count)
        return cls(mean, np.where(scale > 0, scale, 1.0))

    def columns(self, X: Any) -> Floats:
        """Return a table standardised, (n, d); what is missing or infinite is 0, the mean."""
        with explained("expected the numbers that it was fitted on", "X", (TypeError, ValueError)):
            table = np.asarray(_of_frame(X), dtype=np.float64)
        if table.ndim != COLUMNS or table.shape[1] != len(self.mean):
            raise SteepslopeError(f"expected {len(self.mean)} columns, found shape {table.shape}", "X")
        return np.asarray(np.where(np.isfinite(table), (table - self.mean) / self.scale, 0.0))


def _table(X: Any) -> Floats | None:
    """Return a table of numbers as float64, None if it is none."""
    if issparse(X):
        return None
    try:
        array = np.asarray(_of_frame(X))
    except ValueError:  # rows of different lengths
        return None
    return array.astype(np.float64) if array.dtype.kind in NUMBERS and array.ndim == COLUMNS else None


def _of_frame(X: Any) -> Any:
    """Return a frame of pandas as floats, where all its columns are numbers or booleans; anything else as it is."""
    if not hasattr(X, "select_dtypes"):
        return X
    numbers = X.select_dtypes(["number", "bool"])
    return X.to_numpy(dtype=np.float64, na_value=np.nan) if numbers.shape[1] == X.shape[1] else X


UNKNOWN = -1  # the number of a label that is no class


def codes_of(labels: ArrayLike, classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of each label's class, (n,), −1 of a label that is none of the classes.

    >>> codes_of(["dog", "ant", "cat"], np.array(["cat", "dog"]))
    array([ 1, -1,  0])
    """
    values, order = np.asarray(labels), np.argsort(classes, kind="stable")
    places = np.searchsorted(classes, values, sorter=order)
    found = order[np.minimum(places, len(classes) - 1)]
    return np.where(classes[found] == values, found, UNKNOWN)


@dataclass(frozen=True, eq=False)
class Responses:
    """What a classifier gives of n rows: a probability or decision value of each of K classes, and what it predicts.

    ``values`` (n, K) are −∞, or the probability 0, for a class that the classifier has not seen; ``predicted`` (n,)
    are numbers of classes.
    """

    values: Floats
    predicted: NDArray[np.int64]
    are_probabilities: bool

    @classmethod
    def of(cls, estimator: Any, X: Any, classes: NDArray[Any]) -> Responses:
        """Ask a fitted classifier, whose own classes are some of these, or all.

        Raises
        ------
        SteepslopeError
            If it gives neither probabilities nor decision values, or not one a class.
        """
        are_probabilities = hasattr(estimator, "predict_proba")
        if not are_probabilities and not hasattr(estimator, "decision_function"):
            found = f"found {type(estimator).__name__} without"
            raise SteepslopeError(
                f"expected a classifier with predict_proba or decision_function, {found}", "estimator"
            )
        given = np.asarray((estimator.predict_proba if are_probabilities else estimator.decision_function)(X))
        if given.ndim == 1:  # the decision for the second of two classes
            given = np.column_stack([np.zeros(len(given)), given])
        own = codes_of(estimator.classes_, classes)
        if given.shape != (len(given), len(own)):
            found = f"found shape {given.shape}"
            raise SteepslopeError(f"expected a column for each of {len(own)} classes, {found}", "estimator")
        values = np.full((len(given), len(classes)), 0.0 if are_probabilities else -np.inf)
        values[:, own] = given
        predicted = codes_of(estimator.predict(X), classes)
        if (predicted == UNKNOWN).any():
            raise SteepslopeError("expected predictions among its classes_, found others", "estimator")
        return cls(values, predicted, are_probabilities)

    @classmethod
    def joined(cls, parts: Sequence[Responses], rows: Sequence[NDArray[np.int64]]) -> Responses:
        """Return the responses of parts of the rows, each with its rows' numbers, in the order of the rows."""
        order = np.argsort(np.concatenate(rows))
        values, predicted = (np.concatenate([getattr(one, name) for one in parts]) for name in ("values", "predicted"))
        return cls(values[order], predicted[order], parts[0].are_probabilities)


@dataclass(frozen=True, eq=False)
class Reader:
    """How responses are read: what the log of a probability is raised to at least, and how features are standardised.

    Both are fixed before the calibration rows are seen, and the same for one row as for many.
    """

    log_floor: float
    standardiser: Standardiser | None

    @classmethod
    def of(cls, responses: Responses, X: Any) -> Reader:
        """Learn it from the responses to some rows, and these; zeros are floored as from_probabilities does."""
        values = responses.values
        smallest = min(float(values.min(where=values > 0, initial=np.inf)), LARGEST)
        return cls(float(np.log(smallest) - np.log(2 * values.shape[1])), Standardiser.of(X))

    def outputs(self, responses: Responses, X: Any) -> ClassifierOutputs:
        """Return the outputs, whose predictions are those of the classifier, with the features of its inputs."""
        features = None if self.standardiser is None else self.standardiser.columns(X)
        return ClassifierOutputs.of({"logits": self.logits(responses), "features": features})

    def logits(self, responses: Responses) -> Floats:
        """Return finite logits (n, K), of one class (n, 2), of which the largest is that of the prediction.

        Where a classifier predicts another class than it finds most probable, as with a threshold that was tuned, that
        class is taken to be as probable as the prediction, and no more.
        """
        if responses.are_probabilities:
            zero = np.full(responses.values.shape, self.log_floor)
            logits = np.maximum(np.log(responses.values, out=zero, where=responses.values > 0), self.log_floor)
        else:
            logits = responses.values.astype(np.float64)
            unseen = np.isneginf(logits)
            logits = np.where(unseen, np.where(unseen, np.inf, logits).min(axis=1, keepdims=True), logits)
        if logits.shape[1] == 1:
            logits = np.column_stack([logits, logits + self.log_floor])
        rows, predicted = np.arange(len(logits)), responses.predicted
        others = np.flatnonzero(logits.argmax(axis=1) != predicted)
        logits[rows[others], predicted[others]] = np.nextafter(logits[others].max(axis=1), np.inf)
        return logits


Rows = NDArray[np.int64]
LEAST_CLASSES = 2  # to which classifiers can be fitted
LEAST_OF_A_CLASS = 2  # so that it is among the others of every fold


def held_out(labels: NDArray[Any], fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Return the rows to learn from and those held out, a fraction of each class, both in ascending order.

    Each row is held out with the same probability, even the only one of a class. The classifier then does not know
    that class, as it does not know those of some rows to come, and the row counts as an error. Only where fewer than
    two classes would be left to learn, the last row of each is not held out.

    >>> learnt, calibration = held_out(np.repeat(["cat", "dog", "yak"], [12, 8, 1]), 0.25, seed=0)
    >>> len(learnt), len(calibration), calibration[:3] < 12
    (16, 5, array([ True,  True,  True]))
    """
    _, codes = np.unique(labels, return_inverse=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    held = np.zeros(len(codes), np.bool_)
    held[order] = np.diff(np.floor(fraction * np.arange(len(codes) + 1) + rng.random())) > 0
    last = np.unique(codes[order], return_index=True)[1]
    unknown = np.bincount(codes) == np.bincount(codes[held], minlength=len(last))
    if len(last) - unknown.sum() < LEAST_CLASSES:
        held[order[last[unknown]]] = False
    return np.flatnonzero(~held), np.flatnonzero(held)


def folds_of(X: Any, y: NDArray[Any], cv: Any, seed: int) -> list[tuple[Rows, Rows]]:
    """Return the folds, (others, rows) each; of a number of folds, stratified ones; none where a class is too rare.

    It is where all classes but one have a single row: classifiers refuse to be fitted to one class.

    Raises
    ------
    SteepslopeError
        If a splitter does not put each row into one fold.
    """
    counts = np.sort(np.unique(y, return_counts=True)[1])
    if len(counts) < LEAST_OF_A_CLASS or counts[-2] < LEAST_OF_A_CLASS:
        return []
    with warnings.catch_warnings():  # that a class has fewer rows than there are folds does no harm here
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        found = list(_splits(X, y, cv, seed, int(counts[-1])))
    if not np.array_equal(np.sort(np.concatenate([rows for _, rows in found])), np.arange(len(y))):
        raise SteepslopeError("expected folds that hold each row once, found others", "cv")
    return found


def _splits(X: Any, y: NDArray[Any], cv: Any, seed: int, most: int) -> Iterator[tuple[Rows, Rows]]:
    if isinstance(cv, int | np.integer):
        count = min(int(cv), most)
        yield from StratifiedKFold(count, shuffle=True, random_state=seed).split(np.zeros(len(y)), y)
    else:
        yield from check_cv(cv, y, classifier=True).split(X, y)


def require_folds(cv: Any) -> None:
    """Raise unless ``cv`` is a number of folds >= 2, or something that splits."""
    if isinstance(cv, str) or not (hasattr(cv, "split") or hasattr(cv, "__iter__")):
        require("cv", cv, whole(2))


def out_of_fold(
    estimator: Any,
    X: Any,
    y: NDArray[Any],
    folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    classes: NDArray[Any],
    params: Mapping[str, Any],
) -> Responses:
    """Return the responses to all rows, each from the clone that has not seen it; ``params`` are those of ``fit``.

    A frozen classifier is its own clone, and is not fitted.
    """
    parts = []
    for others, rows in folds:
        seen = rows_of(params, others, len(y))
        fitted = clone(estimator).fit(_safe_indexing(X, others), y[others], **seen)
        parts.append(Responses.of(fitted, _safe_indexing(X, rows), classes))
    return Responses.joined(parts, [rows for _, rows in folds])


def rows_of(params: Mapping[str, Any], rows: NDArray[np.int64], n: int) -> dict[str, Any]:
    """Return parameters of ``fit`` for some of n rows: cut where they hold a value a row, else as they are.

    >>> rows_of({"sample_weight": [0.5, 1.0, 2.0], "verbose": True}, np.array([0, 2]), n=3)
    {'sample_weight': [0.5, 2.0], 'verbose': True}
    """
    return {name: _safe_indexing(value, rows) if _count(value) == n else value for name, value in params.items()}


def _count(value: Any) -> int | None:
    """Return how many rows an array, a frame, a sparse matrix or a list has; None of anything else."""
    if isinstance(value, str | bytes | Mapping):
        return None
    shape = getattr(value, "shape", ())
    return int(shape[0]) if shape else len(value) if hasattr(value, "__len__") else None
