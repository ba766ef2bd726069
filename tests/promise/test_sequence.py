"""Where a sequence starts, and that its levels keep the promise: by sums forward, where the module sums backward."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import binom

from steepslope.promise.certificate import rows_needed
from steepslope.promise.certify import certify
from steepslope.promise.sequence import Start, last_passing, most_errors, start_rows, start_thresholds


@given(st.integers(0, 20_000), st.sampled_from([0.01, 0.05, 0.3]), st.sampled_from([0.01, 0.1]))
def test_starts_lie_about_half_of_the_rows_and_bear_errors(n: int, risk: float, delta: float) -> None:
    borne, rows = 0, start_rows(n, risk, delta)
    while rows_needed(risk, delta, borne + 1) <= n // 2:
        borne += 1
    half = rows_needed(risk, delta, borne)
    assert half in rows
    assert all(1.2 < later / earlier < 1.3 for earlier, later in pairwise(rows))
    assert rows[0] == half or rows[0] >= rows_needed(risk, delta / 2, 3)
    assert rows[-1] <= max(n, half)
    assert (rows[-1] > half) == (borne >= 20)


HARD = {  # shares of the rows, and the risk in each: the most trusted ones are wrong more often than those after them
    "a fifth wrong at first": (300, [(0.15, 0.2), (0.35, 0.14), (0.5, 0.4)]),
    "more wrong at first than promised": (300, [(0.1, 0.3), (0.4, 0.14), (0.5, 0.4)]),
    "400 rows": (400, [(0.08, 0.3), (0.5, 0.15), (0.42, 0.4)]),
}


@pytest.mark.parametrize("name", HARD)
def test_a_quarter_is_promised_although_the_most_trusted_rows_are_wrong_often(name: str) -> None:
    n, blocks = HARD[name]
    counts = [round(share * n) for share, _ in blocks]
    rates = [rate for _, rate in blocks]
    wrong = [np.diff(np.floor(rate * np.arange(count + 1) + 0.5)) for count, rate in zip(counts, rates, strict=True)]
    found = certify(-np.arange(n) / n, np.concatenate(wrong) == 0, -np.linspace(0, 1, 401), 0.25, 0.05)
    assert found.accepted > n / 2


def probability_to_pass(tests: list[tuple[int, int]], risk: float) -> float:
    """Return how likely one of some tests passes, each of so many rows with at most so many errors, by their order."""
    chance, at, passed = np.ones(1), 0, 0.0
    for rows, most in tests:
        chance = np.convolve(chance, binom.pmf(np.arange(rows - at + 1), rows - at, risk))
        passed += chance[: most + 1].sum()
        chance[: most + 1] = 0.0
        at = rows
    return passed


def first_broken(place: int, found: list[Start], accepted: np.ndarray, risk: float) -> float:
    """Return how likely something is passed wrongly where the risk is too high from a place of the sequence on."""
    level = max((one.level for one in found if one.place <= place), default=0.0)
    tests = [(int(accepted[place]), most_errors(int(accepted[place]), risk, level))] if level else []
    tests += [
        (int(accepted[one.place]), most_errors(int(accepted[one.place]), risk, one.after_failure))
        for one in found
        if one.place > place
    ]
    return probability_to_pass(tests, risk)


@pytest.mark.parametrize("risk", [0.02, 0.05, 0.5])
@pytest.mark.parametrize(("n", "delta"), [(60, 0.1), (800, 0.05), (3_000, 0.05), (3_000, 0.001)])
def test_wherever_the_risk_is_too_high_from_little_passes_wrongly(n: int, risk: float, delta: float) -> None:
    accepted = np.unique(np.linspace(0, n, 90).astype(np.int64))
    found = start_thresholds(accepted, n, risk, delta)
    chances = [first_broken(place, found, accepted, risk) for place in range(len(accepted))]
    assert max(chances) <= delta * (1 + 1e-9)
    assert not found or max(chances) > 0.5 * delta  # what is promised is used


@settings(max_examples=40)
@given(st.lists(st.integers(0, 2_000), min_size=1, max_size=30), st.sampled_from([0.05, 0.2]))
def test_of_any_counts_little_passes_wrongly(counts: list[int], risk: float) -> None:
    accepted = np.sort(np.array(counts))
    found = start_thresholds(accepted, 2_000, risk, 0.1)
    for place in range(len(accepted)):
        assert first_broken(place, found, accepted, risk) <= 0.1 * (1 + 1e-9)
    assert [one.place for one in found] == sorted({one.place for one in found})
    assert all(one.after_failure <= one.level <= 0.1 for one in found)


def test_few_rows_have_one_start_with_all_of_delta() -> None:
    assert start_thresholds(np.arange(0, 301, 10), 300, 0.05, 0.05) == [Start(13, 0.05, 0.05)]
    assert start_thresholds(np.arange(0, 21, 10), 300, 0.05, 0.05) == []


def test_a_million_rows_take_no_more_than_seconds() -> None:
    found = start_thresholds(np.linspace(0, 1_000_000, 400).astype(np.int64), 1_000_000, 0.05, 0.05)
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
    assert last_passing(Start.sharing([1, 3], 0.1), 6, passes) == last
    assert asked == expected


def test_a_start_after_a_failure_has_a_level_of_its_own() -> None:
    starts = [Start(0, 0.03, 0.03), Start(2, 0.02, 0.05)]
    asked, passes = asking({1})
    assert last_passing(starts, 4, passes) == (3, 0.05)
    assert asked == [(0, 0.03), (0, 0.03), (1, 0.03), (2, 0.02), (2, 0.05), (3, 0.05)]
    asked, passes = asking(set())
    assert last_passing(starts, 4, passes) == (3, 0.05)
    assert asked == [(0, 0.03), (0, 0.03), (1, 0.03), (2, 0.05), (3, 0.05)]
    assert last_passing(starts, 2, passes) == (1, 0.03)  # of the first ones alone
    assert last_passing([], 4, passes) == (None, 0.0)
