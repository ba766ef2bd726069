"""A mean over a stream: how it went, and the bets on its values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.monitor.bets import Bets, mean_interval_by_bets, read_bets

Floats = NDArray[np.float64]
UNIT = 2**30  # values are summed as whole numbers of these parts, so that a sum has no rounding
LEAST = 100  # values that have a mean of their own
MOST_POINTS = 400  # of the history; then every second is dropped


class Point(NamedTuple):
    """What was known after ``n`` values: at which ``row`` of the stream, their ``total`` and the ``evidence``."""

    row: int
    n: int
    total: int
    evidence: float


@dataclass(frozen=True)
class RunningMean:
    """The mean of values in [0, 1] so far, with bets on them.

    ``level`` bounds the probability of a false alarm; ``total`` is the sum of all values
    in whole units; ``alarm`` is the row of the stream at which the e-value reached 1/level, and ``alarm_count`` after
    how many values, None as long as it has not; ``history`` has a point every ``stride`` values.
    """

    bets: Bets
    level: float
    total: int = 0
    alarm: int | None = None
    stride: int = 1
    history: tuple[Point, ...] = ()
    alarm_count: int | None = None

    def after(self, values: Floats, rows: NDArray[np.int64], now: int | None = None) -> RunningMean:
        """Return the mean after further values (m,), in [0, 1], each with its row of the stream, (m,), from 1 on.

        ``now`` is the latest row of the stream where values come late, such as labels: an alarm is raised there.
        """
        if len(values) == 0:
            return self
        bets, evidence = self.bets.after(values)
        totals = self.total + np.cumsum(np.floor(values * UNIT).astype(np.int64))
        mean = replace(self, bets=bets, total=int(totals[-1]))
        enough = np.flatnonzero(evidence >= self.needed)
        if self.alarm is None and len(enough):
            row = int(rows[enough[0]]) if now is None else now
            mean = replace(mean, alarm=row, alarm_count=self.count + int(enough[0]) + 1)
        counts = np.arange(self.count + 1, mean.count + 1)
        stride = self.stride
        while mean.count // stride > MOST_POINTS:
            stride *= 2
        earlier = (point for point in self.history if point.n % stride == 0)
        new = (
            Point(int(rows[k]), int(counts[k]), int(totals[k]), float(evidence[k]))
            for k in np.flatnonzero(counts % stride == 0)
        )
        return replace(mean, stride=stride, history=(*earlier, *new))

    @property
    def needed(self) -> float:
        """The evidence that makes an alarm, as the logarithm of an e-value."""
        return -math.log(self.level)

    @property
    def count(self) -> int:
        """How many values there were."""
        return self.bets.rows

    @property
    def mean(self) -> float | None:
        """The mean of all values; None of none."""
        return None if self.count == 0 else self.total / UNIT / self.count

    @property
    def latest(self) -> tuple[int, float] | None:
        """How many the latest values are, a tenth of all but at least 100, and their mean; None of fewer than that."""
        earlier = [point for point in self.history if point.n <= self.count - max(LEAST, self.count // 10)]
        if not earlier:
            return None
        count = self.count - earlier[-1].n
        return count, (self.total - earlier[-1].total) / UNIT / count

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the interval of the mean that holds at all times together, as long as the mean stays as it is."""
        return mean_interval_by_bets(self.total / UNIT, self.count, alpha)

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """Return the mean that JSON holds."""
        history = tuple(Point(*point) for point in content["history"])
        return cls(**{**content, "bets": read_bets(content["bets"]), "history": history})
