"""Exact tails and bounds, against sums in fractions, high precision, and roots that are searched for."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.optimize import brentq

from steepslope.errors import SteepslopeError
from steepslope.gate.binomial import as_percent, interval, risk_bound, rows_needed, tail
from tests.gate.references import exact_tail

RISKS = st.sampled_from([Fraction(1, 1000), Fraction(1, 50), Fraction(1, 20), Fraction(1, 3), Fraction(9, 10)])


@given(st.integers(0, 60), st.integers(0, 60), RISKS)
def test_tail_is_the_sum_of_its_terms(errors: int, others: int, risk: Fraction) -> None:
    exact = float(exact_tail(errors, errors + others, risk))
    assert tail(errors, errors + others, float(risk)) == pytest.approx(exact, rel=1e-10, abs=1e-300)


@pytest.mark.parametrize(("errors", "accepted", "risk"), [(150, 10_000, 0.02), (3, 5_000, 0.05), (900, 100_000, 0.01)])
def test_tail_of_many_rows_in_high_precision(errors: int, accepted: int, risk: float) -> None:
    with mpmath.workdps(60):
        p = mpmath.mpf(risk)
        exact = mpmath.fsum(mpmath.binomial(accepted, k) * p**k * (1 - p) ** (accepted - k) for k in range(errors + 1))
        assert float(tail(errors, accepted, risk)) == pytest.approx(float(exact), rel=1e-9)


@given(st.integers(0, 40), st.integers(1, 300), st.sampled_from([0.001, 0.05, 0.1, 0.5]))
def test_bound_is_the_root_of_the_tail(errors: int, others: int, delta: float) -> None:
    accepted = errors + others
    root = brentq(lambda risk: float(tail(errors, accepted, risk)) - delta, 0, 1, xtol=1e-14)
    assert risk_bound(errors, accepted, delta) == pytest.approx(root, abs=1e-10)


@given(st.integers(0, 30), st.integers(1, 300), RISKS, st.sampled_from([0.01, 0.05, 0.1]))
def test_a_test_passes_where_the_bound_is_within_the_risk(
    errors: int, others: int, risk: Fraction, delta: float
) -> None:
    bound, passes = risk_bound(errors, errors + others, delta), tail(errors, errors + others, float(risk)) <= delta
    assert passes == (bound <= risk) or bound == pytest.approx(float(risk), abs=1e-12)


@pytest.mark.parametrize(("errors", "accepted"), [(0, 0), (1, 1), (7, 7)])
def test_all_wrong_or_none_accepted_bounds_nothing(errors: int, accepted: int) -> None:
    assert risk_bound(errors, accepted, 0.05) == 1
    assert tail(errors, accepted, 0.05) == 1


@given(st.integers(0, 50), st.integers(0, 50), st.sampled_from([0.8, 0.95, 0.99]))
def test_interval_has_its_tails(successes: int, failures: int, level: float) -> None:
    n, side = successes + failures, (1 - level) / 2
    low, high = interval(successes, n, level)
    assert 0 <= low <= (successes / n if n else 0.5) <= high <= 1
    if failures:
        assert tail(successes, n, high) == pytest.approx(side, rel=1e-8)
    if successes:
        assert tail(failures, n, 1 - low) == pytest.approx(side, rel=1e-8)


@given(st.sampled_from([0.005, 0.02, 0.1, 0.5, 0.99]), st.sampled_from([0.001, 0.05, 0.5]), st.integers(0, 12))
def test_rows_needed_is_the_first_that_passes(risk: float, delta: float, errors: int) -> None:
    needed = rows_needed(risk, delta, errors)
    assert tail(errors, needed, risk) <= delta
    assert needed == 1 or tail(errors, needed - 1, risk) > delta


@given(st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_rows_needed_without_errors_in_closed_form(risk: float, delta: float) -> None:
    exact = math.log(delta) / math.log1p(-risk)
    assert rows_needed(risk, delta) in {max(1, math.ceil(exact)), max(1, math.ceil(exact - 1e-9))}


@pytest.mark.parametrize(
    ("risk", "delta", "errors", "name"),
    [(0, 0.05, 0, "max_risk"), (1, 0.05, 0, "max_risk"), (math.nan, 0.05, 0, "max_risk"), (0.05, 0, 0, "delta"),
     (0.05, 1, 0, "delta"), (0.05, 0.05, -1, "errors"), (0.05, 0.05, 1.5, "errors")],
)  # fmt: skip
def test_rows_needed_of_what_cannot_be(risk: float, delta: float, errors: int, name: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^{name}: expected a .*number .*, found"):
        rows_needed(risk, delta, errors)


@given(st.floats(0, 1), st.integers(0, 3))
def test_percent_is_near_and_never_0_or_100_by_rounding(fraction: float, digits: int) -> None:
    text = as_percent(fraction, digits)
    assert text.endswith(" %")
    assert float(text[:-2]) == pytest.approx(100 * fraction, abs=0.5 * 10**-digits + 1e-9)
    if 1e-9 < fraction < 1 - 1e-9:
        assert text not in ("0 %", "100 %")


def test_percent_keeps_whole_tens() -> None:
    assert [as_percent(value, 0) for value in np.array([0, 0.1, 0.5, 1])] == ["0 %", "10 %", "50 %", "100 %"]
