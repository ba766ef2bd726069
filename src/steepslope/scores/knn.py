"""Distance to the k-th nearest neighbour: Sun et al., "Out-of-Distribution Detection with Deep …", 2022."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from steepslope.checks import require, whole
from steepslope.errors import SteepslopeError
from steepslope.estimators.neighbors import unit_rows
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.reference_score import ReferenceScore

K = 50


class KNNDistance(ReferenceScore):
    """Minus the distance to the k-th nearest training features, all scaled to length 1."""

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
