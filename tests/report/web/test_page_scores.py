"""Operating points are counts at thresholds: those of the metrics, and of a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import expit
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from steepslope.metrics import coverage_at_risk, fpr_at_tpr, risk_coverage_curve
from steepslope.outputs import ClassifierOutputs
from steepslope.report._confidences import Scored
from steepslope.report.web._page_scores import (
    AS_IT_IS,
    LEARNT,
    _page_points,
    page_reliability,
    page_score_estimates,
    page_scores,
)
from tests.report.samples import with_noise

VALUES = st.sampled_from([-np.inf, -1e308, -2.0, -0.5, 0.0, 1e-300, 0.5, 0.5000000000000001, 3.0, 1e308, np.inf])
ROWS = st.lists(st.tuples(VALUES, st.booleans()), min_size=1, max_size=60)


@given(ROWS, st.lists(st.floats(-5, 5), max_size=3))
def test_counts_are_those_of_a_loop(rows: list[tuple[float, bool]], also: list[float]) -> None:
    confidence, is_correct = np.array([value for value, _ in rows]), np.array([right for _, right in rows])
    points, _ = _page_points(confidence, is_correct, also)
    for threshold, correct, wrong in list(zip(points.threshold, points.correct, points.wrong, strict=True))[:-1]:
        above = [right for value, right in rows if value > threshold]
        assert (correct, wrong) == (sum(above), len(above) - sum(above))
    assert (points.correct[-1], points.wrong[-1]) == (is_correct.sum(), (~is_correct).sum())
    assert np.all(points.threshold[1:] < points.threshold[:-1])
    assert points.correct[0] + points.wrong[0] == 0
    accepted = set((points.correct + points.wrong).tolist())
    assert accepted >= {int(np.sum(confidence > value)) for value in confidence}
    for threshold in also:
        assert points.threshold[points.at(threshold)] == threshold


def test_many_rows_have_few_points_and_these_lie_on_the_curve() -> None:
    rng = np.random.default_rng(0)
    is_correct = rng.random(30_000) < 0.95
    confidence = rng.normal(size=30_000) + 2 * is_correct
    points, found = _page_points(confidence, is_correct)
    curve = risk_coverage_curve(confidence, is_correct)
    assert 400 < len(points.threshold) <= 615
    places = {label: points.at(threshold) for label, threshold in found}
    stops = {label: int(points.correct[place] + points.wrong[place]) for label, place in places.items()}
    for percent in (1, 2, 5):
        assert stops[f"risk ≤ {percent} % on these rows"] == round(
            30_000 * coverage_at_risk(confidence, is_correct, percent / 100)
        )
    for percent in (80, 90, 95):
        assert stops[f"coverage {percent} %"] == 300 * percent
    place = places["TPR 95 %"]
    assert points.wrong[place] / points.wrong[-1] == fpr_at_tpr(confidence, is_correct, tpr=0.95)
    accepted = points.correct + points.wrong
    assert np.diff(accepted).max() <= 80  # an even spacing by coverage
    assert np.diff(points.wrong).max() <= 9  # and by errors
    ranks = accepted[1:] - 1  # all confidences are distinct
    assert curve.risk[ranks] == pytest.approx(points.wrong[1:] / accepted[1:], abs=1e-12)
    assert not np.isin(points.threshold, confidence).any()  # so that > and >= accept the same


def test_groups_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(1000)
    is_correct = rng.random(1000) < probability
    found = page_reliability(probability, is_correct)
    observed, predicted = calibration_curve(is_correct, probability, n_bins=10, strategy="quantile")
    assert [one["observed"] for one in found] == pytest.approx(observed, abs=0.02)
    assert [one["predicted"] for one in found] == pytest.approx(predicted, abs=0.01)
    first = binomtest(round(100 * found[0]["observed"]), 100).proportion_ci(0.95, "exact")
    assert (found[0]["low"], found[0]["high"]) == pytest.approx((first.low, first.high), abs=1e-4)


def test_a_map_that_is_learnt_finds_the_probability() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(1, 1.5, size=20_000)
    is_correct = rng.random(20_000) < expit(truth)
    learnt = page_score_estimates(Scored("x", None, truth * 3 + 4, "logit"), is_correct)[LEARNT]
    assert np.abs(learnt - expit(truth)).max() < 0.03


def test_pure_noise_is_not_called_predictive() -> None:
    """Learnt on its own rows, a map of noise would seem to know something."""
    rng = np.random.default_rng(2)
    is_correct = rng.random(200) < 0.8
    learnt = page_score_estimates(Scored("x", None, rng.normal(size=200), "logit"), is_correct)[LEARNT]
    assert abs(np.corrcoef(learnt, is_correct)[0, 1]) < 0.2


@pytest.mark.parametrize(("scale", "kinds"), [("logit", [AS_IT_IS, LEARNT]), ("rank", [LEARNT])])
def test_only_what_claims_to_be_a_probability_is_taken_for_one(scale: str, kinds: list[str]) -> None:
    rng = np.random.default_rng(3)
    found = page_score_estimates(Scored("x", None, rng.normal(size=300), scale), rng.random(300) < 0.7)
    assert list(found) == kinds


def test_without_errors_nothing_is_learnt() -> None:
    assert page_score_estimates(Scored("x", None, np.arange(9.0), "rank"), np.ones(9, dtype=np.bool_)) == {}


def test_the_risk_at_each_point_has_its_exact_interval(outputs: ClassifierOutputs) -> None:
    points = page_scores(with_noise(outputs, bootstrap=0))["scores"][0]["points"]
    for place in (0, len(points["wrong"]) // 2, -1):
        wrong = points["wrong"][place]
        accepted = wrong + points["correct"][place]
        expected = binomtest(wrong, accepted).proportion_ci(0.95, "exact") if accepted else (0, 1)
        assert (points["low"][place], points["high"][place]) == pytest.approx(tuple(expected), abs=1e-5)
