"""The gate from the outside: what it accepts, its words, and what it refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.promise._certify import certify
from steepslope.promise._rows import split_rows
from steepslope.promise._sequence import threshold_sequence
from tests.promise.references import Rows, distinct_rows, rows_with_ties

THRESHOLDS = threshold_sequence(np.linspace(0, 1, 100), 80)
ROWS = distinct_rows(3_000, 5)
NAMES = np.array(["cats", "dogs", "emus"])[np.random.default_rng(1).integers(3, size=3_000)]


def _gate(**options: Any) -> Gate:
    return Gate.calibrate(*ROWS, **{"thresholds": THRESHOLDS, **options})


def test_what_is_accepted_is_what_was_counted() -> None:
    gate = _gate()
    accepted = gate.accepts(ROWS[0])
    assert gate.coverage == accepted.mean()
    assert gate.certificates[0].errors == (accepted & ~ROWS[1]).sum()
    assert 0 < gate.coverage < 1
    assert gate.risk_bound <= 0.05
    assert gate.advice == ""


def test_a_gate_is_printed_without_its_rows() -> None:
    """They are thousands, and a line of numbers each would hide what is promised."""
    rows = np.arange(2_000)
    gate = Gate.calibrate(rows / 2_000, rows > 100, 0.1)
    assert gate.calibration_rows is not None
    assert "max_risk=0.1" in repr(gate)
    assert len(repr(gate)) < 1_000


def test_the_threshold_itself_is_accepted() -> None:
    gate = _gate()
    assert gate.accepts([gate.threshold, np.nextafter(gate.threshold, -np.inf)]).tolist() == [True, False]


def test_without_thresholds_some_rows_fix_them_and_are_not_counted() -> None:
    gate, (fixing, counted) = Gate.calibrate(*ROWS, seed=3), split_rows(3_000, 3)
    sequence = threshold_sequence(ROWS[0][fixing])
    assert gate.certificates[0] == certify(ROWS[0][counted], ROWS[1][counted], sequence, 0.05, 0.05)
    assert gate.n == 3_000
    assert Gate.calibrate(*ROWS, seed=4).threshold != gate.threshold


@settings(max_examples=15)
@given(rows_with_ties(), st.booleans())
def test_any_rows_make_a_gate(rows: Rows, are_given: bool) -> None:
    gate = Gate.calibrate(*rows, 0.3, 0.2, threshold_sequence([0, 0.5, 0.7]) if are_given else None, reject=0.5)
    accepted = gate.accepts(rows[0])
    assert accepted.any() == (gate.threshold < np.inf)
    assert len({*zip(rows[0].tolist(), accepted.tolist(), strict=True)}) == len({*rows[0].tolist()})  # whole ties
    probabilities = gate.p_correct(rows[0])
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert set(gate.decisions(rows[0])) <= {"accept", "review", "reject"}
    assert gate.sentences().startswith(("Of all predictions", "Nothing can be promised"))


def test_where_nothing_is_promised_not_even_infinity_is_accepted_or_rejected() -> None:
    gate = Gate.calibrate([0.1, np.inf, -np.inf], [True, True, False], reject=0.5)
    assert (gate.threshold, gate.coverage, gate.risk_bound) == (np.inf, 0, 1)
    assert "3 rows are too few" not in gate.advice  # one of them fixes thresholds
    assert not gate.accepts([0.1, np.inf]).any()
    assert gate.decisions([np.inf, -np.inf]).tolist() == ["review", "review"]


def test_infinite_confidences_are_accepted_where_all_are_right() -> None:
    confidence, is_correct = np.repeat([np.inf, -np.inf], 400), np.repeat([True, False], 400)
    for thresholds in (None, [np.inf, 5.0, -np.inf], threshold_sequence(confidence[::7])):
        gate = Gate.calibrate(confidence, is_correct, thresholds=thresholds)
        assert gate.accepts([np.inf, -np.inf]).tolist() == [True, False]
        assert np.isfinite(gate.threshold)


def test_several_risks_are_promised_together() -> None:
    gate = _gate(max_risk=(0.05, 0.02, 0.08), delta=0.06)
    assert {one.delta for one in gate.certificates} == {0.02}
    assert gate.threshold == certify(*ROWS, THRESHOLDS, 0.05, 0.02).threshold
    strict, loose = gate.at(0.02), gate.at(0.08)
    assert strict.threshold > gate.threshold > loose.threshold
    assert strict.coverage < gate.coverage < loose.coverage
    assert strict.risk_bound <= 0.02
    assert strict.at(0.05).threshold == gate.threshold
    assert "All 3 promises hold together with 94 % confidence." in gate.sentences()
    with pytest.raises(
        SteepslopeError, match=r"^max_risk: expected a risk that was promised: 0.05, 0.02, 0.08, found 0.1"
    ):
        gate.at(0.1)


def test_groups_have_thresholds_of_their_own() -> None:
    gate = _gate(groups=NAMES, max_risk=(0.05, 0.1))
    assert gate.has_groups
    assert list(gate.thresholds) == ["cats", "dogs", "emus"]
    accepted = gate.accepts(ROWS[0], NAMES)
    assert gate.coverage == pytest.approx(accepted.mean())
    for name, threshold in gate.thresholds.items():
        mine = np.isin(NAMES, [str(name)])
        np.testing.assert_array_equal(accepted[mine], ROWS[0][mine] >= threshold)
    assert gate.risk_bound == max(one.risk_bound for one in gate.promises)
    assert gate.at(0.1).coverage > gate.coverage
    with pytest.raises(SteepslopeError, match=r"^threshold: this gate has one for each of its groups"):
        _ = gate.threshold


def test_an_unknown_group_is_never_accepted() -> None:
    gate = _gate(groups=NAMES)
    assert gate.accepts([1.0, 1.0, np.inf, 1.0], ["cats", "yaks", "yaks", ""]).tolist() == [True, False, False, False]


def test_a_group_of_few_rows_gets_advice() -> None:
    names = np.where(np.arange(3_000) < 20, "rare", "usual")
    gate = _gate(groups=names)
    assert gate.advice.startswith("rare: 20 rows are too few")
    assert not gate.accepts([1.0, np.inf], ["rare", "rare"]).any()
    assert gate.accepts([1.0], ["usual"]).all()
    assert "rare: nothing can be promised: 20 rows" in gate.sentences()
    assert gate.risk_bound <= 0.05  # of the other group


@pytest.mark.parametrize(
    ("by_groups", "groups", "message"),
    [
        (True, None, "expected groups where the gate was calibrated by groups, found none"),
        (False, ["cats"], "found some, but the gate has one threshold for all"),
        (True, ["cats", "dogs"], "expected one for each prediction"),
    ],
)
def test_groups_where_there_are_none_are_named(by_groups: bool, groups: Any, message: str) -> None:
    gate = _gate(groups=NAMES if by_groups else None)
    with pytest.raises(SteepslopeError, match=f"^groups: .*{message}"):
        gate.accepts([0.5], groups)


def test_costs_in_place_of_a_risk() -> None:
    gate = _gate(costs=(20, 1))
    assert gate.p_correct([gate.threshold])[0] == pytest.approx(0.95, abs=0.02)  # learnt on a half
    (one,) = gate.certificates
    cost = (20 * one.errors + one.n - one.accepted) / one.n
    all_accepted = 20 * (~ROWS[1]).mean()
    assert f"Cost of a prediction: {cost:.4g}; accepting all {all_accepted:.4g}, reviewing all 1." in gate.sentences()
    assert cost < min(1, all_accepted)
    assert _gate(costs=(100, 1)).threshold > gate.threshold


def test_rejections() -> None:
    gate = _gate(reject=0.5, max_risk=0.03)
    decisions = gate.decisions(ROWS[0])
    assert {*decisions.tolist()} == {"accept", "review", "reject"}
    assert (~ROWS[1])[decisions == "reject"].mean() >= 0.5
    np.testing.assert_array_equal(decisions == "accept", gate.accepts(ROWS[0]))
    assert ROWS[0][decisions == "reject"].max() < ROWS[0][decisions == "review"].min()
    assert "at most 50 % of these are right" in gate.sentences()
    assert "Both promises hold together with 95 % confidence." in gate.sentences()
    assert "reject" not in _gate().decisions(ROWS[0])


def test_a_promise_for_each_true_class_holds_beside_that_of_all() -> None:
    gate = _gate(max_class_risk=0.02, true_classes=NAMES, delta=0.1)
    assert [one.group for one in gate.of_classes] == ["cats", "dogs", "emus"]
    assert {one.delta for one in (*gate.certificates, *gate.of_classes)} == {0.05}
    lowest = gate.of_classes[0].threshold
    assert gate.threshold >= lowest > _gate().threshold
    for one in gate.of_classes:
        of_class = np.isin(NAMES, [str(one.group)])
        assert one.n == of_class.sum()
        assert one.errors == (of_class & ~ROWS[1] & (ROWS[0] >= lowest)).sum()
        assert one.risk_bound <= 0.02
    assert "of all whose true class is cats, at most 2 % are accepted under another label" in gate.sentences()
    assert "All 4 promises hold together with 90 % confidence." in gate.sentences()
    kept = _gate(max_class_risk=0.02, true_classes=NAMES, groups=NAMES, max_risk=(0.05, 0.1))
    assert all(threshold >= kept.of_classes[0].threshold for threshold in kept.at(0.1).thresholds.values())


def test_where_a_true_class_cannot_be_promised_nothing_is_accepted() -> None:
    is_correct = np.arange(800) >= 12
    truths = np.where(is_correct, "usual", "hopeless")
    gate = Gate.calibrate(np.ones(800), is_correct, thresholds=[0.5], max_class_risk=0.3, true_classes=truths)
    assert gate.threshold == np.inf
    assert "promises of the true classes leave only thresholds" in gate.advice
    assert "Of all whose true class is hopeless, nothing can be promised: even at the highest" in gate.sentences()


def test_where_nothing_is_promised_nothing_is_assumed() -> None:
    assert "This assumes that" not in Gate.calibrate(np.arange(40.0), np.ones(40, dtype=bool)).sentences()


def test_words_end_with_what_they_assume() -> None:
    lines = _gate().sentences().splitlines()
    assert lines[1] == "This assumes that"
    assert len(lines) == 5
    assert "drawn as the calibration rows were" in lines[2]


def test_confidences_that_are_no_numbers_are_named() -> None:
    gate = _gate()
    for method in (gate.accepts, gate.decisions, gate.p_correct):
        with pytest.raises(SteepslopeError, match=r"^confidence: expected numbers \(m,\)"):
            method([[0.1]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": [0.1, np.nan]}, "confidence: expected numbers, found NaN in row 1"),
        ({"thresholds": [0.1, 0.2]}, "thresholds: expected the highest first"),
        ({"groups": ["a"]}, "groups: expected one for each prediction"),
        ({"max_class_risk": 0.1}, "true_classes: expected the true class of each row, found none"),
        ({"max_class_risk": 0.1, "coverage": 0.5}, "max_class_risk: expected none with a coverage or costs"),
        ({"max_class_risk": 0.1, "true_classes": ["a"]}, "true_classes: expected one for each prediction"),
        ({"seed": "a"}, "seed: expected a whole number"),
    ],
)
def test_bad_input_is_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^{message}") as caught:
        Gate.calibrate(**{"confidence": [0.1, 0.2], "is_correct": [True, False], **options})
    assert "\n" not in str(caught.value)


def test_the_advice_of_many_groups_names_the_first_and_how_many_others_there_are() -> None:
    rows = np.arange(40)
    gate = Gate.calibrate(rows / 40, rows % 2 > 0, 0.05, groups=rows % 5)
    assert gate.advice.startswith("0: ")
    assert gate.advice.endswith("; 2 other groups likewise")
