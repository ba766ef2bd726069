"""All promises of a gate, P(correct), and what it remembers of its calibration rows."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.numerics._binomial import binomial_tail
from steepslope.promise._calibration import CalibrationRows, ProbabilityMap, calibrate_all, caution_on_neglected_class
from steepslope.promise._certificate import Certificate
from steepslope.promise._certify import TAKEN, certify
from steepslope.promise._objectives import Objectives
from steepslope.promise._rows import LabelledRows
from steepslope.promise._sequence import threshold_sequence
from steepslope.scores import MCP
from tests.conftest import make_outputs
from tests.promise.references import distinct_rows

THRESHOLDS = threshold_sequence(np.linspace(0, 1, 100), 80)


def _rows(n: int = 3_000, groups: int = 0) -> LabelledRows:
    confidence, is_correct = distinct_rows(n, 5)
    names = np.array(["cats", "dogs", "emus"])[np.random.default_rng(1).integers(groups, size=n)] if groups else None
    return LabelledRows.of(confidence, is_correct, groups=names)


def promised(
    rows: LabelledRows, seed: int = 0, **objectives: Any
) -> tuple[tuple[Certificate, ...], Certificate | None]:
    """Return the certificates of what is accepted, and that of rejection."""
    certificates = calibrate_all(rows, THRESHOLDS, Objectives(**objectives), seed)
    return certificates.accepted, certificates.rejection


def rejected(rows: LabelledRows, **objectives: Any) -> Certificate:
    """Return the promise of what is rejected."""
    _, rejection = promised(rows, **objectives)
    assert rejection is not None
    return rejection


@pytest.mark.parametrize(
    ("groups", "risks", "reject"), [(3, (0.05,), None), (2, (0.1, 0.02), 0.5), (0, (0.1, 0.2), 0.3)]
)
def test_promises_share_delta(groups: int, risks: tuple[float, ...], reject: float | None) -> None:
    found, rejection = promised(_rows(groups=groups), max_risk=risks, reject=reject)
    everything = [*found, *([] if rejection is None else [rejection])]
    assert sum(one.delta for one in everything) == pytest.approx(0.05)
    assert len({one.delta for one in everything}) == 1
    names = ["cats", "dogs", "emus"][:groups] if groups else [None]
    assert [(one.max_risk, one.group) for one in found] == [(risk, name) for risk in risks for name in names]


def test_a_group_is_calibrated_on_its_own_rows() -> None:
    rows = _rows(groups=3)
    found, _ = promised(rows, delta=0.06)
    for one in found:
        mine = rows.groups == one.group
        assert one == certify(rows.confidence[mine], rows.is_correct[mine], THRESHOLDS, 0.05, 0.02, one.group)
    assert sum(one.n for one in found) == 3_000


@pytest.mark.parametrize("coverage", [0.001, 0.3, 0.5, 1.0])
def test_coverage_is_the_nearest_there_is(coverage: float) -> None:
    (found,), _ = promised(_rows(), coverage=coverage)
    there = [(_rows().confidence >= threshold).mean() for threshold in THRESHOLDS]
    assert abs(found.coverage - coverage) == pytest.approx(min(abs(one - coverage) for one in there))
    assert (found.aim, found.max_risk, found.is_given) == ("coverage", None, True)
    accepted = _rows().confidence >= found.threshold
    assert (found.accepted, found.errors) == (accepted.sum(), (accepted & ~_rows().is_correct).sum())


def test_labels_do_not_choose_a_coverage() -> None:
    rows = _rows()
    other = LabelledRows.of(rows.confidence, ~rows.is_correct)
    thresholds = {promised(labelled, coverage=0.4)[0][0].threshold for labelled in (rows, other)}
    assert len(thresholds) == 1


def test_costs_are_counted_on_rows_that_did_not_choose_the_threshold() -> None:
    rows = _rows(4_001, groups=2)
    found, _ = promised(rows, 7, costs=(100, 5))
    order = np.random.default_rng(7).permutation(4_001)
    learnt, counted = order[:2_001], order[2_001:]
    probability = ProbabilityMap.from_rows(rows.confidence[learnt], rows.is_correct[learnt])
    assert {one.threshold for one in found} == {probability.inverse(0.95)}
    for one in found:
        accepted = (rows.confidence[counted] >= one.threshold) & (rows.groups[counted] == one.group)  # type: ignore[index]
        assert (one.accepted, one.errors) == (accepted.sum(), (accepted & ~rows.is_correct[counted]).sum())
    assert sum(one.n for one in found) == 2_000


def test_costs_of_one_row() -> None:
    (found,), _ = promised(LabelledRows.of([0.5], [True]), costs=(9, 1))
    assert (found.n, found.accepted, found.risk_bound) == (0, 0, 1)


def test_what_is_rejected_is_wrong_as_often_as_promised() -> None:
    rows = _rows(20_000)
    (accepted,), found = promised(rows, max_risk=(0.001,), reject=0.4)
    assert found is not None
    rejected = rows.confidence <= found.threshold
    assert found.aim == "rejection"
    assert found.max_risk == pytest.approx(0.6)
    assert (found.accepted, found.errors) == (rejected.sum(), (rejected & rows.is_correct).sum())
    assert binomial_tail(found.errors, found.accepted, 0.6) <= 0.025
    further = min(one for one in THRESHOLDS if one > found.threshold)
    assert further < accepted.threshold
    beyond = rows.confidence <= further
    assert binomial_tail((beyond & rows.is_correct).sum(), beyond.sum(), 0.6) > 0.025 / 3


@pytest.mark.parametrize("max_risk", [0.03, 0.9])
def test_what_is_accepted_is_not_rejected_and_not_promised_to_be(max_risk: float) -> None:
    rows = _rows(20_000)
    accepted, found = promised(rows, max_risk=(max_risk, 0.01), reject=0.4)
    assert found is not None
    lowest = min(one.threshold for one in accepted)
    rejected = rows.confidence <= found.threshold
    assert not (rejected & (rows.confidence >= lowest)).any()
    assert (found.accepted, found.errors) == (rejected.sum(), (rejected & rows.is_correct).sum())
    assert found.advice == ("" if rejected.any() else TAKEN["rejection"])


def test_rejection_of_nothing_and_of_all() -> None:
    confidence = np.linspace(0, 1, 500)
    right, wrong = np.ones(500, np.bool_), np.zeros(500, np.bool_)
    none, every = (rejected(LabelledRows.of(confidence, one), reject=0.9) for one in (right, wrong))
    assert (none.threshold, none.accepted) == (-np.inf, 0)
    assert none.advice.startswith("among the least trusted of 500 rows too many are right for 10 %")
    assert (every.threshold, every.accepted, every.advice) == (1, 500, "")


PATH = Path("gate.json")


def _drawn(n: int = 20_000) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    odds = rng.normal(1, 2, n)
    return odds, rng.random(n) < expit(0.7 * odds - 0.4)


@pytest.mark.parametrize(
    ("transform", "of_log_odds", "is_unit"),
    [(np.asarray, True, False), (np.asarray, False, False), (expit, False, True)],
)
def test_slope_and_offset_are_found(transform: Any, of_log_odds: bool, is_unit: bool) -> None:
    """Confidences from 0 to 1 are taken for probabilities, unless they are known to be log-odds."""
    odds, is_correct = _drawn()
    found = ProbabilityMap.from_rows(transform(odds), is_correct, of_log_odds)
    np.testing.assert_allclose(found(transform(odds)), expit(0.7 * odds - 0.4), atol=0.02)
    assert found.is_unit == is_unit
    assert not ProbabilityMap.from_rows(expit(odds), is_correct, of_log_odds=True).is_unit
    assert not ProbabilityMap.from_rows(expit(odds) + 0.01, is_correct).is_unit


def test_scale_and_shift_do_not_matter() -> None:
    odds, is_correct = _drawn(2_000)
    plain, scaled = ProbabilityMap.from_rows(odds, is_correct), ProbabilityMap.from_rows(1e6 * odds - 3, is_correct)
    np.testing.assert_allclose(scaled(1e6 * odds - 3), plain(odds), atol=1e-4)


@pytest.mark.parametrize("of_log_odds", [True, False])
@pytest.mark.parametrize("transform", [lambda x: x, expit])
def test_inverse(of_log_odds: bool, transform: Any) -> None:
    odds, is_correct = _drawn(2_000)
    found = ProbabilityMap.from_rows(transform(odds), is_correct, of_log_odds)
    for probability in (0.2, 0.5, 0.9):
        assert found(np.array([found.inverse(probability)]))[0] == pytest.approx(probability)


@pytest.mark.parametrize("confidence", [[0.5], [0.0, 1.0], [-np.inf, np.inf], [3.0] * 400, [0.5] * 400])
@pytest.mark.parametrize("right", [True, False])
def test_extremes_stay_probabilities_in_order(confidence: list[float], right: bool) -> None:
    found = ProbabilityMap.from_rows(np.array(confidence), np.full(len(confidence), right))
    values = found(np.array([-np.inf, 0, 0.2, 0.5, 1, 3, np.inf]))
    assert ((values >= 0) & (values <= 1)).all()
    assert (np.diff(values) >= 0).all()


def test_a_confidence_that_is_upside_down_is_not_turned_round() -> None:
    odds, is_correct = _drawn(2_000)
    assert ProbabilityMap.from_rows(-odds, is_correct).slope > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slope": 0}, "expected a slope and scale > 0"),
        ({"scale": -1.0}, "expected a slope and scale > 0"),
        ({"offset": float("inf")}, "expected a slope and scale > 0"),
        ({"is_unit": 1}, "field 'is_unit'"),
        ({"centre": True}, "field 'centre'"),
    ],
)
def test_bad_json_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^gate.json: {message}"):
        ProbabilityMap.from_json({**asdict(ProbabilityMap(1, 0)), **change}, PATH)


@pytest.mark.parametrize("by", [None, "predicted"])
def test_they_are_what_the_gate_decides(by: str | None, tmp_path: Path) -> None:
    outputs = make_outputs(2_000)
    gate = Gate.of(MCP(), outputs, max_risk=0.4, by=by)
    decisions = gate.decide(outputs)
    gate.save(tmp_path)
    for one in (gate, Gate.load(tmp_path)):
        assert one.calibration_rows is not None
        found = one.calibration_rows.arrays()
        np.testing.assert_array_equal(found["accepted"], decisions.accepted)
        np.testing.assert_array_equal(found["p_correct"], decisions.p_correct)
        np.testing.assert_array_equal(found["is_correct"], outputs.is_correct)
        np.testing.assert_allclose(found["probability"], softmax(outputs.logits, axis=1).max(axis=1), rtol=1e-6)


def test_the_rows_of_another_risk_are_not_taken_for_its_own() -> None:
    gate = Gate.calibrate(np.arange(1_000) / 1_000, np.arange(1_000) % 20 > 0, (0.1, 0.2))
    assert gate.calibration_rows is not None
    assert gate.at(0.2).calibration_rows is None


@pytest.mark.parametrize("change", [{"accepted": np.ones(2, np.bool_)}, {"further": np.ones(3)}])
def test_arrays_that_do_not_fit_are_named(change: dict[str, Any], tmp_path: Path) -> None:
    rows = CalibrationRows(np.full(3, 0.5), np.ones(3, np.bool_), np.full(3, 0.5), is_correct=np.ones(3, np.bool_))
    with pytest.raises(
        SteepslopeError, match=r"judged: expected calibration rows p_correct \(float64 n\), .* found p_corr"
    ):
        CalibrationRows.from_arrays(rows.arrays() | change, tmp_path / "judged")


@pytest.mark.parametrize(
    "objectives",
    [{}, {"reject": 0.4}, {"max_risk": (0.01, 0.1)}, {"coverage": 0.4}, {"costs": (100, 5)}, {"max_risk": (1e-6,)}],
)
@pytest.mark.parametrize("groups", [0, 3])
def test_unknown_rows_are_counted_and_change_no_promise(objectives: dict[str, Any], groups: int) -> None:
    rows = _rows(groups=groups)
    is_unknown = ~rows.is_correct & (np.arange(3_000) % 3 == 0)
    accepted, rejection = promised(replace(rows, is_unknown=is_unknown), 7, **objectives)
    before = promised(rows, 7, **objectives)
    half = np.random.default_rng(7).permutation(3_000)[1_500:] if "costs" in objectives else np.arange(3_000)
    for one, other in zip([*accepted, rejection], [*before[0], before[1]], strict=True):
        if one is None:
            assert other is None
            continue
        assert replace(one, unknown=0, unknown_accepted=0) == other
        counted = half if one.group is None else half[rows.groups[half] == one.group]  # type: ignore[index]
        values, unknown = rows.confidence[counted], is_unknown[counted]
        inside = values <= one.threshold if one.aim == "rejection" else values >= one.threshold
        assert (one.n, one.unknown, one.unknown_accepted) == (len(counted), unknown.sum(), (unknown & inside).sum())


def test_a_gate_counts_unknown_rows_of_outputs_and_of_confidences() -> None:
    outputs = make_outputs(3_000)
    outputs = outputs.changed(labels=np.where(np.arange(3_000) % 9 == 0, -1, outputs.require_labels()))
    gate = Gate.of(MCP(), outputs, 0.3)
    (one,) = gate.certificates
    assert 0 < one.unknown_accepted < one.unknown < outputs.is_unknown.sum()  # some rows fix the thresholds
    alone = Gate.calibrate(
        MCP().confidence(outputs), outputs.is_correct, 0.3, of_log_odds=True, is_unknown=outputs.is_unknown
    )
    assert alone.certificates == gate.certificates
    assert f"{one.unknown:,} of these {one.n:,} rows are out-of-class" in gate.sentences()


@pytest.mark.parametrize(
    ("is_unknown", "message"),
    [
        ([True, False], "expected wrong predictions, found a correct one in row 0"),
        ([False], r"expected booleans of shape \(2,\), one a prediction, found bool of shape \(1,\)"),
        ([0, 1], r"expected booleans .* found int64 of shape \(2,\)"),
    ],
)
def test_what_cannot_be_unknown_is_refused(is_unknown: list[Any], message: str) -> None:
    with pytest.raises(SteepslopeError, match=f"^is_unknown: {message}"):
        Gate.calibrate([0.9, 0.1], [True, False], is_unknown=is_unknown)


def test_a_class_that_is_accepted_under_other_labels_alone_is_named() -> None:
    truths, accepted = np.repeat(["good", "bad", "worse", "rare"], [950, 30, 10, 4]), np.arange(994) % 5 > 0

    def cautions(predicted: Any, accepted: Any) -> list[str]:
        rows = LabelledRows.of(np.ones(994), predicted == truths, true_classes=truths, predicted_classes=predicted)
        return caution_on_neglected_class(rows, accepted)

    (caution,) = cautions(np.full(994, "good"), accepted)
    assert caution.startswith("of 30 rows of class bad, 24 are accepted, all of them under another label; 1 other")
    assert "all accepted predictions are good" in caution
    assert "max_class_risk" in caution
    predicted = truths.copy()
    predicted[954:960] = "good"  # a class of which some are accepted rightly is not neglected
    assert cautions(predicted, accepted) == []
    assert cautions(np.full(994, "good"), np.zeros(994, np.bool_)) == []
