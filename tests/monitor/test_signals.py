"""What is watched, against its definition, and that only what is known is."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.gate.calibration import CalibrationRows
from steepslope.monitor.signals import SIGNALS

TRUE = np.ones(3, np.bool_)
ROWS = CalibrationRows(np.array([0.9, 0.4, 0.8]), TRUE, TRUE, np.array([0.95, 0.9, 0.1]), np.array([7, 0, 3]))
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
        assert np.argsort(values).tolist() == [1, 2, 0]  # in the order of the classes


def test_confidences_alone_have_one_signal() -> None:
    bare = CalibrationRows(ROWS.p_correct, TRUE, TRUE)
    assert [name for name, signal in SIGNALS.items() if signal.values(bare) is not None] == ["p_correct"]
