"""What is promised in words and as JSON, and what is refused of JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from steepslope.errors import SteepslopeError
from steepslope.gate import Certificate
from steepslope.gate.binomial import tail

PATH = Path("gate.json")
GIVEN = Certificate("risk", 0.75, 1000, 600, 4, 0.05, 0.02)
NOTHING = Certificate("risk", np.inf, 40, 0, 0, 0.05, 0.05, None, "40 rows are too few")
REJECTION = Certificate("rejection", -2.5, 1000, 100, 3, 0.025, 0.1)
KINDS = {
    "risk": GIVEN,
    "of a group": replace(GIVEN, group="cats"),
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
    assert Certificate.of(json.loads(text), PATH) == KINDS[name]


@given(st.integers(0, 30), st.integers(1, 400), st.sampled_from([0.5, 0.25, 0.1, 0.05]))
def test_a_promise_that_is_just_kept_is_read(errors: int, others: int, risk: float) -> None:
    accepted = errors + others
    delta = float(tail(errors, accepted, risk))
    if 1e-6 < delta < 1 - 1e-6:
        just = Certificate("risk", 0.5, accepted, accepted, errors, delta, risk)
        assert Certificate.of(json.loads(json.dumps(just.as_json())), PATH) == just


def test_numbers_follow_from_counts() -> None:
    assert GIVEN.coverage == 0.6
    low, high = GIVEN.coverage_interval
    assert low < 0.6 < high < low + 0.07
    assert tail(4, 600, GIVEN.risk_bound) == pytest.approx(0.05)
    assert (NOTHING.coverage, NOTHING.risk_bound, NOTHING.is_given) == (0, 1, False)
    assert replace(NOTHING, n=0).coverage == 0


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"errors": 3}, "3 errors of 600"),
        ({"accepted": 700}, "4 errors of 700"),
        ({"accepted": 2000}, "2000 accepted"),
        ({"n": 1100}, "of 1100 rows"),
        ({"errors": -1}, "-1 errors"),
        ({"risk_bound": 0.001}, "bound 0.001"),
        ({"risk_bound": float("nan")}, "bound nan"),
        ({"delta": 0.5}, "4 errors"),
        ({"delta": 1.0}, "4 errors"),
        ({"max_risk": 0.01}, "bound 0.0"),
        ({"coverage": 0.7}, "4 errors"),
        ({"threshold": float("nan")}, "4 errors"),
    ],
)
def test_counts_that_were_changed_are_noticed(change: dict[str, Any], found: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^gate.json: expected a certificate whose bound follows .*{found}"):
        Certificate.of({**GIVEN.as_json(), **change}, PATH)


@pytest.mark.parametrize("name", [*GIVEN.as_json()])
def test_a_field_that_is_missing_or_of_another_type_is_named(name: str) -> None:
    content = GIVEN.as_json()
    if name not in ("accepts_all", "coverage_interval"):  # these are for readers
        with pytest.raises(SteepslopeError, match=f"^gate.json: the field '{name}' is missing"):
            Certificate.of({key: value for key, value in content.items() if key != name}, PATH)
        with pytest.raises(SteepslopeError, match=name):
            Certificate.of({**content, name: [1]}, PATH)
    if name == "accepts_all":
        with pytest.raises(SteepslopeError, match="the field 'accepts_all' is missing"):
            Certificate.of({**{key: content[key] for key in content if key != name}, "threshold": None}, PATH)


def test_an_unknown_aim_is_answered_with_the_closest() -> None:
    with pytest.raises(SteepslopeError, match=r"aim in gate.json: 'risks': did you mean 'risk'\?"):
        Certificate.of({**GIVEN.as_json(), "aim": "risks"}, PATH)


def test_words_of_a_promise() -> None:
    assert GIVEN.words() == (
        "Of all predictions, those with a confidence of at least 0.75 are accepted. Of these, at most 2 % are wrong, "
        "with a confidence of 95 %. Of 1,000 calibration rows, 600 are accepted (60 %, 95 % interval 56.9 % to 63.1 %) "
        "and 4 of these wrong (0.67 %, at most 1.52 %)."
    )


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        ("of a group", ["cats: of these predictions, those with a confidence of at least 0.75"]),
        ("everything", ["Of all predictions, all are accepted."]),
        ("nothing", ["Nothing can be promised: 40 rows are too few."]),
        ("coverage", ["Of these, at most 1.52 % are wrong"]),
        ("costs that accept none", ["at most 100 % are wrong", "0 are accepted", "(–, at most 100 %)"]),
        ("rejection", ["of at most -2.5 are rejected", "at most 10 % are right", "a confidence of 97.5 %"]),
        ("rejection of all", ["all are rejected"]),
    ],
)
def test_words_of_each_kind(name: str, phrases: list[str]) -> None:
    words = KINDS[name].words()
    assert all(phrase in words for phrase in phrases), words


def test_words_of_a_group_without_a_promise() -> None:
    assert replace(NOTHING, group="cats").words() == "cats: nothing can be promised: 40 rows are too few."


def test_words_round_nothing_in_favour_of_the_promise() -> None:
    assert "at most 0.125 % are wrong" in replace(GIVEN, max_risk=0.00125).words()
    bound = replace(GIVEN, max_risk=None, delta=0.05 / 7)
    percent = float(bound.words().split("at most ")[1].split(" %")[0])
    assert bound.risk_bound <= percent / 100 <= bound.risk_bound + 1e-4
    assert "with a confidence of 99.28 %" in bound.words()
