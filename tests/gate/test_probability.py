"""P(correct): what was drawn is found again, on any scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from steepslope.errors import SteepslopeError
from steepslope.gate.probability import ProbabilityMap

PATH = Path("gate.json")


def _rows(n: int = 20_000) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    odds = rng.normal(1, 2, n)
    return odds, rng.random(n) < expit(0.7 * odds - 0.4)


@pytest.mark.parametrize("of_log_odds", [True, False])
def test_slope_and_offset_are_found(of_log_odds: bool) -> None:
    odds, is_correct = _rows()
    found = ProbabilityMap.of(odds, is_correct, of_log_odds)
    np.testing.assert_allclose(found(odds), expit(0.7 * odds - 0.4), atol=0.02)


def test_confidences_from_0_to_1_are_taken_for_probabilities() -> None:
    odds, is_correct = _rows()
    found = ProbabilityMap.of(expit(odds), is_correct)
    assert found.is_unit
    np.testing.assert_allclose(found(expit(odds)), expit(0.7 * odds - 0.4), atol=0.02)
    assert not ProbabilityMap.of(expit(odds), is_correct, of_log_odds=True).is_unit
    assert not ProbabilityMap.of(expit(odds) + 0.01, is_correct).is_unit


def test_scale_and_shift_do_not_matter() -> None:
    odds, is_correct = _rows(2_000)
    plain, scaled = ProbabilityMap.of(odds, is_correct), ProbabilityMap.of(1e6 * odds - 3, is_correct)
    np.testing.assert_allclose(scaled(1e6 * odds - 3), plain(odds), atol=1e-4)


def test_mean_probability_is_the_accuracy() -> None:
    odds, is_correct = _rows()
    assert ProbabilityMap.of(odds, is_correct)(odds).mean() == pytest.approx(is_correct.mean(), abs=1e-3)


@pytest.mark.parametrize("of_log_odds", [True, False])
@pytest.mark.parametrize("transform", [lambda x: x, expit])
def test_inverse(of_log_odds: bool, transform: Any) -> None:
    odds, is_correct = _rows(2_000)
    found = ProbabilityMap.of(transform(odds), is_correct, of_log_odds)
    for probability in (0.2, 0.5, 0.9):
        assert found(np.array([found.inverse(probability)]))[0] == pytest.approx(probability)


@pytest.mark.parametrize("confidence", [[0.5], [0.0, 1.0], [-np.inf, np.inf], [3.0] * 400, [0.5] * 400])
@pytest.mark.parametrize("right", [True, False])
def test_extremes_stay_probabilities_in_order(confidence: list[float], right: bool) -> None:
    found = ProbabilityMap.of(np.array(confidence), np.full(len(confidence), right))
    values = found(np.array([-np.inf, 0, 0.2, 0.5, 1, 3, np.inf]))
    assert ((values >= 0) & (values <= 1)).all()
    assert (np.diff(values) >= 0).all()


def test_a_confidence_that_is_upside_down_is_not_turned_round() -> None:
    odds, is_correct = _rows(2_000)
    assert ProbabilityMap.of(-odds, is_correct).slope > 0


def test_json_round_trip() -> None:
    for confidence in (_rows(500)[0], expit(_rows(500)[0])):
        found = ProbabilityMap.of(confidence, _rows(500)[1])
        assert ProbabilityMap.read(json.loads(json.dumps(found.as_json())), PATH) == found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slope": 0}, "expected a slope and scale > 0"),
        ({"scale": -1.0}, "expected a slope and scale > 0"),
        ({"offset": float("inf")}, "expected a slope and scale > 0"),
        ({"centre": "0"}, "field 'centre'"),
        ({"is_unit": 1}, "field 'is_unit'"),
    ],
)
def test_bad_json_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^gate.json: {message}"):
        ProbabilityMap.read({**ProbabilityMap(1, 0).as_json(), **change}, PATH)
