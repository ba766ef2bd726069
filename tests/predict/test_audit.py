"""Which accepted predictions an audit draws: with known probabilities that sum to what was wanted, and never 0."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.optimize import brentq

from steepslope.predict._audit import AUDIT, CHANCE, EVEN, Audit, audit_chances, audit_coins

P_CORRECT = st.lists(st.floats(0, 1), min_size=1, max_size=60).map(np.array)
RISKS = st.floats(0.001, 0.5)


@given(p_correct=P_CORRECT, risk=RISKS, labels=st.integers(1, 80))
def test_chances_sum_to_the_labels_and_are_never_zero(p_correct: np.ndarray, risk: float, labels: int) -> None:
    found = audit_chances(p_correct, risk, labels)
    assert found.sum() == pytest.approx(min(labels, len(p_correct)))
    assert found.max() <= 1
    assert found.min() >= min(1, EVEN * labels / len(p_correct)) - 1e-12


@given(p_correct=P_CORRECT, risk=RISKS, labels=st.integers(1, 40))
def test_chances_are_capped_by_one_factor(p_correct: np.ndarray, risk: float, labels: int) -> None:
    """The capped shares with the factor for which they sum to the labels, found by bisection."""
    wrong = 1 - p_correct
    root = np.array([np.sqrt(p * (1 - risk) ** 2 + (1 - p) * risk**2) for p in wrong])
    share = 0.5 / len(root) + 0.5 * root / root.sum()
    expected = np.ones(len(root))
    if labels < len(root):
        factor = brentq(lambda one: np.minimum(1, one * share).sum() - labels, 0, 2 / share.min() + labels, xtol=1e-13)
        expected = np.minimum(1, factor * share)
    np.testing.assert_allclose(audit_chances(p_correct, risk, labels), expected, rtol=1e-6)


def test_rows_are_drawn_as_often_as_their_chance_says_and_always_the_same() -> None:
    ids = [f"row {number}" for number in range(40_000)]
    chance = np.tile([0.0, 0.02, 0.3, 1.0], 10_000)
    found = audit_coins(ids, "gate") < chance
    rates = found.reshape(-1, 4).mean(axis=0)
    assert rates[[0, 3]].tolist() == [0, 1]
    np.testing.assert_allclose(rates[[1, 2]], [0.02, 0.3], atol=4 * np.sqrt(0.3 * 0.7 / 10_000))
    np.testing.assert_array_equal(found[100:200], audit_coins(ids[100:200], "gate") < chance[100:200])


def test_another_gate_draws_others_so_what_it_learnt_from_drawn_rows_does_not_matter() -> None:
    ids, chance = [f"row {number}" for number in range(20_000)], np.full(20_000, 0.1)
    first, second = (audit_coins(ids, gate) < chance for gate in ("a", "b"))
    assert (first & second).mean() == pytest.approx(0.01, abs=0.003)


def test_chunks_are_drawn_from_together() -> None:
    p_correct = np.random.default_rng(0).beta(8, 1, 300)
    accepted = p_correct > 0.8
    table = {"id": np.arange(300).astype(np.str_), "p_correct": p_correct, "accepted": accepted}
    unread = {"id": np.array(["broken"]), "accepted": np.array([False])}
    parts = [{name: column[rows] for name, column in table.items()} for rows in (slice(200), slice(200, None))]
    audit = Audit(30, 0.05, "gate")
    first, second, third = audit.chances([parts[0], unread, parts[1]])
    together = np.concatenate([first, third])
    np.testing.assert_array_equal(together[accepted], audit_chances(p_correct[accepted], 0.05, 30))
    assert not together[~accepted].any()
    assert second.tolist() == [0]
    marked = audit.marked(table, together)
    assert marked[CHANCE].tolist() == together.tolist()
    assert marked[AUDIT].tolist() == (audit_coins(table["id"].tolist(), "gate") < together).tolist()
