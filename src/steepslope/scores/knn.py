"""Distance to the k-th nearest neighbour: Sun et al., "Out-of-Distribution Detection with Deep …", 2022."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.neighbors import Index
from steepslope.outputs import ClassifierOutputs


class KNNDistance:
    """Minus the distance to the k-th nearest training features, all scaled to length 1."""

    scale = "rank"
    fits_on = "reference"

    def __init__(self, k: int = 50) -> None:
        if k < 1:
            raise SteepslopeError(f"k: expected a whole number >= 1, found {k}")
        self.k = k
        self.index_: Index | None = None

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Take the classifier's training outputs as references."""
        if len(outputs) < self.k:
            raise SteepslopeError(f"knn_distance: expected at least k = {self.k} references, found {len(outputs)}")
        self.index_ = Index.build(unit_rows(outputs.require_features()), outputs.labels, outputs.num_classes)
        return self

    def confidence(self, outputs: ClassifierOutputs) -> NDArray[np.float64]:
        """Return minus the distance of each prediction, float64 (n,), in [−2, 0]."""
        if self.index_ is None:
            raise SteepslopeError("knn_distance is not fitted: call fit(the classifier's training outputs) first")
        distances, _ = self.index_.nearest(unit_rows(outputs.require_features()), self.k)
        return -distances[:, -1].astype(np.float64)


def unit_rows(features: NDArray[Any]) -> NDArray[np.float32]:
    """Scale each row to length 1; a row of zeros stays."""
    rows = np.asarray(features, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))
