"""What Prometheus reads of a server, and the hook by which an alarm watches the decisions."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from steepslope.serve.served import HANDED_OVER, Rows

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
RECENT = 1_000  # predictions of which the fractions are told


class Watch(Protocol):
    """What watches decisions as they come, such as a monitor of harm; it is called by one thread only."""

    @property
    def alarm(self) -> bool:
        """Whether it has raised its alarm."""

    def update(
        self, p_correct: NDArray[np.float64], accepted: NDArray[np.bool_], probability: NDArray[np.float64]
    ) -> None:
        """Take the decisions on the next m predictions, (m,) each."""


@dataclass(eq=False)
class Recent:
    """The mean of the last values."""

    values: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def add(self, values: NDArray[Any]) -> None:
        """Add the values of further predictions."""
        self.values.extend(values.tolist())

    def mean(self) -> float:
        """Return the mean, 0 of none."""
        values = list(self.values)
        return sum(values) / max(1, len(values))


class Metrics:
    """All metrics of one server, in a registry of its own."""

    def __init__(self, watch: Watch | None = None) -> None:
        self.watch, self.registry = watch, CollectorRegistry()
        self.accepted, self.handed_over = Recent(), Recent()
        one = self.registry
        of_requests = "steepslope_request_seconds", "Seconds from request to answer"
        self.latency = Histogram(*of_requests, ["route"], buckets=SECONDS, registry=one)
        self.requests = Counter("steepslope_requests", "Requests by route", ["route", "status"], registry=one)
        self.batches = Histogram("steepslope_batch_rows", "Rows that were run together", buckets=ROWS, registry=one)
        self.running = Histogram("steepslope_batch_seconds", "Seconds of a batch", buckets=SECONDS, registry=one)
        self.predictions = Counter("steepslope_predictions", "Predictions that were decided on", registry=one)
        self.accepts = Counter("steepslope_accepted", "Predictions that were accepted", registry=one)
        recent = f"of the last {RECENT:,} predictions"
        self._gauge("steepslope_accepted_fraction", f"Fraction {recent} that was accepted", self.accepted.mean)
        self._gauge(
            "steepslope_handed_over_fraction", f"How far the oracle handed over, mean {recent}", self.handed_over.mean
        )
        self._gauge("steepslope_alarm", "1 if the alarm was raised", lambda: float(watch is not None and watch.alarm))

    def _gauge(self, name: str, words: str, value: Any) -> None:
        Gauge(name, words, registry=self.registry).set_function(value)

    def of_batch(self, found: Sequence[Rows], seconds: float) -> None:
        """Count a batch that was run, and show its decisions to what watches them."""
        self.batches.observe(sum(map(len, found)))
        self.running.observe(seconds)
        if not all({"accepted", "p_correct"} <= rows.outputs.keys() for rows in found):
            return
        outputs = {name: np.concatenate([rows.outputs[name] for rows in found]) for name in found[0].outputs}
        accepted, handed_over = outputs["accepted"], outputs.get(HANDED_OVER)
        self.predictions.inc(len(accepted))
        self.accepts.inc(int(accepted.sum()))
        self.accepted.add(accepted)
        if handed_over is not None:
            self.handed_over.add(handed_over)
        if self.watch is not None:
            self.watch.update(outputs["p_correct"], accepted, outputs["probability"])

    def of_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests.labels(route, str(status)).inc()
        self.latency.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
