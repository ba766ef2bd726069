"""All promises of a gate: groups, several risks, coverage, costs, and what is rejected."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.gate import Aims, threshold_sequence
from steepslope.gate.binomial import tail
from steepslope.gate.calibration import CalibrationRows, all_certificates, group_names
from steepslope.gate.certify import TAKEN, certify
from steepslope.gate.probability import ProbabilityMap
from tests.gate.references import distinct_rows

THRESHOLDS = threshold_sequence(np.linspace(0, 1, 100), 80)


def _rows(n: int = 3_000, groups: int = 0) -> CalibrationRows:
    confidence, is_correct = distinct_rows(n, 5)
    names = np.array(["cats", "dogs", "emus"])[np.random.default_rng(1).integers(groups, size=n)] if groups else None
    return CalibrationRows(confidence, is_correct, names)


def test_a_single_promise_has_the_whole_delta() -> None:
    (found,), rejection = all_certificates(_rows(), THRESHOLDS, Aims(), 0)
    assert rejection is None
    assert found == certify(_rows().confidence, _rows().is_correct, THRESHOLDS, 0.05, 0.05)


@pytest.mark.parametrize(
    ("groups", "risks", "reject"), [(3, (0.05,), None), (2, (0.1, 0.02), 0.5), (0, (0.1, 0.2), 0.3)]
)
def test_promises_share_delta(groups: int, risks: tuple[float, ...], reject: float | None) -> None:
    found, rejection = all_certificates(_rows(groups=groups), THRESHOLDS, Aims(max_risk=risks, reject=reject), 0)
    everything = [*found, *([] if rejection is None else [rejection])]
    assert sum(one.delta for one in everything) == pytest.approx(0.05)
    assert len({one.delta for one in everything}) == 1
    assert [(one.max_risk, one.group) for one in found] == [
        (risk, name) for risk in risks for name in _rows(groups=groups).names
    ]


def test_a_group_is_calibrated_on_its_own_rows() -> None:
    rows = _rows(groups=3)
    found, _ = all_certificates(rows, THRESHOLDS, Aims(delta=0.06), 0)
    for one in found:
        mine = rows.groups == one.group
        assert one == certify(rows.confidence[mine], rows.is_correct[mine], THRESHOLDS, 0.05, 0.02, one.group)
    assert sum(one.n for one in found) == len(rows)


@pytest.mark.parametrize("coverage", [0.001, 0.3, 0.5, 1.0])
def test_coverage_is_the_nearest_there_is(coverage: float) -> None:
    (found,), _ = all_certificates(_rows(), THRESHOLDS, Aims(coverage=coverage), 0)
    there = [(_rows().confidence >= threshold).mean() for threshold in THRESHOLDS]
    assert abs(found.coverage - coverage) == pytest.approx(min(abs(one - coverage) for one in there))
    assert (found.aim, found.max_risk, found.is_given) == ("coverage", None, True)
    accepted = _rows().confidence >= found.threshold
    assert (found.accepted, found.errors) == (accepted.sum(), (accepted & ~_rows().is_correct).sum())


def test_labels_do_not_choose_a_coverage() -> None:
    rows = _rows()
    other = CalibrationRows(rows.confidence, ~rows.is_correct)
    thresholds = {all_certificates(one, THRESHOLDS, Aims(coverage=0.4), 0)[0][0].threshold for one in (rows, other)}
    assert len(thresholds) == 1


def test_costs_are_counted_on_rows_that_did_not_choose_the_threshold() -> None:
    rows = _rows(4_001, groups=2)
    found, _ = all_certificates(rows, THRESHOLDS, Aims(costs=(100, 5)), 7)
    order = np.random.default_rng(7).permutation(4_001)
    learnt, counted = order[:2_001], order[2_001:]
    probability = ProbabilityMap.of(rows.confidence[learnt], rows.is_correct[learnt])
    assert {one.threshold for one in found} == {probability.inverse(0.95)}
    for one in found:
        accepted = (rows.confidence[counted] >= one.threshold) & (rows.groups[counted] == one.group)  # type: ignore[index]
        assert (one.accepted, one.errors) == (accepted.sum(), (accepted & ~rows.is_correct[counted]).sum())
    assert sum(one.n for one in found) == 2_000


def test_costs_of_one_row() -> None:
    (found,), _ = all_certificates(
        CalibrationRows(np.array([0.5]), np.array([True])), THRESHOLDS, Aims(costs=(9, 1)), 0
    )
    assert (found.n, found.accepted, found.risk_bound) == (0, 0, 1)


def test_what_is_rejected_is_wrong_as_often_as_promised() -> None:
    rows = _rows(20_000)
    (accepted,), found = all_certificates(rows, THRESHOLDS, Aims(max_risk=(0.001,), reject=0.4), 0)
    assert found is not None
    rejected = rows.confidence <= found.threshold
    assert found.aim == "rejection"
    assert found.max_risk == pytest.approx(0.6)
    assert (found.accepted, found.errors) == (rejected.sum(), (rejected & rows.is_correct).sum())
    assert tail(found.errors, found.accepted, 0.6) <= 0.025
    further = min(one for one in THRESHOLDS if one > found.threshold)
    assert further < accepted.threshold
    beyond = rows.confidence <= further
    assert tail((beyond & rows.is_correct).sum(), beyond.sum(), 0.6) > 0.025


@pytest.mark.parametrize("max_risk", [0.03, 0.05, 0.1, 0.9])
def test_what_is_accepted_is_not_rejected_and_not_promised_to_be(max_risk: float) -> None:
    rows = _rows(20_000)
    accepted, found = all_certificates(rows, THRESHOLDS, Aims(max_risk=(max_risk, 0.01), reject=0.4), 0)
    assert found is not None
    lowest = min(one.threshold for one in accepted)
    rejected = rows.confidence <= found.threshold
    assert not (rejected & (rows.confidence >= lowest)).any()
    assert (found.accepted, found.errors) == (rejected.sum(), (rejected & rows.is_correct).sum())
    assert found.advice == ("" if rejected.any() else TAKEN)


def test_rejection_of_nothing_and_of_all() -> None:
    confidence, thresholds = np.linspace(0, 1, 500), THRESHOLDS
    right, wrong = np.ones(500, np.bool_), np.zeros(500, np.bool_)
    _, none = all_certificates(CalibrationRows(confidence, right), thresholds, Aims(reject=0.9), 0)
    _, every = all_certificates(CalibrationRows(confidence, wrong), thresholds, Aims(reject=0.9), 0)
    assert none is not None
    assert every is not None
    assert (none.threshold, none.accepted) == (-np.inf, 0)
    assert none.advice.startswith("among the least trusted of 500 rows too many are right for 10 %")
    assert (every.threshold, every.accepted, every.advice) == (np.inf, 500, "")


def test_names_of_groups() -> None:
    assert group_names(None, 3) is None
    names = group_names([3, 1, 3], 3)
    assert names is not None
    assert names.tolist() == ["3", "1", "3"]
    assert CalibrationRows(np.zeros(3), np.ones(3, np.bool_), names).names == ["1", "3"]
    assert CalibrationRows(np.zeros(3), np.ones(3, np.bool_)).names == [None]


@pytest.mark.parametrize("groups", [[1, 2], [[1, 2, 3]], "cats", []])
def test_another_number_of_groups_is_named(groups: object) -> None:
    with pytest.raises(SteepslopeError, match=r"^groups: expected one group a prediction, \(3,\), found shape"):
        group_names(groups, 3)  # type: ignore[arg-type]
