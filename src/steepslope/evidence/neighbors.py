"""What the nearest training images are: in the classifier's features, or in those of a foreign backbone.

All columns are ratios and shares. Absolute distances would say more on familiar data, and mislead elsewhere: they grow
with every change of the domain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence.states import Floats, State
from steepslope.log_space import log_probabilities
from steepslope.neighbors import Index
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.trust_score import EPSILON, RANK, log_distance_ratio

COUNTS = (10, 50)
MOST_REFERENCES = 100_000
RATIO_LIMIT = 10.0  # a class without references is infinitely far
PRIOR = 0.3  # of a neighbour, for every class
STEEPNESS = 10.0


def fit_neighbors(reference: ClassifierOutputs, array: str = "features") -> State:
    """Keep the references, at most 100,000 of them, evenly spread over their order."""
    rows = np.linspace(0, len(reference) - 1, min(len(reference), MOST_REFERENCES)).round().astype(np.int64)
    if len(rows) < max(COUNTS):
        raise SteepslopeError(f"neighbors: expected at least {max(COUNTS)} references, found {len(rows)}")
    index = Index.build(reference.require(array)[rows], reference.labels[rows], reference.num_classes)
    return {"points": index.points, "centre": index.centre, "labels": index.labels, "starts": index.starts}


def neighbor_columns(outputs: ClassifierOutputs, rows: slice, state: State, array: str = "features") -> Floats:
    """Return TrustScore's log-ratio of distances, and the share of the nearest with the predicted label.

    Shape (m, 1 + 2·2): each share, and its log-odds, smoothed by half a neighbour.
    """
    index = Index(**state)
    queries: NDArray[Any] = outputs.require(array)[rows]
    predictions = outputs.predictions[rows]
    distances, _, labels = index.search(queries, RANK, max(COUNTS))
    ratio = log_distance_ratio(distances.astype(np.float64), predictions)
    same = labels == predictions[:, None]
    columns = [ratio.clip(-RATIO_LIMIT, RATIO_LIMIT)]
    for count in COUNTS:
        found = same[:, :count].sum(axis=1)
        columns += [found / count, np.log((found + 0.5) / (count - found + 0.5))]
    return np.column_stack(columns)


def neighbor_opinions(
    outputs: ClassifierOutputs, rows: slice, state: State, array: str = "features"
) -> NDArray[np.float64]:
    """Return the log of each class's share of the nearest, smoothed, and a softmax of its distance, (m, 3, K).

    A class d times as far as another is d⁻¹⁰ as likely; only relative distances count.
    """
    index, queries = Index(**state), outputs.require(array)[rows]
    found_distances, _, labels = index.search(queries, RANK, max(COUNTS))
    opinions = []
    for count in COUNTS:
        found = (labels[:, :count, None] == np.arange(outputs.num_classes)).sum(axis=1)
        opinions.append(np.log((found + PRIOR) / (count + PRIOR * outputs.num_classes)))
    distances = found_distances.astype(np.float64)
    nearest = np.maximum(distances.min(axis=1, keepdims=True), EPSILON)
    relative = np.log(np.maximum(distances, EPSILON) / nearest).clip(0, RATIO_LIMIT)
    return np.stack([*opinions, log_probabilities(-STEEPNESS * relative)], axis=1)
