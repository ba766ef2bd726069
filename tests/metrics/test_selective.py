"""Operating points and the confusion, against plain definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy.stats import fisher_exact

from steepslope import metrics
from steepslope.errors import SteepslopeError
from steepslope.metrics._selective import confusion, group_risks, holm_corrected
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
@example(sample=(np.array([3.0, 2.0, 1.0]), np.zeros(3, dtype=np.bool_)), risk=0.5)
def test_coverage_at_risk_is_the_best_threshold(sample: tuple[Floats, Bools], risk: float) -> None:
    confidence, is_correct = sample
    accepted = [confidence >= threshold for threshold in set(confidence)]
    expected = max([float(np.mean(a)) for a in accepted if np.mean(~is_correct[a]) <= risk], default=0.0)
    assert metrics.coverage_at_risk(confidence, is_correct, risk) == expected


def test_confusion_counts_everything_once() -> None:
    confidence, is_correct = large()
    counts = confusion(confidence, is_correct)  # of confidences in [0, 1]: at ½
    assert counts == confusion(confidence, is_correct, 0.5)
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


def test_a_group_with_more_errors_is_listed() -> None:
    rng = np.random.default_rng(0)
    groups = rng.choice(["north", "south", "west"], size=3000)
    confidence = rng.random(3000)
    is_correct = rng.random(3000) < np.where(groups == "south", 0.8, 0.95)
    rows = {row.group: row for row in group_risks(confidence, is_correct, groups, 0.3)}
    assert [name for name, row in rows.items() if row.worse] == ["south"]
    inside, trusted = groups == "south", confidence > 0.3
    south = rows["south"]
    assert south.n == inside.sum()
    assert south.accuracy == np.mean(is_correct[inside])
    assert south.coverage == np.mean(trusted[inside])
    assert south.risk == np.mean(~is_correct[inside & trusted])
    counts = [[np.sum(inside & trusted & ~is_correct), np.sum(inside & trusted & is_correct)]]
    counts += [[np.sum(~inside & trusted & ~is_correct), np.sum(~inside & trusted & is_correct)]]
    assert south.p == pytest.approx(3 * fisher_exact(counts, alternative="greater").pvalue, rel=1e-9, abs=0)


def test_groups_with_names_and_without_trust() -> None:
    rows = group_risks([0.9, 0.1], [True, False], [0, 2], names=["a", "b", "c"])
    assert [(row.group, row.coverage) for row in rows] == [("a", 1.0), ("c", 0.0)]
    assert math.isnan(rows[1].risk)
    with pytest.raises(SteepslopeError, match="groups: expected 2 rows"):
        group_risks([0.9, 0.1], [True, False], [1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_monotone_and_bounded_by_bonferroni(p: list[float]) -> None:
    corrected = holm_corrected(np.array(p))
    assert (corrected >= np.array(p)).all()
    assert (corrected <= np.minimum(1, len(p) * np.array(p)) + 1e-15).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()
