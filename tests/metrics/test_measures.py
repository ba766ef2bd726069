"""Every metric against its definition, against scikit-learn, and against what must hold of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from steepslope import metrics
from steepslope.errors import SteepslopeError, UndefinedMetricError
from tests.metrics import references
from tests.metrics.references import Bools, Floats

Metric = Callable[[Any, Any], float]
BY_REFERENCE: dict[str, tuple[Metric, Metric]] = {
    "auroc": (metrics.auroc, references.auroc),
    "aupr_success": (metrics.aupr_success, references.aupr_success),
    "aupr_error": (metrics.aupr_error, references.aupr_error),
    "fpr_at_95tpr": (metrics.fpr_at_tpr, references.fpr_at_95tpr),
    "aurc": (metrics.aurc, references.aurc),
    "augrc": (metrics.augrc, references.augrc),
    "e_aurc": (metrics.e_aurc, references.e_aurc),
}
RANKING: dict[str, Metric] = {name: ours for name, (ours, _) in BY_REFERENCE.items()}
NEED_BOTH = ["auroc", "aupr_success", "aupr_error", "fpr_at_95tpr", "e_aurc"]


@st.composite
def predictions(draw: st.DrawFn, max_size: int = 7) -> tuple[Floats, Bools]:
    """Few distinct confidences, so that ties are common; at least one error and one success."""
    n = draw(st.integers(2, max_size))
    confidence = draw(st.lists(st.integers(-2, 2), min_size=n, max_size=n))
    is_correct = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    assume(0 < sum(is_correct) < n)
    return np.array(confidence, dtype=np.float64), np.array(is_correct)


def large(n: int = 3000, seed: int = 0) -> tuple[Floats, Bools]:
    """Make a sample with ties in which confidence is informative."""
    rng = np.random.default_rng(seed)
    confidence = rng.normal(size=n).round(1)
    return confidence, rng.random(n) < 1 / (1 + np.exp(-2 - confidence))


@pytest.mark.parametrize("name", BY_REFERENCE)
@settings(max_examples=300, deadline=None)
@given(sample=predictions())
def test_metric_is_its_definition(name: str, sample: tuple[Floats, Bools]) -> None:
    ours, reference = BY_REFERENCE[name]
    assert ours(*sample) == pytest.approx(reference(*sample), abs=1e-12)


@given(sample=predictions(60))
def test_ranking_metrics_are_scikit_learns(sample: tuple[Floats, Bools]) -> None:
    _compare_with_scikit_learn(*sample)


def test_ranking_metrics_are_scikit_learns_on_many_rows() -> None:
    _compare_with_scikit_learn(*large(20_000))


def _compare_with_scikit_learn(confidence: Floats, is_correct: Bools) -> None:
    fpr, tpr, _ = roc_curve(is_correct, confidence, drop_intermediate=False)
    expected = {
        "auroc": roc_auc_score(is_correct, confidence),
        "aupr_success": average_precision_score(is_correct, confidence),
        "aupr_error": average_precision_score(~is_correct, -confidence),
        "fpr_at_95tpr": fpr[np.argmax(tpr >= 0.95)],
    }
    found = {name: RANKING[name](confidence, is_correct) for name in expected}
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", RANKING)
def test_row_order_and_monotone_rescaling_change_nothing(name: str) -> None:
    confidence, is_correct = large()
    order = np.random.default_rng(1).permutation(len(confidence))
    value = RANKING[name](confidence, is_correct)
    assert RANKING[name](confidence[order], is_correct[order]) == pytest.approx(value, abs=1e-12)
    assert RANKING[name](np.exp(3 * confidence), is_correct) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("name", ["auroc", "aupr_success", "aupr_error", "fpr_at_95tpr"])
def test_doubling_all_rows_changes_nothing(name: str) -> None:
    confidence, is_correct = large()
    doubled = RANKING[name](np.repeat(confidence, 2), np.repeat(is_correct, 2))
    assert doubled == pytest.approx(RANKING[name](confidence, is_correct), abs=1e-12)


def test_aupr_error_is_aupr_success_seen_from_the_other_side() -> None:
    confidence, is_correct = large()
    mirrored = metrics.aupr_success(-confidence, ~is_correct)
    assert metrics.aupr_error(confidence, is_correct) == pytest.approx(mirrored, abs=1e-12)
    assert metrics.aupr_error(confidence, is_correct) > np.mean(~is_correct)


def test_a_perfect_ranking() -> None:
    is_correct = np.arange(100) < 80
    confidence = -np.arange(100.0)
    assert metrics.auroc(confidence, is_correct) == 1
    assert metrics.e_aurc(confidence, is_correct) == pytest.approx(0, abs=1e-15)
    assert metrics.fpr_at_tpr(confidence, is_correct) == 0
    assert metrics.fpr_at_tpr(-confidence, is_correct) == 1


def test_thresholds_trust_what_is_strictly_above() -> None:
    confidence, is_correct = [0.2, 0.5, 0.5, 0.7], [True, True, False, False]
    assert metrics.tpr(confidence, is_correct) == 0
    assert metrics.tnr(confidence, is_correct) == 0.5
    assert metrics.tpr(confidence, is_correct, threshold=0.1) == 1
    assert metrics.tnr(confidence, is_correct, threshold=0.9) == 1


def test_risk_coverage_curve_by_hand() -> None:
    curve = metrics.risk_coverage_curve([3, 2, 2, 1], [True, False, True, False])
    assert curve.coverage.tolist() == [0.25, 0.75, 1]
    assert curve.risk.tolist() == pytest.approx([0, 1 / 3, 1 / 2])
    assert curve.threshold.tolist() == [3, 2, 1]


@pytest.mark.parametrize("name", NEED_BOTH)
@pytest.mark.parametrize("side", [True, False])
@pytest.mark.parametrize("n", [1, 4])
def test_one_class_is_undefined(name: str, side: bool, n: int) -> None:
    with pytest.raises(UndefinedMetricError, match="needs at least one"):
        RANKING[name](np.arange(n), np.full(n, side))


def test_one_class_leaves_what_is_defined() -> None:
    ones = np.ones(3, dtype=bool)
    assert metrics.aurc([1, 2, 3], ones) == metrics.augrc([1, 2, 3], ones) == 0
    assert metrics.tpr([0.1, 0.9], ones[:2]) == 0.5
    with pytest.raises(UndefinedMetricError, match="at least one error"):
        metrics.tnr([0.1, 0.9], ones[:2])
    with pytest.raises(UndefinedMetricError, match="at least one correct prediction"):
        metrics.tpr([0.1, 0.9], ~ones[:2])


@pytest.mark.parametrize(
    ("confidence", "is_correct", "message"),
    [
        ([0.1, np.nan], [True, False], "found NaN in row 1"),
        ([0.1, 0.2], [True], "of one shape"),
        ([], [], "n >= 1"),
        ([[0.1]], [[True]], "of one shape"),
        (["a", "b"], [True, False], "expected numbers and booleans"),
        ([0.1, 0.2], [0, 2], "is_correct: expected booleans"),
        ([0.1, 0.2], [0.0, 0.4], "is_correct: expected booleans"),
    ],
)
def test_bad_input_is_named(confidence: Any, is_correct: Any, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        metrics.auroc(confidence, is_correct)


def test_infinite_confidences_rank_at_the_ends() -> None:
    assert metrics.auroc([np.inf, 0.0, -np.inf], [True, True, False]) == 1


def test_all_tied_is_chance() -> None:
    confidence, is_correct = np.full(50, 0.3), np.arange(50) % 5 > 0
    assert metrics.auroc(confidence, is_correct) == 0.5
    assert metrics.fpr_at_tpr(confidence, is_correct) == 1
    assert metrics.aupr_error(confidence, is_correct) == pytest.approx(0.2)
    assert metrics.aupr_success(confidence, is_correct) == pytest.approx(0.8)
    assert metrics.aurc(confidence, is_correct) == pytest.approx(0.2)
    assert metrics.augrc(confidence, is_correct) == pytest.approx(0.2 * 51 / 100)
