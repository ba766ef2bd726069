"""Every metric against its definition, against scikit-learn, and against what must hold of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from steepslope import metrics
from steepslope.errors import UndefinedMetricError
from steepslope.metrics import METRICS
from steepslope.metrics._measures import SEPARABILITY, Metric
from steepslope.metrics._paper import PAPER_METRICS
from steepslope.metrics._ranking import rank_rows
from tests.metrics import references
from tests.metrics.references import Bools, Floats

Function = Callable[[Any, Any], float]
CALLED = {"auc": "auroc", "fpr_at_95tpr": "fpr_at_tpr"}  # in Python, where that differs from tables
PUBLIC: dict[str, Function] = {name: getattr(metrics, CALLED.get(name, name)) for name in METRICS}
PUBLIC |= {name: partial(getattr(metrics, name), threshold=0) for name in ("tpr", "tnr")}
REFERENCES: dict[str, Function] = {name: getattr(references, {"auc": "auroc"}.get(name, name)) for name in METRICS}
NEED_BOTH = ["auc", "aupr_success", "aupr_error", "fpr_at_95tpr", "e_aurc", "naurc"]
DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def in_tables(name: str, confidence: Floats, is_correct: Bools) -> float:
    """Return a metric as tables compute it, with thresholds at 0."""
    return METRICS[name].at(0, 0)(rank_rows(confidence, is_correct).ranking())


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


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=100)
@given(sample=predictions())
def test_metric_is_its_definition(name: str, sample: tuple[Floats, Bools]) -> None:
    found = in_tables(name, *sample)
    assert found == pytest.approx(REFERENCES[name](*sample), abs=1e-12)
    assert found == PUBLIC[name](*sample)


@pytest.mark.parametrize("metric", [*METRICS.values(), *SEPARABILITY.values(), *PAPER_METRICS.values()])
def test_what_tables_show_of_a_metric(metric: Metric) -> None:
    assert metric.title
    assert 0 < len(metric.short) <= 6 or not metric.short
    assert metric.definition.endswith(".")
    assert metric.heading.startswith(metric.title)
    assert metric.heading.endswith("↑" if metric.higher_is_better else "↓")
    assert ("×1000" in metric.heading) == (metric.scale == 1000)


def test_each_metric_is_documented() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for name, metric in [*METRICS.items(), *SEPARABILITY.items(), *PAPER_METRICS.items()]:
        assert f"| `{name}` | {metric.definition.removesuffix('.')} |" in text, name


@pytest.mark.parametrize("name", METRICS)
def test_arrows_point_to_what_is_better(name: str) -> None:
    """A ranking that knows more is better by every metric that looks at the ranking."""
    if name == "accuracy":
        return
    confidence, is_correct = large()
    better = in_tables(name, confidence + 2 * is_correct - 1, is_correct)
    assert (better > in_tables(name, confidence, is_correct)) == METRICS[name].higher_is_better


@given(sample=predictions(60))
def test_ranking_metrics_are_scikit_learns(sample: tuple[Floats, Bools]) -> None:
    _compare_with_scikit_learn(*sample)


def test_ranking_metrics_are_scikit_learns_on_many_rows() -> None:
    _compare_with_scikit_learn(*large(20_000))


def _compare_with_scikit_learn(confidence: Floats, is_correct: Bools) -> None:
    fpr, tpr, _ = roc_curve(is_correct, confidence, drop_intermediate=False)
    expected = {
        "auc": roc_auc_score(is_correct, confidence),
        "aupr_success": average_precision_score(is_correct, confidence),
        "aupr_error": average_precision_score(~is_correct, -confidence),
        "fpr_at_95tpr": fpr[np.argmax(tpr >= 0.95)],
    }
    found = {name: in_tables(name, confidence, is_correct) for name in expected}
    assert found == pytest.approx(expected, abs=1e-12)


def test_a_perfect_ranking_may_have_infinite_confidences() -> None:
    assert metrics.auroc([np.inf, 0.0, -np.inf], [True, True, False]) == 1


def test_thresholds_trust_what_is_strictly_above() -> None:
    confidence, is_correct = [0.2, 0.5, 0.5, 0.7], [True, True, False, False]
    assert metrics.tpr(confidence, is_correct) == 0
    assert metrics.tnr(confidence, is_correct) == 0.5
    assert metrics.tpr(confidence, is_correct, threshold=0.1) == 1
    assert metrics.tnr(confidence, is_correct, threshold=0.9) == 1


@pytest.mark.parametrize("name", NEED_BOTH)
@pytest.mark.parametrize("side", [True, False])
@pytest.mark.parametrize("n", [1, 4])
def test_one_class_is_undefined(name: str, side: bool, n: int) -> None:
    with pytest.raises(UndefinedMetricError, match="needs at least one"):
        PUBLIC[name](np.arange(n), np.full(n, side))


def test_one_class_leaves_what_is_defined() -> None:
    ones = np.ones(3, dtype=bool)
    assert metrics.aurc([1, 2, 3], ones) == metrics.augrc([1, 2, 3], ones) == 0
    assert metrics.tpr([0.1, 0.9], ones[:2]) == 0.5
    with pytest.raises(UndefinedMetricError, match="at least one error"):
        metrics.tnr([0.1, 0.9], ones[:2])
    with pytest.raises(UndefinedMetricError, match="at least one correct prediction"):
        metrics.tpr([0.1, 0.9], ~ones[:2])


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
