"""Distance to the k-th nearest neighbour: Sun et al., "Out-of-Distribution Detection with Deep …", 2022."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.estimators.neighbors import Index, unit_rows
from steepslope.outputs import ClassifierOutputs


class KNNDistance:
    """Minus the distance to the k-th nearest training features, all scaled to length 1."""

    scale = "rank"
    fits_on = "reference"

    def __init__(self, k: int = 50) -> None:
        if not isinstance(k, int) or k < 1:
            raise SteepslopeError(f"k: expected a whole number >= 1, found {k!r}")
        self.k = k
        self.index_: Index | None = None

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Take the classifier's training outputs as references."""
        if len(outputs) < self.k:
            raise SteepslopeError(f"knn_distance: expected at least k = {self.k} references, found {len(outputs)}")
        self.index_ = Index.build(outputs.require_features(), outputs.labels, outputs.num_classes, unit_rows)
        return self

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return minus the distance of each prediction, float64 (n,), in [−2, 0]."""
        if self.index_ is None:
            raise SteepslopeError("knn_distance is not fitted: call fit(the classifier's training outputs) first")
        return -self.index_.kth_distance(outputs.require_features(), self.k, unit_rows)
