"""Gates and streams of predictions whose risk is known, for the tests of the monitor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from steepslope.gate import Gate
from steepslope.monitor import Monitor
from steepslope.promise._calibration import CalibrationRows


@dataclass(frozen=True, eq=False)
class Stream:
    """Predictions (n,) of a world in which the trust logit is the log-odds of being correct."""

    trust_logit: NDArray[np.float64]
    probability: NDArray[np.float64]
    is_correct: NDArray[np.bool_]
    predicted: NDArray[np.int64]

    def judged(self, gate: Gate) -> CalibrationRows:
        """Return what a gate thinks of them."""
        p_correct, accepted = gate.p_correct(self.trust_logit), gate.accepts(self.trust_logit)
        return CalibrationRows(p_correct, accepted, self.probability, self.predicted, is_correct=self.is_correct)


def stream(n: int, seed: int, lower: float = 0.0, sure: float = 0.0, first: float = 0.2) -> Stream:
    """Draw predictions; log-odds are ``lower`` than usual, and the classifier as many log-odds more ``sure``.

    A part ``first`` of five classes is predicted to be the first.
    """
    rng = np.random.default_rng([seed, n])
    log_odds = rng.normal(3.5 - lower, 2, n)
    predicted = np.where(rng.random(n) < first, 0, rng.integers(1, 5, n))
    return Stream(log_odds, expit(log_odds + sure), rng.random(n) < expit(log_odds), predicted)


def gate(n: int = 2_000, seed: int = 0, max_risk: float = 0.05) -> Gate:
    """Return a gate that is calibrated on n rows, which fix its thresholds too."""
    rows = stream(n, seed)
    return Gate.calibrate(rows.trust_logit, rows.is_correct, max_risk, of_log_odds=True)


def monitor_of(found: Gate, n: int = 2_000, seed: int = 0) -> Monitor:
    """Return the monitor of a gate that :func:`gate` made, which knows the classifier's own predictions."""
    return Monitor.of(found, rows=stream(n, seed).judged(found))


def feed(monitor: Monitor, found: Gate, rows: Stream) -> CalibrationRows:
    """Give predictions to a monitor, and return what the gate thinks of them."""
    judged = rows.judged(found)
    monitor.update(judged.p_correct, judged.accepted, judged.probability, judged.predicted)
    return judged
