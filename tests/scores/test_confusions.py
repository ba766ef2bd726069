"""RelU against its definition, and against searching for a better matrix."""

from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from steepslope.metrics import aurc
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import Doctor
from steepslope.scores.fitted import RelU
from tests.conftest import make_outputs


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    exponents = np.exp(logits.astype(np.float64))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def mean_square(outputs: ClassifierOutputs, rows: NDArray[np.bool_]) -> Any:
    p = softmax(outputs.logits[rows])
    return np.mean([np.outer(one, one) for one in p], axis=0)


def confused(n: int, seed: int) -> ClassifierOutputs:
    """Make predictions that are unsure between 0 and 1 for nothing, and wrong wherever 2 or 3 has some probability."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=n)
    logits = 8 * np.eye(4)[labels] + 0.3 * rng.normal(size=(n, 4))
    low = labels < 2
    logits[low, 1 - labels[low]] = 8 - rng.random(low.sum())
    wrong = ~low & (rng.random(n) < 0.4)
    logits[wrong, 5 - labels[wrong]] = 5.5
    given = np.where(wrong, 5 - labels, logits.argmax(axis=1))
    return ClassifierOutputs(logits, given)


def test_confidence_is_the_definition() -> None:
    fit_set, outputs = confused(500, 1), confused(300, 2)
    wrong, correct = mean_square(fit_set, ~fit_set.is_correct), mean_square(fit_set, fit_set.is_correct)
    distances = np.clip(0.5 * wrong - 0.5 * correct, 0, None) * (1 - np.eye(4))
    assert distances.any()
    distances /= np.sqrt((distances**2).sum())
    p = softmax(outputs.logits)
    expected = [-np.log(sum(one[i] * one[j] * distances[i, j] for i in range(4) for j in range(4))) for one in p]
    found = RelU(fallback=False).fit(fit_set).confidence(outputs)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_sure_predictions_stay_apart() -> None:
    """Gaps of 30 to 5,000, where p pᵀ underflows; also where the likeliest confusion has distance 0."""
    gaps = np.linspace(30, 5000, 500)
    logits = np.column_stack([gaps, np.zeros(500), np.full(500, -1.0), np.full(500, -1.5)])
    outputs = ClassifierOutputs(logits, np.zeros(500, dtype=int))
    for distance in (1.0, 0.0):
        distances = np.zeros((4, 4))
        distances[0, 1] = distances[1, 0] = distance
        distances[2, 3] = distances[3, 2] = 1.0
        confidence = RelU.restored({"distances": distances}, 4).confidence(outputs)
        assert np.isfinite(confidence).all()
        assert (np.diff(confidence) > 0).all()
        mp = mpmath.mp.clone()
        mp.dps = 50
        p = [mp.exp(one) / sum(mp.exp(other) for other in logits[1]) for one in map(mp.mpf, logits[1])]
        expected = -mp.log(2 * distance * p[0] * p[1] + 2 * p[2] * p[3])
        assert confidence[1] == pytest.approx(float(expected), rel=1e-9)


def test_without_an_entry_above_0_it_ranks_as_doctor() -> None:
    """Wrong rows that are surer than correct ones leave nothing."""
    logits = np.array([[9.0, 0, 0], [0, 9, 0], [1, 0, 0.5], [0.2, 1, 0]])
    outputs = ClassifierOutputs(logits, [1, 0, 0, 1])
    score = RelU(fallback=False).fit(outputs)
    np.testing.assert_allclose(score.state()["distances"], (1 - np.eye(3)) / np.sqrt(6))
    unseen = make_outputs(num_classes=3)
    assert spearmanr(score.confidence(unseen), Doctor().confidence(unseen)).statistic > 1 - 1e-12


def drawn(n: int, seed: int, num_classes: int = 60) -> ClassifierOutputs:
    """Draw labels from the softmax itself: there is no more to learn of them."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, num_classes))
    return ClassifierOutputs(logits, (logits + rng.gumbel(size=logits.shape)).argmax(axis=1))


def test_it_does_not_learn_few_rows_by_heart() -> None:
    fit_set, unseen = drawn(1000, 1), drawn(1000, 2)
    by_heart = RelU(fallback=False).fit(fit_set)
    seen, new = (aurc(by_heart.confidence(one), one.is_correct) for one in (fit_set, unseen))
    assert new > seen + 0.05
    score = RelU().fit(fit_set)
    ranks = spearmanr(score.confidence(unseen), Doctor().confidence(unseen))
    assert ranks.statistic > 1 - 1e-12


@pytest.mark.parametrize("fallback", [True, False])
def test_entries_too_small_for_their_squares_are_equal(fallback: bool) -> None:
    """A classifier may be so sure that p pᵀ beside its diagonal is below the square root of the smallest number."""
    labels = np.tile([0, 1, 2], 20)
    predicted = np.where(np.arange(60) < 12, (labels + 1) % 3, labels)
    logits = np.where(predicted[:, None] == np.arange(3), 600.0, 0.0).astype(np.float32)
    score = RelU(fallback=fallback).fit(ClassifierOutputs(logits, labels))
    assert score.distances_ is not None
    np.testing.assert_array_equal(score.distances_, (1 - np.eye(3)) / np.sqrt(6))
