"""What is watched of predictions without labels: a number a row, distributed as on the calibration rows until a change.

Where it no longer is, these rows are not drawn as those were, and a gate's promise cannot be relied on. A new signal is
a function and an entry in ``SIGNALS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from steepslope.monitor.predictions import Floats, Judged

STEPS = 9_973  # of values in [0, 1]: a prime, so that no simple fraction lies half-way between two


@dataclass(frozen=True)
class Signal:
    """A number a row, ``values`` (m,) in [0, 1], None where it is not known; a change is told by its order alone.

    ``title`` is what people call it. ``low`` and 1 are the ends of the scale on which its mean is shown; None where it
    is not.
    """

    title: str
    values: Callable[[Judged], Floats | None]
    low: float | None = 0.0

    def shown(self, mean: float) -> float:
        """Return the mean of the values as people see it."""
        low = self.low or 0.0
        return low + (1 - low) * mean


def _rounded_signal(values: Floats | None) -> Floats | None:
    """Return values so that those of the same prediction are equal, whether computed in float32 or in float64.

    Few distinct values, such as votes of twenty trees, would else lie above or below those of the calibration rows.
    """
    return None if values is None else np.round(values * STEPS) / STEPS


def _overconfidence_signal(rows: Judged) -> Floats | None:
    """Return how much the classifier's own probability lies above P(correct), brought to [0, 1]."""
    return None if rows.probability is None else _rounded_signal((1 + rows.probability - rows.p_correct) / 2)


def _predicted_class_signal(rows: Judged) -> Floats | None:
    """Return the numbers of the predicted classes, from −1 for none on, brought to [0, 1) in their order."""
    return None if rows.predicted is None else (1.0 + rows.predicted) / (2.0 + rows.predicted)


def _acceptance_signal(rows: Judged) -> Floats:
    """Return 1 for rows that the gate alone accepts, even if they are below the limit of its audit, else 0."""
    chance = getattr(rows, "chance", None)
    return (rows.accepted if chance is None else chance > 0).astype(np.float64)


SIGNALS: dict[str, Signal] = {
    "p_correct": Signal("P(correct)", lambda rows: _rounded_signal(rows.p_correct)),
    "probability": Signal("The classifier's own probability", lambda rows: _rounded_signal(rows.probability)),
    "overconfidence": Signal("Overconfidence of the classifier", _overconfidence_signal, low=-1.0),
    "predicted": Signal("The mix of predicted classes", _predicted_class_signal, low=None),
    "accepted": Signal("The share of the accepted", _acceptance_signal, low=None),
}
