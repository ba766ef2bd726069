"""The tables of gates, from invented rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.gate.decisions import class_names
from steepslope.lab.paper import gate_views as module
from steepslope.lab.paper.gate_views import (
    ALL,
    BATCH,
    HEADINGS,
    PREDICTED,
    SPLITS,
    Labelled,
    halves,
    promise_row,
    promises_grid,
)
from steepslope.scores import MCP
from tests.conftest import make_outputs

Row = dict[str, Any]


def promised(line: str, by: str = ALL, risk: float | None = 0.012, **others: Any) -> Row:
    row = {"line": line, "by": by, "max_risk": 0.02, "certified": 0.5, "coverage": 0.48, "risk": risk, "above": 3}
    return {**row, "promised": 1.0, **others}


def test_what_is_kept_is_a_block_a_promise_and_a_row_a_line() -> None:
    rows = [
        promised("MCP"), promised("fused, free", coverage=0.6), promised("MCP", risk=0.016, above=5),
        promised("MCP", PREDICTED, promised=4.0, worst_class=0.03), promised("fused, free", PREDICTED, risk=None),
    ]  # fmt: skip
    grid = promises_grid(rows, "What gates keep")
    assert (grid.title, grid.columns) == ("What gates keep", HEADINGS)
    assert [[str(cell) for cell in line] for line in grid.rows] == [
        ["**2 %, one threshold**", "", "", "", "", "", ""],
        ["MCP", "50.0 ± 0.0", "48.0 ± 0.0", "1.40 ± 0.28", "4.0 ± 1.4", "1.0 ± 0.0", "–"],
        ["fused, free", "50.0", "60.0", "1.20", "3.0", "1.0", "–"],
        ["**2 %, a threshold for each predicted class**", "", "", "", "", "", ""],
        ["MCP", "50.0", "48.0", "1.20", "3.0", "4.0", "3.00"],
        ["fused, free", "50.0", "48.0", "–", "3.0", "1.0", "–"],
    ]


RISK = 0.15  # which can be promised of each class of the small outputs


def labelled(n: int = 4_000, seed: int = 0) -> Labelled:
    """Return what MCP says of some rows, with thresholds from others."""
    fit_set, outputs = make_outputs(1_000, seed=seed + 1), make_outputs(n, seed=seed)
    source = ConfidenceSource.from_model(MCP(), 4, fit_set)
    predicted = class_names(outputs.predictions, outputs.classes)
    return Labelled(source, source.confidence(outputs), outputs.is_correct, predicted)


def test_halves_are_all_rows_once_and_differ() -> None:
    found = list(halves(11))
    assert len(found) == SPLITS
    assert {(len(known), len(new)) for known, new in found} == {(5, 6)}
    assert all(sorted([*known, *new]) == list(range(11)) for known, new in found)
    assert len({tuple(known) for known, _ in found}) > 1


def test_some_rows_are_those_rows() -> None:
    one = labelled(100)
    assert one.subset(np.array([7, 3])).confidence.tolist() == one.confidence[[7, 3]].tolist()


@pytest.mark.parametrize("by", [ALL, PREDICTED, BATCH])
def test_kept_counts_what_is_accepted_of_the_other_half(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one split, the numbers are those of a gate that is calibrated and counted by hand."""
    monkeypatch.setattr(module, "SPLITS", 1)
    one = labelled()
    ((known, new),) = halves(len(one))
    gate = one.subset(known).gate(RISK, by_class=by == PREDICTED)
    groups = one.predicted[new] if by == PREDICTED else None
    accepted = gate.selects(one.confidence[new], RISK) if by == BATCH else gate.accepts(one.confidence[new], groups)
    wrong = accepted & ~one.is_correct[new]
    row = promise_row(one, RISK, by)
    assert row["coverage"] == pytest.approx(accepted.mean())
    assert row["risk"] == pytest.approx(wrong.sum() / accepted.sum())
    assert row["above"] == int(row["risk"] > RISK)
    if by == PREDICTED:
        parts = [one.predicted[new] == name for name in np.unique(one.predicted)]
        assert row["worst_class"] == pytest.approx(max(wrong[part].sum() / accepted[part].sum() for part in parts))
        assert row["promised"] == 4


def test_kept_where_nothing_can_be_promised() -> None:
    """Few rows promise nothing: none is accepted, and no risk is known."""
    row = promise_row(labelled(100), 0.01)
    assert (row["coverage"], row["risk"], row["above"], row["promised"]) == (0, None, 0, 0)
