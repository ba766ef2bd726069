"""What the nearest training images are: in the classifier's features, or in those of an auxiliary backbone.

All columns are ratios and fractions. Absolute distances would tell more on familiar data, and mislead elsewhere: they
grow with every change of the domain.
"""

import numpy as np
from numpy.typing import NDArray

from steepslope.estimators.log_space import log_probabilities
from steepslope.estimators.neighbors import Index
from steepslope.evidence.states import Floats, State, references
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.neighbors import EPSILON, RANK, log_distance_ratio

COUNTS = (10, 50)
RATIO_LIMIT = 10.0  # a class without references is infinitely far
PRIOR = 3.0  # neighbours, spread over all classes
STEEPNESS = 10.0


def fit_neighbors(reference: ClassifierOutputs, array: str = "features") -> State:
    """Keep the references, at most 150,000 of them, evenly spread over their order."""
    known = references(reference)
    return Index.build(known.require(array), known.labels, known.num_classes).arrays


def neighbor_columns(outputs: ClassifierOutputs, rows: slice, state: State, array: str = "features") -> Floats:
    """Return TrustScore's log-ratio of distances, and the fraction of the nearest with the predicted label.

    Shape (m, 1 + 2·2): each fraction, and its log-odds, smoothed by half a neighbour.
    """
    predictions = outputs.predictions[rows]
    distances, found = Index(**state).search(outputs.require(array)[rows], RANK, COUNTS, quick=True)
    columns = [log_distance_ratio(distances, predictions).clip(-RATIO_LIMIT, RATIO_LIMIT)]
    for number, count in enumerate(COUNTS):
        same = found[np.arange(len(found)), number, predictions]
        columns += [same / count, np.log((same + 0.5) / (count - same + 0.5))]
    return np.column_stack(columns)


def neighbor_opinions(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    """Return the log of each class's fraction of the nearest, smoothed, and a softmax of its distance, (m, 3, K).

    A class d times as far as another is d⁻¹⁰ as likely; only relative distances count.
    """
    distances, found = Index(**state).search(outputs.require_features()[rows], RANK, COUNTS, quick=True)
    counts = np.array(COUNTS)[:, None]
    fractions = np.log((found + PRIOR / outputs.num_classes) / (counts + PRIOR))
    nearest = np.maximum(distances.min(axis=1, keepdims=True), EPSILON)
    with np.errstate(invalid="ignore"):  # no class at all has two references
        relative = np.log(np.maximum(distances, EPSILON) / nearest).clip(0, RATIO_LIMIT)
    by_distance = log_probabilities(-STEEPNESS * np.nan_to_num(relative))
    return np.concatenate([fractions, by_distance[:, None]], axis=1)
