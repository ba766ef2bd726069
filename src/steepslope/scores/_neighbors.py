"""Scores that look up the nearest features in an index of training rows, or of held-out rows."""

from typing import ClassVar, Literal

import numpy as np

from steepslope.errors import SteepslopeError, require, whole
from steepslope.numerics import (
    LARGEST,
    Array,
    ArrayDict,
    Index,
    clipped,
    is_class,
    namespace_of,
    rows_as_they_are,
    unit_rows,
)
from steepslope.outputs import ClassifierOutputs
from steepslope.scores._score import Rows, Score, State

EPSILON = 1e-12


class _IndexScore(Score):
    """A score on the nearest features, by default those of the classifier's training rows.

    They are sorted by their labels, and scaled to length 1 if ``unit_length`` is set.
    """

    fits_on: ClassVar[Literal["errors", "reference"]] = "reference"
    arrays = ("features",)
    unit_length: ClassVar[bool] = False

    def __init__(self) -> None:
        self.index_: Index | None = None

    def learn(self, outputs: ClassifierOutputs) -> None:
        """Take the classifier's training outputs as references, by their labels."""
        rows = unit_rows if self.unit_length else rows_as_they_are
        self.index_ = Index.build(outputs.require_features(), outputs.require_labels(), outputs.num_classes, rows)

    @property
    def index(self) -> Index:
        """The references of a fitted score."""
        assert self.index_ is not None
        return self.index_

    def state(self) -> ArrayDict:
        """Return the index's arrays."""
        if self.index_ is None:
            return {}
        return self.index_.arrays

    def restore(self, state: State, num_classes: int) -> None:
        """Restore the index from its arrays."""
        self.index_ = Index.from_arrays(state, num_classes)


class TrustScore(_IndexScore):
    """How much farther the closest other class is than the predicted one, in the classifier's features.

    Jiang et al., "To Trust Or Not To Trust A Classifier", 2018.

    It is the logarithm of d(closest other class) / (d(predicted class) + 10⁻¹²). The distance to a class is that to its
    second nearest reference, without filtering. A class with fewer than two references is infinitely far.

    >>> features = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> training = ClassifierOutputs(np.eye(4)[:, :2], [0, 0, 1, 1], features)
    >>> outputs = ClassifierOutputs([[1.0, 0.0]], [0], np.array([[2.0]]))
    >>> np.exp(TrustScore().fit(training).confidence(outputs))  # 3 away from class 1, 2 from class 0
    array([1.5])
    """

    def formula(self, rows: Rows) -> Array:
        """Return the log of the quotient for each prediction, float64 (m,)."""
        return log_distance_ratio(self.index.class_distances(rows["features"]), rows["predictions"])


def log_distance_ratio(distances: Array, predictions: Array) -> Array:
    """Return ln(d(closest other class) / (d(predicted class) + 10⁻¹²)), (m, K) and (m,) -> (m,).

    Infinite distances count as the largest float32, so that the result is finite.
    """
    xp, own = namespace_of(distances), is_class(predictions, distances.shape[1])
    closest = clipped(xp.min(xp.where(own, np.inf, distances), axis=1), EPSILON, LARGEST)
    nearest = clipped(xp.min(xp.where(own, distances, np.inf), axis=1), None, LARGEST)
    return xp.log(closest) - xp.log(nearest + EPSILON)


K = 50


class KNNDistance(_IndexScore):
    """Minus the distance to the k-th nearest training features, all scaled to length 1.

    Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", 2022.
    """

    at_least = K
    unit_length = True

    def __init__(self, k: int = K) -> None:
        super().__init__()
        self.k = require("k", k, whole(1))

    def learn(self, outputs: ClassifierOutputs) -> None:
        """Take the classifier's training outputs as references."""
        if len(outputs) < self.k:
            raise SteepslopeError(f"expected at least k = {self.k} references, found {len(outputs)}", "KNNDistance")
        super().learn(outputs)

    def formula(self, rows: Rows) -> Array:
        """Return minus the distance of each prediction, float64 (m,), in [−2, 0]."""
        found: Array = -self.index.kth_distance(unit_rows(rows["features"]), self.k)
        return found
