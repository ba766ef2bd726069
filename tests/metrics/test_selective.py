"""Operating points and the confusion, against plain definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from steepslope import metrics
from steepslope.errors import SteepslopeError
from tests.metrics.references import Bools, Floats, tie_orders
from tests.metrics.test_measures import large, predictions


@settings(max_examples=200)
@given(sample=predictions(6), coverage=st.sampled_from([0.01, 0.25, 0.5, 0.55, 0.8, 1.0]))
def test_risk_at_coverage_is_the_mean_over_tie_orders(sample: tuple[Floats, Bools], coverage: float) -> None:
    confidence, is_correct = sample
    k = math.ceil(coverage * len(confidence))
    risks = [np.mean(~order[:k]) for order in tie_orders(confidence, is_correct)]
    assert metrics.risk_at_coverage(confidence, is_correct, coverage) == pytest.approx(np.mean(risks), abs=1e-12)


@given(sample=predictions(20), risk=st.sampled_from([0.0, 0.1, 0.29, 0.5, 1.0]))
def test_coverage_at_risk_is_the_best_threshold(sample: tuple[Floats, Bools], risk: float) -> None:
    confidence, is_correct = sample
    accepted = [confidence >= threshold for threshold in set(confidence)]
    expected = max([float(np.mean(a)) for a in accepted if np.mean(~is_correct[a]) <= risk], default=0.0)
    assert metrics.coverage_at_risk(confidence, is_correct, risk) == expected


def test_confusion_counts_everything_once() -> None:
    confidence, is_correct = large()
    counts = metrics.confusion(confidence, is_correct, 0.5)
    assert sum(counts.values()) == len(confidence)  # type: ignore[arg-type]
    assert counts["trusted_correct"] == np.sum(is_correct & (confidence > 0.5))
    assert counts["distrusted_wrong"] == np.sum(~is_correct & (confidence <= 0.5))


@pytest.mark.parametrize("coverage", [0.0, 1.1])
def test_numbers_out_of_range_are_named(coverage: float) -> None:
    with pytest.raises(SteepslopeError, match="coverage: expected a number from"):
        metrics.risk_at_coverage([0.1], [True], coverage)
    with pytest.raises(SteepslopeError, match="risk: expected a number from"):
        metrics.coverage_at_risk([0.1], [True], coverage - 0.05)
    with pytest.raises(SteepslopeError, match="tpr: expected a number from"):
        metrics.fpr_at_tpr([0.1, 0.2], [True, False], tpr=coverage)
