"""The mix of predictions that have no labels, and where none explains them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.gate import Gate
from steepslope.gate.mix import estimate_new_mix
from steepslope.promise.calibration import CalibrationRows
from steepslope.scores import MCP
from tests.promise.references import MIX, SHARES, make_rows

CALIBRATION, COMING = make_rows(4_000, SHARES, 0), make_rows(2_000, [*MIX.values()], 1)


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate.of(MCP(), CALIBRATION, max_risk=0.1)


def test_the_mix_of_predictions_is_estimated(gate: Gate) -> None:
    found = estimate_new_mix(gate, gate.decide(COMING).p_correct, COMING.predictions)
    assert found is not None
    assert found.why == ""
    assert found.shares == pytest.approx(MIX, abs=0.05)
    assert found.usual == pytest.approx(
        dict(zip("abc", np.bincount(CALIBRATION.require_labels()) / 4_000, strict=True))
    )


def test_what_no_mix_explains_is_said(gate: Gate) -> None:
    surer = COMING.changed(logits=1.5 * COMING.logits)
    found = estimate_new_mix(gate, gate.decide(surer).p_correct, surer.predictions)
    assert found is not None
    assert found.why.startswith("no mix of the classes explains what is predicted for these rows: ")
    assert not found.shares


def test_where_it_cannot_be_told_nothing_is_said(gate: Gate) -> None:
    p_correct, predicted = gate.decide(COMING).p_correct, COMING.predictions
    assert estimate_new_mix(gate, p_correct[:100], predicted[:100]) is None
    assert estimate_new_mix(gate, p_correct, None) is None
    by_class = Gate.of(MCP(), CALIBRATION, max_risk=0.1, by="predicted")
    assert estimate_new_mix(by_class, p_correct, predicted) is None
    alone = Gate.calibrate(MCP().confidence(CALIBRATION), CALIBRATION.is_correct, 0.1)
    assert estimate_new_mix(alone, p_correct, predicted) is None
    few = Gate.of(MCP(), make_rows(2_000, [0.01, 0.29, 0.7], 3), max_risk=0.1)
    assert estimate_new_mix(few, p_correct, predicted) is None


def test_the_true_classes_are_kept_with_the_gate(gate: Gate, tmp_path: Path) -> None:
    gate.save(tmp_path)
    rows = Gate.load(tmp_path).calibration_rows
    assert isinstance(rows, CalibrationRows)
    assert rows.true is not None
    np.testing.assert_array_equal(rows.true == rows.predicted, rows.is_correct)
