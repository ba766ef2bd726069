"""What the labels of an audit tell: bounds that hold whatever drifts, and evidence without a bias."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from steepslope.monitor.audit import (
    FEWER_SHARES,
    FEWER_SIZES,
    MORE_SHARES,
    MORE_SIZES,
    harm_after,
    interval_of,
    risk_of,
)
from steepslope.monitor.state import Marked
from steepslope.predict.audit import chances

RUNS, DELTA = 300, 0.2


def audited(rng: np.random.Generator, p_correct: np.ndarray, wrong: np.ndarray, labels: int) -> list[Marked]:
    """Draw rows of one file, and label them at once."""
    chance = chances(p_correct, 0.05, labels)
    coins = np.flatnonzero(rng.random(len(chance)) < chance)
    return [Marked(float(p_correct[i]), float(chance[i]), float(chance.min() / chance[i]), not wrong[i]) for i in coins]


def rows(count: int, right: bool | None, p_correct: float = 0.9, chance: float = 0.1) -> list[Marked]:
    return [Marked(p_correct, chance, 1.0, right)] * count


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[150] * 10, [25, 700, 25, 750]])
def test_the_interval_holds_at_all_times_whatever_drifts(sizes: list[int]) -> None:
    """Where errors move to the safest predictions, it fails at any look in at most delta of the streams."""
    missed = 0
    for seed in range(RUNS):
        rng = np.random.default_rng([seed, 1])
        p_correct = rng.beta(9, 1, 1_500)
        truth = np.where(np.arange(1_500) < 750, 1 - p_correct, 0.3 * (p_correct > 0.95))
        wrong, known, least = rng.random(1_500) < truth, list[Marked](), list[float]()
        fails = False
        for size, end in zip(sizes, np.cumsum(sizes), strict=True):
            file = slice(end - size, end)
            known += audited(rng, p_correct[file], wrong[file], 20)
            least.append(float(chances(p_correct[file], 0.05, 20).min()))
            low, high = interval_of(known, int(end), (least[0], min(least)), DELTA)
            fails |= not low <= wrong[:end].mean() <= high
        missed += fails
    assert missed <= RUNS * DELTA


def test_the_bets_on_a_count_have_a_mean_of_one() -> None:
    """Over all draws of four wrong ones, each with its own chance, as the proof says."""
    chance = np.array([0.1, 0.4, 0.9, 1.0])
    coins = (np.arange(16)[:, None] >> np.arange(4)) & 1
    likelihood = np.where(coins, chance, 1 - chance).prod(axis=1)
    for size in 0.1 * np.concatenate([FEWER_SIZES, MORE_SIZES]):
        gain = np.where(coins, 1 + size / chance, 1).prod(axis=1) / (1 + size) ** 4
        assert likelihood @ gain == pytest.approx(1)
        assert (gain >= 0).all()
    assert [shares.sum() for shares in (FEWER_SHARES, MORE_SHARES)] == pytest.approx([1, 1])


def brute(known: list[Marked], n: int, first: float, least: float, alpha: float) -> tuple[float, float]:
    """Return the interval by trying each count, with what waits as wrong above and as right below."""
    wrong = np.array([one.chance for one in known if one.is_correct is not None and not one.is_correct])
    all_wrong = np.array([one.chance for one in known if not one.is_correct])
    right = sum(bool(one.is_correct) for one in known)

    def e_value(count: int, sizes: np.ndarray, shares: np.ndarray, drawn: np.ndarray) -> float:
        gains = [np.prod(1 + size / drawn) / (1 + size) ** count if size > -least else 0 for size in first * sizes]
        return float(shares @ gains)

    counts = range(len(wrong), n - right + 1)
    inside = [
        count
        for count in counts
        if e_value(count, MORE_SIZES, MORE_SHARES, wrong) < 2 / alpha
        and e_value(count, FEWER_SIZES, FEWER_SHARES, all_wrong) < 2 / alpha
    ]
    return min(inside) / n, max(inside) / n


LABELLED = st.lists(st.tuples(st.floats(0.05, 1), st.sampled_from([True, True, False, None])), max_size=25)


@given(drawn=LABELLED, more=st.integers(0, 60), first=st.floats(0.04, 1))
def test_the_interval_is_that_of_trying_each_count(
    drawn: list[tuple[float, bool | None]], more: int, first: float
) -> None:
    known = [Marked(0.9, chance, 1.0, right) for chance, right in drawn]
    n = len(known) + more + 1
    low, high = interval_of(known, n, (first, 0.04), 0.1)
    expected = brute(known, n, first, 0.04, 0.1)
    assert expected[0] - 1 / n - 1e-9 <= low <= expected[0] + 1e-9
    assert expected[1] - 1e-9 <= high <= expected[1] + 1 / n + 1e-9


def test_all_labelled_is_all_known() -> None:
    known = rows(97, True, chance=1.0) + rows(3, False, chance=1.0)
    assert risk_of(known) == pytest.approx(0.03)
    assert interval_of(known, 100, (1.0, 1.0), 0.05) == (0.03, 0.03)


def test_without_labels_little_is_known() -> None:
    assert interval_of([], 0, (1.0, 1.0), 0.05) == (0, 1)
    assert risk_of(rows(10, None)) is None
    assert interval_of(rows(10, None), 100, (0.1, 0.1), 0.05) == (0, 1)


def test_a_small_first_audit_does_not_spoil_those_to_come() -> None:
    """Fifteen rows that are all drawn, then 60,000 of which 600 are."""
    known = rows(15, True, chance=1.0) + rows(580, True, chance=0.01) + rows(20, False, chance=0.01)
    low, high = interval_of(known, 60_015, (1.0, 0.01), 0.05)
    assert 0.01 < low < 0.033 < high < 0.09


def test_the_estimate_has_no_bias_though_doubtful_ones_are_drawn_more_often() -> None:
    rng = np.random.default_rng(0)
    p_correct = rng.beta(9, 1, 3_000)
    wrong = rng.random(3_000) < 1 - p_correct
    draws = [audited(rng, p_correct, wrong, 200) for _ in range(300)]
    found = [risk for draw in draws if (risk := risk_of(draw)) is not None]
    plain = [np.mean([one.is_wrong for one in draw]) for draw in draws]
    assert np.mean(found) == pytest.approx(wrong.mean(), abs=0.005)
    assert np.mean(plain) > wrong.mean() + 0.01  # what labels alone would say


@pytest.mark.slow
def test_weights_take_the_bias_out_of_the_evidence() -> None:
    """A gate that is wrong as often as it promises: audits that draw the doubtful more often do not make it harmful."""
    harmful = np.zeros(2, np.int64)
    for seed in range(RUNS):
        rng = np.random.default_rng([seed, 2])
        p_correct = rng.beta(9, 1, 3_000)
        known = audited(rng, p_correct, rng.random(3_000) < 1 - p_correct, 1_000)
        unweighted = [one._replace(weight=1.0) for one in known]
        harmful += [harm_after(one, 0.1, 0.1) is not None for one in (known, unweighted)]
    assert harmful[0] <= RUNS * 0.1
    assert harmful[1] > RUNS * 0.2


def test_it_does_not_matter_which_labels_come_first() -> None:
    """The doubtful half is labelled first: no alarm of a gate that keeps its promise, then or later."""
    harmful = 0
    for seed in range(100):
        rng = np.random.default_rng([seed, 3])
        p_correct = rng.beta(9, 1, 3_000)
        known = audited(rng, p_correct, rng.random(3_000) < 1 - p_correct, 600)
        middle = np.median([one.p_correct for one in known])
        early = [one if one.p_correct < middle else one._replace(is_correct=None) for one in known]
        harmful += harm_after(early, 0.1, 0.1) is not None or harm_after(known, 0.1, 0.1) is not None
    assert harmful <= 10


def test_more_labels_never_take_an_alarm_back() -> None:
    known = rows(30, None) + rows(30, False)
    alarm = harm_after(known, 0.1, 0.025)
    assert alarm is not None
    later = harm_after(rows(30, True) + rows(30, False), 0.1, 0.025)
    assert later is not None
    assert later <= alarm
    assert harm_after([], 0.1, 0.025) is None
