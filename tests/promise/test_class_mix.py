"""Promises about another mix of classes: fair bets, counts as by hand, and what is refused."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from steepslope import ClassifierOutputs, Gate
from steepslope.errors import SteepslopeError
from steepslope.gate._mix import Mix, checked_class_mix
from steepslope.promise._certificate import Certificate, log_e_value_of_strata
from steepslope.promise._certify import certify
from steepslope.promise._class_mix import (
    MULTIPLES,
    Weights,
    _class_mix_bets,
    _class_mix_start_thresholds,
    certify_class_mix,
)
from steepslope.promise._rows import LabelledRows, split_rows
from steepslope.promise._sequence import StartThreshold, threshold_sequence
from steepslope.scores import MCP
from tests.promise.references import MIX, SHARES, labelled, make_rows


def test_the_e_value_is_a_product_over_rows() -> None:
    draw, risk, bet = np.random.default_rng(0), 0.1, 0.2
    weights = Weights.of_mix(draw.choice(["a", "b"], 200, p=[0.8, 0.2]), {"a": 0.4, "b": 0.6})
    accepted, wrong = draw.random(200) < 0.7, draw.random(200) < 0.2
    by_hand = math.prod(
        1 - bet * weight * is_used * (is_wrong - risk)
        for weight, is_used, is_wrong in zip(weights.of_rows, accepted, wrong, strict=True)
    )
    used, errors = (np.bincount(weights.index[rows], minlength=2) for rows in (accepted, accepted & wrong))
    assert float(log_e_value_of_strata(used, errors, weights.values, risk, bet)) == pytest.approx(math.log(by_hand))


def test_rows_above_each_threshold_are_counted_by_class() -> None:
    draw = np.random.default_rng(1)
    confidence, is_correct, names = draw.integers(0, 9, 300) / 8, draw.random(300) < 0.8, draw.choice([*"abc"], 300)
    thresholds = np.array([2.0, 0.75, 0.7, 0.0, -np.inf])
    weights = Weights.of_mix(names, MIX)
    found = weights.counted_above(LabelledRows.of(confidence, is_correct), thresholds)
    for counts, rows in zip(found, (is_correct | ~is_correct, ~is_correct), strict=True):
        expected = [[(rows & (confidence >= one) & (names == name)).sum() for name in "abc"] for one in thresholds]
        np.testing.assert_array_equal(counts, expected)


def test_weights_make_the_mix() -> None:
    names = np.random.default_rng(2).choice([*"abc"], 1_000, p=SHARES)
    weights = Weights.of_mix(names, MIX)
    assert {name: weights.of_rows[names == name].sum() / 1_000 for name in MIX} == pytest.approx(MIX)
    drawn = names[weights.thinned(0)]
    assert {name: (drawn == name).mean() for name in MIX} == pytest.approx(MIX, abs=0.1)
    rows = LabelledRows.of(np.zeros(1_000), np.ones(1_000, dtype=np.bool_), true_classes=names)
    half = Mix(MIX).weights(rows, np.arange(500))
    assert half is not None
    assert half.of_rows[names[:500] == "a"].sum() / 500 == pytest.approx(MIX["a"])


def test_a_bet_bears_more_errors_than_others_and_more_at_a_higher_coverage() -> None:
    weights = Weights.of_mix(np.repeat(["a", "b"], [900, 100]), {"a": 0.5, "b": 0.5})
    sizes, borne = _class_mix_bets(weights, 3, 0.05, 0.05)
    assert (np.diff(sizes) <= 0).all()
    assert (np.diff(borne) > 0).all()
    assert (sizes * weights.values.max() < 1).all()
    values, fractions = weights.values, np.array([0.9, 0.1])
    for bet in (sizes[2] * 0.8, sizes[2] * 1.2):
        gain, loss = np.log1p(bet * values * 0.05) @ fractions, -np.log1p(-bet * values * 0.95) @ fractions
        assert (1_000 * gain + math.log(0.05)) / (gain + loss) <= borne[2] + 1e-9


def test_rows_that_are_set_aside_tell_how_late_and_how_often_wrong_each_class_is_accepted() -> None:
    draw, names = np.random.default_rng(0), np.repeat(["a", "b"], 2_000)
    confidence = 1 - draw.random(4_000) ** np.repeat([1.0, 1 / 3], 2_000)  # where c of a are accepted, c³ of b are
    is_correct = draw.random(4_000) > np.repeat([0.1, 0.3], 2_000)
    weights = Weights.of_mix(
        np.array(["a", "b", "never set aside"]), dict.fromkeys(["a", "b", "never set aside"], 1 / 3)
    )
    rows = LabelledRows.of(confidence, is_correct, true_classes=names)
    learnt = weights.learning(rows, 1 - np.linspace(0.0025, 1, 400))
    np.testing.assert_allclose(learnt.late, [1, 3, 1], rtol=0.06)
    np.testing.assert_allclose(learnt.rates, [0.1, 0.3, 0.2], rtol=0.12)
    of_no_share = LabelledRows.of(np.ones(1), np.ones(1, dtype=np.bool_), true_classes=["of no share"])
    np.testing.assert_array_equal(weights.learning(of_no_share, np.array([-np.inf])).late, 1)


def test_where_a_class_to_come_is_accepted_late_rows_that_are_set_aside_find_a_threshold() -> None:
    """Here bets fail that assume all classes to be accepted alike: the hardest of ten will come twentyfold."""
    found, alike = [], []
    for seed in range(12):
        draw = np.random.default_rng(seed)
        labels, rows = draw.integers(10, size=2_000), np.arange(2_000)
        logits, clear = draw.normal(size=(2_000, 10)), np.linspace(2.4, 5.4, 10)[labels]
        logits[rows, labels] += clear
        logits[rows, (labels + 1) % 10] += clear / 4
        outputs = ClassifierOutputs(2 * logits, labels)
        confidence, names = MCP().confidence(outputs), labels.astype(str)
        mix = {str(label): (20 if label == 0 else 1) / 29 for label in range(10)}
        sequence = threshold_sequence(draw.choice(confidence, 400))  # as if of other rows
        gate = Gate.calibrate(
            confidence, outputs.is_correct, 0.05, 0.1, thresholds=sequence, true_classes=names, class_mix=mix, seed=seed
        )
        found.append(gate.coverage)
        rows_alike = LabelledRows.of(confidence, outputs.is_correct)
        alike.append(certify_class_mix(rows_alike, Weights.of_mix(names, mix), sequence, 0.05, 0.1).coverage)
    assert np.mean(found) > 0.3
    assert np.mean(alike) < 0.2


def test_what_bets_assume_is_learnt_on_rows_that_are_not_bet_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, seen = make_rows(900, SHARES, 0), []
    confidence, names = MCP().confidence(rows), np.array(rows.label_names)[rows.require_labels()]
    learning = Weights.learning

    def spy(self: Weights, *given: Any) -> Weights:
        seen.append(given)
        return learning(self, *given)

    monkeypatch.setattr(Weights, "learning", spy)
    gate = Gate.calibrate(
        confidence, rows.is_correct, 0.1, thresholds=[0.9, 0.5, -np.inf], true_classes=names, class_mix=MIX, seed=5
    )
    set_aside, counted = split_rows(900, 5)
    (given,) = seen
    for name, values in {"true_classes": names, "confidence": confidence, "is_correct": rows.is_correct}.items():
        np.testing.assert_array_equal(getattr(given[0], name), values[set_aside])
    weighted = gate.certificates[0].weighted
    assert weighted is not None
    assert sum(weighted.rows) == len(counted)


def test_errors_of_a_heavy_class_are_expected_to_cost_more() -> None:
    weights = Weights.of_mix(np.repeat(["a", "b"], [900, 100]), {"a": 0.5, "b": 0.5})
    wrong = [replace(weights, rates=np.array(rates)) for rates in ([0.9, 0.1], [0.5, 0.5], [0.1, 0.9])]
    borne = [_class_mix_bets(one, 3, 0.05, 0.05)[1][-1] for one in wrong]
    assert borne[0] > 1.2 * borne[1] > 1.44 * borne[2]


def test_a_class_that_is_accepted_last_of_all_is_no_obstacle() -> None:
    draw = np.random.default_rng(0)
    confidence = draw.random(90_000) * 0.01
    sequence = np.append(np.linspace(1, 0.5, 399), -np.inf)
    options: dict[str, Any] = {"true_classes": np.repeat("a", 90_000), "class_mix": {"a": 1.0}}
    gate = Gate.calibrate(confidence, draw.random(90_000) < 0.99, 0.05, thresholds=sequence, **options)
    assert gate.coverage in (0, 1)


@given(st.lists(st.sampled_from("abcd"), min_size=4, max_size=60), st.integers(0, 9), st.booleans())
def test_each_class_of_a_mix_keeps_rows_that_count(names: list[str], seed: int, has_thresholds: bool) -> None:
    classes, once = np.array(names), np.arange(len(names))
    rows = LabelledRows.of(np.zeros(len(names)), np.ones(len(names), dtype=np.bool_), true_classes=classes)
    fixing, counted = Mix(dict.fromkeys(names, 1 / len({*names}))).split(rows, once, seed, has_thresholds)
    assert {*classes[counted].tolist()} == {*names}
    np.testing.assert_array_equal(np.sort(np.concatenate([fixing, counted])), once)
    alone, all_of_them = Mix().split(rows, once, seed, has_thresholds)
    assert len(alone) == (0 if has_thresholds else len(rows) - len(all_of_them))
    assert has_thresholds or len(alone) > 0


def test_tests_begin_where_errors_can_be_borne() -> None:
    assert _class_mix_start_thresholds(np.linspace(-5, 60, 100), 0.1) == StartThreshold.sharing([17, 36], 0.1)
    late = _class_mix_start_thresholds(np.linspace(-5, 4, 100), 0.1)
    assert late == StartThreshold.sharing([55], 0.1)  # of none in the first half: where all have to be right
    assert _class_mix_start_thresholds(np.linspace(-5, -1, 100), 0.1) == []


@pytest.mark.slow
@pytest.mark.parametrize(("risk", "shares"), [(0.05, MIX), (0.1, {"a": 0.05, "c": 0.95})])
def test_the_promise_holds_under_the_mix(risk: float, shares: dict[str, float]) -> None:
    """Of 200 gates at δ = 20 % at most about 40 may break; that of the calibration rows' own mix breaks more often."""
    target = make_rows(200_000, [shares.get(name, 0.0) for name in "abc"], 99)
    confidence, broken, plain_broken, coverage = MCP().confidence(target), 0, 0, []
    order = np.argsort(-confidence)
    risks = np.cumsum(~target.is_correct[order]) / np.arange(1, len(target) + 1)
    sequence = threshold_sequence(confidence[:2_000])

    def is_broken(threshold: float) -> bool:
        count = np.searchsorted(-confidence[order], -threshold, side="right")
        return bool(count and risks[count - 1] > risk)

    for seed in range(200):
        rows = make_rows(1_500, SHARES, seed)
        given = labelled(rows)
        found = certify_class_mix(given, Weights.of_mix(given.require_true_classes(), shares), sequence, risk, 0.2)
        broken += is_broken(found.threshold)
        plain_broken += is_broken(certify(given.confidence, given.is_correct, sequence, risk, 0.2).threshold)
        coverage.append(found.coverage)
    assert broken <= 40
    assert plain_broken > 100
    assert np.mean(coverage) > 0.1


def test_without_another_mix_it_promises_little_less_than_the_exact_test() -> None:
    rows = make_rows(5_000, SHARES, 5)
    names = np.array(rows.label_names)[rows.require_labels()]
    confidence, sequence = MCP().confidence(rows), threshold_sequence(MCP().confidence(make_rows(2_000, SHARES, 6)))
    shares = {name: float((names == name).mean()) for name in MIX}
    exact = certify(confidence, rows.is_correct, sequence, 0.05, 0.05)
    found = certify_class_mix(labelled(rows), Weights.of_mix(names, shares), sequence, 0.05, 0.05)
    assert exact.coverage - 0.03 < found.coverage <= exact.coverage
    assert found.accepted == round(found.coverage * 5_000)
    assert found.risk_bound <= 0.05


def test_a_gate_for_another_mix(tmp_path: Path) -> None:
    rows = make_rows(6_000, SHARES, 7)
    gate = Gate.of(MCP(), rows, max_risk=(0.1, 0.05), class_mix=MIX)
    coming = make_rows(20_000, [*MIX.values()], 8)
    decisions = gate.decide(coming)
    assert decisions.coverage == pytest.approx(gate.coverage, abs=0.04)
    assert (~coming.is_correct[decisions.accepted]).mean() <= 0.1
    assert decisions.p_correct.mean() == pytest.approx(coming.is_correct.mean(), abs=0.03)
    low, high = gate.promises[0].coverage_interval
    assert low < gate.coverage < high < low + 0.1
    assert gate.calibration_rows is not None
    assert 500 < len(gate.calibration_rows) == gate.n < 2_000
    assert "in this mix: c 50 %, b 30 %, a 20 %" in gate.sentences()
    assert "weighted, the coverage is" in gate.sentences()
    gate.save(tmp_path)
    again = Gate.load(tmp_path)
    assert again.sentences() == gate.sentences()
    assert again.certificates == gate.certificates


def test_where_nothing_can_be_promised_it_says_which_class_counts_most() -> None:
    gate = Gate.of(MCP(), make_rows(400, SHARES, 9), max_risk=0.01, class_mix={"a": 0.1, "c": 0.9})
    assert gate.threshold == np.inf
    assert gate.coverage == 0
    assert "each of the 37 rows of c counts 5.94 times" in gate.advice
    numbers = re.search(r"trusted of ([\d,]+) rows .* about ([\d,]+) more rows like these would do", gate.advice)
    assert numbers is not None
    n, more = (int(number.replace(",", "")) for number in numbers.groups())
    assert more in np.ceil((MULTIPLES - 1) * n)


def test_a_class_that_has_no_calibration_rows_is_refused() -> None:
    with pytest.raises(SteepslopeError, match="found none of c"):
        Gate.of(MCP(), make_rows(400, [0.5, 0.5, 0.0], 9), class_mix=MIX)


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        ({"a": 0.2}, "class_mix: expected shares >= 0 that sum to 1, found a sum of 0.2"),
        ({"a": 1.2, "b": -0.2}, "class_mix: expected shares >= 0 that sum to 1, found -0.2 of b"),
        ({"a": math.nan, "b": 1.0}, "class_mix: expected shares >= 0 that sum to 1, found nan of a"),
        ({"A": 1.0}, "class in class_mix: 'A'"),
        ({"a": "half", "b": 0.5}, "class_mix: expected a number for each class"),
    ],
)
def test_what_is_no_mix_is_refused(mix: dict[str, Any], expected: str) -> None:
    with pytest.raises(SteepslopeError) as error:
        checked_class_mix(mix, ("a", "b", "c"))
    assert expected in str(error.value)


def test_classes_by_number() -> None:
    """Rows of a class without a share do not count."""
    draw = np.random.default_rng(4)
    codes, confidence = draw.integers(3, size=3_000), draw.normal(size=3_000)
    is_correct = draw.random(3_000) < 1 / (1 + np.exp(-2 - 1.5 * confidence))
    gate = Gate.calibrate(confidence, is_correct, 0.1, class_mix={"0": 0.5, "2": 0.5}, true_classes=codes)
    assert gate.promises[0].n < 2_200
    assert gate.coverage > 0.2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"class_mix": [0.5, 0.5]}, "class_mix: expected shares by class, found list"),
        ({"class_mix": MIX}, "true_classes: expected the true class of each row, found none"),
        ({"class_mix": MIX, "groups": ["a"] * 50}, "class_mix: expected a promised risk alone, found groups"),
        ({"class_mix": MIX, "reject": 0.5}, "class_mix: expected a promised risk alone, found reject"),
    ],
)
def test_what_cannot_be_promised_of_a_mix_is_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(SteepslopeError) as error:
        Gate.calibrate(np.linspace(0, 1, 50), np.ones(50, dtype=np.bool_), **options)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"errors": [0, 0, 0]}, "a certificate whose bound follows from its counts"),
        ({"errors": [0, 0, 9_999]}, "strata of the calibration rows, found impossible numbers"),
        ({"bet": 5.0}, "strata of the calibration rows, found impossible numbers"),
        ({"weight": [1.0, 1.0, -1.0]}, "strata of the calibration rows, found impossible numbers"),
        ({"mix": {}}, "strata of the calibration rows, found impossible numbers"),
        ({"accepted": [1]}, "strata of the calibration rows, found impossible numbers"),
        ({"rows": ["x", 1, 1]}, "field 'rows': found 'x' of an unexpected type"),
    ],
)
def test_a_changed_certificate_is_refused(change: dict[str, Any], expected: str) -> None:
    rows = labelled(make_rows(3_000, SHARES, 7))
    weights = Weights.of_mix(rows.require_true_classes(), MIX)
    content = certify_class_mix(rows, weights, np.array([0.5, -np.inf]), 0.1, 0.05).as_json()
    content["weighted"] |= change
    with pytest.raises(SteepslopeError, match=expected):
        Certificate.from_json(json.loads(json.dumps(content)), Path("gate.json"))
