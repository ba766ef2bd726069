"""What Prometheus reads of a server, and what writes down its decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from steepslope.nets.export import Arrays
from steepslope.serve._decision_log import DecisionLog
from steepslope.serve._monitoring import ServedMonitor
from steepslope.serve._served import HANDED_OVER, served_row_count

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ServerMetrics:
    """All metrics of one server, in a registry of its own; ``watch`` and ``log`` are written in one thread only.

    ``coverage`` is the share of calibration rows that were accepted; while ``stopped`` returns a reason, all
    predictions go to review.
    """

    def __init__(
        self,
        watch: ServedMonitor | None = None,
        log: DecisionLog | None = None,
        coverage: float = 0.0,
        stopped: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.watch, self.log = watch, log
        self.registry = registry = CollectorRegistry()
        self.latency = Histogram(
            "steepslope_request_seconds", "Seconds from request to answer", ["route"], buckets=SECONDS,
            registry=registry,
        )  # fmt: skip
        self.requests = Counter("steepslope_requests", "Requests by route", ["route", "status"], registry=registry)
        self.batches = Histogram("steepslope_batch_rows", "Rows run together", buckets=ROWS, registry=registry)
        self.running = Histogram("steepslope_batch_seconds", "Seconds of a batch", buckets=SECONDS, registry=registry)
        self.predictions = Counter("steepslope_predictions", "Predictions that were decided on", registry=registry)
        self.accepts = Counter("steepslope_accepted", "Predictions that were accepted", registry=registry)
        self.handed_over = Counter(
            "steepslope_handed_over", "How far the oracle handed over, summed over predictions", registry=registry
        )
        calibrated = Gauge("steepslope_calibrated_coverage", "Share of calibration rows accepted", registry=registry)
        calibrated.set(coverage)
        by_hand = Gauge(
            "steepslope_stopped", "1 while all go to review by `steepslope stop`, else 0", registry=registry
        )
        by_hand.set_function(lambda: float(stopped() is not None))
        if log is not None:
            waiting = Gauge("steepslope_decisions_waiting", "Decisions that wait to be written", registry=registry)
            waiting.set_function(lambda: float(log.waiting))
            lost = Gauge("steepslope_decisions_lost", "Decisions that could not be written", registry=registry)
            lost.set_function(lambda: float(log.lost))
        if watch is not None:
            evidence = Gauge(
                "steepslope_evidence", "By the monitor: evidence of a change; 1 is an alarm", ["signal"],
                registry=registry,
            )  # fmt: skip

            def latest(signal: str) -> float:
                return watch.evidence()[signal]

            for signal in watch.evidence():
                evidence.labels(signal).set_function(partial(latest, signal))
            health = Gauge("steepslope_health", "By the monitor: 0 healthy, 4 changed, 3 harmful", registry=registry)
            health.set_function(lambda: float(watch.code))
            unwritten = Gauge(
                "steepslope_monitor_lost", "1 while the monitor's state cannot be written, else 0", registry=registry
            )
            unwritten.set_function(lambda: float(not watch.can_write()))

    def of_batch(self, found: Sequence[Arrays], seconds: float) -> None:
        """Count a batch that was run, and show its decisions to what watches them."""
        self.batches.observe(sum(map(served_row_count, found)))
        self.running.observe(seconds)
        if not all({"accepted", "p_correct"} <= rows.keys() for rows in found):
            return
        outputs = {name: np.concatenate([rows[name] for rows in found]) for name in found[0]}
        accepted, handed_over = outputs["accepted"], outputs.get(HANDED_OVER)
        self.predictions.inc(len(accepted))
        self.accepts.inc(int(accepted.sum()))
        if handed_over is not None:
            self.handed_over.inc(float(handed_over.sum()))
        if self.log is not None:  # first, since a state that cannot be written raises
            self.log.write(outputs)
        if self.watch is not None:
            self.watch.write_in_time()

    def of_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests.labels(route, str(status)).inc()
        self.latency.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)
