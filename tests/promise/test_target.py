"""A mix of classes that is estimated on target rows: how well, intervals, e-values, whole gates, and refusals."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linprog

from steepslope import ClassifierOutputs, Gate
from steepslope.errors import NoMixError, SteepslopeError
from steepslope.numerics._binomial import clopper_pearson
from steepslope.promise._rows import LabelledRows
from steepslope.promise._sequence import threshold_sequence
from steepslope.promise._target import (
    Bet,
    Shares,
    Target,
    _needed_on_target,
    _RowSet,
    _SplitRows,
    last_passing_on_target,
)
from steepslope.scores import MCP
from tests.promise.references import MIX, SHARES, labelled, make_rows, target_of

RISK, DELTA = 0.1, 0.2


def test_the_mix_is_estimated_within_its_errors() -> None:
    distances = []
    for seed in range(60):
        target = target_of(make_rows(2_000, SHARES, seed), make_rows(2_000, [*MIX.values()], 1_000 + seed))
        means, covariance = target.moments(np.eye(3)[target.true])
        np.testing.assert_allclose(means, target.shares, atol=1e-12)
        distances.append((means - [*MIX.values()]) / np.sqrt(np.diag(covariance)))
    assert np.mean(distances) == pytest.approx(0, abs=0.3)
    assert np.std(distances) == pytest.approx(1, abs=0.2)


def test_a_gate_for_rows_without_labels(tmp_path: Path) -> None:
    rows, coming = make_rows(4_000, SHARES, 7), make_rows(3_000, [*MIX.values()], 8)
    gate = Gate.of(MCP(), rows, max_risk=0.1, target=coming.changed(labels=None))
    estimated = gate.promises[0].weighted
    assert estimated is not None
    assert estimated.mix == pytest.approx(MIX, abs=0.05)
    assert "in the same mix as 3,000 target rows without labels, which are drawn as the predi" in gate.sentences()
    decisions = gate.decide(coming)
    assert decisions.coverage == pytest.approx(gate.coverage, abs=0.05)
    assert (~coming.is_correct[decisions.accepted]).mean() <= 0.12
    assert gate.risk_bound <= 0.1
    gate.save(tmp_path)
    assert Gate.load(tmp_path).sentences() == gate.sentences()


def test_where_too_much_is_wrong_nothing_is_promised() -> None:
    gate = Gate.of(MCP(), make_rows(1_000, SHARES, 7), max_risk=0.001, target=make_rows(500, [*MIX.values()], 8))
    assert gate.threshold == np.inf
    assert "too many are wrong, or rows are too few" in gate.advice
    assert "takes some hundreds of rows of each class, a named one (class_mix) fewer" in gate.advice


def changed_rows(kind: str) -> ClassifierOutputs:
    rows = make_rows(2_000, SHARES, 8)
    if kind == "surer":
        return rows.changed(logits=rows.logits * 1.5)
    if kind == "fewer than none":  # nothing is predicted as a; by errors alone, some would be
        return make_rows(2_000, [0.0, 0.5, 0.5], 8).changed(logits=rows.logits - np.array([9.0, 0.0, 0.0]))
    draw = np.random.default_rng(0)
    unknown = draw.random(2_000) < 0.3
    return rows.changed(logits=np.where(unknown[:, None], draw.normal(size=(2_000, 3)), rows.logits))


@pytest.mark.parametrize("kind", ["surer", "unknown inputs", "fewer than none"])
def test_what_no_mix_explains_is_refused(kind: str) -> None:
    with pytest.raises(SteepslopeError, match="target: no class mix explains"):
        Gate.of(MCP(), make_rows(4_000, SHARES, 7), target=changed_rows(kind))


def test_changes_of_the_mix_are_seldom_refused() -> None:
    refused = 0
    for seed in range(30):
        draw = np.random.default_rng(seed)
        rows, coming = make_rows(3_000, SHARES, seed), make_rows(2_000, draw.dirichlet(np.ones(3)).tolist(), seed + 100)
        try:
            target_of(rows, coming).require_explained(MCP().confidence(rows), MCP().confidence(coming))
        except SteepslopeError:
            refused += 1
    assert refused <= 2


def test_few_rows_and_like_classes_are_refused() -> None:
    rows, coming = make_rows(1_000, SHARES, 7), make_rows(1_000, SHARES, 8)
    with pytest.raises(SteepslopeError, match="expected at least 200 rows, found 100"):
        Gate.of(MCP(), rows, target=coming.subset(slice(0, 100)))
    with pytest.raises(SteepslopeError, match="at least 30 calibration rows of each class, to estimate a mix"):
        Gate.of(MCP(), make_rows(1_000, [0.6, 0.395, 0.005], 7), target=coming)
    blind = rows.changed(logits=rows.logits * np.array([1.0, 1.0, 0.0]) - np.array([0.0, 0.0, 99.0]))
    with pytest.raises(SteepslopeError, match="found rows of c, which never is: name the mix"):
        Gate.of(MCP(), blind, target=coming.changed(logits=coming.logits - np.array([0.0, 0.0, 99.0])))
    alike = np.repeat([["a", "b", "a", "b"]], 100, axis=0).ravel()
    with pytest.raises(SteepslopeError, match="expected predictions that tell the classes apart"):
        Target.of(np.repeat(["a", "b"], 200), alike, alike)
    of_two = make_rows(1_000, [0.5, 0.5, 0.0], 9)
    with pytest.raises(SteepslopeError, match="found none of c"):
        Gate.of(MCP(), of_two, target=coming)
    with pytest.raises(SteepslopeError, match="target: rows: expected other rows, found the same rows"):
        Gate.of(MCP(), rows, target=rows)
    with pytest.raises(SteepslopeError, match="target: expected ClassifierOutputs, found list"):
        Gate.of(MCP(), rows, target=[1, 2])  # type: ignore[arg-type]
    with pytest.raises(SteepslopeError, match="target: expected 3 classes, as of the calibration rows, found 2"):
        Gate.of(MCP(), rows, target=ClassifierOutputs(np.zeros((300, 2))))
    with pytest.raises(SteepslopeError, match="class_mix: expected a promised risk alone, found target with it"):
        Gate.of(MCP(), rows, class_mix=MIX, target=coming)


def test_shares_are_nearly_as_narrow_as_all_bounds_together_make_them() -> None:
    """Each end is compared with the linear programme over all bounds at once, which it must not be inside of."""
    draw, widths = np.random.default_rng(0), []
    for size, n in ((2, 300), (3, 1_000), (6, 3_000)):
        confusion = np.stack([draw.multinomial(n, draw.dirichlet(np.ones(size) + 9 * row)) for row in np.eye(size)])
        coming = draw.multinomial(n, draw.dirichlet(np.ones(size)) @ (confusion / n)).astype(np.float64)
        shares = Shares.of(confusion.astype(np.float64), coming, 0.1)
        level = 0.1 / 2 / (size * size + size)
        (least, most), (fewest, many) = clopper_pearson(confusion, n, level), clopper_pearson(coming, n, level)
        rows, limits = np.vstack([least.T, -most.T]), np.concatenate([many, -fewest])
        for towards, low, high in zip(np.eye(size), shares.low, shares.high, strict=True):
            ends = [linprog(sign * towards, rows, limits, np.ones((1, size)), [1], (0, 1)).fun for sign in (1, -1)]
            assert low <= ends[0] + 1e-7
            assert high >= -ends[1] - 1e-7
            widths.append((high - low) / (-ends[1] - ends[0]))
    assert np.mean(widths) < 1.2
    with pytest.raises(NoMixError, match="no class mix explains"):
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


def test_the_e_value_is_the_least_within_the_intervals() -> None:
    target = target_of(make_rows(600, SHARES, 3), make_rows(400, [*MIX.values()], 4))
    some = _RowSet(target.true, target.predicted, target.on_target, (3, 3), (600, 400))
    draw = np.random.default_rng(0)
    accepted, is_correct = draw.random(600) < 0.7, draw.random(600) < 0.9
    h, size, means = np.array([-0.03, 0.01, 0.05]), 0.1, np.array([-0.02, 0.03])
    shares = Shares(np.array([0.1, 0.2, 0.2]), np.array([0.5, 0.5, 0.6]))
    z = accepted * (~is_correct - RISK)

    def e_value(q: np.ndarray, t: float) -> float:
        weights = (q * 600 / np.bincount(target.true))[target.true]
        of_rows = np.log(1 - size * weights * (z - h[target.predicted] + t)).sum()
        return float(of_rows + np.log(1 - size * 600 / 400 * (h[target.on_target] - t)).sum())

    found = some.log_e_value(some.outcomes(accepted, is_correct), RISK, Bet(h, size), shares, means)
    inside = [q for q in draw.dirichlet(np.ones(3), 4_000) if (shares.low <= q).all() and (q <= shares.high).all()]
    least = min(e_value(q, t) for q in inside for t in np.linspace(means[0], means[1], 5))
    assert len(inside) > 500
    assert least - 0.5 < found <= least
    known, mean = Shares(inside[0], inside[0]), np.array([0.01])
    at = some.log_e_value(some.outcomes(accepted, is_correct), RISK, Bet(h, size), known, mean)
    assert at == pytest.approx(e_value(inside[0], 0.01))
    ends = [
        some.log_e_value(some.outcomes(accepted, is_correct), RISK, Bet(h, size), shares, means[[end]])
        for end in (0, 1)
    ]
    assert found == min(ends) < max(ends)


def test_no_bet_can_lose_more_than_everything_on_the_target() -> None:
    """Of a tenth as many target rows, ten times as much is bet on each."""
    rows = np.arange(90) % 3
    some, h = _RowSet(rows, rows, rows[:9], (3, 3), (90, 9)), np.array([0.0, 0.0, 0.9])
    outcomes = some.outcomes(np.ones(90, dtype=np.bool_), np.ones(90, dtype=np.bool_))
    even = Shares(np.full(3, 1 / 3), np.full(3, 1 / 3))
    assert some.log_e_value(outcomes, RISK, Bet(h, 0.11), even, np.zeros(1)) > -np.inf
    assert some.log_e_value(outcomes, RISK, Bet(h, 0.112), even, np.zeros(1)) == -np.inf


def test_the_bound_is_the_least_risk_that_passes() -> None:
    rows, coming = make_rows(2_000, SHARES, 1), make_rows(1_000, [*MIX.values()], 2)
    target, accepted = target_of(rows, coming), np.ones(2_000, dtype=np.bool_)
    place, bound = last_passing_on_target(labelled(rows), target, np.array([-np.inf]), 0.4, DELTA)
    split = _SplitRows.of(target, DELTA)
    bet, _ = split.bet(accepted, rows.is_correct, 0.4)
    assert place == 0
    assert 0.1 < bound < 0.4
    assert split.passes(accepted, rows.is_correct, bound, bet, DELTA)
    assert not split.passes(accepted, rows.is_correct, bound - 0.4 / 40, bet, DELTA)
    assert _needed_on_target(DELTA) == pytest.approx(-np.log(0.17))


def test_the_mean_of_h_is_within_an_empirical_bernstein_bound() -> None:
    some = _RowSet(np.zeros(1, int), np.zeros(1, int), np.repeat([0, 1], [30, 70]), (1, 2), (1, 100))
    variance, level = 0.21 * 100 / 99, np.log(4 / 0.1)
    off = np.sqrt(2 * variance * level / 100) + 7 * level / (3 * 99)
    np.testing.assert_allclose(some.means_of_h(np.array([0.0, 1.0]), 0.1), [0.7 - off, min(1.0, 0.7 + off)])


def test_what_is_bet_does_not_depend_on_the_rows_that_are_bet_on() -> None:
    rows, coming = make_rows(2_000, SHARES, 1), make_rows(1_000, [*MIX.values()], 2)
    split, accepted = _SplitRows.of(target_of(rows, coming), DELTA), MCP().confidence(rows) > 0.7
    assert split.chooses.mean() == pytest.approx(1 / 3, abs=0.01)
    bet, expected = split.bet(accepted, rows.is_correct, RISK)
    others, found = split.bet(accepted ^ ~split.chooses, rows.is_correct ^ ~split.chooses, RISK)
    assert found == expected
    np.testing.assert_array_equal(others.h, bet.h)
    assert others.size == bet.size
    for risk in np.linspace(0.01, 0.3, 100):  # the test has wide shares and means, and its part of delta
        outcomes = split.tested.outcomes(accepted[~split.chooses], rows.is_correct[~split.chooses])
        means = split.tested.means_of_h(bet.h, 0.05 * DELTA)
        e_value = split.tested.log_e_value(outcomes, risk, bet, split.shares, means)
        assert split.passes(accepted, rows.is_correct, risk, bet, DELTA) == (e_value >= -np.log(0.85 * DELTA))


def test_one_class_alone_can_be_promised() -> None:
    names, rows = np.repeat("a", 400), LabelledRows.of(np.linspace(0, 1, 400), np.ones(400, dtype=np.bool_))
    place, bound = last_passing_on_target(rows, Target.of(names, names, names), np.linspace(1, 0, 50), 0.1, 0.1)
    assert place == 49
    assert 0 < bound < 0.1


@pytest.mark.slow
def test_of_many_gates_few_break_their_promise_and_little_is_lost() -> None:
    """Of 60 gates at δ = 20 % about 12 may break. No threshold at all is allowed to accept more than ``best``."""
    coming = make_rows(200_000, [*MIX.values()], 99)
    confidence = MCP().confidence(coming)
    wrong = np.cumsum(~coming.is_correct[np.argsort(-confidence)])
    best = np.flatnonzero(wrong <= RISK * np.arange(1, 200_001))[-1] / 200_000
    sequence, broken, wrong_bounds, coverage = threshold_sequence(confidence[:2_000]), 0, 0, []
    for seed in range(60):
        rows = make_rows(2_000, SHARES, seed)
        target = target_of(rows, coming.subset(slice(1_000 * seed, 1_000 * (seed + 1))))
        place, bound = last_passing_on_target(labelled(rows), target, sequence, RISK, DELTA)
        assert (place is None) == (bound == 1)
        assert place is None or bound <= RISK
        wrong_bounds += bool(place is not None and (~coming.is_correct[confidence >= sequence[place]]).mean() > bound)
        accepted = confidence >= (np.inf if place is None else sequence[place])
        broken += bool(accepted.any() and (~coming.is_correct[accepted]).mean() > RISK)
        coverage.append(accepted.mean())
    assert broken <= 12
    assert wrong_bounds <= 12
    assert best - 0.25 < np.mean(coverage) < best


def test_a_risk_that_is_too_high_passes_in_few_draws() -> None:
    """All rows are accepted. Few draws pass at the risk that is true of these, nearly all at twice that risk."""
    coming = make_rows(200_000, [*MIX.values()], 99)
    risk, passed = float((~coming.is_correct).mean()), {1.0: 0, 2.0: 0}
    for seed in range(50):
        rows = make_rows(2_000, SHARES, seed)
        target = target_of(rows, coming.subset(slice(1_000 * seed, 1_000 * (seed + 1))))
        split, accepted = _SplitRows.of(target, DELTA), np.ones(2_000, dtype=np.bool_)
        for times in passed:
            bet, _ = split.bet(accepted, rows.is_correct, times * risk)
            passed[times] += split.passes(accepted, rows.is_correct, times * risk, bet, DELTA)
    assert passed[1.0] <= 10
    assert passed[2.0] >= 45
