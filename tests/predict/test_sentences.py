"""What a run comes to, in sentences, with a warning where it looks unlike the calibration rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from steepslope.gate import Gate
from steepslope.predict.prediction_file import Summary
from steepslope.predict.sentences import sentences
from steepslope.scores import MCP
from tests.conftest import make_outputs


@pytest.fixture(scope="module")
def gate() -> Gate:
    """Return a gate that accepts about half of 4,000 rows."""
    return Gate.of(MCP(), make_outputs(4_000), 0.1, coverage=0.5)


def test_counts_are_told(gate: Gate) -> None:
    first, *others = sentences(gate, Summary(2_000, 1_000, 0, 3))
    assert first == "2,000 predictions: 1,000 accepted (50 %), 1,000 to review, 3 of these could not be read."
    assert not others
    rejecting = Gate.of(MCP(), make_outputs(4_000), 0.05, reject=0.5)
    assert "100 rejected, 900 to review." in sentences(rejecting, Summary(2_000, 1_000, 100))[0]
    assert sentences(gate, Summary()) == ["0 predictions: 0 accepted (0 %), 0 to review."]


@pytest.mark.parametrize(
    ("rows", "accepted", "warned"),
    [(4_000, 2_000, False), (4_000, 1_850, False), (4_000, 1_700, True), (4_000, 3_000, True), (10, 1, False),
     (100, 1, True), (10**6, 480_000, False), (10**6, 440_000, True), (4_000, 0, True), (4_000, 4_000, True)],
)  # fmt: skip
def test_another_coverage_warns_where_it_is_no_luck(rows: int, accepted: int, warned: bool, gate: Gate) -> None:
    found = sentences(gate, Summary(rows, accepted))
    assert len(found) == 1 + warned
    assert len(sentences(gate, Summary(rows + 2_000, accepted, 0, 2_000))) == 1 + warned  # 2,000 cannot be read
    assert not warned or (found[1].startswith("WARNING: ") and "the promise may not hold" in found[1])


def test_a_gate_that_accepts_nothing_gives_the_reason_and_warns_of_nothing() -> None:
    nothing = Gate.of(MCP(), make_outputs(400), 0.0001)
    _, reason = sentences(nothing, Summary(4_000, 0))
    assert reason == f"This gate accepts nothing: {nothing.advice}."


def test_an_unusual_hand_over_warns(gates: Path) -> None:
    gate = Gate.load(gates / "auxiliary")
    assert gate.source is not None
    assert gate.source.oracle is not None
    usual = gate.source.oracle.usual_handover
    assert usual is not None
    accepted = round(gate.coverage * 1_000)
    assert len(sentences(gate, Summary(1_000, accepted, handed_over=usual))) == 1
    found = sentences(gate, Summary(1_000, accepted, handed_over=2 * usual + 0.06))
    assert "are handed over to what needs no second backbone" in found[1]
    assert len(sentences(gate, Summary(1_000, accepted))) == 1
