"""TrustScore: Jiang et al., "To Trust Or Not To Trust A Classifier", 2018."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.estimators.neighbors import Index
from steepslope.outputs import ClassifierOutputs, require_classes

RANK = 2  # the distance to a class is that to its second nearest reference: a reference may be the query itself
EPSILON = 1e-12


class TrustScore:
    """How much farther the closest other class is than the predicted one, in the classifier's features.

    d(closest other class) / (d(predicted class) + 10⁻¹²), as its logarithm; the distance to a class is that to the
    second nearest of its references, without filtering. A class with fewer than two references is infinitely far.

    >>> features = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> training = ClassifierOutputs(np.eye(4)[:, :2], [0, 0, 1, 1], features)
    >>> outputs = ClassifierOutputs([[1.0, 0.0]], [0], np.array([[2.0]]))
    >>> np.exp(TrustScore().fit(training).confidence(outputs))  # 3 away from class 1, 2 from class 0
    array([1.5])
    """

    scale = "rank"
    fits_on = "reference"

    def __init__(self) -> None:
        self.index_: Index | None = None

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Take the classifier's training outputs as references, by their labels."""
        self.index_ = Index.build(outputs.require_features(), outputs.labels, outputs.num_classes)
        return self

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the log of the quotient for each prediction, float64 (n,)."""
        if self.index_ is None:
            raise SteepslopeError("trust_score is not fitted: call fit(the classifier's training outputs) first")
        require_classes("trust_score", outputs, len(self.index_.starts) - 1)
        distances = self.index_.class_distances(outputs.require_features(), RANK)
        return log_distance_ratio(distances, outputs.predictions)


def log_distance_ratio(distances: NDArray[np.float64], predictions: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ln(d(closest other class) / (d(predicted class) + 10⁻¹²)), (n, K) and (n,) -> (n,).

    Infinite distances count as the largest float32, so that the result is finite.
    """
    rows = np.arange(len(distances))
    own = distances[rows, predictions]
    others = distances.copy()
    others[rows, predictions] = np.inf
    largest = float(np.finfo(np.float32).max)
    closest = np.minimum(others.min(axis=1), largest)
    return np.asarray(np.log(np.maximum(closest, EPSILON)) - np.log(np.minimum(own, largest) + EPSILON))
