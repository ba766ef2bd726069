"""What stands for harm where labels are not there: a mean over predictions, and the limit that it may not exceed.

``overconfidence`` is what an alarm goes by where a gate has an oracle, ``risk`` where it has a score, and ``coverage``
always; why, and what is promised of each, is in docs/monitoring.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.gate.calibration import CalibrationRows
from steepslope.monitor.bounds import distance, mean_upper_bound, risk_upper_bound
from steepslope.monitor.estimators import known_probability
from steepslope.monitor.predictions import Judged

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LOWEST, HIGHEST = -0.25, 0.75  # of the overconfidence of one row: few lie below, and bets are the larger the less do
TOLERANCE = 0.25  # of the classifier's error rate: so much more overconfidence does no harm (LOG.md)
LEAST_COVERAGE = 0.5  # of what is usual: a gate that accepts less has lost its use
LEAST_RANGE = 1e-6
UNREACHED = 1 - 1e-9  # a limit on [0, 1] that nothing exceeds


@dataclass(frozen=True)
class Calibration:
    """What a signal's limit follows from.

    ``rows`` are the gate's calibration rows; ``promised`` is the risk that it promises; ``most`` is the highest
    estimated risk of a row that it can accept; ``groups`` is how many groups have a threshold of their own; ``alpha``
    is the probability that the limit may be too low.
    """

    rows: CalibrationRows
    promised: float
    most: float
    groups: int
    alpha: float


@dataclass(frozen=True)
class Signal(ABC):
    """A mean of numbers from ``low`` to ``high``, its ``limit``, and what it is of calibration rows (``usual``)."""

    low: float
    high: float
    limit: float
    usual: float
    title: ClassVar[str]
    needs_probability: ClassVar[bool]

    @classmethod
    @abstractmethod
    def of(cls, calibration: Calibration) -> Self:
        """Return the signal with its limit."""

    def counted(self, rows: Judged) -> Bools:
        """Return which rows count, (m,): all, unless a signal says otherwise."""
        return np.ones(len(rows.p_correct), np.bool_)

    @abstractmethod
    def values(self, rows: Judged) -> Floats:
        """Return the number of each row, (m,)."""

    def scaled(self, rows: Judged) -> Floats:
        """Return the numbers of the rows that count, (k,), cut to their range and brought to [0, 1]."""
        values = self.values(rows)[self.counted(rows)]
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)

    @property
    def scaled_limit(self) -> float:
        """The limit where the range is [0, 1]; below 1 it can be exceeded."""
        return min(UNREACHED, (self.limit - self.low) / (self.high - self.low))

    @property
    def can_be_exceeded(self) -> bool:
        """Whether the limit lies below the highest mean that there can be; else there is never an alarm."""
        return self.scaled_limit < UNREACHED

    def unscaled(self, value: float) -> float:
        """Return a number of [0, 1] in the signal's own range."""
        return self.low + value * (self.high - self.low)

    def shown(self, value: float) -> float:
        """Return what people see in the place of a mean or limit, under the signal's title."""
        return value


class EstimatedRisk(Signal):
    """The mean of 1 − P(correct) over accepted rows, and what the promise and the estimate's own error leave it.

    The limit is the promised risk, more by as much as P(correct) may be too low on accepted calibration rows; or, where
    that is more, the highest mean that the calibration rows themselves allow.
    """

    title = "estimated risk of the accepted"
    needs_probability = False

    @classmethod
    def of(cls, calibration: Calibration) -> Self:
        """Return the signal with its limit."""
        rows, alpha = calibration.rows, calibration.alpha
        most = max(calibration.most, LEAST_RANGE)
        estimated = 1 - rows.p_correct
        off = (estimated - ~rows.is_correct)[rows.accepted]  # above 0 where the estimate is too high; >= −1
        too_high = mean_upper_bound(np.clip((off + 1) / (1 + most), 0, 1), alpha) * (1 + most) - 1
        allowed = risk_upper_bound(estimated, rows.accepted, most, alpha, calibration.groups)
        usual = float(estimated[rows.accepted].mean())
        return cls(0.0, most, max(calibration.promised + too_high, allowed), usual)

    def counted(self, rows: Judged) -> Bools:
        """Return the accepted rows."""
        return rows.accepted

    def values(self, rows: Judged) -> Floats:
        """Return the estimated risks."""
        return 1 - rows.p_correct


class Overconfidence(Signal):
    """The mean, over all rows, of how much the classifier's own probability lies above P(correct).

    The limit is the highest mean that the calibration rows allow, and a quarter of the classifier's error rate.
    """

    title = "overconfidence of the classifier"
    needs_probability = True

    @classmethod
    def of(cls, calibration: Calibration) -> Self:
        """Return the signal with its limit."""
        rows, plain = calibration.rows, cls(LOWEST, HIGHEST, 0.0, 0.0)
        scaled = plain.scaled(rows)
        limit = plain.unscaled(mean_upper_bound(scaled, calibration.alpha))
        tolerance = TOLERANCE * float((~rows.is_correct).mean())
        return cls(LOWEST, HIGHEST, limit + tolerance, plain.unscaled(float(scaled.mean())))

    def values(self, rows: Judged) -> Floats:
        """Return the differences."""
        return known_probability(rows) - rows.p_correct


class LostCoverage(Signal):
    """The part of all rows that is not accepted.

    The limit is one half of the calibration rows' coverage; or, where that is less, what these rows themselves allow.
    """

    title = "accepted"
    needs_probability = False

    @classmethod
    def of(cls, calibration: Calibration) -> Self:
        """Return the signal with its limit."""
        rows, groups = calibration.rows, calibration.groups
        usual = float(rows.accepted.mean())
        allowed = usual - groups * distance(len(rows), calibration.alpha / groups)  # though they chose the threshold
        return cls(0.0, 1.0, 1 - min(LEAST_COVERAGE * usual, max(0.0, allowed)), 1 - usual)

    def values(self, rows: Judged) -> Floats:
        """Return 1 where a row is not accepted, else 0."""
        return (~rows.accepted).astype(np.float64)

    def shown(self, value: float) -> float:
        """Return the part that is accepted."""
        return 1 - value


SIGNALS: dict[str, type[Signal]] = {"overconfidence": Overconfidence, "risk": EstimatedRisk, "coverage": LostCoverage}


def signals_of(calibration: Calibration) -> dict[str, Signal]:
    """Return all signals that some calibration rows have, by name, with their limits."""
    known = calibration.rows.probability is not None
    return {name: kind.of(calibration) for name, kind in SIGNALS.items() if known or not kind.needs_probability}
