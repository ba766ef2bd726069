"""What Prometheus reads of a server, and what shows a monitor all decisions."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from steepslope.serve.served import HANDED_OVER, Rows

if TYPE_CHECKING:
    from steepslope.serve.monitoring import ServedMonitor

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
RECENT = 1_000  # predictions of which the fractions are told


class Metrics:
    """All metrics of one server, in a registry of its own; ``watch`` sees all decisions, in one thread only."""

    def __init__(self, watch: ServedMonitor | None = None) -> None:
        self.watch, self.registry = watch, CollectorRegistry()
        self.accepted, self.handed_over = (deque[float](maxlen=RECENT) for _ in range(2))
        one = self.registry
        of_requests = "steepslope_request_seconds", "Seconds from request to answer"
        self.latency = Histogram(*of_requests, ["route"], buckets=SECONDS, registry=one)
        self.requests = Counter("steepslope_requests", "Requests by route", ["route", "status"], registry=one)
        self.batches = Histogram("steepslope_batch_rows", "Rows that were run together", buckets=ROWS, registry=one)
        self.running = Histogram("steepslope_batch_seconds", "Seconds of a batch", buckets=SECONDS, registry=one)
        self.predictions = Counter("steepslope_predictions", "Predictions that were decided on", registry=one)
        self.accepts = Counter("steepslope_accepted", "Predictions that were accepted", registry=one)
        of_last = f"of the last {RECENT:,} predictions"
        for name, words, values in (
            ("accepted", f"Fraction {of_last} that was accepted", self.accepted),
            ("handed_over", f"How far the oracle handed over, mean {of_last}", self.handed_over),
        ):
            Gauge(f"steepslope_{name}_fraction", words, registry=one).set_function(partial(_mean, values))
        if watch is not None:
            health = Gauge("steepslope_health", "By the monitor: 0 healthy, 4 changed, 3 harmful", registry=one)
            health.set_function(partial(_health, watch))
            lost = Gauge(
                "steepslope_monitor_lost", "1 while the monitor's state cannot be written, else 0", registry=one
            )
            lost.set_function(lambda: float(not watch.can_write()))

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
        self.accepted.extend(accepted.tolist())
        if handed_over is not None:
            self.handed_over.extend(handed_over.tolist())
        if self.watch is not None:
            self.watch.update(outputs["p_correct"], accepted, outputs["probability"], outputs["label"])

    def of_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests.labels(route, str(status)).inc()
        self.latency.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


def _health(watch: ServedMonitor) -> float:
    return float(watch.code)


def _mean(values: deque[float]) -> float:
    """Return the mean of the last values, which another thread may add to; 0 of none."""
    latest = list(values)
    return sum(latest) / max(1, len(latest))
