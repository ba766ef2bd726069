"""Sequences of thresholds: even steps of coverage, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from steepslope.errors import SteepslopeError
from steepslope.gate import threshold_sequence
from steepslope.gate.binomial import rows_needed
from steepslope.gate.certify import checked_sequence, first_rows, numbers, split_rows


@given(st.lists(st.floats(allow_nan=False), max_size=50), st.integers(2, 40))
def test_sequences_fall_from_the_highest_confidence_to_everything(values: list[float], most: int) -> None:
    found = threshold_sequence(values, most)
    assert 1 <= len(found) <= most
    assert (np.diff(found) < 0).all()
    assert found[-1] == -np.inf
    assert np.isfinite(found[:-1]).all()
    if values:
        assert found[0] == np.finfo(np.float64).min / 2 or found[0] <= np.max(values)  # −∞ counts as that
        np.testing.assert_array_equal(checked_sequence(found), found)


def test_steps_are_even_in_coverage_not_in_confidence() -> None:
    confidence = np.random.default_rng(0).random(10_001) ** 9
    coverage = [(confidence >= threshold).mean() for threshold in threshold_sequence(confidence, 101)[:-1]]
    np.testing.assert_allclose(coverage, np.linspace(0, 1, 100), atol=2e-4)


@given(st.permutations(range(30)))
def test_order_of_rows_does_not_matter(order: list[int]) -> None:
    values = np.linspace(0, 3, 30) ** 3
    np.testing.assert_array_equal(threshold_sequence(values[order], 12), threshold_sequence(values, 12))


def test_few_distinct_confidences_are_thresholds_once() -> None:
    found = threshold_sequence(np.repeat([0.25, 0.5], [400, 400]))
    assert {0.5, 0.25, -np.inf} <= set(found.tolist())
    assert threshold_sequence(np.full(400, 0.5)).tolist() == [0.5, -np.inf]


def test_infinite_confidences_stay_above_and_below_finite_thresholds() -> None:
    found = threshold_sequence([-np.inf, 0.0, np.inf], most=4)
    assert found[0] <= np.finfo(np.float64).max
    assert found.tolist()[1:] == [0.0, found[2], -np.inf]
    assert -np.inf < found[2] < 0


def test_any_plain_sequence_is_taken_without_infinity() -> None:
    assert checked_sequence([np.inf, 3, 2, 2, -np.inf]).tolist() == [3, 2, 2, -np.inf]
    assert checked_sequence(0.5).tolist() == [0.5]


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([0.1, 0.2], "thresholds: expected the highest first, found 0.2 after 0.1"),
        ([0.3, np.nan], "thresholds: expected numbers .* none of them NaN, found NaN in row 1"),
        ([[0.3]], "thresholds: expected numbers .* found shape \\(1, 1\\)"),
        ([], "thresholds: expected at least one below ∞, found 0 in all"),
        ([np.inf], "thresholds: expected at least one below ∞, found 1 in all"),
        (["high"], "thresholds: expected numbers .* 'high'"),
        (None, "thresholds: expected numbers .* NaN"),
        ([[1], [1, 2]], "thresholds: expected numbers"),
    ],
)
def test_bad_sequences_are_named(thresholds: Any, message: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^{message}") as caught:
        checked_sequence(thresholds)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("confidence", [[np.nan], [[0.1, 0.2]], ["a"]])
def test_bad_confidences_make_no_sequence(confidence: Any) -> None:
    with pytest.raises(SteepslopeError, match=r"^confidence: expected numbers"):
        threshold_sequence(confidence)


@pytest.mark.parametrize("most", [1, 0, 2.5, None])
def test_a_sequence_has_at_least_two(most: Any) -> None:
    with pytest.raises(SteepslopeError, match=r"^most: expected a whole number >= 2"):
        threshold_sequence([0.5], most)


def test_one_number_is_an_array() -> None:
    assert numbers(3, "confidence").tolist() == [3.0]
    assert numbers([True, False], "confidence").dtype == np.float64


@given(st.integers(0, 2_000), st.integers(0, 5))
def test_a_split_uses_each_row_once(n: int, seed: int) -> None:
    fixing, counted = split_rows(n, seed)
    assert sorted([*fixing, *counted]) == list(range(n))
    assert len(fixing) <= n / 2
    assert n < 400 or len(fixing) == round(2 * n**0.5)
    assert np.array_equal(fixing, split_rows(n, seed)[0])


def test_a_split_is_drawn() -> None:
    assert not np.array_equal(split_rows(1_000, 0)[0], split_rows(1_000, 1)[0])


@given(st.integers(1, 20_000), st.sampled_from([0.01, 0.05, 0.3]), st.sampled_from([0.01, 0.1]))
def test_the_first_threshold_bears_as_many_errors_as_half_of_the_rows_allow(n: int, risk: float, delta: float) -> None:
    found = first_rows(n, risk, delta)
    allowed = [errors for errors in range(4) if rows_needed(risk, delta, errors) <= n / 2]
    assert found == rows_needed(risk, delta, max(allowed, default=0))
