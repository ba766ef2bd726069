"""Where a sequence starts, and that its levels keep the promise: by sums forward, where the module sums backward."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import binom

from steepslope.promise._certificate import rows_needed
from steepslope.promise._sample_size import (
    LIKELY,
    _chance_of_larger_sample,
    _possible_risk_of_sample,
    _rows_to_add_to_sample,
    sample_size_sentence,
)
from steepslope.promise._sequence import (
    Above,
    StartThreshold,
    find_start_thresholds,
    last_passing_in_sequence,
    most_passing_errors,
    rows_of_start_thresholds,
)


@settings(max_examples=40)
@given(st.integers(0, 1_000), st.sampled_from([0.01, 0.05, 0.3]), st.sampled_from([0.01, 0.1]))
def test_starts_lie_about_half_of_the_rows_and_bear_errors(n: int, risk: float, delta: float) -> None:
    borne, rows = 0, rows_of_start_thresholds(n, risk, delta)
    while rows_needed(risk, delta, borne + 1) <= n // 2:
        borne += 1
    half = rows_needed(risk, delta, borne)
    assert half in rows
    assert all(1.2 < later / earlier < 1.3 for earlier, later in pairwise(rows))
    assert rows[0] == half or rows[0] >= rows_needed(risk, delta / 2, 3)
    assert rows[-1] <= max(n, half)
    assert (rows[-1] > half) == (borne >= 20)


def probability_to_pass(tests: list[tuple[int, int]], risk: float) -> float:
    """Return how likely one of some tests passes, each of so many rows with at most so many errors, by their order."""
    chance, at, passed = np.ones(1), 0, 0.0
    for rows, most in tests:
        chance = np.convolve(chance, binom.pmf(np.arange(rows - at + 1), rows - at, risk))
        passed += chance[: most + 1].sum()
        chance[: most + 1] = 0.0
        at = rows
    return passed


def first_broken(place: int, found: list[StartThreshold], accepted: np.ndarray, risk: float) -> float:
    """Return how likely something is passed wrongly where the risk is too high from a place of the sequence on."""
    level = max((one.level for one in found if one.place <= place), default=0.0)
    tests = [(int(accepted[place]), most_passing_errors(int(accepted[place]), risk, level))] if level else []
    tests += [
        (int(accepted[one.place]), most_passing_errors(int(accepted[one.place]), risk, one.after_failure))
        for one in found
        if one.place > place
    ]
    return probability_to_pass(tests, risk)


@pytest.mark.parametrize("risk", [0.02, 0.05, 0.5])
@pytest.mark.parametrize(("n", "delta"), [(60, 0.1), (800, 0.05), (3_000, 0.05), (3_000, 0.001)])
def test_wherever_the_risk_is_too_high_from_little_passes_wrongly(n: int, risk: float, delta: float) -> None:
    accepted = np.unique(np.linspace(0, n, 90).astype(np.int64))
    found = find_start_thresholds(accepted, n, risk, delta)
    chances = [first_broken(place, found, accepted, risk) for place in range(len(accepted))]
    assert max(chances) <= delta * (1 + 1e-9)
    assert not found or max(chances) > 0.5 * delta  # what is promised is used


@settings(max_examples=20)
@given(st.lists(st.integers(0, 2_000), min_size=1, max_size=30), st.sampled_from([0.05, 0.2]))
def test_of_any_counts_little_passes_wrongly(counts: list[int], risk: float) -> None:
    accepted = np.sort(np.array(counts))
    found = find_start_thresholds(accepted, 2_000, risk, 0.1)
    for place in range(len(accepted)):
        assert first_broken(place, found, accepted, risk) <= 0.1 * (1 + 1e-9)
    assert [one.place for one in found] == sorted({one.place for one in found})
    assert all(one.after_failure <= one.level <= 0.1 for one in found)


def test_few_rows_have_one_start_with_all_of_delta() -> None:
    assert find_start_thresholds(np.arange(0, 301, 10), 300, 0.05, 0.05) == [StartThreshold(13, 0.05, 0.05)]
    assert find_start_thresholds(np.arange(0, 21, 10), 300, 0.05, 0.05) == []


def test_a_million_rows_take_no_more_than_seconds() -> None:
    found = find_start_thresholds(np.linspace(0, 1_000_000, 400).astype(np.int64), 1_000_000, 0.05, 0.05)
    assert len(found) > 10
    assert found[-1].level == 0.05
    assert all(0 < one.after_failure <= one.level for one in found)


def asking(failing: set[int]) -> tuple[list[tuple[int, float]], Callable[[int, float], bool]]:
    """Return a list of what is asked, and a test that fails at some places."""
    asked: list[tuple[int, float]] = []

    def passes(place: int, level: float) -> bool:
        asked.append((place, round(level, 3)))
        return place not in failing

    return asked, passes


@pytest.mark.parametrize(
    ("failing", "last", "expected"),
    [
        ({5}, (4, 0.1), [(1, 0.05), (1, 0.05), (2, 0.05), (3, 0.1), (4, 0.1), (5, 0.1)]),
        ({2, 4}, (3, 0.05), [(1, 0.05), (1, 0.05), (2, 0.05), (3, 0.05), (3, 0.05), (4, 0.05)]),
        ({1, 3}, (None, 0.0), [(1, 0.05), (3, 0.05)]),
    ],
)
def test_runs_share_delta_and_hand_it_on(
    failing: set[int], last: tuple[int | None, float], expected: list[tuple[int, float]]
) -> None:
    asked, passes = asking(failing)
    assert last_passing_in_sequence(StartThreshold.sharing([1, 3], 0.1), 6, passes) == last
    assert asked == expected


def test_a_start_after_a_failure_has_a_level_of_its_own() -> None:
    start_thresholds = [StartThreshold(0, 0.03, 0.03), StartThreshold(2, 0.02, 0.05)]
    asked, passes = asking({1})
    assert last_passing_in_sequence(start_thresholds, 4, passes) == (3, 0.05)
    assert asked == [(0, 0.03), (0, 0.03), (1, 0.03), (2, 0.02), (2, 0.05), (3, 0.05)]
    asked, passes = asking(set())
    assert last_passing_in_sequence(start_thresholds, 4, passes) == (3, 0.05)
    assert asked == [(0, 0.03), (0, 0.03), (1, 0.03), (2, 0.05), (3, 0.05)]
    assert last_passing_in_sequence(start_thresholds, 2, passes) == (1, 0.03)  # of the first ones alone
    assert last_passing_in_sequence([], 4, passes) == (None, 0.0)


def counts(n: int, errors: int, steps: int = 50) -> Above:
    """Return n rows whose errors are spread evenly, as thresholds at even steps count them."""
    accepted = np.unique(np.linspace(0, n, steps).astype(np.int64))
    return Above(n, accepted, np.round(errors / n * accepted).astype(np.int64))


def test_a_chance_is_that_of_the_beta_binomial_by_drawing() -> None:
    rng = np.random.default_rng(0)
    risk = rng.beta(4.5, 96.5, 200_000)
    passes = rng.binomial(300, risk) <= 8  # as many errors as 300 rows bear at 5 %, delta .05
    assert _chance_of_larger_sample(Above(100, np.array([100]), np.array([4])), 300, 0.05, 0.05) == pytest.approx(
        passes.mean(), abs=0.005
    )


@pytest.mark.parametrize(("n", "errors"), [(58, 0), (300, 6), (400, 10)])
def test_as_many_rows_are_likely_enough_and_far_fewer_are_not(n: int, errors: int) -> None:
    found = counts(n, errors)
    more = _rows_to_add_to_sample(found, 0.05, 0.05)
    assert more is not None
    assert _chance_of_larger_sample(found, n + more, 0.05, 0.05) >= LIKELY - 0.03
    assert _chance_of_larger_sample(found, n + more // 2, 0.05, 0.05) < LIKELY
    assert len(str(more).rstrip("0")) <= 2


def test_no_number_is_told_where_the_risk_seems_too_high() -> None:
    found = counts(500, 40)
    assert _rows_to_add_to_sample(found, 0.05, 0.05) is None
    advice = sample_size_sentence(found, 0.05, 0.05, "risk")
    assert "; even 30 times as many rows like these would probably not do; " in advice
    assert "few rows" not in advice


def test_a_risk_near_that_of_all_rows_is_not_advised() -> None:
    hopeless, hopeful = (sample_size_sentence(counts(1_000, wrong), 0.05, 0.05, "risk") for wrong in (268, 30))
    assert hopeless.endswith(
        "; with as many rows as now, the lowest risk you could usually guarantee is near that of all of them, 26.8 %"
    )
    assert "could usually" not in hopeful
    few = sample_size_sentence(counts(58, 0), 0.05, 0.05, "risk")
    assert few.endswith("; with as many rows like these, 16 % is about the lowest risk you can usually guarantee")


def test_a_higher_risk_is_told_by_the_same_rule() -> None:
    found = counts(500, 40)
    risk = _possible_risk_of_sample(found, 0.05, 0.05)
    assert risk is not None
    assert (
        _chance_of_larger_sample(found, 500, risk, 0.05)
        >= LIKELY
        > _chance_of_larger_sample(found, 500, 0.9 * risk, 0.05)
    )
    assert _possible_risk_of_sample(counts(500, 500), 0.05, 0.05) is None


def test_sentences_say_how_often_they_come_true() -> None:
    advice = sample_size_sentence(counts(58, 0), 0.05, 0.05, "risk")
    assert advice.startswith("58 rows are too few for 5 % at delta 0.05, which takes at least 59 accepted ones")
    assert "more rows like these would do in about 4 of 5 draws" in advice
    assert "% is about the lowest risk you can usually guarantee" in advice
    assert "among the least trusted" in sample_size_sentence(counts(500, 40), 0.05, 0.05, "rejection")
