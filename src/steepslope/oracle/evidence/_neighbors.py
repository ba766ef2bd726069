"""The nearest training images, in the classifier's features or in those of an auxiliary backbone.

Many features are reduced to 64 principal components, which tell as much and cost less. All columns are ratios
and fractions. Absolute distances would tell more on familiar data, but mislead elsewhere, because they grow with every
change of the domain.
"""

import numpy as np

from steepslope.numerics import (
    Array,
    Index,
    clipped,
    constant,
    float32,
    is_class,
    log_softmax,
    namespace_of,
    principal_components,
    require_arrays,
    require_width,
)
from steepslope.oracle.evidence._states import State, classes_of_state, numbered_labels, references
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import EPSILON, Rows, log_distance_ratio

COUNTS = (10, 50)
_RATIO_LIMIT = 10.0  # a class without references is infinitely far
_PRIOR = 3.0  # neighbours, spread over all classes
_STEEPNESS = 10.0
COMPONENTS = 64
_COMPONENT_ROWS = 20_000  # from which the components are taken
_PROJECTION = "mean", "directions"  # in the state, where there are more features than components


def neighbor_components(reference: ClassifierOutputs, array: str = "features") -> State:
    """Return the mean and the directions of the principal components of references; nothing for few features."""
    rows = references(references(reference), _COMPONENT_ROWS).require(array)
    if rows.shape[1] <= COMPONENTS:
        return {}
    mean, directions, _ = principal_components(rows, COMPONENTS)
    return {"mean": mean.astype(np.float32), "directions": directions.astype(np.float32)}


def fit_neighbors(reference: ClassifierOutputs, array: str = "features", shared: State | None = None) -> State:
    """Keep at most 150,000 references, evenly spread over their order, in principal components.

    The components are ``shared`` ones, or else those of the references.
    """
    known = references(reference)
    projection = neighbor_components(known, array) if shared is None else shared
    index = Index.build(_in_neighbor_components(known.require(array), projection), *numbered_labels(known))
    return {**index.arrays, **projection}


def check_neighbors(state: State, num_classes: int) -> None:
    """Raise unless a state is an index of references of as many classes or one more, and a projection if it has one."""
    num_classes = classes_of_state(num_classes, len(state.get("starts", ())) - 1)
    arrays = dict(state)
    projection = {name: arrays.pop(name) for name in _PROJECTION if name in arrays}
    index = Index.from_arrays(arrays, num_classes)
    if projection:
        require_arrays(projection, {"mean": "float32 w", "directions": f"float32 w {len(index.centre)}"})


def neighbor_columns(rows: Rows, state: State, array: str = "features") -> Array:
    """Return TrustScore's log-ratio of distances, and the fraction of the nearest with the predicted label.

    Shape (m, 1 + 2·2): each fraction, and its log-odds, smoothed by half a neighbour.
    """
    predictions = rows["predictions"]
    xp = namespace_of(predictions)
    distances, counted = _nearest_neighbors(rows[array], state)
    ratio = log_distance_ratio(distances, predictions)
    columns = [clipped(ratio, -_RATIO_LIMIT, _RATIO_LIMIT)]
    own = is_class(predictions, distances.shape[1])
    for number, count in enumerate(COUNTS):
        same = xp.sum(xp.where(own, counted[:, number], 0.0), axis=1)
        columns += [same / count, xp.log((same + 0.5) / (count - same + 0.5))]
    return xp.stack(columns, axis=1)


def neighbor_opinions(rows: Rows, state: State) -> Array:
    """Return the log of each class's smoothed share of the nearest, and a softmax of its distance, (m, 3, K).

    A class d times as far as another is d⁻¹⁰ as likely; only relative distances count.
    """
    distances, counted = _nearest_neighbors(rows["features"], state)
    xp = namespace_of(distances)
    counts = constant(np.array(COUNTS, dtype=np.float64)[:, None], distances)
    fractions = xp.log((counted + _PRIOR / distances.shape[1]) / (counts + _PRIOR))
    nearest = clipped(xp.min(distances, axis=1, keepdims=True), EPSILON)
    relative = clipped(xp.log(clipped(distances, EPSILON) / nearest), 0, _RATIO_LIMIT)
    relative = xp.where(nearest < np.inf, relative, 0.0)  # where no class at all has two references
    return xp.concat([fractions, log_softmax(-_STEEPNESS * relative)[:, None]], axis=1)


def _nearest_neighbors(queries: Array, state: State) -> tuple[Array, Array]:
    """Return the distances to the classes, (m, K), and how many of the nearest are in each class, (m, 2, K)."""
    index = Index(**{name: array for name, array in state.items() if name not in _PROJECTION})
    nearest: tuple[Array, Array] = index.search(_in_neighbor_components(queries, state), COUNTS)
    return nearest


def _in_neighbor_components(rows: Array, state: State) -> Array:
    """Return rows in the principal components of a state, or unchanged if it has none."""
    if "directions" not in state:
        return rows
    mean = constant(state["mean"], rows)
    directions = constant(state["directions"], rows)
    require_width(rows, len(mean))
    return float32(rows - mean) @ directions
