"""What is told where nothing can be promised."""

import numpy as np
import pytest

from steepslope.promise.sample_size import LIKELY, advice_for, chance, possible_risk, rows_to_add

Counts = np.ndarray


def counts(n: int, errors: int, steps: int = 50) -> tuple[int, Counts, Counts]:
    """Return n rows whose errors are spread evenly, as thresholds at even steps count them."""
    accepted = np.unique(np.linspace(0, n, steps).astype(np.int64))
    return n, accepted, np.round(errors / n * accepted).astype(np.int64)


def test_a_chance_is_that_of_the_beta_binomial_by_drawing() -> None:
    rng = np.random.default_rng(0)
    risk = rng.beta(4.5, 96.5, 200_000)
    passes = rng.binomial(300, risk) <= 8  # as many errors as 300 rows bear at 5 %, delta .05
    assert chance(100, np.array([100]), np.array([4]), 300, 0.05, 0.05) == pytest.approx(passes.mean(), abs=0.005)


@pytest.mark.parametrize(("n", "errors"), [(58, 0), (300, 6), (400, 10)])
def test_as_many_rows_are_likely_enough_and_far_fewer_are_not(n: int, errors: int) -> None:
    found = counts(n, errors)
    more = rows_to_add(*found, 0.05, 0.05)
    assert more is not None
    assert chance(*found, n + more, 0.05, 0.05) >= LIKELY - 0.03
    assert chance(*found, n + more // 2, 0.05, 0.05) < LIKELY
    assert len(str(more).rstrip("0")) <= 2


def test_no_number_is_told_where_the_risk_seems_too_high() -> None:
    found = counts(500, 40)
    assert rows_to_add(*found, 0.05, 0.05) is None
    assert "these rows do not tell how many more would do" in advice_for(*found, 0.05, 0.05, "risk")


def test_a_higher_risk_is_told_by_the_same_rule() -> None:
    found = counts(500, 40)
    risk = possible_risk(*found, 0.05, 0.05)
    assert risk is not None
    assert chance(*found, 500, risk, 0.05) >= LIKELY > chance(*found, 500, 0.9 * risk, 0.05)
    assert possible_risk(*counts(500, 500), 0.05, 0.05) is None


def test_sentences_say_how_often_they_come_true() -> None:
    advice = advice_for(*counts(58, 0), 0.05, 0.05, "risk")
    assert advice.startswith("58 rows are too few for 5 % at delta 0.05, which takes at least 59 accepted ones")
    assert "more rows like these would do in about 4 of 5 draws" in advice
    assert "% could be promised in about 4 of 5 draws" in advice
    assert "among the least trusted" in advice_for(*counts(500, 40), 0.05, 0.05, "rejection")
