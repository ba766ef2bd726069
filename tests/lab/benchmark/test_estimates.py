"""How far estimates of the accuracy are off: made rows of which the accuracy is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from steepslope.outputs import ClassifierOutputs
from steepslope_lab.benchmark.estimates import MONITOR, NANNYML, estimate_errors
from steepslope_lab.benchmark.trial import FREE, TEST, JudgedRows, Trial


def calibrated_rows(p: NDArray[np.float64], seed: int) -> JudgedRows:
    """Return rows of two classes that are right with the probabilities p, which the oracle and the classifier know."""
    right = np.random.default_rng(seed).random(len(p)) < p
    logits = np.log(np.stack([p, 1 - p], axis=1))
    log_odds = np.log(p / (1 - p))
    return JudgedRows(ClassifierOutputs(logits, np.where(right, 0, 1)), {FREE: log_odds})


def test_the_estimate_is_the_mean_probability_of_being_right() -> None:
    rng = np.random.default_rng(0)
    usual = calibrated_rows(rng.uniform(0.7, 0.99, 4_000), 1)
    harder = calibrated_rows(rng.uniform(0.5, 0.8, 4_000), 2)
    trial = Trial(usual.outputs, None, {TEST: usual, "harder": harder}, usual.outputs)
    found = estimate_errors(trial, "harder")
    assert {*found} - {NANNYML} == {MONITOR}
    expected = (1 / (1 + np.exp(-harder.fused[FREE]))).mean() - harder.outputs.is_correct.mean()
    assert found[MONITOR] == pytest.approx(expected, abs=0.01)


def test_estimates_are_off_where_the_classifier_is_wrong_unawares() -> None:
    """Of rows that look as usual, the estimate is the usual accuracy, and so off by what the accuracy fell."""
    p = np.random.default_rng(0).uniform(0.7, 0.99, 4_000)
    usual, same = calibrated_rows(p, 1), calibrated_rows(p, 1)
    labels = same.outputs.require_labels().copy()
    labels[::4] = 1  # a quarter is wrong whatever it says
    fooled = JudgedRows(ClassifierOutputs(same.outputs.logits, labels), same.fused)
    fell = usual.outputs.is_correct.mean() - fooled.outputs.is_correct.mean()
    assert fell > 0.1
    for kind, off in estimate_errors(
        Trial(usual.outputs, None, {TEST: usual, "fooled": fooled}, usual.outputs), "fooled"
    ).items():
        assert off == pytest.approx(fell, abs=0.02), kind
