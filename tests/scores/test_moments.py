"""Mahalanobis distances against scipy's, the covariance against scikit-learn's, and SIRC against its definition."""

from statistics import fmean, pstdev
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import ledoit_wolf

from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP, _moments as moments
from steepslope.scores._moments import SIRC, MahalanobisRatio
from tests.conftest import make_outputs

mp = mpmath.mp.clone()
mp.dps = 700  # softmaxes of logits up to 600 apart


def drawn(n: int, d: int, num_classes: int, seed: int = 0) -> ClassifierOutputs:
    """Make features far from the origin, of classes of one covariance that is not round."""
    rng = np.random.default_rng(seed)
    shape = np.random.default_rng(9).normal(size=(d, d))
    centres = 3 * np.random.default_rng(8).normal(size=(num_classes, d))
    labels = rng.integers(num_classes, size=n)
    features = 100 + centres[labels] + rng.normal(size=(n, d)) @ shape
    return ClassifierOutputs(rng.normal(size=(n, num_classes)), labels, features)


def expected_of(training: ClassifierOutputs, outputs: ClassifierOutputs) -> list[float]:
    """Follow the definition with the libraries' functions, one pair at a time."""
    features = training.require_features().astype(np.float64)
    means = np.stack([features[training.labels == label].mean(axis=0) for label in range(training.num_classes)])
    covariance, _ = ledoit_wolf(features - means[training.labels], assume_centered=True)
    inverse, ratios = np.linalg.inv(covariance), []
    for row, predicted in zip(outputs.require_features(), outputs.predictions, strict=True):
        distances = [mahalanobis(row, mean, inverse) for mean in means]
        own = distances.pop(int(predicted))
        ratios.append(np.log(min(distances)) - np.log(own))
    return ratios


@pytest.mark.parametrize(
    ("n", "d", "num_classes", "rows"), [(500, 3, 4, 70), (300, 1, 2, 4_096), (60, 150, 3, 70), (2000, 20, 10, 4_096)]
)
def test_confidence_is_the_definition(
    n: int, d: int, num_classes: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "BLOCK_ROWS", rows)
    training, outputs = drawn(n, d, num_classes), drawn(150, d, num_classes, seed=1)
    found = MahalanobisRatio().fit(training).confidence(outputs)
    np.testing.assert_allclose(found, expected_of(training, outputs), rtol=1e-6, atol=1e-8)


def test_classes_without_references_are_infinitely_far() -> None:
    features = np.array([[0.0], [2.0], [4.0], [6.0]])
    training = ClassifierOutputs(np.zeros((4, 4)), [0, 0, 1, 1], features)
    outputs = ClassifierOutputs(np.eye(4)[[0, 2, 3]], [0, 0, 0], np.array([[2.0], [2.0], [2.0]]))
    confidence = MahalanobisRatio().fit(training).confidence(outputs)
    assert confidence[0] == pytest.approx(np.log(3))  # 3 away from class 1's mean, 1 from class 0's
    assert confidence[1] == confidence[2] < -80
    alone = ClassifierOutputs(np.zeros((2, 4)), [0, 0], features[:2])
    assert MahalanobisRatio().fit(alone).confidence(outputs)[0] > 80


def test_features_that_never_change_are_survived() -> None:
    flat = ClassifierOutputs(np.eye(4), np.arange(4), np.ones((4, 3)))
    assert (MahalanobisRatio().fit(flat).confidence(flat) == 0).all()
    features = make_outputs().require_features().copy()
    features[:, 2] = 7
    outputs = make_outputs().changed(features=features)
    assert np.isfinite(MahalanobisRatio().fit(outputs).confidence(outputs)).all()


def sirc_of(training: ClassifierOutputs, outputs: ClassifierOutputs) -> list[Any]:
    """Follow the paper: S₁ the largest softmax probability, S₂ the norm, C = −(1 − S₁)(1 + exp(−b (S₂ − a)))."""
    seen = [sum(abs(one) for one in row) for row in training.require_features().tolist()]
    a, b = fmean(seen) - 3 * pstdev(seen), 1 / pstdev(seen)
    found = []
    for logits, row in zip(outputs.logits.tolist(), outputs.require_features().tolist(), strict=True):
        powers = [mp.exp(one) for one in logits]
        norm = sum(abs(one) for one in row)
        found.append(-(1 - max(powers) / sum(powers)) * (1 + mp.exp(-b * (norm - a))))
    return found


@pytest.mark.parametrize(("sharpness", "size"), [(1, 1), (1e-9, 1), (100, 1), (1, 0), (1, 1e-3), (1, 30), (3, 100)])
@pytest.mark.parametrize("rows", [70, 4_096])
def test_sirc_is_the_logarithm_of_the_papers_score(
    rows: int, sharpness: float, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "BLOCK_ROWS", rows)
    training, outputs = make_outputs(300, seed=1), make_outputs(100)
    outputs = outputs.changed(
        logits=sharpness * outputs.logits.astype(np.float64), features=size * outputs.require_features()
    )
    expected = sirc_of(training, outputs)
    found = SIRC().fit(training).confidence(outputs)
    np.testing.assert_allclose(found, [float(-mp.log(-one)) for one in expected], rtol=1e-6, atol=1e-9)
    assert np.argsort(found).tolist() == sorted(range(100), key=lambda row: expected[row])


def test_sirc_lowers_small_features_and_keeps_sure_predictions_apart() -> None:
    training = drawn(500, 3, 2)
    usual = np.abs(training.require_features()).sum(axis=1).mean()
    gaps = np.linspace(30, 2_000, 50)
    outputs = ClassifierOutputs(np.column_stack([gaps, 0 * gaps]), [0] * 50, np.zeros((50, 3)))
    score = SIRC().fit(training)
    small = score.confidence(outputs)
    assert (np.diff(small) > 0).all()
    found = score.confidence(outputs.changed(features=np.full((50, 3), usual / 3)))
    np.testing.assert_allclose(found, gaps - np.log1p(np.exp(-3)), rtol=1e-9)
    assert (small < found - 10).all()


def unit_rows(outputs: ClassifierOutputs, dtype: Any) -> ClassifierOutputs:
    """Return the same with features whose absolute values add up to 1, but for rounding."""
    features = outputs.require_features().astype(np.float64)
    return outputs.changed(features=(features / np.abs(features).sum(axis=1, keepdims=True)).astype(dtype))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_sirc_ranks_as_mcp_where_all_features_are_of_one_size(dtype: Any) -> None:
    outputs = make_outputs()
    mcp = MCP().confidence(outputs)
    flat = outputs.changed(features=np.full((400, 6), 0.1, dtype=dtype))
    for seen in (flat, unit_rows(outputs, dtype), outputs.changed(features=np.zeros((400, 6), dtype=dtype))):
        score = SIRC().fit(seen)
        assert score.slope_ == 0
        for rows in (seen, outputs):
            assert np.argsort(score.confidence(rows)).tolist() == np.argsort(mcp).tolist()
