"""Scores that look up the nearest features, of training rows or of held-out ones: they learn an index."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.checks import require, whole
from steepslope.errors import SteepslopeError
from steepslope.numerics.neighbors import Index, as_they_are, unit_rows
from steepslope.outputs import ClassifierOutputs, require_classes
from steepslope.scores.score import Score, State, require_both_sides, require_fitted


class ReferenceScore(Score):
    """A score on the nearest of the classifier's training features, scaled to length 1 where ``unit_length`` is set."""

    fits_on: ClassVar[Literal["reference"]] = "reference"
    arrays = ("features",)
    unit_length: ClassVar[bool] = False

    def __init__(self) -> None:
        self.index_: Index | None = None

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Take the classifier's training outputs as references, by their labels."""
        rows = unit_rows if self.unit_length else as_they_are
        self.index_ = Index.build(outputs.require_features(), outputs.require_labels(), outputs.num_classes, rows)
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
        self.k = require("k", k, whole(1))

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Take the classifier's training outputs as references."""
        if len(outputs) < self.k:
            raise SteepslopeError(f"expected at least k = {self.k} references, found {len(outputs)}", "knn_distance")
        return super().fit(outputs)

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return minus the distance of each prediction, float64 (n,), in [−2, 0]."""
        return -self.fitted("knn_distance").kth_distance(outputs.require_features(), self.k, unit_rows)


SIDE_K = 3


class KNNDensityRatio(Score):
    """How much farther the k-th nearest wrong held-out row is than the k-th nearest correct one of the same prediction.

    After Loftsgaarden & Quesenberry, "A Nonparametric Estimate of a Multivariate Density Function", 1965.

    Take the n held-out rows that were given the query's class. The density of a side, times its fraction of the rows,
    is k / (n V rᵐ): r is the distance to its k-th nearest row, V rᵐ the volume of that ball in m dimensions. With one
    k for both sides, the log-odds of a correct prediction are m (ln r(wrong) − ln r(correct)): fractions and n cancel.
    The score is that without m, which does not change the ranking. Where a class has no more than k rows of a side, the
    rows of all classes count.

    A row at distance 0 may be the query itself, so on each side one such row is not counted: rows that it was fitted on
    are seen as new ones are. Distances have 10⁻¹² added; a side with fewer than k rows left is infinitely far.

    >>> features = np.array([[0.0], [1.0], [2.0], [6.0], [7.0], [8.0]])
    >>> held_out = ClassifierOutputs([[1.0, 0.0]] * 6, [0, 0, 0, 1, 1, 1], features)  # class 0 is predicted
    >>> outputs = ClassifierOutputs([[1.0, 0.0]], [0], np.array([[3.0]]))
    >>> np.exp(KNNDensityRatio(k=2).fit(held_out).confidence(outputs))  # 4 away from the wrong, 2 from the correct
    array([2.])

    Parameters
    ----------
    k
        Which of the nearest rows of a side counts, >= 1; small, since errors are few.
    """

    fits_on: ClassVar[Literal["errors"]] = "errors"
    arrays = ("features",)

    def __init__(self, k: int = SIDE_K) -> None:
        self.k = require("k", k, whole(1))
        self.index_: Index | None = None

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Take outputs of rows new to the classifier as references, by side and prediction."""
        require_both_sides("knn_density_ratio", outputs)
        groups = outputs.predictions + outputs.num_classes * outputs.is_correct
        self.index_ = Index.build(outputs.require_features(), groups, 2 * outputs.num_classes)
        return self

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return ln r(wrong) − ln r(correct) of each prediction, float64 (n,)."""
        index = require_fitted("knn_density_ratio", self.index_, "held-out outputs")
        require_classes("knn_density_ratio", outputs, index.num_classes // 2)
        features, confidence = outputs.require_features(), np.empty(len(outputs))
        wrong, correct = np.diff(index.starts).reshape(2, -1)
        enough = np.minimum(wrong, correct) > self.k  # so that k are left beside the query itself
        group = np.where(enough[outputs.predictions], outputs.predictions, EVERY_CLASS)
        for label in np.unique(group):
            rows = np.flatnonzero(group == label)
            sides = (_distance_to_others(side, features[rows], self.k) for side in _sides(index, int(label)))
            far, near = (np.log(distances + EPSILON) for distances in sides)
            confidence[rows] = far - near
        return confidence

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the index's arrays."""
        return {} if self.index_ is None else self.index_.arrays

    @classmethod
    def restored(cls, state: State, num_classes: int) -> Self:
        """Return the score with an index of these arrays."""
        score = cls()
        score.index_ = Index.of(state, 2 * num_classes)
        if not 0 < score.index_.starts[num_classes] < len(score.index_.points):
            raise SteepslopeError("expected wrong and correct references, found those of one side", "starts")
        for name in ("points", "centre"):
            if not np.isfinite(state[name]).all():
                raise SteepslopeError("expected finite values, found others", name)
        return score


EVERY_CLASS = -1


def _sides(index: Index, label: int) -> tuple[Index, Index]:
    """Return the wrong and the correct references that were given a class, or any class."""
    classes = index.num_classes // 2
    first, last = (0, classes) if label == EVERY_CLASS else (label, label + 1)
    starts, stops = index.starts[[first, classes + first]], index.starts[[last, classes + last]]
    return index.between(starts[0], stops[0]), index.between(starts[1], stops[1])


def _distance_to_others(index: Index, features: NDArray[Any], k: int) -> NDArray[np.float64]:
    """Return the distance to the k-th nearest reference, not counting one at distance 0, (m, d) -> (m,)."""
    distances = _kth(index, features, k)
    same = np.flatnonzero(index.kth_distance(features, 1) == 0)
    if len(same):
        distances[same] = _kth(index, features[same], k + 1)
    return distances


def _kth(index: Index, features: NDArray[Any], k: int) -> NDArray[np.float64]:
    if k > len(index.points):
        return np.full(len(features), float(np.finfo(np.float32).max))
    return index.kth_distance(features, k)
