"""What a scikit-learn classifier predicts for its inputs, as logits or votes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import _num_samples

from steepslope.errors import SteepslopeError, located
from steepslope.numerics import Counts, Floats, Values
from steepslope.outputs import (
    LARGEST,
    UNKNOWN,
    Texts,
    checked_probabilities,
    listed_names,
    require_finite_array,
    warn_of_unknown_labels,
)

NUMBERS = "biuf"  # kinds of arrays
_MOST_PROBABLE = {  # methods that predict the class of the largest probability, which need not be computed twice
    "sklearn.calibration.CalibratedClassifierCV.predict",
    "sklearn.ensemble._bagging.BaggingClassifier.predict",
    "sklearn.ensemble._forest.ForestClassifier.predict",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier.predict",
}


def class_codes(labels: ArrayLike, classes: Values) -> Counts:
    """Return the number of each label's class, int64 (n,); −1 for a label that is none of the classes.

    >>> class_codes(["dog", "ant", "cat"], np.array(["cat", "dog"]))
    array([ 1, -1,  0])
    """
    values = np.asarray(labels)
    order = np.argsort(classes, kind="stable")
    places = np.searchsorted(classes, values, sorter=order)
    codes = order[np.minimum(places, len(classes) - 1)]
    return np.where(classes[codes] == values, codes, UNKNOWN)


def warn_of_other_labels(labels: ArrayLike, classes: Values, unknown_label: Any) -> None:
    """Warn about labels (n,) that are none of the classes and may be misspelt; raise if no label is a class."""
    values = np.asarray(labels)
    names = list(map(str, classes.tolist()))
    texts = Texts.of_rows(list(map(str, values.tolist())))
    if len(values) and (class_codes(values, classes) == UNKNOWN).all():
        others = [text for text in texts.distinct if text != str(unknown_label)]
        found = listed_names(others) or "out-of-class rows alone"
        if values.dtype.kind != classes.dtype.kind:
            found += f" ({values.dtype} in place of {classes.dtype})"
        raise SteepslopeError(f"expected labels among the classes ({listed_names(names)}), found {found}", "y")
    warn_of_unknown_labels("y", texts, dict.fromkeys([*names, str(unknown_label)], 0), names)


def class_codes_by_name(labels: ArrayLike, classes: Values) -> Counts:
    """Return the number of each label's class, as :func:`class_codes`; other types than numbers compare as text.

    >>> class_codes_by_name(["1", "7"], np.array([0, 1])), class_codes_by_name([1.0, 7.0], np.array([0, 1]))
    (array([ 1, -1]), array([ 1, -1]))
    """
    values = np.asarray(labels)
    if values.dtype.kind in NUMBERS and classes.dtype.kind in NUMBERS:
        return class_codes(values, classes)
    return class_codes(values.astype(np.str_), classes.astype(np.str_))


def gives_only_votes(estimator: Any) -> bool:
    """Return whether a classifier has neither probabilities nor decision values."""
    return not hasattr(estimator, "predict_proba") and not hasattr(estimator, "decision_function")


def require_classifier(estimator: Any) -> None:
    """Raise unless a fitted estimator is a classifier that gives more than labels."""
    name = type(estimator).__name__
    if not hasattr(estimator, "classes_"):
        raise SteepslopeError(f"expected a classifier, found {name}, which has no classes_", "estimator")
    if gives_only_votes(estimator):
        expected = "expected a classifier with predict_proba or decision_function"
        raise SteepslopeError(f"{expected}, found {name} without", "estimator")


def _predicts_most_probable(estimator: Any) -> bool:
    """Return whether a classifier, or the last step of a pipeline, is known to predict the most probable class."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    method = estimator.predict
    return f"{method.__module__}.{getattr(method, '__qualname__', None)}" in _MOST_PROBABLE


def _require_response_a_row(X: Any, *responses: Values) -> None:
    expected = _num_samples(X)
    for count in map(len, responses):
        if count == expected:
            continue
        message = f"expected {expected:,} predictions, one a row, found {count:,}"
        if len(getattr(X, "columns", ())) == count == 1:
            message += "; if texts are a frame's only column, pass that column"
        raise SteepslopeError(message, "estimator")


def _require_valid_response(response: Values, are_probabilities: bool) -> None:
    """Raise unless decision values are finite, or probabilities sum to 1; a row of zeros is allowed."""
    with located("estimator"):
        if not are_probabilities:
            require_finite_array("decision_function", response)
        elif len(response):
            is_zero = (response == 0).all(axis=1, keepdims=True)
            checked_probabilities(np.where(is_zero, 1 / response.shape[1], response))


@dataclass(frozen=True, eq=False)
class Responses:
    """What a classifier says about n rows: a probability or decision value of each of K classes, and its prediction.

    ``values`` (n, K) are −∞, or the probability 0, for a class that the classifier has not seen. Votes have no values,
    (n, 0). ``predicted`` (n,) are numbers of classes; a vote for none of the classes is −1.
    """

    values: Floats
    predicted: Counts
    are_probabilities: bool

    @classmethod
    def of(cls, estimator: Any, X: Any, classes: Values) -> Responses:
        """Ask a fitted classifier whose classes are among these; a classifier that only votes may have others.

        Raises
        ------
        SteepslopeError
            If there is not one probability or decision value for each row and class, or one is invalid.
        """
        if gives_only_votes(estimator):
            predicted = np.asarray(estimator.predict(X))
            return cls(np.zeros((len(predicted), 0)), class_codes_by_name(predicted, classes), False)
        are_probabilities = hasattr(estimator, "predict_proba")
        ask = estimator.predict_proba if are_probabilities else estimator.decision_function
        response = np.asarray(ask(X))
        if response.ndim == 2 and are_probabilities and _predicts_most_probable(estimator):
            predicted = estimator.classes_[response.argmax(axis=1)]
        else:
            predicted = np.asarray(estimator.predict(X))
        _require_response_a_row(X, response, predicted)
        if response.ndim == 1:  # the decision for the second of two classes
            response = np.column_stack([np.zeros(len(response)), response])
        columns = class_codes(estimator.classes_, classes)
        if response.shape != (len(response), len(columns)):
            found = f"found shape {response.shape}"
            raise SteepslopeError(f"expected a column for each of {len(columns)} classes, {found}", "estimator")
        unseen = 0.0 if are_probabilities else -np.inf
        values = np.full((len(response), len(classes)), unseen)
        values[:, columns] = response
        codes = class_codes(predicted, classes)
        if (codes == UNKNOWN).any():
            raise SteepslopeError("expected predictions among its classes_, found others", "estimator")
        _require_valid_response(response, are_probabilities)
        return cls(values, codes, are_probabilities)

    @classmethod
    def joined(cls, folds: Sequence[Responses], rows: Sequence[Counts]) -> Responses:
        """Return the responses of several folds in the order of the rows, given each fold's row numbers."""
        order = np.argsort(np.concatenate(rows))
        values = np.concatenate([fold.values for fold in folds])
        predicted = np.concatenate([fold.predicted for fold in folds])
        return cls(values[order], predicted[order], folds[0].are_probabilities)

    @property
    def log_floor(self) -> float:
        """The least value that the log of a probability gets; zeros are treated as in ``from_probabilities``.

        It is fixed before the calibration rows are seen, and holds for one row as for many.
        """
        smallest = min(float(self.values.min(where=self.values > 0, initial=np.inf)), LARGEST)
        return float(np.log(smallest) - np.log(2 * self.values.shape[1]))

    def logits(self, log_floor: float) -> Floats:
        """Return finite logits float64 (n, K), or (n, 2) for one class; the prediction has the largest.

        A classifier may predict another class than the most probable one, as with a tuned threshold. The predicted
        class then gets a logit just above the largest.
        """
        if self.are_probabilities:
            zero = np.full(self.values.shape, log_floor)
            logits = np.maximum(np.log(self.values, out=zero, where=self.values > 0), log_floor)
        else:
            logits = self.values.astype(np.float64)
            unseen = np.isneginf(logits)
            lowest = np.where(unseen, np.inf, logits).min(axis=1, keepdims=True)
            logits = np.where(unseen, lowest, logits)
        if logits.shape[1] == 1:
            logits = np.column_stack([logits, logits + log_floor])
        others = np.flatnonzero(logits.argmax(axis=1) != self.predicted)
        logits[others, self.predicted[others]] = np.nextafter(logits[others].max(axis=1), np.inf)
        return logits
