"""What a scikit-learn classifier and its inputs give, as the logits and features that an oracle sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler

from steepslope.errors import SteepslopeError, explained
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.labels import UNKNOWN
from steepslope.outputs.probabilities import LARGEST

Floats = NDArray[np.float64]
NUMBERS = "biuf"  # kinds of arrays
COLUMNS = 2  # dimensions of a table


def standardiser_of(X: Any) -> StandardScaler | None:
    """Learn the mean and deviation of each column of a table of numbers (n, d), as far as they are finite.

    Return None for text, sparse matrices and mixed columns.

    >>> standardised(standardiser_of([[1.0, 5.0], [3.0, 5.0]]), [[1.0, np.nan]])
    array([[-1.,  0.]])
    >>> standardiser_of(["a text", "another"]) is None
    True
    """
    table = _table(X)
    if table is None or 0 in table.shape:
        return None
    with np.errstate(invalid="ignore"):  # of a column without a number
        return StandardScaler().fit(np.where(np.isfinite(table), table, np.nan))


def standardised(standardiser: StandardScaler, X: Any) -> Floats:
    """Return a table standardised, (n, d); what is missing or infinite is 0, the mean."""
    with explained("expected the numbers that it was fitted on", "X", (TypeError, ValueError)):
        table = np.asarray(_of_frame(X), dtype=np.float64)
    count = standardiser.n_features_in_
    if table.ndim != COLUMNS or table.shape[1] != count:
        raise SteepslopeError(f"expected {count} columns, found shape {table.shape}", "X")
    columns: Floats = standardiser.transform(np.where(np.isfinite(table), table, np.nan))
    return np.nan_to_num(columns)


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
    standardiser: StandardScaler | None

    @classmethod
    def of(cls, responses: Responses, X: Any) -> Reader:
        """Learn it from the responses to some rows, and these; zeros are floored as from_probabilities does."""
        values = responses.values
        smallest = min(float(values.min(where=values > 0, initial=np.inf)), LARGEST)
        return cls(float(np.log(smallest) - np.log(2 * values.shape[1])), standardiser_of(X))

    def outputs(self, responses: Responses, X: Any) -> ClassifierOutputs:
        """Return the outputs, whose predictions are those of the classifier, with the features of its inputs."""
        features = None if self.standardiser is None else standardised(self.standardiser, X)
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
