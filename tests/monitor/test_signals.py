"""What is watched, against its definition, and that only what is known is."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.monitor.predictions import Predicted
from steepslope.monitor.signals import SIGNALS
from steepslope.promise.calibration import CalibrationRows

TRUE = np.ones(3, np.bool_)
USED = np.array([True, False, True])
ROWS = CalibrationRows(np.array([0.9, 0.4, 0.8]), TRUE, USED, np.array([0.95, 0.9, 0.1]), np.array([7, 0, 3]))
ORDERS = {"predicted": [1, 2, 0], "accepted": [1, 0, 2]}  # by the numbers of classes, and accepted or not
SHOWN = {"p_correct": [0.9, 0.4, 0.8], "probability": [0.95, 0.9, 0.1], "overconfidence": [0.05, 0.5, -0.7]}


@pytest.mark.parametrize("name", SIGNALS)
def test_values_lie_in_the_unit_interval_and_are_shown_as_people_know_them(name: str) -> None:
    signal = SIGNALS[name]
    values = signal.values(ROWS)
    assert values is not None
    assert ((values >= 0) & (values <= 1)).all()
    if name in SHOWN:
        np.testing.assert_allclose([signal.shown(value) for value in values], SHOWN[name], atol=2e-4)
    else:
        assert signal.low is None
        assert np.argsort(values, kind="stable").tolist() == ORDERS[name]


def test_confidences_alone_have_two_signals() -> None:
    bare = CalibrationRows(ROWS.p_correct, TRUE, TRUE)
    assert [name for name, signal in SIGNALS.items() if signal.values(bare) is not None] == ["p_correct", "accepted"]


def test_what_is_below_the_limit_of_an_audit_counts_as_accepted() -> None:
    """A gate that follows its audit accepts less than on the calibration rows, though nothing has changed."""
    held = Predicted(ROWS.p_correct, np.array([True, False, False]), chance=np.array([0.1, 0.0, 0.4]))
    values = SIGNALS["accepted"].values(held)
    assert values is not None
    assert values.tolist() == [1, 0, 1]
