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


def medians_in_turn(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return both medians of runs taken in turn, so that a change of the machine's pace meets both."""
    times: list[list[float]] = [[], []]
    for _ in range(repeats + 1):  # the first is to warm up
        for own, work in zip(times, (ours, theirs), strict=True):
            start = time.perf_counter()
            work()
            own.append(time.perf_counter() - start)
    return statistics.median(times[0][1:]), statistics.median(times[1][1:])
