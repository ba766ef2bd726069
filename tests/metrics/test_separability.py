"""Distances of Gaussians, against integrals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from steepslope import metrics
from steepslope.errors import UndefinedMetricError
from tests.metrics.test_measures import large


def test_separability_is_that_of_the_integrals() -> None:
    confidence, is_correct = large()
    a, b = (norm(confidence[rows].mean(), confidence[rows].std()) for rows in (is_correct, ~is_correct))

    def kl(p: Any, q: Any) -> float:
        return float(quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -12, 12)[0])

    overlap = quad(lambda x: np.sqrt(a.pdf(x) * b.pdf(x)), -12, 12)[0]
    assert metrics.average_kl(confidence, is_correct) == pytest.approx((kl(a, b) + kl(b, a)) / 2, rel=1e-6)
    assert metrics.bhattacharyya_distance(confidence, is_correct) == pytest.approx(-np.log(overlap), rel=1e-6)


def test_identical_sides_are_not_separable() -> None:
    confidence, is_correct = np.array([0.0, 1.0, 0.0, 1.0]), np.array([True, True, False, False])
    assert metrics.average_kl(confidence, is_correct) == 0
    assert metrics.bhattacharyya_distance(confidence, is_correct) == 0


@pytest.mark.parametrize("confidence", [[1.0, 1.0, 0.0, 1.0], [np.inf, 1.0, 0.0, 1.0]])
def test_undefined_separability_is_named(confidence: list[float]) -> None:
    with pytest.raises(UndefinedMetricError, match="needs finite confidences that differ"):
        metrics.average_kl(confidence, [True, True, False, False])
