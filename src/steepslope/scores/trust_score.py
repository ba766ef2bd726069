"""TrustScore: Jiang et al., "To Trust Or Not To Trust A Classifier", 2018."""

import numpy as np
from numpy.typing import NDArray

from steepslope.outputs import ClassifierOutputs, require_classes
from steepslope.scores.reference_score import ReferenceScore

RANK = 2  # the distance to a class is that to its second nearest reference: a reference may be the query itself
EPSILON = 1e-12


class TrustScore(ReferenceScore):
    """How much farther the closest other class is than the predicted one, in the classifier's features.

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
