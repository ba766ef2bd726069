"""What the nearest training images are: in the classifier's features, or in those of an auxiliary backbone.

They are sought in the 64 principal components, which know as much and cost less than all of many features (LOG.md).
All columns are ratios and fractions. Absolute distances would tell more on familiar data, and mislead elsewhere: they
grow with every change of the domain.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.evidence.states import Floats, State, references, require_arrays
from steepslope.numerics.linear import affine, principal_components
from steepslope.numerics.log_space import log_probabilities
from steepslope.numerics.neighbors import Index
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.neighbors import EPSILON, RANK, log_distance_ratio

COUNTS = (10, 50)
RATIO_LIMIT = 10.0  # a class without references is infinitely far
PRIOR = 3.0  # neighbours, spread over all classes
STEEPNESS = 10.0
COMPONENTS = 64
COMPONENT_ROWS = 20_000  # from which the components are taken
PROJECTION = "mean", "directions"  # in the state, where there are more features than components


def fit_neighbors(reference: ClassifierOutputs, array: str = "features") -> State:
    """Keep the references, at most 150,000 of them, evenly spread over their order, in principal components."""
    known = references(reference)
    rows, projection = known.require(array), {}
    if rows.shape[1] > COMPONENTS:
        mean, directions, _ = principal_components(references(known, COMPONENT_ROWS).require(array), COMPONENTS)
        projection = {"mean": mean.astype(np.float32), "directions": directions.astype(np.float32)}
    index = Index.build(_projected(rows, projection), known.require_labels(), known.num_classes)
    return {**index.arrays, **projection}


def check_neighbors(state: State, num_classes: int) -> None:
    """Raise unless a state is an index of references of as many classes, and a projection where it has one."""
    index = Index.of({name: array for name, array in state.items() if name not in PROJECTION}, num_classes)
    if PROJECTION[0] in state or PROJECTION[1] in state:
        shapes = {"mean": (len(state.get("directions", ())),), "directions": (None, len(index.centre))}
        require_arrays({name: array for name, array in state.items() if name in PROJECTION}, shapes)


def neighbor_columns(outputs: ClassifierOutputs, rows: slice, state: State, array: str = "features") -> Floats:
    """Return TrustScore's log-ratio of distances, and the fraction of the nearest with the predicted label.

    Shape (m, 1 + 2·2): each fraction, and its log-odds, smoothed by half a neighbour.
    """
    predictions = outputs.predictions[rows]
    distances, found = _nearest(outputs.require(array)[rows], state)
    columns = [log_distance_ratio(distances, predictions).clip(-RATIO_LIMIT, RATIO_LIMIT)]
    for number, count in enumerate(COUNTS):
        same = found[np.arange(len(found)), number, predictions]
        columns += [same / count, np.log((same + 0.5) / (count - same + 0.5))]
    return np.column_stack(columns)


def neighbor_opinions(outputs: ClassifierOutputs, rows: slice, state: State) -> NDArray[np.float64]:
    """Return the log of each class's fraction of the nearest, smoothed, and a softmax of its distance, (m, 3, K).

    A class d times as far as another is d⁻¹⁰ as likely; only relative distances count.
    """
    distances, found = _nearest(outputs.require_features()[rows], state)
    counts = np.array(COUNTS)[:, None]
    fractions = np.log((found + PRIOR / outputs.num_classes) / (counts + PRIOR))
    nearest = np.maximum(distances.min(axis=1, keepdims=True), EPSILON)
    with np.errstate(invalid="ignore"):  # no class at all has two references
        relative = np.log(np.maximum(distances, EPSILON) / nearest).clip(0, RATIO_LIMIT)
    by_distance = log_probabilities(-STEEPNESS * np.nan_to_num(relative))
    return np.concatenate([fractions, by_distance[:, None]], axis=1)


def _nearest(queries: NDArray[Any], state: State) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return distances to the classes, (m, K), and how many of the nearest are of each, (m, 2, K)."""
    index = Index(**{name: array for name, array in state.items() if name not in PROJECTION})
    return index.search(_projected(queries, state), RANK, COUNTS, quick=True)


def _projected(rows: NDArray[Any], state: State) -> NDArray[Any]:
    """Return rows in the principal components that a state has, or as they are."""
    if "directions" not in state:
        return rows
    mean, directions = (state[name] for name in PROJECTION)
    if rows.shape[1] != len(mean):
        found = f"features: expected {len(mean)} columns, as in the reference, found {rows.shape[1]}"
        raise SteepslopeError(found)
    return affine(np.asarray(rows - mean, dtype=np.float32), directions)
