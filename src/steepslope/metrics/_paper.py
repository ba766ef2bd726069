"""The metrics as the authors' code computed them for Tables 1 and 3, where that differs from the right definitions.

They serve only to check the paper's numbers. ``reproduce`` shows those in ``PAPER_METRICS``.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from steepslope.metrics import _measures as measures
from steepslope.metrics._measures import Gaussian, Metric, fit_sides, lower_is_better
from steepslope.metrics._ranking import checked_confidences, rank_rows

THRESHOLDS = 10_000
_TPR_WINDOW = (0.9495, 0.9505)


def float32_sigmoid(trust_logit: ArrayLike) -> NDArray[np.float64]:
    """Return sigmoid(z) as float32 holds it: exactly 1 from z ≈ 17, so that confident predictions tie."""
    return np.asarray(expit(np.asarray(trust_logit, dtype=np.float32)), dtype=np.float64)


def auroc(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Return the AUC, in [0, 1]; 1 if all predictions are correct, or all wrong, where it is undefined."""
    values, correct = checked_confidences(confidence, is_correct)
    if correct.all() or not correct.any():
        return 1.0
    return measures.auroc.of(rank_rows(values, correct).ranking())


def aupr_error(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Return the average precision of finding errors by *high* confidence: low where a score is good."""
    values, correct = checked_confidences(confidence, is_correct)
    return measures.aupr_success.of(rank_rows(values, ~correct).ranking())


def fpr_at_95tpr(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Return the FPR at the first of 10,000 ascending thresholds with a TPR of 94.95 to 95.05 %, else NaN."""
    values, correct = checked_confidences(confidence, is_correct)
    low, high = values.min(), values.max()
    thresholds = low + (high - low) / THRESHOLDS * np.arange(THRESHOLDS)
    tpr, fpr = (_fraction_at_or_above(values[rows], thresholds) for rows in (correct, ~correct))
    inside = np.flatnonzero((tpr >= _TPR_WINDOW[0]) & (tpr <= _TPR_WINDOW[1]))
    if len(inside):
        return float(fpr[inside[0]])
    return math.nan


def tnr(confidence: ArrayLike, is_correct: ArrayLike, threshold: float) -> float:
    """Return the fraction of errors with a confidence ≤ ``threshold`` (:func:`paper_tnr_cut`); NaN without errors."""
    values, correct = checked_confidences(confidence, is_correct)
    if not correct.all():
        return float(np.mean(values[~correct] <= threshold))
    return math.nan


def paper_tnr_cut(loss: str | None, num_classes: int) -> float:
    """Return the probability at which the TNR is taken: 1/K for TCP, or else ½."""
    if loss == "true_class_probability":
        return 1 / num_classes
    return 0.5


def average_kl(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Return the average KL divergence without its factor 2, in nats; identical Gaussians score ½."""
    a, b = fit_sides(confidence, is_correct)
    return (_paper_kl_divergence(a, b) + _paper_kl_divergence(b, a)) / 2


def _paper_kl_divergence(a: Gaussian, b: Gaussian) -> float:
    return 0.5 * math.log(b.variance / a.variance) + (a.variance + (a.mean - b.mean) ** 2) / b.variance - 0.5


def _fraction_at_or_above(values: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(values) == 0:
        return np.full(len(thresholds), math.nan)
    return 1 - np.searchsorted(np.sort(values), thresholds, side="left") / len(values)


# Functions of (confidence, is_correct).
PAPER_METRICS: dict[str, Metric] = {
    "auroc": Metric(auroc, "AUC", "The AUC, 1 where only one class is present."),
    "aupr_error": Metric(aupr_error, "AUPR-Error", "The average precision of finding errors by high confidence."),
    "fpr_at_95tpr": lower_is_better(
        fpr_at_95tpr, "FPR-95%-TPR", "The FPR at the first threshold of a grid with a TPR near 95 %."
    ),
    "tnr": Metric(
        tnr, "TNR", "The fraction of errors with a probability of at most ½, or 1/K for TCP.", threshold="negative"
    ),
    "average_kl": Metric(average_kl, "average KL", "The mean divergence without its factor 2, at least ½.", scale=1),
}
