"""What a file says has to be what the gate decided, and what its audit drew; rounded numbers are no contradiction."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.monitor._consistency import _rounding_in_file, require_consistent_audit, require_consistent_decisions
from steepslope.monitor._predictions import PREDICTED, Batch, _predictions_in_table
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs._table_files import TEXT
from steepslope.predict._audit import AUDIT, CHANCE, Audit, audit_chances
from steepslope.scores import MCP
from tests.conftest import make_outputs

OUTPUTS, ROWS = make_outputs(4_000), make_outputs(2_000, seed=1)
GROUPS, NEW_GROUPS = (np.array(["left", "right", "far"])[np.arange(n) % 3] for n in (4_000, 2_000))
GATES: dict[str, Gate] = {
    "plain": Gate.of(MCP(), OUTPUTS, max_risk=0.1),
    "by class": Gate.of(MCP(), OUTPUTS, max_risk=0.1, by="predicted"),
    "by group": Gate.of(MCP(), OUTPUTS, max_risk=0.1, groups=GROUPS),
    "rejects": Gate.of(MCP(), OUTPUTS, max_risk=0.1, reject=0.5),
    "nothing": Gate.of(MCP(), OUTPUTS, max_risk=0.0001),
    "everything": Gate.of(MCP(), OUTPUTS, max_risk=0.9),
    "by costs": Gate.of(MCP(), OUTPUTS, costs=(10, 2)),
}


def table_of(name: str) -> Any:
    return GATES[name].decide(ROWS, NEW_GROUPS if name == "by group" else None, top=2).table()


def changed(table: Any, name: str, values: Any) -> Any:
    return {**table, name: np.asarray(values)}


def without(table: Any, names: Any) -> Any:
    return {name: column for name, column in table.items() if name not in names}


def some_rows(table: Any, rows: Any) -> Any:
    return {name: column[rows] for name, column in table.items()}


def told(table: Any, decision: Any) -> Any:
    """Return a table of other decisions, (n,)."""
    return changed(changed(table, "accepted", np.asarray(decision) == "accept"), "decision", decision)


def column_as(values: Any, kind: str) -> Any:
    """Return a column that is to be written as it would be read again."""
    if kind == TEXT:
        return np.array(["" if value is None else str(value) for value in values.tolist()], dtype=np.object_)
    return np.ma.filled(np.ma.asarray(values).astype(np.float64), np.nan)


def read(table: Any) -> Batch:
    """Return the predictions of a table as a file has them."""
    return _predictions_in_table(
        {name: column_as(table[name], kind) for name, kind in PREDICTED.items() if name in table}
    )


def rounded(table: Any, by: Callable[[np.ndarray], np.ndarray]) -> Any:
    for name in set(table) & {"probability", "p_correct", "trust_logit", CHANCE}:
        table = changed(table, name, by(table[name]))
    return table


def digits(values: np.ndarray, count: int) -> np.ndarray:
    """Return numbers with so many significant digits."""
    return np.array([float(f"{one:.{count}g}") for one in values])


ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda values: values,
    "single": lambda values: values.astype(np.float32),
    "two decimals": lambda values: values.round(2),
    "three digits": partial(digits, count=3),
}


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", GATES)
def test_what_gates_decide_is_believed_however_it_is_rounded_or_cut(name: str, rounding: str) -> None:
    table = rounded(table_of(name), ROUNDINGS[rounding])
    for dropped in ([], ["trust_logit"], ["decision"], ["trust_logit", "decision", "probability"]):
        require_consistent_decisions(GATES[name], read(without(table, dropped)))


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize("value", [True, False])
def test_decisions_that_are_all_the_same_are_refused(name: str, value: bool) -> None:
    table = table_of(name)
    if (table["accepted"] == value).all():
        return
    same = changed(table, "accepted", [value] * len(table["id"]))
    if not value:
        with pytest.raises(SteepslopeError, match=r"accepted: expected True for .*, found False"):
            require_consistent_decisions(GATES[name], read(same))
    every = told(table, ["accept" if value else "review"] * len(table["id"]))
    expected = r"decision: expected \w+ for '.*, found \w+; [\d,]+ of 2,000 rows contradict"
    for dropped in (["trust_logit"], ["decision"], []):
        with pytest.raises(SteepslopeError, match=expected):
            require_consistent_decisions(GATES[name], read(without(every, dropped)))


def test_one_row_is_enough_and_it_is_named() -> None:
    table, gate = table_of("plain"), GATES["plain"]
    trust = table["trust_logit"]
    row = int(np.flatnonzero(trust < gate.threshold - 0.01)[0])
    decision = table["decision"].tolist()
    decision[row] = "accept"
    name = table["id"][row]
    words = rf"decision: expected review for '{name}' .*, found accept; 1 of 2,000 rows contradict"
    with pytest.raises(SteepslopeError, match=words):
        require_consistent_decisions(gate, read(told(table, decision)))


@pytest.mark.parametrize("by", [0.02, -0.02])
def test_p_correct_has_to_follow_from_the_trust_logit(by: float) -> None:
    table = table_of("plain")
    p_correct = table["p_correct"].copy()
    p_correct[7] = np.clip(p_correct[7] + by, 0, 1)
    with pytest.raises(SteepslopeError, match=rf"p_correct: expected 0\.\d+ for '{table['id'][7]}'"):
        require_consistent_decisions(GATES["plain"], read(changed(table, "p_correct", p_correct)))


def test_numbers_at_the_threshold_may_be_rounded_and_no_further() -> None:
    """A row whose six digits fall just below the threshold was accepted by the others; one a digit below was not."""
    gate, table = GATES["plain"], some_rows(table_of("plain"), slice(2))
    for below, is_right in ((4e-7, True), (2e-6, False)):
        trust = np.array([np.round(gate.threshold - below, 6), 0.123457])
        p_correct = gate.p_correct(trust)
        near = changed(changed(table, "trust_logit", trust), "p_correct", p_correct)
        batch = read(told(near, ["accept", "review"]))
        if is_right:
            require_consistent_decisions(gate, batch)
            continue
        with pytest.raises(SteepslopeError, match="decision: expected review"):
            require_consistent_decisions(gate, batch)


def test_a_row_that_lacks_an_opinion_goes_to_review_and_nowhere_else() -> None:
    table = table_of("rejects")
    lacking = np.arange(len(table["id"])) % 5 == 0
    decision = np.where(lacking, "review", table["decision"])
    reviewed = told(table, decision)
    require_consistent_decisions(GATES["rejects"], read(changed(reviewed, "lacks_opinion", lacking)))
    for unexplained in (reviewed, changed(reviewed, "lacks_opinion", np.zeros(len(table["id"]), np.bool_))):
        with pytest.raises(SteepslopeError, match=r"decision: expected (accept|reject) for .*, found review"):
            require_consistent_decisions(GATES["rejects"], read(unexplained))
    with pytest.raises(SteepslopeError, match=r"decision: expected review for .*, found (accept|reject)"):
        require_consistent_decisions(GATES["rejects"], read(changed(table, "lacks_opinion", lacking)))


def test_groups_that_are_not_known_explain_what_is_not_accepted() -> None:
    """What reaches no group's threshold is never accepted."""
    gate, table = GATES["by group"], table_of("by group")
    assert table["group"].tolist() == NEW_GROUPS.tolist()
    unknown = without(table, ["group"])
    require_consistent_decisions(gate, read(unknown))
    require_consistent_decisions(gate, read(told(unknown, ["review"] * 2_000)))
    new_group = changed(table, "group", ["near"] * 2_000)
    require_consistent_decisions(gate, read(told(new_group, ["review"] * 2_000)))
    with pytest.raises(SteepslopeError, match="decision: expected review"):
        require_consistent_decisions(gate, read(told(unknown, ["accept"] * 2_000)))


def test_a_row_without_p_correct_is_not_accepted() -> None:
    table = table_of("plain")
    for row in np.flatnonzero(table["accepted"])[:3]:
        p_correct = [*table["p_correct"].tolist()[:row], None, *table["p_correct"].tolist()[row + 1 :]]
        with pytest.raises(SteepslopeError, match="column 'p_correct': expected a number in each accepted row"):
            read(changed(table, "p_correct", p_correct))


def audited(limit: float = 0.0, labels: int = 150) -> Any:
    table, gate = table_of("plain"), GATES["plain"]
    accepted, p_correct = (table[name] for name in ("accepted", "p_correct"))
    chance = np.zeros(len(table["id"]))
    chance[accepted] = audit_chances(p_correct[accepted], gate.promised_risk, labels)
    return Audit(labels, gate.promised_risk, "digest", limit).marked(table, chance)


@pytest.mark.parametrize("known", [True, False])
def test_a_limit_explains_what_is_below_it_and_nothing_else(known: bool) -> None:
    gate, table = GATES["plain"], audited(0.95)
    assert 0 < table["accepted"].sum() < table_of("plain")["accepted"].sum()
    limit = 0.95 if known else None
    for rounding in ROUNDINGS.values():
        require_consistent_decisions(gate, read(rounded(table, rounding)), limit)
    with pytest.raises(SteepslopeError, match=r"decision: expected accept for .*, found review"):
        require_consistent_decisions(gate, read(table))  # it does not follow
    p_correct, accepted = (table[name] for name in ("p_correct", "accepted"))
    row = int(np.flatnonzero(accepted & (p_correct > np.median(p_correct[accepted])))[0])
    decision = table["decision"].tolist()
    decision[row] = "review"
    with pytest.raises(SteepslopeError, match=r"decision: expected accept for .*, found review; 1 of"):
        require_consistent_decisions(gate, read(told(table, decision)), limit)


def test_an_audit_draws_of_all_that_the_gate_accepts_and_of_nothing_else() -> None:
    table = audited()
    chance = table[CHANCE].copy()
    chance[~table["accepted"]] = 0.1
    with pytest.raises(SteepslopeError, match=r"audit_probability: expected review for .*, found accept"):
        require_consistent_decisions(GATES["plain"], read(changed(table, CHANCE, chance)))


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("labels", [1, 150, 5_000])
def test_an_audit_is_believed_however_it_is_rounded(labels: int, rounding: str) -> None:
    table = rounded(audited(labels=labels), ROUNDINGS[rounding])
    if not (table[CHANCE][table["accepted"]] > 0).all():
        return  # a probability that is rounded to 0 is refused before
    require_consistent_audit(read(table), GATES["plain"].promised_risk, "digest")


def test_marks_are_drawn_again() -> None:
    """Those of another gate, or one that is missing, or one too many."""
    table = audited()
    whole = read(table)
    require_consistent_audit(whole, 0.1, "digest")
    with pytest.raises(SteepslopeError, match=r"audit: expected (True|False) for"):
        require_consistent_audit(whole, 0.1, "another")
    for value in (True, False):
        marked = table[AUDIT].copy()
        row = int(np.flatnonzero((marked == value) & table["accepted"])[0])
        marked[row] = not value
        expected = f"audit: expected {value} for '{table['id'][row]}'.*, found {not value}; 1 of"
        with pytest.raises(SteepslopeError, match=expected):
            require_consistent_audit(read(changed(table, AUDIT, marked)), 0.1, "digest")


def test_the_probability_of_one_row_follows_from_all_others() -> None:
    """As where a wrong row is to seem likely to have stayed unmarked; and marked rows alone are no audit."""
    table = audited()
    chance = table[CHANCE]
    changes = [np.where(np.arange(len(chance)) == np.argmax(chance), factor * chance, chance) for factor in (0.5, 0.9)]
    parts = [some_rows(table, table[AUDIT]), some_rows(table, slice(700))]
    for part in [*(changed(table, CHANCE, values) for values in changes), *parts]:
        with pytest.raises(SteepslopeError, match=r"audit_probability: expected .*, by an audit of the whole file"):
            require_consistent_audit(read(part), 0.1, "digest")


@given(st.integers(0, 8), st.floats(-3, 3), st.integers(0, 5))
def test_rounding_is_at_least_what_was_lost(count: int, size: float, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=50) * 10**size
    for found in (values.round(count), digits(values, count + 1), values.astype(np.float32).astype(np.float64)):
        slack = _rounding_in_file(found)
        assert (np.abs(values - found) <= slack).all()
    assert (_rounding_in_file(values) <= 1.1e-6 * np.abs(values) + 1e-12).all()


def test_a_confidence_without_an_end_is_the_surest() -> None:
    trust = np.concatenate([np.random.default_rng(0).normal(2, 2, 1_000), [np.inf, -np.inf]])
    gate = Gate.calibrate(trust, np.random.default_rng(1).random(1_002) < 1 / (1 + np.exp(-trust)), of_log_odds=True)
    p_correct, accepted = gate.p_correct(trust), gate.accepts(trust)
    ids = np.array([*map(str, range(1_002))])
    columns = {"id": ids, "label": np.zeros(1_002, int), "p_correct": p_correct, "accepted": accepted}
    for table in ({**columns, "trust_logit": trust}, columns):
        require_consistent_decisions(gate, read(table))
        with pytest.raises(SteepslopeError, match="decision: expected review"):
            require_consistent_decisions(gate, read(changed(table, "accepted", [True] * 1_002)))


def test_outputs_whose_classes_got_names_later_have_unknown_groups() -> None:
    gate = GATES["by class"]
    named = ClassifierOutputs(ROWS.logits, ids=ROWS.ids).named(["a", "b", "c", "d"])
    require_consistent_decisions(gate, read(gate.decide(named).table()))
