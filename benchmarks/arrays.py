"""Work on arrays: metrics with resamples, TrustScore, and a fused oracle's fit where there are many classes."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from sklearn.neighbors import KDTree
from threadpoolctl import threadpool_limits

from benchmarks.timing import Comparison, median_seconds, medians_in_turn
from steepslope import ClassifierOutputs
from steepslope.metrics import evaluate
from steepslope.nets import on_threads
from steepslope.oracle import FusedOracle
from steepslope.scores import TrustScore

SPREAD = 6.0  # of features about their class's centre: 30 % of the predictions are wrong
GOAL_SECONDS = 60.0


def scikit_learn_table(confidence: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> tuple[float, ...]:
    """Return the four ranking metrics that scikit-learn has, and TPR and TNR at 0."""
    fpr, tpr, _ = roc_curve(is_correct, confidence)
    return (
        float(roc_auc_score(is_correct, confidence)),
        float(average_precision_score(is_correct, confidence)),
        float(average_precision_score(~is_correct, -confidence)),
        float(fpr[np.argmax(tpr >= 0.95)]),
        float(np.mean(confidence[is_correct] > 0)),
        float(np.mean(confidence[~is_correct] <= 0)),
    )


def metrics_against_scikit_learn(
    n: int = 50_000, replicates: int = 1_000, measured: int = 20, repeats: int = 3
) -> Comparison:
    """Time a table with its resamples; scikit-learn's replicates are extrapolated from those that are measured."""
    rng = np.random.default_rng(0)
    confidence = rng.normal(size=n)
    is_correct = rng.random(n) < 1 / (1 + np.exp(-2 - confidence))

    def theirs() -> None:
        for _ in range(measured):
            rows = rng.integers(n, size=n)
            scikit_learn_table(confidence[rows], is_correct[rows])

    ours = median_seconds(lambda: evaluate(confidence, is_correct, bootstrap=replicates), repeats)
    title = f"all metrics + {replicates:,} bootstrap replicates, {n:,} predictions, against scikit-learn"
    return Comparison(title, ours, median_seconds(theirs, repeats) * replicates / measured, goal=30)


def _random_outputs(n: int, width: int, classes: int, rng: np.random.Generator) -> ClassifierOutputs:
    labels, features = rng.integers(classes, size=n), rng.standard_normal((n, width), dtype=np.float32)
    return ClassifierOutputs(rng.standard_normal((n, classes), dtype=np.float32), labels, features)


def _by_trees(training: ClassifierOutputs, queries: ClassifierOutputs) -> NDArray[np.float64]:
    """Return the quotients by one tree a class; the trees are built anew, as the original code does."""
    features, rows = training.require_features(), np.arange(len(queries))
    trees = [KDTree(features[training.labels == label]) for label in range(training.num_classes)]
    distances = np.column_stack([tree.query(queries.require_features(), 2)[0][:, 1] for tree in trees])
    own = distances[rows, queries.predictions]
    distances[rows, queries.predictions] = np.inf
    return np.asarray(distances.min(axis=1) / (own + 1e-12))


def trust_score_against_trees(
    references: int = 50_000, width: int = 128, queries: int = 10_000, classes: int = 10, measured: int = 200
) -> Comparison:
    """Time both; the trees' queries are extrapolated, their building is not. Raise if they differ."""
    rng = np.random.default_rng(0)
    training, asked = (_random_outputs(n, width, classes, rng) for n in (references, queries))
    some = asked.subset(slice(0, measured))
    gap = np.abs(np.exp(TrustScore().fit(training).confidence(some)) / _by_trees(training, some) - 1).max()
    if gap > 1e-5:
        raise RuntimeError(f"the scores differ by {gap}")
    ours = median_seconds(lambda: TrustScore().fit(training).confidence(asked), 3)
    building = median_seconds(lambda: _by_trees(training, asked.subset(slice(0, 1))), 3)
    theirs = building + (median_seconds(lambda: _by_trees(training, some), 3) - building) * queries / measured
    title = f"TrustScore, {references:,} × {width} references, {queries:,} queries, against a KD-tree a class"
    return Comparison(title, ours, theirs, goal=30)


def _linear_outputs(n: int, centres: NDArray[np.float32], seed: int) -> ClassifierOutputs:
    """Return outputs of the best classifier of features that lie about a centre for each class, which is linear."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(centres), size=n)
    features = centres[labels] + SPREAD * rng.standard_normal((n, centres.shape[1]), dtype=np.float32)
    return ClassifierOutputs((features @ centres.T) / SPREAD**2, labels, features)


def fused_fit_against_a_minute(
    classes: int = 1_000, rows: int = 4_000, references: int = 20_000, width: int = 512
) -> Comparison:
    """Time one fit; copies are made of the features, as where none were extracted."""
    centres = np.random.default_rng(0).standard_normal((classes, width), dtype=np.float32)
    fit_set, reference = _linear_outputs(rows, centres, 1), _linear_outputs(references, centres, 2)
    start = time.perf_counter()
    FusedOracle(budget="free").fit(fit_set, reference)
    seconds = time.perf_counter() - start
    title = f"fused fit, {classes:,} classes, {rows:,} rows, {references:,} × {width} references, against a minute"
    return Comparison(title, seconds, GOAL_SECONDS, goal=1)


def fused_fit_on_all_threads(
    classes: int = 10, rows: int = 500, references: int = 1_000, width: int = 128, busy: int = 2, repeats: int = 3
) -> Comparison:
    """Time a fit in a process with all threads against one in a process with one thread, next to busy processes."""
    centres = np.random.default_rng(0).standard_normal((classes, width), dtype=np.float32)
    fit_set, reference = _linear_outputs(rows, centres, 1), _linear_outputs(references, centres, 2)

    def fit(threads: int) -> None:
        with on_threads(threads), threadpool_limits(threads, user_api="blas"):
            FusedOracle(budget="free").fit(fit_set, reference)

    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        seconds = medians_in_turn(lambda: fit(max(2, os.cpu_count() or 1)), lambda: fit(1), repeats)
    finally:
        for process in others:
            process.kill()
            process.wait()
    title = f"fused fit, {rows:,} rows, {classes} classes, on all threads next to {busy} busy processes, against on one"
    return Comparison(title, *seconds, goal=1 / 1.3)
