"""Sequences of thresholds, the one of largest coverage that can be promised, and one batch."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.numerics._binomial import binomial_tail
from steepslope.promise._certificate import rows_needed
from steepslope.promise._certify import certify, certify_true_classes
from steepslope.promise._rows import split_rows
from steepslope.promise._sequence import checked_threshold_sequence, threshold_sequence
from tests.promise.references import Rows, distinct_rows, rows_with_ties, slow_threshold


@given(st.lists(st.floats(allow_nan=False), max_size=50), st.integers(2, 40))
def test_sequences_fall_from_the_highest_confidence_to_below_all(values: list[float], most: int) -> None:
    found = threshold_sequence(values, most)
    assert (np.diff(found) < 0).all()
    if not values:
        assert found.tolist() == [-np.inf]
        return
    most_extreme = np.finfo(np.float64).max / 4
    lowest, highest = np.clip([min(values), max(values)], -most_extreme, most_extreme)
    assert 1 <= (found >= lowest).sum() <= most
    assert np.isfinite(found).all()
    assert found[0] == highest
    assert found[-1] <= lowest - (highest - lowest)
    assert found[-1] < lowest
    np.testing.assert_array_equal(checked_threshold_sequence(found), found)


def test_steps_are_even_in_coverage_not_in_confidence() -> None:
    confidence = np.random.default_rng(0).random(10_001) ** 9
    coverage = [(confidence >= threshold).mean() for threshold in threshold_sequence(confidence, 100)]
    np.testing.assert_allclose(coverage[:100], np.linspace(0, 1, 100), atol=2e-4)
    assert set(coverage[100:]) == {1}


def test_few_distinct_confidences_are_thresholds_once() -> None:
    found = threshold_sequence(np.repeat([0.25, 0.5], [400, 400]))
    assert {0.5, 0.25} <= set(found.tolist())
    assert threshold_sequence(np.full(400, 0.5)).tolist() == [0.5, *(0.5 - 4.0**-steps for steps in range(5, -1, -1))]


def test_any_plain_sequence_is_taken_without_infinity() -> None:
    assert checked_threshold_sequence([np.inf, 3, 2, 2, -np.inf]).tolist() == [3, 2, 2, -np.inf]
    assert checked_threshold_sequence(0.5).tolist() == [0.5]


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([0.1, 0.2], "thresholds: expected the highest first, found 0.2 after 0.1"),
        ([0.3, np.nan], "thresholds: expected numbers .* none of them NaN, found NaN in row 1"),
        ([np.inf], "thresholds: expected at least one below ∞, found 1 in all"),
        ([[1], [1, 2]], "thresholds: expected numbers"),
    ],
)
def test_bad_sequences_are_named(thresholds: Any, message: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^{message}") as caught:
        checked_threshold_sequence(thresholds)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("most", [1, 2.5])
def test_a_sequence_has_at_least_two(most: Any) -> None:
    with pytest.raises(SteepslopeError, match=r"^most: expected a whole number >= 2"):
        threshold_sequence([0.5], most)


@given(st.integers(0, 2_000), st.integers(0, 5))
def test_a_split_uses_each_row_once(n: int, seed: int) -> None:
    fixing, counted = split_rows(n, seed)
    assert sorted([*fixing, *counted]) == list(range(n))
    assert len(fixing) <= n / 2
    assert n < 400 or len(fixing) == round(2 * n**0.5)
    assert n < 100 or not np.array_equal(fixing, split_rows(n, seed + 1)[0])


@settings(max_examples=12)
@given(rows_with_ties(), st.sampled_from([Fraction(1, 20), Fraction(1, 4)]))
def test_threshold_by_a_loop(rows: Rows, risk: Fraction) -> None:
    thresholds = np.append(threshold_sequence([-2, 0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 3]), -np.inf)
    found = certify(*rows, thresholds, float(risk), 0.1)
    assert found.threshold == slow_threshold(rows, thresholds, risk, Fraction(1, 10))


def rows_that_fail_twice(seed: int) -> Rows:
    confidence, rate = np.arange(400, 0, -1.0), np.where(np.arange(400) < 60, 0.12, np.arange(400) / 2000)
    return confidence, np.random.default_rng(seed).random(400) >= rate


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["differ", "start twice"])
def test_threshold_by_a_loop_where_all_confidences_differ(kind: str, seed: int) -> None:
    rows, thresholds, risk = rows_that_fail_twice(seed), np.arange(381, 0, -20.0), Fraction(1, 10)
    if kind == "differ":
        rows, risk = distinct_rows(300, seed), Fraction(1, 20)
        thresholds = threshold_sequence(np.random.default_rng(seed).random(50), most=60)
    thresholds = np.append(thresholds, -np.inf)
    found = certify(*rows, thresholds, float(risk), 0.1)
    assert found.threshold == slow_threshold(rows, thresholds, risk, Fraction(1, 10))
    assert kind != "differ" or np.isfinite(found.threshold)  # the rows are such that the loop stops on its way


@settings(max_examples=10)
@given(rows_with_ties(150), st.sampled_from([Fraction(1, 20), Fraction(1, 4)]))
def test_a_sequence_without_the_end_of_all_ends_where_99_percent_are_accepted(rows: Rows, risk: Fraction) -> None:
    """Cut there, the sequence passes down to that threshold, so the promise is the same as that of the lowest."""
    thresholds, delta = threshold_sequence([-2, 0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 3]), Fraction(1, 10)
    found, lowest = certify(*rows, thresholds, float(risk), 0.1), slow_threshold(rows, thresholds, risk, delta)
    share = np.array([(rows[0] >= threshold).mean() for threshold in thresholds])
    above = thresholds[share >= 0.99]
    cut = thresholds[: len(thresholds) - len(above) + 1]
    if len(above) and lowest < above[0] and slow_threshold(rows, cut, risk, delta) == above[0]:
        assert found.threshold == above[0]
    else:
        assert found.threshold == lowest


def test_all_rows_are_taken_where_it_takes_all_of_them() -> None:
    """149 rows, all of them right, promise 2 %, and 148 do not."""
    found = certify(
        np.linspace(0, 1, 149), np.ones(149, np.bool_), threshold_sequence(np.linspace(0, 1, 149)), 0.02, 0.05
    )
    assert found.accepted == 149
    assert np.isfinite(found.threshold)


def test_a_gate_that_may_accept_all_leaves_rows_out_that_are_unlike_all() -> None:
    rng = np.random.default_rng(0)
    fit_set, rows = rng.normal(size=500), rng.normal(size=2_000)
    for thresholds in (threshold_sequence(fit_set), None):
        gate = Gate.calibrate(rows, np.ones(2_000, np.bool_), thresholds=thresholds)
        assert 0.985 < gate.coverage <= 0.9999
        assert not gate.accepts([rows.min() - 1]).any()
    assert Gate.calibrate(rows, np.ones(2_000, np.bool_), thresholds=[0, -np.inf]).accepts([-1e300]).all()


@pytest.mark.parametrize("options", [{"class_mix": {"a": 0.3, "b": 0.7}}, {"coverage": 1.0}, {"groups": "ab"}])
def test_every_kind_of_gate_has_a_floor(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    names = np.array(["a", "b"])[rng.integers(2, size=4_000)]
    if "groups" in options:
        options = {"groups": names}
    gate = Gate.calibrate(rng.normal(size=4_000), rng.random(4_000) > 0.01, 0.1, true_classes=names, **options)
    assert gate.coverage > 0.985
    assert all(-6 < threshold < 0 for threshold in gate.thresholds.values())


def test_one_row_less_and_nothing_is_promised() -> None:
    found = certify(np.arange(58.0), np.ones(58, np.bool_), threshold_sequence(np.arange(58)), 0.05, 0.05)
    assert (found.threshold, found.accepted, found.is_given) == (np.inf, 0, False)
    assert "58 rows are too few for 5 % at delta 0.05, which takes at least 59" in found.advice
    assert "more rows like these would do" in found.advice


def test_all_wrong_and_no_rows_promise_nothing() -> None:
    none = certify(np.zeros(0), np.zeros(0, np.bool_), np.array([-np.inf]), 0.05, 0.05)
    assert (none.n, none.accepted, none.threshold) == (0, 0, np.inf)
    assert f"{rows_needed(0.05, 0.05)} accepted ones" in none.advice
    found = certify(np.arange(1000.0), np.zeros(1000, np.bool_), threshold_sequence(np.arange(1000)), 0.05, 0.05)
    assert (found.threshold, found.accepted) == (np.inf, 0)
    assert found.advice == (
        "among the most trusted of 1,000 rows too many are wrong for 5 %; even 30 times as many rows like these would "
        "probably not do"
    )


def test_advice_where_the_thresholds_accept_too_few() -> None:
    confidence, is_correct = np.arange(1000.0), np.ones(1000, np.bool_)
    advice = certify(confidence, is_correct, np.array([990.0]), 0.05, 0.05).advice
    assert advice.startswith("the thresholds accept at most 10 of 1,000 rows, and 5 % at delta 0.05 takes at least 59")
    assert "wrong" not in advice


def test_true_classes_share_a_threshold_at_which_all_of_them_pass() -> None:
    names = np.repeat(["few", "hard", "mild"], [20, 400, 600])
    confidence = np.concatenate([np.linspace(0, 1, n) for n in (20, 400, 600)])
    is_correct = confidence > np.select([names == "hard", names == "mild"], [0.4, 0.1], -1.0)
    thresholds = np.append(np.linspace(1, 0, 101), -np.inf)
    few, hard, mild = certify_true_classes(confidence, is_correct, names, thresholds, 0.1, 0.05)
    assert few.advice.startswith("20 rows are too few")
    assert hard.threshold == mild.threshold
    place = int(np.flatnonzero(thresholds == hard.threshold)[0])
    errors = ~is_correct & (names == "hard")
    wrong = [int((errors & (confidence >= one)).sum()) for one in thresholds[place : place + 2]]
    assert binomial_tail(wrong[0], 400, 0.1) <= 0.05 < binomial_tail(wrong[1], 400, 0.1)
    assert (hard.n, hard.errors, mild.errors) == (400, wrong[0], 0)
    assert hard.risk_bound <= 0.1
