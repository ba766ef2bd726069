"""How strict the labels of an audit ask to be: the lowest limit that is enough, and a gate that follows it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from steepslope.monitor.audit import (
    ACCEPT_NOTHING,
    STRICTEST,
    TOLERATED,
    Limit,
    cusum_of,
    followed,
    latest_for,
    limit_for,
)
from steepslope.monitor.state import Marked
from steepslope.predict.audit import chances

RISK = 0.05


def rows(
    count: int, right: bool | None, p_correct: float = 0.9, chance: float = 0.1, accepted: bool = True
) -> list[Marked]:
    return [Marked(p_correct, chance, 1.0, right, accepted)] * count


MARKED = st.lists(
    st.builds(
        Marked,
        st.sampled_from([0.5, 0.7, 0.8, 0.9, 1.0]),
        st.floats(0.05, 1),
        st.floats(0.05, 1),
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
)


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
    found = limit_for(marked, risk, more)
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
    assert followed([*bad, *rows(60, True), *rows(2, False)], RISK).limit == limit_for(
        [*rows(58, True), *rows(2, False)], RISK / 2 + RISK / 2 * (STRICTEST - 1.9) / (STRICTEST - TOLERATED)
    )


@given(marked=MARKED)
def test_the_cusum_is_the_largest_of_any_stretch_that_ends_now(marked: list[Marked]) -> None:
    parts = [(one.is_wrong - RISK) * one.weight for one in marked if one.accepted]
    expected = max([sum(parts[start:]) for start in range(len(parts))], default=0.0)
    assert cusum_of(marked, RISK) == pytest.approx(max(0.0, expected))


@given(marked=MARKED, chance=st.floats(0.01, 1), weight=st.floats(0.01, 1))
def test_a_correct_label_never_raises_the_cusum(marked: list[Marked], chance: float, weight: float) -> None:
    assert cusum_of([*marked, Marked(0.9, chance, weight, True)], RISK) <= cusum_of(marked, RISK)


def test_a_large_file_does_not_hide_later_ones() -> None:
    """Sixty labels of 50,000 rows, one of them wrong, and then sixty of 200 rows, half of them wrong."""
    large = rows(59, True, chance=0.0012) + rows(1, False, chance=0.0012)
    assert followed(large, RISK).limit.coverage == 1
    later = [*large, *rows(30, True, chance=0.3), *rows(30, False, chance=0.3)]
    assert followed(later, RISK).cusum > STRICTEST
    assert followed(later, RISK).limit == Limit(ACCEPT_NOTHING, 0.0)
    assert followed([*large, *rows(30, True, chance=1.0)], RISK).limit.coverage == 1


def test_only_labels_of_what_was_accepted_raise_the_cusum() -> None:
    assert cusum_of(rows(9, False, accepted=False) + rows(9, None), RISK) == 0
    assert cusum_of(rows(900, True) + rows(2, False), RISK) == pytest.approx(2 * 0.95)


def test_it_is_strict_at_once_and_accepts_more_when_labels_allow_it() -> None:
    good = rows(200, True)
    assert followed([], RISK).limit == Limit()
    assert followed(good + rows(1, False)[:1] + rows(10, True), RISK).limit == Limit()
    bad = [*good, *rows(5, False, 0.8), *rows(30, True)]
    found = followed(bad, RISK)
    assert found.cusum > TOLERATED
    assert found.limit.p_correct == pytest.approx(0.9)
    assert followed([*good, *rows(8, False)], RISK).limit == Limit(ACCEPT_NOTHING, 0.0)
    # the labels of what is left to review tell that nothing is wrong with it any more
    closed = [*good, *rows(8, False)]
    opened = followed([*closed, *rows(latest_for(RISK), True, accepted=False)], RISK)
    assert opened.limit.p_correct == 0
    assert opened.cusum == followed(closed, RISK).cusum  # though as many more than promised were wrong


@pytest.mark.parametrize("lasts", [10, 100])
def test_the_risk_of_all_stays_about_as_promised_though_the_doubtful_fail(lasts: int) -> None:
    """Three times the promise from the tenth of forty days on, for ten days or for good; 25 labels a day."""
    risks, plain, last = [], [], []
    for seed in range(20):
        rng = np.random.default_rng([seed, 5])
        drawn: list[Marked] = []
        accepted, wrong, used, limit = 0, 0, [], 0.0
        all_wrong = 0
        for day in range(40):
            p_wrong = np.minimum(0.35, rng.beta(0.35, 9, 500))
            factor = (3 if 10 <= day < 10 + lasts else 0.8) * RISK / p_wrong.mean()
            is_wrong = rng.random(500) < p_wrong * factor
            keeps, chance = 1 - p_wrong >= limit, chances(1 - p_wrong, RISK, 25)
            for row in np.flatnonzero(rng.random(500) < chance):
                drawn.append(
                    Marked(
                        1 - p_wrong[row],
                        chance[row],
                        chance.min() / chance[row],
                        bool(not is_wrong[row]),
                        bool(keeps[row]),
                    )
                )
            limit = followed(drawn, RISK).limit.p_correct
            accepted, wrong, all_wrong = (
                accepted + keeps.sum(),
                wrong + is_wrong[keeps].sum(),
                all_wrong + is_wrong.sum(),
            )
            used.append(keeps.mean())
        risks.append(wrong / accepted)
        plain.append(all_wrong / (40 * 500))
        last.append(np.mean(used[30:]))
    assert np.mean(plain) > 1.25 * RISK
    assert np.mean(risks) < 1.02 * RISK
    assert np.quantile(risks, 0.9) < 1.25 * RISK
    assert np.mean(last) > (0.85 if lasts == 10 else 0.35)
