"""What the labels of an audit tell: bounds that hold whatever drifts, evidence without a bias, and a stricter limit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from steepslope.monitor.audit import DOWN, UP, Audited, Drawn, stricter_of, weighted_errors
from steepslope.monitor.bounds import Bets
from steepslope.predict.audit import chances

RUNS, DELTA = 400, 0.2


def drifting(rng: np.random.Generator, n: int = 1_500) -> tuple[np.ndarray, np.ndarray]:
    """Return P(correct) and what is wrong: first as P(correct) says, then among those that seem safest."""
    p_correct = rng.beta(9, 1, n)
    truth = np.where(np.arange(n) < n / 2, 1 - p_correct, 0.3 * (p_correct > 0.95))
    return p_correct, rng.random(n) < truth


def audited(rng: np.random.Generator, p_correct: np.ndarray, wrong: np.ndarray, labels: int) -> Drawn:
    chance = chances(p_correct, 0.05, labels)
    coins = rng.random(len(chance)) < chance
    return [
        (float(p), float(q), bool(not bad))
        for p, q, bad, coin in zip(p_correct, chance, wrong, coins, strict=True)
        if coin
    ]


def test_the_interval_holds_at_all_times_whatever_drifts() -> None:
    """Where errors move to the safest predictions, it fails at any of ten looks in at most delta of the streams."""
    missed = 0
    for seed in range(RUNS):
        rng = np.random.default_rng([seed, 1])
        p_correct, wrong = drifting(rng)
        known: list[tuple[float, float, bool | None]] = []
        first = least = 0.0
        for end in range(150, 1_501, 150):
            part = slice(end - 150, end)
            known += audited(rng, p_correct[part], wrong[part], 20)
            smallest = float(chances(p_correct[part], 0.05, 20).min())
            first, least = (first, min(least, smallest)) if first else (smallest, smallest)
            low, high = Audited.of(known, end, first, least).interval(DELTA)
            if not low <= wrong[:end].mean() <= high:
                missed += 1
                break
    assert missed <= RUNS * DELTA


def test_the_bets_on_a_count_have_a_mean_of_one() -> None:
    """Over all draws of four wrong ones, each with its own chance, as the proof says."""
    chance = np.array([0.1, 0.4, 0.9, 1.0])
    coins = (np.arange(16)[:, None] >> np.arange(4)) & 1
    likelihood = np.where(coins, chance, 1 - chance).prod(axis=1)
    for size in 0.1 * np.concatenate([DOWN, UP]):
        gain = np.where(coins, 1 + size / chance, 1).prod(axis=1) / (1 + size) ** 4
        assert likelihood @ gain == pytest.approx(1)
        assert (gain >= 0).all()


def brute(known: Drawn, n: int, first: float, least: float, alpha: float) -> tuple[float, float]:
    """Return the interval by trying each count, with what waits as wrong above and as right below."""
    wrong = np.array([chance for _, chance, right in known if right is not None and not right])
    all_wrong = np.array([chance for _, chance, right in known if not right])
    right = sum(bool(one) for _, _, one in known)
    inside = []
    for count in range(len(wrong), n - right + 1):
        above = np.mean([np.prod(1 + first * s / wrong) / (1 + first * s) ** count for s in UP])
        alive = [s for s in DOWN if -first * s < least]
        below = sum(np.prod(1 + first * s / all_wrong) / (1 + first * s) ** count for s in alive) / len(DOWN)
        if max(above, below) < 2 / alpha:
            inside.append(count)
    return min(inside) / n, max(inside) / n


@given(
    known=st.lists(
        st.tuples(st.floats(0, 1), st.floats(0.05, 1), st.sampled_from([True, True, False, None])), max_size=25
    ),
    more=st.integers(0, 60),
    first=st.floats(0.04, 1),
)
def test_the_interval_is_that_of_trying_each_count(
    known: list[tuple[float, float, bool | None]], more: int, first: float
) -> None:
    n = len(known) + more + 1
    found = Audited.of(known, n, first, 0.04)
    low, high = found.interval(0.1)
    expected = brute(known, n, first, 0.04, 0.1)
    assert low == pytest.approx(expected[0], abs=1 / n)
    assert high == pytest.approx(expected[1], abs=1 / n)
    assert low <= expected[0] + 1e-9
    assert high >= expected[1] - 1e-9


def test_all_labelled_is_all_known() -> None:
    known = [(0.9, 1.0, True)] * 97 + [(0.9, 1.0, False)] * 3
    found = Audited.of(known, 100, 1.0, 1.0)
    assert found.risk == pytest.approx(0.03)
    assert found.interval(0.05) == (0.03, 0.03)


def test_without_labels_little_is_known() -> None:
    assert Audited.of([], 0, 1.0, 1.0).interval(0.05) == (0, 1)
    waiting = Audited.of([(0.9, 0.1, None)] * 10, 100, 0.1, 0.1)
    assert waiting.risk is None
    assert waiting.interval(0.05) == (0, 1)
    assert waiting.as_json(0.05)["waiting"] == 10


def test_the_estimate_has_no_bias_though_doubtful_ones_are_drawn_more_often() -> None:
    rng = np.random.default_rng(0)
    p_correct = rng.beta(9, 1, 3_000)
    wrong = rng.random(3_000) < 1 - p_correct
    found = [Audited.of(audited(rng, p_correct, wrong, 200), 3_000, 0.01, 0.01).risk for _ in range(300)]
    plain = [np.mean([not right for *_, right in audited(rng, p_correct, wrong, 200)]) for _ in range(50)]
    assert np.mean([one for one in found if one is not None]) == pytest.approx(wrong.mean(), abs=0.005)
    assert abs(np.mean(plain) - wrong.mean()) > 0.01  # what labels alone would say


def test_weights_take_the_bias_out_of_the_evidence() -> None:
    """A gate that is wrong as often as it promises: audits that draw the doubtful more often do not make it harmful."""
    harmful = [0, 0]
    for seed in range(300):
        rng = np.random.default_rng([seed, 2])
        p_correct = rng.beta(9, 1, 3_000)
        wrong = rng.random(3_000) < (1 - p_correct)
        chance = chances(p_correct, 0.1, 1_000)
        coins = np.flatnonzero(rng.random(3_000) < chance)
        weights = chance.min() / chance[coins]
        for place, weight in enumerate((weights, np.ones(len(coins)))):
            _, evidence = Bets(0.1).after(weighted_errors(wrong[coins], weight, 0.1))
            harmful[place] += evidence.max() > np.log(1 / 0.1)
    assert harmful[0] <= 300 * 0.1
    assert harmful[1] > 100


def test_a_stricter_limit_is_the_lowest_that_brings_the_risk_back() -> None:
    known = [(p, 0.5, p > 0.7) for p in np.linspace(0.5, 1, 100)]
    found = stricter_of(known, 0.1)
    assert found is not None
    kept = [right for p, _, right in known if p >= found.p_correct]
    assert found.risk == pytest.approx((1 + kept.count(False)) / (1 + len(kept)))
    assert found.risk <= 0.1
    assert found.kept == pytest.approx(len(kept) / 100)
    one_more = [right for p, _, right in known if p >= found.p_correct - 0.006]
    assert (1 + one_more.count(False)) / (1 + len(one_more)) > 0.1


def test_a_limit_where_p_correct_ties_takes_all_or_none() -> None:
    known: Drawn = [(0.9, 0.5, True)] * 30 + [(0.8, 0.5, True)] * 5 + [(0.8, 0.5, False)] * 5 + [(0.7, 0.5, True)] * 5
    found = stricter_of(known, 0.05)
    assert found is not None
    assert (found.p_correct, found.kept) == (pytest.approx(0.9), pytest.approx(30 / 45))


def test_there_may_be_no_limit_or_no_need_of_one() -> None:
    assert stricter_of([], 0.05) is None
    assert stricter_of([(0.9, 0.5, False)] * 9, 0.05) is None
    assert stricter_of([(0.9, 0.5, True)] * 40, 0.05) is None
