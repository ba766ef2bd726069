"""What a gate promises on some rows and keeps on others, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.paper import gate_views as module
from steepslope.paper.gate_views import ALL, BATCH, PREDICTED, SPLITS, Judged, caught, halves, kept, shifted_row
from steepslope.scores import MCP
from tests.conftest import make_outputs

RISK = 0.15  # which can be promised of each class of the small outputs


def judged(n: int = 4_000, seed: int = 0) -> Judged:
    """ConfidenceSource rows by MCP, with thresholds from others."""
    fit_set = make_outputs(1_000, seed=seed + 1)
    return Judged.of(ConfidenceSource.from_model(MCP(), 4, fit_set), make_outputs(n, seed=seed))


def test_halves_are_all_rows_once_and_differ() -> None:
    found = list(halves(11))
    assert len(found) == SPLITS
    assert {(len(known), len(new)) for known, new in found} == {(5, 6)}
    assert all(sorted([*known, *new]) == list(range(11)) for known, new in found)
    assert len({tuple(known) for known, _ in found}) > 1


def test_some_rows_are_those_rows() -> None:
    one = replace(judged(100), handed_over=np.arange(100.0))
    some = one.subset(np.array([7, 3]))
    assert len(some) == 2
    assert some.confidence.tolist() == one.confidence[[7, 3]].tolist()
    assert some.is_correct.tolist() == one.is_correct[[7, 3]].tolist()
    assert some.predicted.tolist() == one.predicted[[7, 3]].tolist()
    assert some.handed_over is not None
    assert some.handed_over.tolist() == [7, 3]


@pytest.mark.parametrize("by", [ALL, PREDICTED, BATCH])
def test_kept_counts_what_is_accepted_of_the_other_half(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one split, the numbers are those of a gate that is calibrated and counted by hand."""
    monkeypatch.setattr(module, "SPLITS", 1)
    one = judged()
    ((known, new),) = halves(len(one))
    gate = one.subset(known).gate(RISK, by_class=by == PREDICTED)
    groups = one.predicted[new] if by == PREDICTED else None
    accepted = gate.selects(one.confidence[new], RISK) if by == BATCH else gate.accepts(one.confidence[new], groups)
    wrong = accepted & ~one.is_correct[new]
    row = kept(one, RISK, by)
    assert row["coverage"] == pytest.approx(accepted.mean())
    assert row["risk"] == pytest.approx(wrong.sum() / accepted.sum())
    assert row["above"] == int(row["risk"] > RISK)
    if by == PREDICTED:
        parts = [one.predicted[new] == name for name in np.unique(one.predicted)]
        assert row["worst_class"] == pytest.approx(max(wrong[part].sum() / accepted[part].sum() for part in parts))
        assert row["promised"] == 4


def test_kept_where_nothing_can_be_promised() -> None:
    """Few rows promise nothing: none is accepted, and no risk is known."""
    row = kept(judged(100), 0.01)
    assert (row["coverage"], row["risk"], row["above"], row["promised"]) == (0, None, 0, 0)


@pytest.mark.parametrize(("wrong", "broken", "kept_it"), [(0.0, False, True), (0.25, True, False)])
def test_a_broken_promise_is_one_whose_lower_bound_is_above_it(wrong: float, broken: bool, kept_it: bool) -> None:
    one = judged()
    gate = one.gate(0.05)
    accepted = gate.accepts(one.confidence)
    is_correct = ~accepted | (np.arange(len(one)) % 100 >= 100 * wrong)
    row = shifted_row(replace(one, is_correct=is_correct), gate, 0.05)
    assert row["errors"] == (accepted & ~is_correct).sum()
    assert (row["is_broken"], row["is_kept"]) == (broken, kept_it)
    assert not any(row["warned"].values())
    assert row["coverage"] == pytest.approx(gate.coverage)


def test_caught_counts_by_one_warning_and_by_any() -> None:
    rows: list[dict[str, Any]] = [{"warned": {"a": True, "b": False}}, {"warned": {"a": False, "b": False}}]
    assert (caught(rows), caught(rows, "a"), caught(rows, "b"), caught([])) == ((1, 2), (1, 2), (0, 2), (0, 0))
