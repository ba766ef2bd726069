"""Scores that look up the nearest features, of training rows or of held-out ones: they learn an index."""

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steepslope.checks import require, whole
from steepslope.errors import SteepslopeError
from steepslope.numerics.log_space import is_class
from steepslope.numerics.neighbors import LARGEST, Index, rows_as_they_are, unit_rows
from steepslope.numerics.tensors import tensor
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.score import Rows, Score, State, require_both_sides

EPSILON = 1e-12


class IndexScore(Score):
    """A score on the nearest features, by default of the classifier's training rows.

    They are sorted by their labels, and scaled to length 1 where ``unit_length`` is set.
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

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the index's arrays."""
        return {} if self.index_ is None else self.index_.arrays

    def restore(self, state: State, num_classes: int) -> None:
        """Take over an index of these arrays."""
        self.index_ = Index.of(state, num_classes)


class TrustScore(IndexScore):
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

    def formula(self, rows: Rows) -> Tensor:
        """Return the log of the quotient for each prediction, float64 (m,)."""
        return log_distance_ratio(self.index.class_distances(rows["features"]), rows["predictions"])


def log_distance_ratio(distances: Tensor, predictions: Tensor) -> Tensor:
    """Return ln(d(closest other class) / (d(predicted class) + 10⁻¹²)), (m, K) and (m,) -> (m,).

    Infinite distances count as the largest float32, so that the result is finite.
    """
    own = is_class(predictions, distances.shape[1])
    closest = torch.where(own, torch.inf, distances).amin(dim=1).clamp(EPSILON, LARGEST)
    nearest = torch.where(own, distances, torch.inf).amin(dim=1).clamp_max(LARGEST)
    return closest.log() - (nearest + EPSILON).log()


K = 50


class KNNDistance(IndexScore):
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

    def formula(self, rows: Rows) -> Tensor:
        """Return minus the distance of each prediction, float64 (m,), in [−2, 0]."""
        found: Tensor = -self.index.kth_distance(unit_rows(rows["features"]), self.k)
        return found


SIDE_K = 3


class KNNDensityRatio(IndexScore):
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

    fits_on = "errors"

    def __init__(self, k: int = SIDE_K) -> None:
        super().__init__()
        self.k = require("k", k, whole(1))

    def learn(self, outputs: ClassifierOutputs) -> None:
        """Take outputs of rows new to the classifier as references, by side and prediction."""
        require_both_sides(outputs, "KNNDensityRatio")
        groups = outputs.predictions + outputs.num_classes * outputs.is_correct
        self.index_ = Index.build(outputs.require_features(), groups, 2 * outputs.num_classes)

    def formula(self, rows: Rows) -> Tensor:
        """Return ln r(wrong) − ln r(correct) of each prediction, float64 (m,)."""
        predictions, count = rows["predictions"], self.index.num_classes // 2
        enough = np.diff(self.index.starts).reshape(2, -1).min(axis=0) > self.k  # so that k are left beside the query
        alike = tensor(enough)[predictions]
        logs = []
        for side in (0, count):
            first = torch.where(alike, predictions + side, side)
            last = torch.where(alike, predictions + side + 1, side + count)
            distances = self.index.kth_of_others(rows["features"], self.k, first, last)
            logs.append((distances + EPSILON).log())
        return logs[0] - logs[1]

    def restore(self, state: State, num_classes: int) -> None:
        """Take over an index of these arrays."""
        index = Index.of(state, 2 * num_classes)
        if not 0 < index.starts[num_classes] < len(index.points):
            raise SteepslopeError("expected wrong and correct references, found those of one side", "starts")
        self.index_ = index
