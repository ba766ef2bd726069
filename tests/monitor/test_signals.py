"""What stands for harm, against its definition, and the limits that calibration rows set."""

from __future__ import annotations

import math

import numpy as np
import pytest

from steepslope.gate.calibration import CalibrationRows
from steepslope.monitor.bounds import mean_upper_bound
from steepslope.monitor.signals import SIGNALS, TOLERANCE, Calibration, EstimatedRisk, LostCoverage, Overconfidence


def rows_of(n: int, seed: int = 0, wrong: float = 0.1) -> CalibrationRows:
    rng = np.random.default_rng(seed)
    p_correct = rng.beta(9, 1, n)
    return CalibrationRows(p_correct, rng.random(n) > wrong, p_correct >= 0.7, rng.beta(12, 1, n))


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_is_a_mean_of_what_it_counts_below_its_limit(name: str) -> None:
    rows = rows_of(3_000)
    signal = SIGNALS[name].of(Calibration(rows, 0.05, 0.3, 1, 0.01))
    scaled = signal.scaled(rows)
    assert len(scaled) == signal.counted(rows).sum()
    assert ((scaled >= 0) & (scaled <= 1)).all()
    assert signal.unscaled(float(scaled.mean())) == pytest.approx(signal.usual)
    assert signal.usual < signal.limit
    assert signal.unscaled(signal.scaled_limit) == pytest.approx(signal.limit)


def test_estimated_risk_and_overconfidence_by_hand() -> None:
    rows = CalibrationRows(np.array([0.9, 0.4, 0.8]), np.ones(3, np.bool_), np.array([True, False, True]),
                      np.array([0.95, 0.9, 0.1]))  # fmt: skip
    np.testing.assert_allclose(EstimatedRisk(0.0, 0.4, 0.0, 0.0).scaled(rows), [0.25, 0.5])
    np.testing.assert_allclose(Overconfidence(-0.25, 0.75, 0.0, 0.0).scaled(rows), [0.3, 0.75, 0.0])


def test_the_limit_of_the_risk_is_the_promise_and_how_much_too_high_the_estimate_may_be() -> None:
    rows = rows_of(200_000)  # so many that the other bound is lower
    estimated, wrong = (1 - rows.p_correct)[rows.accepted], ~rows.is_correct[rows.accepted]
    signal = EstimatedRisk.of(Calibration(rows, 0.2, 0.3, 1, 0.01))
    assert signal.limit == pytest.approx(0.2 + float((estimated - wrong).mean()), abs=0.003)
    assert signal.limit > 0.2 + float((estimated - wrong).mean())


def test_a_gate_that_keeps_far_within_its_promise_needs_more_rows_than_it_has() -> None:
    few, many = (EstimatedRisk.of(Calibration(rows_of(n), 0.05, 0.3, 1, 0.01)).limit for n in (100, 100_000))
    assert few > many


def test_the_limit_of_overconfidence_is_what_rows_allow_and_a_part_of_the_error_rate() -> None:
    rows = rows_of(5_000)
    signal = Overconfidence.of(Calibration(rows, 0.05, 0.3, 1, 0.01))
    assert rows.probability is not None
    scaled = np.clip(rows.probability - rows.p_correct, -0.25, 0.75) + 0.25
    expected = mean_upper_bound(scaled, 0.01) - 0.25 + TOLERANCE * (~rows.is_correct).mean()
    assert signal.limit == pytest.approx(expected)


def test_the_limit_of_lost_coverage_is_one_half_where_rows_are_enough_to_know_it() -> None:
    many, few = rows_of(5_000), rows_of(10)
    found = LostCoverage.of(Calibration(many, 0.05, 0.3, 1, 0.01))
    assert found.limit == pytest.approx(1 - many.accepted.mean() / 2)
    unsure = LostCoverage.of(Calibration(few, 0.05, 0.3, 1, 0.01))
    expected = few.accepted.mean() - math.sqrt(math.log(2 / 0.01) / 20)
    assert expected < few.accepted.mean() / 2
    assert unsure.limit == pytest.approx(1 - expected)
    assert LostCoverage.of(Calibration(few, 0.05, 0.3, 9, 0.01)).limit == 1  # it cannot be exceeded
