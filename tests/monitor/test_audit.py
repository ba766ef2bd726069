"""What the labels of an audit tell: bounds that hold whatever drifts, and evidence without a bias."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from steepslope.gate._change import ACCEPT_NOTHING
from steepslope.monitor._audit import (
    FEWER_SHARES,
    FEWER_SIZES,
    MORE_SHARES,
    MORE_SIZES,
    STRICTEST,
    TOLERATED,
    Limit,
    _audit_cusum,
    follow_audit,
    harm_found_by_audit,
    latest_audited_labels,
    limit_by_audit,
    risk_by_audit,
    risk_interval_by_audit,
)
from steepslope.monitor._state import Marked
from steepslope.predict._audit import audit_chances

RUNS, DELTA = 200, 0.2


def audited(
    rng: np.random.Generator, p_correct: np.ndarray, wrong: np.ndarray, labels: int, limit: float = 0.0
) -> list[Marked]:
    """Draw rows of one file, and label them at once; those from a limit on are accepted."""
    chance = audit_chances(p_correct, 0.05, labels)
    return [
        Marked(float(p), float(chance[i]), float(chance.min() / chance[i]), not wrong[i], bool(p >= limit))
        for i, p in enumerate(p_correct)
        if rng.random() < chance[i]
    ]


def rows(
    count: int, right: bool | None, p_correct: float = 0.9, chance: float = 0.1, accepted: bool = True
) -> list[Marked]:
    return [Marked(p_correct, chance, 1.0, right, accepted)] * count


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
            least.append(float(audit_chances(p_correct[file], 0.05, 20).min()))
            low, high = risk_interval_by_audit(known, int(end), (least[0], min(least)), DELTA)
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


def brute(known: list[Marked], n: int, first: float, least: float, alpha: float) -> list[int]:
    """Return all counts that are no evidence, with what waits as wrong above and as right below."""
    wrong = np.array([one.chance for one in known if one.is_correct is not None and not one.is_correct])
    all_wrong = np.array([one.chance for one in known if not one.is_correct])
    right = sum(bool(one.is_correct) for one in known)

    def e_value(count: int, sizes: np.ndarray, shares: np.ndarray, drawn: np.ndarray) -> float:
        gains = [np.prod(1 + size / drawn) / (1 + size) ** count if size > -least else 0 for size in first * sizes]
        return float(shares @ gains)

    inside = []
    for count in range(len(wrong), n - right + 1):
        more, fewer = (MORE_SIZES, MORE_SHARES, wrong), (FEWER_SIZES, FEWER_SHARES, all_wrong)
        if max(e_value(count, *more), e_value(count, *fewer)) < 2 / alpha:
            inside.append(count)
    return inside


LABELLED = st.lists(st.tuples(st.floats(0.05, 1), st.sampled_from([True, True, False, None])), max_size=25)


@given(drawn=LABELLED, more=st.integers(0, 60), first=st.floats(0.04, 1))
def test_the_interval_is_that_of_trying_each_count(
    drawn: list[tuple[float, bool | None]], more: int, first: float
) -> None:
    known = [Marked(0.9, chance, 1.0, right) for chance, right in drawn]
    n = len(known) + more + 1
    low, high = risk_interval_by_audit(known, n, (first, 0.04), 0.1)
    inside = brute(known, n, first, 0.04, 0.1)
    assert 0 <= low <= high <= 1
    if inside:
        assert min(inside) / n - 1 / n - 1e-9 <= low <= min(inside) / n + 1e-9
        assert max(inside) / n - 1e-9 <= high <= max(inside) / n + 1 / n + 1e-9


def test_more_errors_than_the_audit_can_explain_are_no_interval_upside_down() -> None:
    """Many errors were drawn with small probabilities, and few rows are there in all."""
    known = rows(10, False, chance=0.05) + rows(3, True, chance=0.05)
    low, high = risk_interval_by_audit(known, 14, (0.05, 0.05), 0.1)
    assert low == high == 11 / 14


def test_without_labels_little_is_known_and_with_all_of_them_everything() -> None:
    assert risk_interval_by_audit([], 0, (1.0, 1.0), 0.05) == (0, 1)
    assert risk_by_audit(rows(10, None)) is None
    assert risk_interval_by_audit(rows(10, None), 100, (0.1, 0.1), 0.05) == (0, 1)
    known = rows(97, True, chance=1.0) + rows(3, False, chance=1.0)
    assert risk_by_audit(known) == pytest.approx(0.03)
    assert risk_interval_by_audit(known, 100, (1.0, 1.0), 0.05) == (0.03, 0.03)


def test_a_small_first_audit_does_not_spoil_those_to_come() -> None:
    """Fifteen rows that are all drawn, then 60,000 of which 600 are."""
    known = rows(15, True, chance=1.0) + rows(580, True, chance=0.01) + rows(20, False, chance=0.01)
    low, high = risk_interval_by_audit(known, 60_015, (1.0, 0.01), 0.05)
    assert 0.01 < low < 0.033 < high < 0.09


def test_the_estimate_has_no_bias_though_doubtful_ones_are_drawn_more_often() -> None:
    rng = np.random.default_rng(0)
    p_correct = rng.beta(9, 1, 3_000)
    wrong = rng.random(3_000) < 1 - p_correct
    draws = [audited(rng, p_correct, wrong, 200) for _ in range(60)]
    found = [risk for draw in draws if (risk := risk_by_audit(draw)) is not None]
    plain = [np.mean([one.is_wrong for one in draw]) for draw in draws]
    assert np.mean(found) == pytest.approx(wrong.mean(), abs=0.01)
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
        harmful += [harm_found_by_audit(one, 0.1, 0.1) is not None for one in (known, unweighted)]
    assert harmful[0] <= RUNS * 0.1
    assert harmful[1] > RUNS * 0.2


def test_more_labels_never_take_an_alarm_back() -> None:
    known = rows(30, None) + rows(30, False)
    alarm = harm_found_by_audit(known, 0.1, 0.025)
    assert alarm is not None
    later = harm_found_by_audit(rows(30, True) + rows(30, False), 0.1, 0.025)
    assert later is not None
    assert later <= alarm
    assert harm_found_by_audit([], 0.1, 0.025) is None


RISK = 0.05


LEVELS, CHANCE = st.sampled_from([0.5, 0.7, 0.8, 0.9, 1.0]), st.floats(0.05, 1)
MARKED = st.lists(st.builds(Marked, LEVELS, CHANCE, CHANCE, st.booleans(), st.booleans()), max_size=40)


@given(marked=MARKED, risk=st.floats(0.01, 0.6), more=st.sampled_from([0.0, 0.5, 1.0]))
def test_the_limit_is_the_lowest_at_which_the_estimate_is_low_enough(
    marked: list[Marked], risk: float, more: float
) -> None:
    def estimate(limit: float) -> float:
        kept = [(one.weight, one.is_wrong) for one in marked if one.p_correct >= limit]
        mean = sum(weight for weight, _ in kept) / len(kept)
        return (sum(weight for weight, wrong in kept if wrong) + more * mean) / (sum(w for w, _ in kept) + more * mean)

    levels = sorted({one.p_correct for one in marked})
    enough = [level for level in levels if estimate(level) <= risk]
    found = limit_by_audit(marked, risk, more)
    if not marked or (enough and enough[0] == levels[0]):
        assert (found.p_correct, found.coverage) == (0.0, 1.0)
    elif not enough:
        assert found == Limit(ACCEPT_NOTHING, 0.0)
    else:
        assert found.p_correct == enough[0]
        assert found.risk == pytest.approx(estimate(enough[0]))
        weights = [one.weight for one in marked]
        above = [one.weight for one in marked if one.p_correct >= enough[0]]
        assert found.coverage == pytest.approx(sum(above) / sum(weights))


def test_the_latest_labels_alone_tell_how_strict_to_be() -> None:
    bad = rows(9, False, accepted=False)
    assert follow_audit([*bad, *rows(60, True), *rows(2, False)], RISK).limit == limit_by_audit(
        [*rows(58, True), *rows(2, False)], RISK / 2 + RISK / 2 * (STRICTEST - 1.9) / (STRICTEST - TOLERATED)
    )


@given(marked=MARKED)
def test_the_cusum_is_the_largest_of_any_stretch_that_ends_now(marked: list[Marked]) -> None:
    parts = [(one.is_wrong - RISK) * one.weight for one in marked if one.accepted]
    expected = max([sum(parts[start:]) for start in range(len(parts))], default=0.0)
    assert _audit_cusum([*marked, *rows(9, None)], RISK) == pytest.approx(max(0.0, expected))


def test_a_large_file_does_not_hide_later_ones() -> None:
    """Sixty labels of 50,000 rows, one of them wrong, and then sixty of 200 rows, half of them wrong."""
    large = rows(59, True, chance=0.0012) + rows(1, False, chance=0.0012)
    assert follow_audit(large, RISK).limit.coverage == 1
    later = [*large, *rows(30, True, chance=0.3), *rows(30, False, chance=0.3)]
    assert follow_audit(later, RISK).cusum > STRICTEST
    assert follow_audit(later, RISK).limit == Limit(ACCEPT_NOTHING, 0.0)
    assert follow_audit([*large, *rows(30, True, chance=1.0)], RISK).limit.coverage == 1


def test_it_is_strict_at_once_and_accepts_more_when_labels_allow_it() -> None:
    good = rows(200, True)
    assert follow_audit([], RISK).limit == Limit()
    assert follow_audit(good + rows(1, False)[:1] + rows(10, True), RISK).limit == Limit()
    found = follow_audit([*good, *rows(5, False, 0.8), *rows(30, True)], RISK)
    assert found.cusum > TOLERATED
    assert found.limit.p_correct == pytest.approx(0.9)
    assert follow_audit([*good, *rows(8, False)], RISK).limit == Limit(ACCEPT_NOTHING, 0.0)
    # the labels of what is left to review tell that nothing is wrong with it any more
    closed = [*good, *rows(8, False)]
    opened = follow_audit([*closed, *rows(latest_audited_labels(RISK), True, accepted=False)], RISK)
    assert opened.limit.p_correct == 0
    assert opened.cusum == follow_audit(closed, RISK).cusum  # though as many more than promised were wrong


@pytest.mark.parametrize("lasts", [10, 100])
def test_the_risk_of_all_stays_about_as_promised_though_the_doubtful_fail(lasts: int) -> None:
    """Three times the promise from the tenth of forty days on, for ten days or for good; 25 labels a day."""
    risks, plain, last = [], [], []
    for seed in range(10):
        rng, limit, used = np.random.default_rng([seed, 5]), 0.0, []
        drawn: list[Marked] = []
        accepted = wrong = all_wrong = 0
        for day in range(40):
            p_wrong = np.minimum(0.35, rng.beta(0.35, 9, 500))
            factor = (3 if 10 <= day < 10 + lasts else 0.8) * RISK / p_wrong.mean()
            is_wrong, keeps = rng.random(500) < p_wrong * factor, 1 - p_wrong >= limit
            drawn += audited(rng, 1 - p_wrong, is_wrong, 25, limit)
            limit = follow_audit(drawn, RISK).limit.p_correct
            accepted += keeps.sum()
            wrong += is_wrong[keeps].sum()
            all_wrong += is_wrong.sum()
            used.append(keeps.mean())
        risks.append(wrong / accepted)
        plain.append(all_wrong / (40 * 500))
        last.append(np.mean(used[30:]))
    assert np.mean(plain) > 1.25 * RISK
    assert np.mean(risks) < 1.02 * RISK
    assert np.quantile(risks, 0.9) < 1.25 * RISK
    assert np.mean(last) > (0.85 if lasts == 10 else 0.35)
