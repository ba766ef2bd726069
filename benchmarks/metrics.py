"""A table with 1,000 bootstrap replicates, against the same through scikit-learn, of some rows and of a million."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from benchmarks.timing import Comparison, median_seconds
from steepslope.metrics import evaluate

N, REPLICATES = 50_000, 1_000


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


def metrics_against_scikit_learn() -> Comparison:
    """Time both on 50,000 predictions."""
    return _against_scikit_learn(N, measured=20, repeats=3)


def metrics_of_a_million() -> Comparison:
    """Time both on a million predictions."""
    return _against_scikit_learn(1_000_000, measured=2, repeats=1)


def _against_scikit_learn(n: int, measured: int, repeats: int) -> Comparison:
    """Time both; all of scikit-learn's replicates are extrapolated from those that are measured."""
    rng = np.random.default_rng(0)
    confidence = rng.normal(size=n)
    is_correct = rng.random(n) < 1 / (1 + np.exp(-2 - confidence))

    def theirs() -> None:
        for _ in range(measured):
            rows = rng.integers(n, size=n)
            scikit_learn_table(confidence[rows], is_correct[rows])

    ours = median_seconds(lambda: evaluate(confidence, is_correct, bootstrap=REPLICATES), repeats)
    title = f"all metrics + {REPLICATES:,} bootstrap replicates, {n:,} predictions, against scikit-learn"
    return Comparison(title, ours, median_seconds(theirs, repeats) * REPLICATES / measured, goal=30)
