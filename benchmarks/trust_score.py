"""TrustScore on 50,000 × 128 references and 10,000 queries, against a KD-tree a class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import KDTree

from benchmarks.timing import Comparison, median_seconds
from steepslope import ClassifierOutputs
from steepslope.scores import TrustScore

REFERENCES, WIDTH, QUERIES, CLASSES, MEASURED = 50_000, 128, 10_000, 10, 200


def _outputs(n: int, rng: np.random.Generator) -> ClassifierOutputs:
    labels = rng.integers(CLASSES, size=n)
    features = rng.standard_normal((n, WIDTH), dtype=np.float32)
    return ClassifierOutputs(rng.standard_normal((n, CLASSES), dtype=np.float32), labels, features)


def _by_trees(training: ClassifierOutputs, queries: ClassifierOutputs) -> NDArray[np.float64]:
    """Return the quotients by one tree a class; the trees are built anew, as the original code does."""
    features = training.require_features()
    trees = [KDTree(features[training.labels == label]) for label in range(CLASSES)]
    distances = np.column_stack([tree.query(queries.require_features(), 2)[0][:, 1] for tree in trees])
    own = distances[np.arange(len(queries)), queries.predictions]
    distances[np.arange(len(queries)), queries.predictions] = np.inf
    return np.asarray(distances.min(axis=1) / (own + 1e-12))


def trust_score_against_trees() -> Comparison:
    """Time both; the trees' queries are extrapolated from 200, their building is not. Raise if they differ."""
    rng = np.random.default_rng(0)
    training, queries = _outputs(REFERENCES, rng), _outputs(QUERIES, rng)
    some = queries.subset(slice(0, MEASURED))
    gap = np.abs(np.exp(TrustScore().fit(training).confidence(some)) / _by_trees(training, some) - 1).max()
    if gap > 1e-5:
        raise RuntimeError(f"the scores differ by {gap}")
    ours = median_seconds(lambda: TrustScore().fit(training).confidence(queries), 3)
    building = median_seconds(lambda: _by_trees(training, queries.subset(slice(0, 1))), 3)
    measured = median_seconds(lambda: _by_trees(training, some), 3)
    theirs = building + (measured - building) * QUERIES / MEASURED
    title = f"TrustScore, {REFERENCES:,} × {WIDTH} references, {QUERIES:,} queries, against a KD-tree a class"
    return Comparison(title, ours, theirs, goal=30)
