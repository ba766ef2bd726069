"""Exact tails and bounds, and the promise in numbers, sentences and JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.optimize import brentq
from scipy.stats import binom

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.numerics._binomial import binomial_interval, binomial_tail, risk_bound
from steepslope.promise._certificate import Certificate, as_percent, rows_needed
from steepslope.promise._objectives import Objectives
from tests.promise.references import exact_tail

RISKS = st.sampled_from([Fraction(1, 1000), Fraction(1, 50), Fraction(1, 20), Fraction(1, 3), Fraction(9, 10)])


@given(st.integers(0, 60), st.integers(0, 60), RISKS)
def test_tail_is_the_sum_of_its_terms(errors: int, others: int, risk: Fraction) -> None:
    exact = float(exact_tail(errors, errors + others, risk))
    assert binomial_tail(errors, errors + others, float(risk)) == pytest.approx(exact, rel=1e-10, abs=1e-300)


@given(st.integers(0, 40), st.integers(1, 300), st.sampled_from([0.001, 0.05, 0.1, 0.5]))
def test_bound_is_the_root_of_the_tail(errors: int, others: int, delta: float) -> None:
    accepted = errors + others
    root = brentq(lambda risk: float(binomial_tail(errors, accepted, risk)) - delta, 0, 1, xtol=1e-14)
    assert risk_bound(errors, accepted, delta) == pytest.approx(root, abs=1e-10)


@pytest.mark.parametrize(("errors", "accepted"), [(0, 0), (1, 1), (7, 7)])
def test_all_wrong_or_none_accepted_bounds_nothing(errors: int, accepted: int) -> None:
    assert risk_bound(errors, accepted, 0.05) == 1
    assert binomial_tail(errors, accepted, 0.05) == 1


@given(st.integers(0, 50), st.integers(0, 50), st.sampled_from([0.8, 0.95, 0.99]))
def test_interval_has_its_tails(successes: int, failures: int, level: float) -> None:
    n, side = successes + failures, (1 - level) / 2
    low, high = binomial_interval(successes, n, level)
    assert 0 <= low <= (successes / n if n else 0.5) <= high <= 1
    if failures:
        assert binomial_tail(successes, n, high) == pytest.approx(side, rel=1e-8)
    if successes:
        assert binomial_tail(failures, n, 1 - low) == pytest.approx(side, rel=1e-8)


@given(st.sampled_from([0.005, 0.02, 0.1, 0.5, 0.99]), st.sampled_from([0.001, 0.05, 0.5]), st.integers(0, 12))
def test_rows_needed_is_the_first_that_passes(risk: float, delta: float, errors: int) -> None:
    needed = rows_needed(risk, delta, errors)
    assert binomial_tail(errors, needed, risk) <= delta
    assert needed == 1 or binomial_tail(errors, needed - 1, risk) > delta


@pytest.mark.parametrize(
    ("risk", "delta", "errors", "name"), [(0, 0.05, 0, "max_risk"), (0.05, 1, 0, "delta"), (0.05, 0.05, 1.5, "errors")]
)
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


PATH = Path("gate.json")
GIVEN = Certificate("risk", 0.75, 1000, 600, 4, 0.05, 0.02)
NOTHING = Certificate("risk", np.inf, 40, 0, 0, 0.05, 0.05, None, "40 rows are too few")
REJECTION = Certificate("rejection", -2.5, 1000, 100, 3, 0.025, 0.1)
KINDS = {
    "risk": GIVEN,
    "of a group": replace(GIVEN, group="cats"),
    "with unknown rows": replace(GIVEN, unknown=50, unknown_accepted=3),
    "everything": replace(GIVEN, threshold=-np.inf, accepted=1000),
    "nothing": NOTHING,
    "coverage": replace(GIVEN, aim="coverage", max_risk=None),
    "costs": replace(GIVEN, aim="costs", max_risk=None),
    "costs that accept none": Certificate("costs", 0.9, 50, 0, 0, 0.05),
    "rejection": REJECTION,
    "rejection of all": replace(REJECTION, threshold=np.inf, accepted=1000),
    "rejection of nothing": Certificate("rejection", -np.inf, 40, 0, 0, 0.05, 0.1, None, "40 rows are too few"),
}


@pytest.mark.parametrize("name", KINDS)
def test_json_round_trip(name: str) -> None:
    text = json.dumps(KINDS[name].as_json(), allow_nan=False)
    assert Certificate.from_json(json.loads(text), PATH) == KINDS[name]


@given(st.integers(0, 30), st.integers(1, 400), st.sampled_from([0.5, 0.25, 0.1, 0.05]))
def test_a_promise_that_is_just_kept_is_read(errors: int, others: int, risk: float) -> None:
    accepted = errors + others
    delta = float(binomial_tail(errors, accepted, risk))
    if 1e-6 < delta < 1 - 1e-6:
        just = Certificate("risk", 0.5, accepted, accepted, errors, delta, risk)
        assert Certificate.from_json(json.loads(json.dumps(just.as_json())), PATH) == just


def test_numbers_follow_from_counts() -> None:
    assert GIVEN.coverage == 0.6
    low, high = GIVEN.coverage_interval
    assert low < 0.6 < high < low + 0.07
    assert binomial_tail(4, 600, GIVEN.risk_bound) == pytest.approx(0.05)
    assert (NOTHING.coverage, NOTHING.risk_bound, NOTHING.is_given) == (0, 1, False)
    assert replace(NOTHING, n=0).coverage == 0


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"accepted": 700}, "4 errors of 700"),
        ({"n": 1100}, "of 1100 rows"),
        ({"errors": -1}, "-1 errors"),
        ({"risk_bound": 0.001}, "bound 0.001"),
        ({"delta": 1.0}, "4 errors"),
        ({"max_risk": 0.01}, "bound 0.0"),
        ({"coverage": 0.7}, "4 errors"),
        ({"threshold": float("nan")}, "4 errors"),
        ({"unknown": 2, "unknown_accepted": 3}, "4 errors"),
        ({"unknown": 9, "unknown_accepted": 5}, "4 errors"),
        ({"unknown": 9, "unknown_accepted": -1}, "4 errors"),
        ({"unknown": 1001}, "4 errors"),
    ],
)
def test_counts_that_were_changed_are_noticed(change: dict[str, Any], found: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^gate.json: expected a certificate whose bound follows .*{found}"):
        Certificate.from_json({**GIVEN.as_json(), **change}, PATH)


OF_READERS = ("accepts_all", "coverage_interval")  # fields that are read by people alone


@pytest.mark.parametrize("name", [name for name in GIVEN.as_json() if name not in OF_READERS])
def test_a_field_that_is_missing_or_of_another_type_is_named(name: str) -> None:
    content = GIVEN.as_json()
    with pytest.raises(SteepslopeError, match=f"^gate.json: the field '{name}' is missing"):
        Certificate.from_json({key: value for key, value in content.items() if key != name}, PATH)
    with pytest.raises(SteepslopeError, match=name):
        Certificate.from_json({**content, name: [1]}, PATH)


def test_an_unknown_aim_is_answered_with_the_closest() -> None:
    with pytest.raises(SteepslopeError, match=r"aim in gate.json: 'risks': did you mean 'risk'\?"):
        Certificate.from_json({**GIVEN.as_json(), "aim": "risks"}, PATH)


def test_words_of_a_promise() -> None:
    assert GIVEN.sentences() == (
        "Of all predictions, those with a trust of at least 0.75 are accepted. With 95 % confidence, at most 2 % of "
        "these are wrong. Of 1,000 calibration rows, 600 are accepted (60 %, 95 % interval 56.9 % to 63.1 %) "
        "and 4 of these wrong (0.67 %, at most 1.52 %). The promise should also hold after any shift of at most 0.27 % "
        "in total variation, or if the odds of an error are at most 1.323 times as high."
    )


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        ("of a group", ["cats: of these predictions, those with a trust of at least 0.75"]),
        ("everything", ["Of all predictions, all are accepted."]),
        ("nothing", ["Nothing can be promised: 40 rows are too few."]),
        ("coverage", ["at most 1.52 % of these are wrong"]),
        ("with unknown rows", ["50 of these 1,000 rows are out-of-class, 3 of them accepted (6 %)."]),
        ("costs that accept none", ["at most 100 % of these are wrong", "0 are accepted", "(–, at most 100 %)"]),
        ("rejection", ["of at most -2.5 are rejected", "at most 10 % of these are right", "With 97.5 % confidence"]),
        ("rejection of all", ["all are rejected"]),
    ],
)
def test_words_of_each_kind(name: str, phrases: list[str]) -> None:
    words = KINDS[name].sentences()
    assert all(phrase in words for phrase in phrases), words


def test_words_of_a_group_without_a_promise() -> None:
    nothing = replace(NOTHING, group="cats")
    assert nothing.sentences() == "cats: nothing can be promised: 40 rows are too few."
    of_unknown = replace(nothing, unknown=9).sentences()
    assert of_unknown == f"{nothing.sentences()} 9 of these 40 rows are out-of-class."


def test_words_round_nothing_in_favour_of_the_promise() -> None:
    assert "at most 0.125 % of these are wrong" in replace(GIVEN, max_risk=0.00125).sentences()
    bound = replace(GIVEN, max_risk=None, delta=0.05 / 7)
    percent = float(bound.sentences().split("at most ")[1].split(" %")[0])
    assert bound.risk_bound <= percent / 100 <= bound.risk_bound + 1e-4
    assert "With 99.28 % confidence" in bound.sentences()


@pytest.mark.slow
@pytest.mark.parametrize(("risk", "delta"), [(0.05, 0.1), (0.1, 0.05)])
def test_the_shifts_that_a_certificate_survives_break_its_promise_as_seldom_as_it_says(
    risk: float, delta: float
) -> None:
    """The worst shift turns accepted and right predictions into accepted and wrong ones; odds rise for all alike."""
    rng, failures, shifts, runs = np.random.default_rng(0), 0, [], 200
    coverages = np.linspace(0.001, 1, 1_000)
    true = np.cumsum(coverages**4 * 0.4) / np.arange(1, 1_001)  # risk at each coverage
    for _ in range(runs):
        level = rng.random(1_000)
        is_correct = rng.random(1_000) >= level**4 * 0.4
        one = Gate.calibrate(-level, is_correct, risk, delta, -coverages[::20]).certificates[0]
        c, r = -one.threshold, float(np.interp(-one.threshold, coverages, true))
        shifted = r + one.survived_shift / c
        odds = one.survived_odds * r / (1 - r)
        failures += max(shifted, odds / (1 + odds)) > risk + 1e-9
        shifts.append(one.survived_shift)
    assert np.mean(shifts) > 1e-4  # else it would say nothing
    assert 0 < failures <= binom.ppf(0.999, runs, delta)


def test_nothing_survives_where_no_risk_is_promised() -> None:
    none = Certificate("coverage", 0.5, 1_000, 800, 20, 0.05)
    assert (none.survived_shift, none.survived_odds) == (0, 1)
    assert "total variation" not in none.sentences()


def test_one_risk_or_several() -> None:
    assert Objectives().max_risk == (0.05,)
    assert Objectives(max_risk=0.1).max_risk == (0.1,)  # type: ignore[arg-type]
    assert Objectives(max_risk=[0.1, 0.02]).max_risk == (0.1, 0.02)  # type: ignore[arg-type]
    assert Objectives(max_risk="0.1, 0.02").max_risk == (0.1, 0.02)  # type: ignore[arg-type]
    assert Objectives(max_risk=np.float32(0.5)).max_risk == (0.5,)  # type: ignore[arg-type]
    assert Objectives(max_risk=np.array([0.1, 0.2])).max_risk == (0.1, 0.2)  # type: ignore[arg-type]


def test_risks_are_promised_unless_the_aim_is_another() -> None:
    assert Objectives(max_risk=(0.1, 0.02)).risks == (0.1, 0.02)
    assert Objectives(coverage=1).risks == Objectives(costs=(2, 1)).risks == (None,)


@pytest.mark.parametrize(("error", "review", "least"), [(100, 5, 0.95), (2, 1, 0.5), (1, 1e-6, 0.999999)])
def test_accept_where_an_error_is_expected_to_cost_less_than_a_review(
    error: float, review: float, least: float
) -> None:
    found = Objectives(costs=(error, review)).least_probability(error)
    assert found == pytest.approx(least)
    assert (1 - found) * error == pytest.approx(review)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_risk": 0}, "max_risk: expected a number from 1e-09 to 0.999999999, found 0"),
        ({"max_risk": (0.1, 2)}, r"max_risk: expected a number from .* found 2\.0 \(2 % is 0\.02\)"),
        ({"max_risk": 200}, r"max_risk: expected a number from .* found 200\.0$"),
        ({"max_risk": ()}, "max_risk: expected at least one, each once"),
        ({"max_risk": "high"}, "max_risk: expected a number, or several .*'high'"),
        ({"costs": (5, 5)}, "costs: expected the cost of an error"),
        ({"costs": (5, 0)}, "costs: expected the cost of an error"),
        ({"costs": (100, 5), "coverage": 0.5}, "costs: expected a coverage or costs, found both"),
    ],
)
def test_what_is_out_of_range_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^{message}") as caught:
        Objectives(**options)
    assert "\n" not in str(caught.value)


def test_the_smallest_delta_can_be_divided() -> None:
    found = Gate.calibrate(np.arange(200) / 200, np.ones(200, bool), 0.5, 1e-9, groups=np.arange(200) % 2)
    assert found.promises[0].delta == 0.5e-9
