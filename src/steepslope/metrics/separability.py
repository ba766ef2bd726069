"""How far apart the confidences of correct and wrong predictions lie, each side taken as a Gaussian."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from steepslope.metrics.curves import checked
from steepslope.metrics.measures import Metric, require_defined


class Gaussian(NamedTuple):
    """Mean and variance (of the population: divided by n) of one side's confidences."""

    mean: float
    variance: float


def fit_sides(confidence: ArrayLike, is_correct: ArrayLike) -> tuple[Gaussian, Gaussian]:
    """Return the Gaussians of the correct and of the wrong predictions' confidences.

    Raises
    ------
    UndefinedMetricError
        If a side is empty, constant, or holds an infinite confidence.
    """
    values, correct = checked(confidence, is_correct)
    correct_side, wrong_side = (_fit(values[rows], name) for rows, name in ((correct, "correct"), (~correct, "wrong")))
    return correct_side, wrong_side


def _fit(values: np.ndarray, name: str) -> Gaussian:
    differ = len(values) > 0 and bool(np.isfinite(values).all()) and values.min() != values.max()
    require_defined(differ, f"finite confidences that differ among the {name} predictions, found {len(values)}")
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        side = Gaussian(float(values.mean()), float(values.var()))
    held = 0 < side.variance < 1e150 and abs(side.mean) <= 1e150
    require_defined(held, f"a variance that a float holds, found {side.variance}")
    return side


def bhattacharyya_distance(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Return ¼ ln(¼ (σ₁²/σ₂² + σ₂²/σ₁² + 2)) + ¼ Δμ² / (σ₁² + σ₂²), ≥ 0 (paper, Appendix G)."""
    a, b = fit_sides(confidence, is_correct)
    spread = a.variance / b.variance + b.variance / a.variance + 2
    return 0.25 * math.log(spread / 4) + 0.25 * (a.mean - b.mean) ** 2 / (a.variance + b.variance)


def average_kl(confidence: ArrayLike, is_correct: ArrayLike) -> float:
    """Return the mean of both Kullback-Leibler divergences, in nats, ≥ 0 (paper, Appendix G).

    KL(1‖2) = ln(σ₂/σ₁) + (σ₁² + Δμ²) / (2 σ₂²) − ½. The authors' code lacks the factor 2; see
    :func:`steepslope.metrics.paper.average_kl`.
    """
    a, b = fit_sides(confidence, is_correct)
    return (kl(a, b) + kl(b, a)) / 2


def kl(a: Gaussian, b: Gaussian) -> float:
    """Return the Kullback-Leibler divergence of Gaussian b from a, in nats."""
    return 0.5 * (math.log(b.variance / a.variance) + (a.variance + (a.mean - b.mean) ** 2) / b.variance - 1)


# Functions of (confidence, is_correct).
SEPARABILITY: dict[str, Metric] = {
    "average_kl": Metric(average_kl, "average KL", "The mean of both Kullback-Leibler divergences, in nats.", scale=1),
    "bhattacharyya_distance": Metric(
        bhattacharyya_distance, "Bhattacharyya distance", "The Bhattacharyya distance of the Gaussians.", scale=1
    ),
}
