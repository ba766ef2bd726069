"""Boosted trees for a yes or no: scikit-learn grows them, and a formula evaluates them on arrays and tensors alike.

Each tree is stored complete, three levels deep. Where a tree has fewer levels, its nodes send all rows to the left.
"""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from steepslope.numerics._formulas import Array, constant, float32, namespace_of
from steepslope.numerics._types import ArrayDict, Arrays, Bools, Singles, Values

DEPTH = 3
_INNER = 2**DEPTH - 1  # nodes of a tree
_LEAVES = 2**DEPTH
LEAF = 20  # rows
SETTINGS = {"max_iter": 60, "learning_rate": 0.08, "l2_regularization": 10.0, "min_samples_leaf": LEAF}
SHAPES = {
    "features": f"int64 t {_INNER}",
    "thresholds": f"float32 t {_INNER}",
    "values": f"float64 t {_LEAVES}",
    "start": "float64 1",
}


def fit_trees(columns: Singles, target: Bools) -> ArrayDict:
    """Fit trees that predict the log-odds of a target (n,) from columns (n, w); none if either value is rare.

    ``features`` (t, 7) and ``thresholds`` (t, 7) are those of the nodes, ``values`` (t, 8) those of the leaves, and
    ``start`` (1,) the log-odds before the first tree. Node i sends a row to node 2i + 1 if its feature is at most the
    threshold, else to 2i + 2.
    """
    counts = np.bincount(target, minlength=2)
    nodes = []
    start = np.log([(counts[1] + 1) / (counts[0] + 1)])
    if counts.min() >= LEAF:
        grown = HistGradientBoostingClassifier(**SETTINGS, max_depth=DEPTH, early_stopping=False, random_state=0)
        grown.fit(columns, target)
        nodes = [predictor.nodes for (predictor,) in grown._predictors]
        start = np.ravel(grown._baseline_prediction)
    arrays = {
        "features": np.zeros((len(nodes), _INNER), np.int64),
        "thresholds": np.full((len(nodes), _INNER), np.finfo(np.float32).max),
        "values": np.zeros((len(nodes), _LEAVES)),
    }
    for tree, of_tree in enumerate(nodes):
        _complete_tree({name: array[tree] for name, array in arrays.items()}, of_tree, 0, 0)
    return {**arrays, "start": start.astype(np.float64)}


def _complete_tree(tree: ArrayDict, nodes: Values, node: int, place: int) -> None:
    """Copy a node of scikit-learn's, and all below it, to its place in a complete tree."""
    if place >= _INNER:
        tree["values"][place - _INNER] = nodes[node]["value"]
    elif nodes[node]["is_leaf"]:
        _complete_tree(tree, nodes, node, 2 * place + 1)
    else:
        tree["features"][place] = nodes[node]["feature_idx"]
        tree["thresholds"][place] = _largest_single(nodes[node]["num_threshold"])
        _complete_tree(tree, nodes, nodes[node]["left"], 2 * place + 1)
        _complete_tree(tree, nodes, nodes[node]["right"], 2 * place + 2)


def _largest_single(threshold: float) -> np.float32:
    """Return the largest float32 up to a number: the same float32 values are at most as large."""
    single = np.float32(threshold)
    return single if single <= threshold else np.nextafter(single, np.float32(-np.inf))


def tree_log_odds(columns: Array, arrays: Arrays) -> Array:
    """Return the log-odds that trees of :func:`fit_trees` predict, (m, w) -> float64 (m,)."""
    xp = namespace_of(columns)
    features, thresholds, values = (
        constant(arrays[name].reshape(-1), columns) for name in ("features", "thresholds", "values")
    )
    flat = xp.reshape(float32(columns), (-1,))
    starts = xp.arange(columns.shape[0])[:, None] * columns.shape[1]
    trees = constant(np.arange(len(arrays["features"])), columns)[None, :]
    place = trees * 0
    for _ in range(DEPTH):
        node = trees * _INNER + place
        is_right = flat[starts + features[node]] > thresholds[node]
        place = 2 * place + 1 + is_right
    return xp.sum(values[trees * _LEAVES + place - _INNER], axis=1) + float(arrays["start"][0])
