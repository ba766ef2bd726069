"""Scores that look up the nearest of the classifier's training features: they learn an index of them."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.checks import require, whole
from steepslope.errors import SteepslopeError
from steepslope.estimators.neighbors import Index, as_float32, unit_rows
from steepslope.outputs import ClassifierOutputs, require_classes
from steepslope.scores.score import Score, State, require_fitted


class ReferenceScore(Score):
    """A score on the nearest of the classifier's training features, scaled to length 1 where ``unit_length`` is set."""

    fits_on: ClassVar[Literal["reference"]] = "reference"
    arrays = ("features",)
    unit_length: ClassVar[bool] = False

    def __init__(self) -> None:
        self.index_: Index | None = None

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Take the classifier's training outputs as references, by their labels."""
        rows = unit_rows if self.unit_length else as_float32
        self.index_ = Index.build(outputs.require_features(), outputs.labels, outputs.num_classes, rows)
        return self

    def fitted(self, name: str) -> Index:
        """Return the references; raise if there are none yet."""
        return require_fitted(name, self.index_, "the classifier's training outputs")

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the index's arrays."""
        return {} if self.index_ is None else self.index_.arrays

    @classmethod
    def restored(cls, state: State, num_classes: int) -> Self:
        """Return the score with an index of these arrays."""
        score = cls()
        score.index_ = Index.of(state, num_classes)
        return score


RANK = 2  # the distance to a class is that to its second nearest reference: a reference may be the query itself
EPSILON = 1e-12


class TrustScore(ReferenceScore):
    """How much farther the closest other class is than the predicted one, in the classifier's features.

    Jiang et al., "To Trust Or Not To Trust A Classifier", 2018.

    d(closest other class) / (d(predicted class) + 10⁻¹²), as its logarithm; the distance to a class is that to the
    second nearest of its references, without filtering. A class with fewer than two references is infinitely far.

    >>> features = np.array([[0.0], [1.0], [4.0], [5.0]])
    >>> training = ClassifierOutputs(np.eye(4)[:, :2], [0, 0, 1, 1], features)
    >>> outputs = ClassifierOutputs([[1.0, 0.0]], [0], np.array([[2.0]]))
    >>> np.exp(TrustScore().fit(training).confidence(outputs))  # 3 away from class 1, 2 from class 0
    array([1.5])
    """

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return the log of the quotient for each prediction, float64 (n,)."""
        index = self.fitted("trust_score")
        require_classes("trust_score", outputs, index.num_classes)
        distances = index.class_distances(outputs.require_features(), RANK)
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


K = 50


class KNNDistance(ReferenceScore):
    """Minus the distance to the k-th nearest training features, all scaled to length 1.

    Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", 2022.
    """

    at_least = K
    unit_length = True

    def __init__(self, k: int = K) -> None:
        super().__init__()
        require("k", k, whole(1))
        self.k = k

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Take the classifier's training outputs as references."""
        if len(outputs) < self.k:
            raise SteepslopeError(f"expected at least k = {self.k} references, found {len(outputs)}", "knn_distance")
        return super().fit(outputs)

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return minus the distance of each prediction, float64 (n,), in [−2, 0]."""
        return -self.fitted("knn_distance").kth_distance(outputs.require_features(), self.k, unit_rows)
