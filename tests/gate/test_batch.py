"""Conformal selection: p-values by counting, Benjamini and Hochberg by definition, and the expected risk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from steepslope.gate.certify import conformal_p_values, selected
from tests.gate.references import Rows, distinct_rows, rows_with_ties

P_VALUES = st.lists(st.sampled_from([0.01, 0.02, 0.04, 0.06, 0.3, 0.5, 1.0]), max_size=12)


@given(rows_with_ties(), st.lists(st.sampled_from([-np.inf, -2, 0.1, 0.3, 0.5, 0.7, 0.9, np.inf]), max_size=8))
def test_p_values_by_counting(rows: Rows, batch: list[float]) -> None:
    confidence, is_correct = rows
    n, of_errors = len(confidence), np.sort(confidence[~is_correct])
    counted = [(1 + sum(wrong >= value for wrong in of_errors)) / (n + 1) for value in batch]
    np.testing.assert_allclose(conformal_p_values(np.array(batch, dtype=np.float64), of_errors, n), counted)


@given(P_VALUES, st.sampled_from([0.05, 0.2]))
def test_selection_by_its_definition(p_values: list[float], risk: float) -> None:
    m = len(p_values)
    passing = [k for k in range(1, m + 1) if sorted(p_values)[k - 1] <= risk * (k / m)]
    kept = sorted(range(m), key=lambda i: p_values[i])[: max(passing, default=0)]
    found = selected(np.array(p_values), risk)
    assert set(np.flatnonzero(found)) >= set(kept)
    assert found.sum() == len(kept)  # ties with the last that passes would pass too


@given(P_VALUES, st.randoms(use_true_random=False))
def test_order_of_the_batch_does_not_matter(p_values: list[float], random: object) -> None:
    values = np.array(p_values)
    order = np.random.default_rng(random.getrandbits(32)).permutation(len(values))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(selected(values[order], 0.2), selected(values, 0.2)[order])


def test_empty_batches_and_calibration_rows_without_errors() -> None:
    assert selected(np.zeros(0), 0.05).shape == (0,)
    assert conformal_p_values(np.array([0.2, -np.inf]), np.zeros(0), n=19).tolist() == [0.05, 0.05]
    assert selected(np.full(3, 0.05), 0.05).all()


def _fraction_of_errors(rng: np.random.Generator, levels: int | None) -> float:
    """Draw rows to calibrate on and a batch, and return how much of what is selected of that is wrong."""

    def rows(n: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        confidence, is_correct = distinct_rows(n, int(rng.integers(2**31)))
        return confidence if levels is None else np.ceil(confidence * levels) / levels, is_correct

    (calibration, right), (batch, batch_right) = rows(100), rows(60)
    kept = selected(conformal_p_values(batch, np.sort(calibration[~right]), 100), 0.05)
    return float((kept & ~batch_right).sum() / max(1, kept.sum()))


@pytest.mark.parametrize("levels", [None, 5])
def test_expected_risk_of_a_batch_is_kept(levels: int | None) -> None:
    rng = np.random.default_rng(0)
    found = [_fraction_of_errors(rng, levels) for _ in range(1_000)]
    assert np.mean(found) <= 0.05 + 3 * np.std(found) / np.sqrt(len(found))
    assert np.mean(found) > 0.01  # what is promised is used
