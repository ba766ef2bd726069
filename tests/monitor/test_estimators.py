"""Estimates of accuracy against their definitions, and that all learn from calibration rows what these are."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.monitor.estimators import ESTIMATORS, DifferenceOfConfidences, learnt_estimators
from steepslope.promise.calibration import CalibrationRows


def rows_of(n: int, seed: int = 0) -> CalibrationRows:
    rng = np.random.default_rng(seed)
    p_correct = rng.beta(5, 1, n)
    return CalibrationRows(p_correct, rng.random(n) < p_correct, p_correct > 0.5, np.sqrt(p_correct))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimate_of_the_calibration_rows_is_their_accuracy(name: str) -> None:
    rows = rows_of(20_000)
    found = ESTIMATORS[name].of(rows)
    statistic = found.statistic(rows)
    assert ((statistic >= 0) & (statistic <= 1)).all()
    assert found.estimate(float(statistic.mean())) == pytest.approx(rows.is_correct.mean(), abs=0.01)


@pytest.mark.parametrize("name", ["atc", "doc"])
def test_what_is_learnt_on_rows_is_exact_on_them(name: str) -> None:
    rows = rows_of(501)
    found = ESTIMATORS[name].of(rows)
    assert found.estimate(float(found.statistic(rows).mean())) == pytest.approx(rows.is_correct.mean(), abs=1e-12)


def test_the_extremes() -> None:
    rows = rows_of(50)
    wrong = CalibrationRows(rows.p_correct, np.zeros(50, np.bool_), rows.accepted, rows.probability)
    assert ESTIMATORS["atc"].of(wrong).statistic(rows).sum() == 0
    assert DifferenceOfConfidences(-0.9).estimate(0.5) == 0
    assert DifferenceOfConfidences(0.9).estimate(0.5) == 1


def test_only_those_learn_whose_columns_are_there() -> None:
    rows = rows_of(50)
    assert list(learnt_estimators(rows)) == list(ESTIMATORS)
    alone = CalibrationRows(rows.p_correct, rows.is_correct, rows.accepted)
    assert list(learnt_estimators(alone)) == ["atc_p_correct", "mean_p_correct"]
