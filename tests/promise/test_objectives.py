"""What a gate may be calibrated for."""

import math
from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate, Objectives


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


def test_numbers_of_numpy_become_plain() -> None:
    objectives = Objectives(delta=np.float64(0.1), coverage=np.float32(0.5))  # type: ignore[arg-type]
    assert type(objectives.delta) is type(objectives.coverage) is float


@pytest.mark.parametrize(("error", "review", "least"), [(100, 5, 0.95), (2, 1, 0.5), (1, 1e-6, 0.999999)])
def test_accept_where_an_error_is_expected_to_cost_less_than_a_review(
    error: float, review: float, least: float
) -> None:
    found = Objectives(costs=(error, review)).least_probability
    assert found == pytest.approx(least)
    assert (1 - found) * error == pytest.approx(review)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_risk": 0}, "max_risk: expected a number from 1e-09 to 0.999999999, found 0"),
        ({"max_risk": math.nan}, "max_risk: expected a number from .* found nan"),
        ({"max_risk": True}, "max_risk: expected a number from"),
        ({"max_risk": (0.1, 2)}, r"max_risk: expected a number from .* found 2\.0 \(2 % is 0\.02\)"),
        ({"max_risk": 200}, r"max_risk: expected a number from .* found 200\.0$"),
        ({"max_risk": ()}, "max_risk: expected at least one, each once"),
        ({"max_risk": (0.1, 0.1)}, "max_risk: expected at least one, each once"),
        ({"max_risk": "high"}, "max_risk: expected a number, or several .*'high'"),
        ({"delta": 0}, "delta: expected a number from"),
        ({"delta": "small"}, "delta: expected a number from .* found 'small'"),
        ({"coverage": 1.01}, "coverage: expected a number from 1e-09 to 1, found 1.01"),
        ({"reject": 0}, "reject: expected a number from"),
        ({"costs": 5}, "costs: expected the cost of an error .* found 5.0"),
        ({"costs": (100, 5, 1)}, "costs: expected the cost of an error .* found 100.0, 5.0, 1.0"),
        ({"costs": (5, 5)}, "costs: expected the cost of an error"),
        ({"costs": (5, 0)}, "costs: expected the cost of an error"),
        ({"costs": (math.inf, 5)}, "costs: expected the cost of an error"),
        ({"costs": "a,b"}, "costs: expected a number, or several"),
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
