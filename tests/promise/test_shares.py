"""Which groups share delta, by their numbers of rows alone, and what overlapping groups are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.promise._certificate import rows_needed
from steepslope.promise._certify import shares_of_groups
from steepslope.promise._rows import crossed_groups


@pytest.mark.parametrize("seed", range(20))
def test_the_most_groups_that_can_pass_share_delta(seed: int) -> None:
    """By an independent search: the largest k whose k largest groups have enough rows at delta / k."""
    rng = np.random.default_rng(seed)
    sizes, risk, delta = rng.integers(1, 150, 8).tolist(), 0.1, 0.05
    shares = shares_of_groups(sizes, risk, delta)
    able = [k for k in range(1, 9) if sum(size >= rows_needed(risk, delta / k) for size in sizes) >= k]
    largest = max(able, default=0)
    can_pass = [size >= rows_needed(risk, share) for size, share in zip(sizes, shares, strict=True)]
    assert sum(can_pass) == largest
    assert sum(share for share, passes in zip(shares, can_pass, strict=True) if passes) <= delta + 1e-12


def test_tiny_groups_cost_the_others_nothing_and_are_told_what_they_lack() -> None:
    rng = np.random.default_rng(0)
    names = np.repeat(["big", "small", "tiny"], [600, 8, 1])
    confidence = rng.random(609)
    is_correct = rng.random(609) < 0.5 + confidence / 2
    thresholds = np.linspace(1, 0, 50)
    gate = Gate.calibrate(confidence, is_correct, 0.25, thresholds=thresholds, groups=names)
    alone = Gate.calibrate(confidence[:600], is_correct[:600], 0.25, thresholds=thresholds)
    assert gate.thresholds["big"] == alone.threshold
    assert gate.thresholds["small"] == gate.thresholds["tiny"] == np.inf
    assert gate.promises[1].advice.startswith(
        f"8 rows are too few for 25 % at delta 0.025, which takes at least {rows_needed(0.25, 0.025)} accepted ones"
    )


def test_two_risks_have_their_own_groups() -> None:
    names = np.repeat(["big", "small"], [400, 50])
    gate = Gate.calibrate(np.linspace(1, 0, 450), np.ones(450, bool), (0.02, 0.2), thresholds=[-1.0], groups=names)
    assert [each.delta for each in gate.certificates] == [0.025, 0.0125, 0.0125, 0.0125]
    assert [each.is_given for each in gate.certificates] == [True, False, True, True]


def overlapping(n: int = 3_000) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    return {"sex": rng.choice(["f", "m"], n), "age": rng.integers(1, 4, n)}


def gate_by_overlapping() -> Gate:
    rng, groups = np.random.default_rng(4), overlapping()
    confidence = rng.random(3_000)
    is_correct = rng.random(3_000) < 0.7 + 0.3 * confidence
    return Gate.calibrate(confidence, is_correct, 0.15, groups=groups)


def test_a_row_is_accepted_by_the_threshold_of_its_combination() -> None:
    gate, groups = gate_by_overlapping(), overlapping()
    assert gate.by == "sex × age"
    assert sorted(map(str, gate.thresholds)) == [f"{sex} × {age}" for sex in "fm" for age in (1, 2, 3)]
    values = np.full(3_000, 0.8)
    expected = [gate.thresholds[f"{sex} × {age}"] <= 0.8 for sex, age in zip(groups["sex"], groups["age"], strict=True)]
    assert gate.accepts(values, dict(reversed(groups.items()))).tolist() == expected
    assert "So the promise also holds for each sex and for each age, since" in gate.sentences()


def test_no_sentence_on_overlapping_groups_where_nothing_is_promised() -> None:
    gate = Gate.calibrate([0.5] * 20, [True] * 20, groups={"a": [1] * 20, "b": [2] * 20})
    assert "also holds" not in gate.sentences()


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"sex": ["f"]}, "groups: expected groups by sex × age, found sex"),
        ({"sex": ["f"], "site": [1]}, "groups: expected groups by sex × age, found sex × site"),
        ({"sex": ["f"], "age": [1, 2]}, r"groups age: expected one for each prediction, \(1,\), found shape \(2,\)"),
    ],
)
def test_other_names_or_lengths_of_overlapping_groups_are_refused(groups: Any, message: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^{message}"):
        gate_by_overlapping().accepts([0.5], groups)


def test_groups_by_no_name_are_refused() -> None:
    with pytest.raises(SteepslopeError, match=r"^groups: expected groups by"):
        crossed_groups({}, 3)


@pytest.mark.slow
def test_promises_of_groups_with_few_rows_are_kept_together() -> None:
    """The risk is exactly as promised in every group, at every threshold, so any group may break its promise."""
    rng, broken = np.random.default_rng(0), 0
    names = np.repeat(["a", "b", "c", "d"], [300, 200, 40, 5])
    for _ in range(300):
        confidence = rng.random(545)
        gate = Gate.calibrate(confidence, rng.random(545) >= 0.101, 0.1, 0.1, np.linspace(1, 0, 30), groups=names)
        broken += any(each.is_given for each in gate.promises)
    assert 0 < broken / 300 < 0.1 + 3 * np.sqrt(0.1 * 0.9 / 300)
