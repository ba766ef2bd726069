"""A table with 1,000 bootstrap replicates, against the same through scikit-learn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from benchmarks.timing import Comparison, median_seconds
from steepslope.metrics import evaluate

N, REPLICATES, MEASURED = 50_000, 1_000, 20


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
    """Time both; scikit-learn's 1,000 replicates are extrapolated from 20."""
    rng = np.random.default_rng(0)
    confidence = rng.normal(size=N)
    is_correct = rng.random(N) < 1 / (1 + np.exp(-2 - confidence))

    def theirs() -> None:
        for _ in range(MEASURED):
            rows = rng.integers(N, size=N)
            scikit_learn_table(confidence[rows], is_correct[rows])

    ours = median_seconds(lambda: evaluate(confidence, is_correct, bootstrap=REPLICATES), 3)
    title = f"all metrics + {REPLICATES:,} bootstrap replicates, {N:,} predictions, against scikit-learn"
    return Comparison(title, ours, median_seconds(theirs, 3) * REPLICATES / MEASURED, goal=30)
