"""The experiment on gates, small, and the committed results of the large one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.experiments import fused_table as fused_module, gate_measures as measures_module, gate_table as module
from steepslope.experiments.common import Row
from steepslope.experiments.distortions import DISTORTIONS
from steepslope.experiments.gate_measures import (
    ALL,
    BATCH,
    PREDICTED,
    SPLITS,
    Judged,
    caught,
    halves,
    kept,
    shifted_row,
)
from steepslope.experiments.gate_table import BEST_SINGLE, CLEAN, SHIFTED, all_judges, gate_table, tables
from steepslope.gate.judge import Judge
from steepslope.oracle import Oracle
from steepslope.scores import MCP, SCORES
from tests.conftest import make_outputs

RISK = 0.15  # which can be promised of each class of the small outputs
RESULTS = Path(__file__).parents[2] / "results" / "gate"


def judged(n: int = 4_000, seed: int = 0) -> Judged:
    """Judge rows by MCP, with thresholds from others."""
    fit_set = make_outputs(1_000, seed=seed + 1)
    return Judged.of(Judge.of(MCP(), 4, fit_set), make_outputs(n, seed=seed))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::steepslope.errors.FewErrorsWarning")
def test_the_table_on_digits(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's classifier, and an untrained net as the auxiliary backbone."""
    kinds = {name: DISTORTIONS[name] for name in ("erase", "motion")}
    for one in (fused_module, module):
        monkeypatch.setattr(one, "DISTORTIONS", kinds)
        for name in ("PLAIN", "AUXILIARY"):
            monkeypatch.setattr(one, name, replace(getattr(one, name), backend="torch"))
    net, work = "module:tests.nets:ten_classes", str(tmp_path / "work")
    gate_table("digits", str(demo), work, str(tmp_path / "gate"), net, 16, seeds=(0,))
    rows, shifted = (json.loads((tmp_path / "gate" / name).read_text()) for name in ("rows.json", "shifted.json"))
    assert [row["score"] for row in rows] == 5 * ["mcp", BEST_SINGLE, "fused-free", "fused-auxiliary"]
    assert {row["judge"] for row in rows if row["score"] == BEST_SINGLE} <= {*SCORES} - {"mc_dropout"}
    assert [*dict.fromkeys(row["score"] for row in shifted)] == [*SHIFTED]
    assert {row["distortion"] for row in shifted} == {CLEAN, *kinds}
    usual = {row["score"]: row["usual_handover"] for row in shifted}
    assert usual["mcp"] is usual["fused-free"] is None
    assert 0 <= usual["fused-auxiliary"] <= 1
    assert tables(rows, shifted) == (tmp_path / "gate" / "table.md").read_text()


def test_oracles_without_percentiles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = Oracle.fused(budget="free").fit(make_outputs(400), make_outputs(600, seed=2))
    assert oracle.record_ is not None
    oracle.record_ = replace(oracle.record_, percentiles=None)
    monkeypatch.setattr(module, "fitted", lambda *_: oracle)
    outputs = {"holdout": make_outputs(400), "train": make_outputs(600, seed=2), "test": make_outputs(400, seed=3)}
    with pytest.raises(SteepslopeError, match="percentiles of their trust logits: fit them again"):
        all_judges(outputs, tmp_path, 0)


def test_halves_are_all_rows_once_and_differ() -> None:
    found = list(halves(11))
    assert len(found) == SPLITS
    assert all(sorted([*known, *new]) == list(range(11)) for known, new in found)
    assert len({tuple(known) for known, _ in found}) > 1


@pytest.mark.parametrize("by", [ALL, PREDICTED, BATCH])
def test_kept_counts_what_is_accepted_of_the_other_half(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one split, the numbers are those of a gate that is calibrated and counted by hand."""
    monkeypatch.setattr(measures_module, "SPLITS", 1)
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
    rows: list[Row] = [{"warned": {"a": True, "b": False}}, {"warned": {"a": False, "b": False}}]
    assert (caught(rows), caught(rows, "a"), caught(rows, "b"), caught([])) == ((1, 2), (1, 2), (0, 2), (0, 0))


def committed(name: str) -> list[Row]:
    found: list[Row] = json.loads((RESULTS / name).read_text())
    return found


def test_committed_table_is_that_of_its_rows() -> None:
    assert tables(committed("rows.json"), committed("shifted.json")) == (RESULTS / "table.md").read_text()


@pytest.mark.parametrize("risk", [0.01, 0.02, 0.05])
def test_committed_gates_keep_their_promise_and_fused_ones_accept_more(risk: float) -> None:
    rows = [row for row in committed("rows.json") if (row["by"], row["max_risk"]) == (ALL, risk)]
    assert len(rows) == 12
    for row in rows:
        assert row["risk"] < risk
        assert row["above"] <= SPLITS / 4  # a risk just within the promise is above it on few rows now and then
    by_seed = {seed: {row["score"]: row["coverage"] for row in rows if row["seed"] == seed} for seed in (0, 1, 2)}
    for covered in by_seed.values():
        assert covered["fused-auxiliary"] > covered["fused-free"] > max(covered["mcp"], covered[BEST_SINGLE])


def test_committed_warnings_miss_no_broken_promise_and_no_clean_batch_is_warned_of() -> None:
    shifted = committed("shifted.json")
    clean = [row for row in shifted if row["distortion"] == CLEAN]
    broken = [row for row in shifted if row["is_broken"] and row["distortion"] != CLEAN]
    assert len(broken) == 124
    assert caught(clean) == (0, len(clean))
    assert caught(broken) == (len(broken), len(broken))
