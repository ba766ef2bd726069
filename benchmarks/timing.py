"""Medians of repeated runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """Two median times in seconds for the same work, and the ratio to reach."""

    title: str
    ours: float
    theirs: float
    goal: float

    @property
    def ratio(self) -> float:
        """How many times longer theirs takes."""
        return self.theirs / self.ours


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Run once to warm up, then return the median of ``repeats`` runs."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
