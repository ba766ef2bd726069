"""A mix of classes that is estimated, with a promise for any number of rows: intervals, fortunes, and whole gates."""

import numpy as np
import pytest
from scipy.optimize import linprog

from steepslope.errors import NoMixError
from steepslope.gate.certify import threshold_sequence
from steepslope.gate.exact_target import Bet, RowSet, Shares, SplitRows, last_passing_exact
from steepslope.gate.target import last_passing_asymptotic
from steepslope.scores import MCP
from tests.gate.test_importance import MIX, SHARES, make_rows
from tests.gate.test_target import target_of

RISK, DELTA = 0.1, 0.2


def test_shares_lie_between_their_ends_and_these_close_in() -> None:
    outside, widths = 0, []
    for seed in range(100):
        for n in (500, 5_000):
            target = target_of(make_rows(n, SHARES, seed), make_rows(n, [*MIX.values()], 1_000 + seed))
            some = RowSet(target.true, target.predicted, target.coming, (3, 3), (n, n))
            shares = Shares.of(some.confusion, some.target, 0.2)
            outside += bool((shares.low > [*MIX.values()]).any() or (shares.high < [*MIX.values()]).any())
            widths.append((shares.high - shares.low).mean())
    assert outside <= 40
    assert np.mean(widths[1::2]) < np.mean(widths[::2]) / 2
    with pytest.raises(NoMixError, match="no mix of the classes"):
        Shares.of(np.array([[90.0, 10.0], [10.0, 90.0]]), np.array([0.0, 1_000.0]), 0.1)


def test_chords_bound_a_sum_from_below() -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        low = draw.random(5) * 0.15
        shares = Shares(low, low + draw.random(5) * 0.4 + 0.1)
        scale, bend = draw.normal(size=(2, 5))

        def of_classes(q: np.ndarray, scale: np.ndarray = scale, bend: np.ndarray = bend) -> np.ndarray:
            return np.asarray(scale * q - bend**2 * q**2)

        at_low, at_high = of_classes(shares.low), of_classes(shares.high)
        slopes = (at_high - at_low) / (shares.high - shares.low)
        bounds = np.column_stack([shares.low, shares.high])
        by_chords = linprog(slopes, A_eq=np.ones((1, 5)), b_eq=[1], bounds=bounds)
        least = shares.least_sum(at_low, at_high)
        assert least == pytest.approx(by_chords.fun + (at_low - slopes * shares.low).sum())
        for q in draw.dirichlet(np.ones(5), 500):
            if (q >= shares.low).all() and (q <= shares.high).all():
                assert of_classes(q).sum() >= least - 1e-12


def test_a_fortune_is_1_on_average_where_the_mean_is_0() -> None:
    """Where the shares and the mean of h are known, as here, chords and intervals cost nothing."""
    draw, mix, h = np.random.default_rng(1), np.array([0.7, 0.3]), np.array([-0.05, 0.05 * 0.69 / 0.31])
    predicted_as = np.array([[0.9, 0.1], [0.2, 0.8]])
    means = h @ predicted_as.T  # of Z in each class, so that Z − h(ŷ) has a mean of 0 there
    wrong = (means + RISK * 0.6) / 0.6  # of the accepted, six in ten of each class
    assert mix @ means == pytest.approx(0)  # also that of h
    fortunes = []
    for _ in range(2_000):
        true = np.repeat([0, 1], [40, 60])
        predicted = (draw.random(100) > predicted_as[true, 0]).astype(np.int64)
        coming = (draw.random(80) > predicted_as[(draw.random(80) > mix[0]).astype(int), 0]).astype(np.int64)
        accepted, is_correct = draw.random(100) < 0.6, draw.random(100) >= wrong[true]
        some = RowSet(true, predicted, coming, (2, 2), (100, 80))
        outcomes = some.outcomes(accepted, is_correct)
        known, bet = Shares(mix, mix), Bet(h, 0.3)
        fortunes.append(np.exp(some.log_fortune(outcomes, RISK, bet, known, np.zeros(1))))
    assert np.mean(fortunes) == pytest.approx(1, abs=4 * np.std(fortunes) / np.sqrt(len(fortunes)))
    assert np.std(fortunes) > 0.3
    assert some.log_fortune(outcomes, RISK, Bet(h, 2.0), known, np.zeros(1)) == -np.inf


def test_of_many_gates_few_break_their_promise_and_little_is_lost() -> None:
    """Of 60 gates at δ = 20 % about 12 may break; they accept less than asymptotic gates."""
    coming = make_rows(200_000, [*MIX.values()], 99)
    confidence = MCP().confidence(coming)
    sequence, broken, coverage, of_asymptotic = threshold_sequence(confidence[:2_000]), 0, [], []
    for seed in range(60):
        rows = make_rows(2_000, SHARES, seed)
        target = target_of(rows, coming.subset(slice(1_000 * seed, 1_000 * (seed + 1))))
        given = MCP().confidence(rows), rows.is_correct, target, sequence
        place, bound = last_passing_exact(*given, RISK, DELTA)
        assert (place is None) == (bound == 1)
        assert place is None or bound <= RISK
        accepted = confidence >= (np.inf if place is None else sequence[place])
        broken += bool(accepted.any() and (~coming.is_correct[accepted]).mean() > RISK)
        coverage.append(accepted.mean())
        other, _ = last_passing_asymptotic(*given, first=100, risk=RISK, delta=DELTA)
        of_asymptotic.append((confidence >= (np.inf if other is None else sequence[other])).mean())
    assert broken <= 12
    assert np.mean(of_asymptotic) - 0.25 < np.mean(coverage) < np.mean(of_asymptotic)


def test_a_risk_that_is_too_high_passes_in_few_draws() -> None:
    """All rows are accepted. Few draws pass at the risk that is true of these, nearly all at twice that risk."""
    coming = make_rows(200_000, [*MIX.values()], 99)
    risk, passed = float((~coming.is_correct).mean()), {1.0: 0, 2.0: 0}
    for seed in range(100):
        rows = make_rows(2_000, SHARES, seed)
        target = target_of(rows, coming.subset(slice(1_000 * seed, 1_000 * (seed + 1))))
        split, accepted = SplitRows.of(target, DELTA), np.ones(2_000, dtype=np.bool_)
        for times in passed:
            bet, _ = split.bet(accepted, rows.is_correct, times * risk)
            passed[times] += split.passes(accepted, rows.is_correct, times * risk, bet, DELTA)
    assert passed[1.0] <= 20
    assert passed[2.0] >= 90
