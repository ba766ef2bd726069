"""Reliability is counted group by group; a map is never shown on the rows that it was learnt on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from steepslope.report.confidences import Scored
from steepslope.report.web.page_scores import AS_IT_IS, LEARNT, cross_fitted, estimates, reliability


def test_groups_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(1000)
    is_correct = rng.random(1000) < probability
    found = reliability(probability, is_correct)
    observed, predicted = calibration_curve(is_correct, probability, n_bins=10, strategy="quantile")
    assert [one["observed"] for one in found] == pytest.approx(observed, abs=0.02)
    assert [one["predicted"] for one in found] == pytest.approx(predicted, abs=0.01)
    first = binomtest(round(100 * found[0]["observed"]), 100).proportion_ci(0.95, "exact")
    assert (found[0]["low"], found[0]["high"]) == pytest.approx((first.low, first.high), abs=1e-4)


def test_a_map_that_is_learnt_finds_the_probability() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(1, 1.5, size=20_000)
    is_correct = rng.random(20_000) < expit(truth)
    learnt = cross_fitted(Scored("x", None, truth * 3 + 4, "logit"), is_correct)
    assert learnt is not None
    assert np.abs(learnt - expit(truth)).max() < 0.03


def test_pure_noise_is_not_called_predictive() -> None:
    """Learnt on its own rows, a map of noise would seem to know something."""
    rng = np.random.default_rng(2)
    is_correct = rng.random(200) < 0.8
    learnt = cross_fitted(Scored("x", None, rng.normal(size=200), "logit"), is_correct)
    assert learnt is not None
    assert abs(np.corrcoef(learnt, is_correct)[0, 1]) < 0.2


@pytest.mark.parametrize(("scale", "kinds"), [("logit", [AS_IT_IS, LEARNT]), ("rank", [LEARNT])])
def test_only_what_claims_to_be_a_probability_is_taken_for_one(scale: str, kinds: list[str]) -> None:
    rng = np.random.default_rng(3)
    found = estimates(Scored("x", None, rng.normal(size=300), scale), rng.random(300) < 0.7)
    assert list(found) == kinds


def test_without_errors_nothing_is_learnt() -> None:
    assert cross_fitted(Scored("x", None, np.arange(9.0), "rank"), np.ones(9, dtype=np.bool_)) is None
