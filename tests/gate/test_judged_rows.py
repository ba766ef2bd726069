"""What a gate keeps of its calibration rows is what it decides of them, and comes back from disk to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from steepslope.errors import SteepslopeError
from steepslope.files.folders import digest_of
from steepslope.files.weights import load_arrays, save_arrays
from steepslope.gate import Gate
from steepslope.gate.judged_rows import JudgedRows
from steepslope.gate.storage import JUDGED
from steepslope.scores import MCP
from tests.conftest import make_outputs


@pytest.mark.parametrize("by", [None, "predicted"])
def test_they_are_what_the_gate_decides(by: str | None, tmp_path: Path) -> None:
    outputs = make_outputs(2_000)
    gate = Gate.of(MCP(), outputs, max_risk=0.4, by=by)
    decisions = gate.decide(outputs)
    assert gate.judged is not None
    np.testing.assert_array_equal(gate.judged.accepted, decisions.accepted)
    np.testing.assert_array_equal(gate.judged.p_correct, decisions.p_correct)
    np.testing.assert_array_equal(gate.judged.is_correct, outputs.is_correct)
    assert gate.judged.probability is not None
    np.testing.assert_allclose(gate.judged.probability, softmax(outputs.logits, axis=1).max(axis=1), rtol=1e-6)
    gate.save(tmp_path)
    again = Gate.load(tmp_path).judged
    assert again is not None
    assert {name: array.tolist() for name, array in again.arrays().items()} == {
        name: array.tolist() for name, array in gate.judged.arrays().items()
    }


def test_a_gate_of_confidences_alone_knows_no_probability(tmp_path: Path) -> None:
    gate = Gate.calibrate(np.arange(500) / 500, np.arange(500) > 30, 0.05)
    gate.save(tmp_path)
    assert set(load_arrays(tmp_path / JUDGED)) == {"p_correct", "is_correct", "accepted"}
    assert len(Gate.load(tmp_path).judged or ()) == 500


def test_the_rows_of_another_risk_are_not_taken_for_its_own() -> None:
    gate = Gate.calibrate(np.arange(1_000) / 1_000, np.arange(1_000) % 20 > 0, (0.1, 0.2))
    assert gate.judged is not None
    assert gate.at(0.2).judged is None


@pytest.mark.parametrize(
    "change",
    [
        {"p_correct": np.full(3, 1.5)},
        {"p_correct": np.full(3, 0.5, np.float32)},
        {"accepted": np.ones(2, np.bool_)},
        {"further": np.ones(3)},
    ],
)
def test_arrays_that_do_not_fit_are_named(change: dict[str, Any], tmp_path: Path) -> None:
    rows = JudgedRows(np.full(3, 0.5), np.ones(3, np.bool_), np.ones(3, np.bool_), np.full(3, 0.5))
    with pytest.raises(SteepslopeError, match=r"judged: expected p_correct, is_correct, .* rows \(n,\), found p_corr"):
        JudgedRows.read(rows.arrays() | change, tmp_path / "judged")


def test_a_file_that_is_not_the_gates_own_is_refused(tmp_path: Path) -> None:
    Gate.calibrate(np.arange(500) / 500, np.arange(500) > 30, 0.05).save(tmp_path)
    arrays = load_arrays(tmp_path / JUDGED)
    save_arrays(arrays | {"accepted": ~arrays["accepted"]}, tmp_path / JUDGED)
    with pytest.raises(SteepslopeError, match="expected the gate's own file, found another"):
        Gate.load(tmp_path)


def test_a_gate_without_them_replaces_one_with_them(tmp_path: Path) -> None:
    gate = Gate.calibrate(np.arange(1_000) / 1_000, np.arange(1_000) % 20 > 0, (0.1, 0.2))
    gate.save(tmp_path)
    gate.at(0.2).save(tmp_path)
    assert not (tmp_path / JUDGED).exists()
    card = json.loads((tmp_path / "gate.json").read_text())
    assert card["digest"] == digest_of({name: card[name] for name in card if name not in ("digest", "made")})
    assert Gate.load(tmp_path).judged is None
