"""The mix of predictions that have no labels, and where none explains them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.gate import Gate
from steepslope.gate.mix import estimate_new_mix
from steepslope.outputs import ClassifierOutputs
from steepslope.promise.calibration import CalibrationRows
from steepslope.scores import MCP

LEVELS = np.array([1.2, 2.0, 4.0])  # the first class is often wrong
CLASSES = ("ham", "spam", "fraud")


def outputs_of(shares: list[float], n: int, seed: int, noise: float = 1.0) -> ClassifierOutputs:
    """Draw outputs of three classes, of which some are harder than others."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, n, p=shares)
    logits = rng.normal(size=(n, 3)) * noise + LEVELS[labels][:, None] * np.eye(3)[labels]
    return ClassifierOutputs(3 * logits, labels, classes=CLASSES)


CALIBRATION = outputs_of([0.1, 0.2, 0.7], 4_000, 0)


@pytest.fixture(scope="module")
def gate() -> Gate:
    """Return a gate of rows whose third class is the most frequent and the easiest."""
    return Gate.of(MCP(), CALIBRATION, max_risk=0.05)


def test_the_mix_of_predictions_is_estimated(gate: Gate) -> None:
    coming = outputs_of([0.5, 0.3, 0.2], 2_000, 1)
    judged = gate.decide(coming)
    found = estimate_new_mix(gate, judged.p_correct, coming.predictions)
    assert found is not None
    assert found.why == ""
    np.testing.assert_allclose([found.shares[name] for name in CLASSES], [0.5, 0.3, 0.2], atol=0.05)
    usual = [(CALIBRATION.require_labels() == label).mean() for label in range(3)]
    assert [found.usual[name] for name in CLASSES] == pytest.approx(usual)


def test_what_no_mix_explains_is_said(gate: Gate) -> None:
    coming = outputs_of([0.1, 0.2, 0.7], 3_000, 2, noise=2.0)
    judged = gate.decide(coming)
    found = estimate_new_mix(gate, judged.p_correct, coming.predictions)
    assert found is not None
    assert found.why.startswith("no mix of the classes explains what is predicted for these rows: ")
    assert not found.shares


def test_where_it_cannot_be_told_nothing_is_said(gate: Gate) -> None:
    coming = outputs_of([0.5, 0.3, 0.2], 2_000, 1)
    p_correct, predicted = gate.decide(coming).p_correct, coming.predictions
    assert estimate_new_mix(gate, p_correct[:100], predicted[:100]) is None
    assert estimate_new_mix(gate, p_correct, None) is None
    by_class = Gate.of(MCP(), CALIBRATION, max_risk=0.05, by="predicted")
    assert estimate_new_mix(by_class, p_correct, predicted) is None
    alone = Gate.calibrate(MCP().confidence(CALIBRATION), CALIBRATION.is_correct, 0.05)
    assert estimate_new_mix(alone, p_correct, predicted) is None
    few = Gate.of(MCP(), outputs_of([0.01, 0.29, 0.7], 2_000, 3), max_risk=0.05)
    assert estimate_new_mix(few, p_correct, predicted) is None


def test_the_true_classes_are_kept_with_the_gate(gate: Gate, tmp_path: Path) -> None:
    gate.save(tmp_path)
    rows = Gate.load(tmp_path).calibration_rows
    assert isinstance(rows, CalibrationRows)
    assert rows.true is not None
    np.testing.assert_array_equal(rows.true == rows.predicted, rows.is_correct)
