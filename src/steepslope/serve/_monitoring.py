"""A monitor behind the server: it sees every decision, and its state lies in a file, or in memory."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.gate import DISTANCE, REVIEW, STOPPED, Gate
from steepslope.monitor import WAIT, Monitor, Predicted, begin_state, open_state
from steepslope.nets.export import Arrays
from steepslope.promise import EXIT_CODES, HEALTHY
from steepslope.serve._logs import LOGGER
from steepslope.serve._served import DECISION, lacking_rows, split_served_rows

SECONDS = 10.0  # at most, by which the file lags behind
RETRY = 1.0  # seconds after which a probe tries again to write a state that is lost
MOST_UNWRITTEN = 1_000_000  # predictions that wait for a state that cannot be written, some 64 MiB


@dataclass(eq=False)
class ServedMonitor:
    """A monitor of the decisions of one server; :meth:`write` adds them to its state, which others may change too.

    Without a ``path``, the state is kept in memory, and a new server begins again. If it ``reviews``, nothing is
    accepted from the row on with which the monitor finds a change or harm. ``threshold`` is the gate's, if it has one
    for all rows.

    The state remembers no ids of the decisions, which would make it grow with each request: labels that come later find
    the rows of a :class:`~steepslope.serve.DecisionLog`.
    """

    path: Path | None
    digest: str
    monitor: Monitor = field(init=False)
    reviews: bool = False
    threshold: float | None = None
    unwritten: list[Predicted] = field(default_factory=list)
    written: float = field(default_factory=time.monotonic)
    failing_since: float = math.inf
    is_lost: bool = False
    is_full: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def open(cls, state: str | Path | None, digest: str, gate: Gate | None = None, **options: Any) -> Self:
        """Go on with the monitor in a file, or begin one; the gate's ``digest`` tells whose it is.

        Without a file, a monitor of the gate begins in memory. ``options`` are ``reviews`` and ``threshold``.

        Raises
        ------
        SteepslopeError
            If the state is another gate's, or if there is neither state nor gate.
        """
        if state is None and gate is not None:
            served = cls(None, digest, **options)
            served.monitor = Monitor.of(gate, digest=digest)
            return served
        path = Path(str(state))
        if not path.exists():
            if gate is None:
                expected = "expected a state, since an ONNX file does not know its calibration rows"
                made = "steepslope monitor --gate DIR --state FILE makes one"
                raise SteepslopeError(f"{expected}, found none: {made}", path)
            with located("monitor"):
                begin_state(path, Monitor.of(gate, digest=digest).as_json())
        served = cls(path, digest, **options)
        served.write()  # so that a file which cannot be written is told at once
        return served

    @property
    def code(self) -> int:
        """What the command monitor would exit with: 0 for healthy, 4 for changed, 3 for harmful."""
        return EXIT_CODES[self.monitor.health]

    def evidence(self) -> dict[str, float]:
        """Return the evidence of a change by each signal: the logarithm of its e-value, over the one of an alarm."""
        means = {name: self.monitor.means[name] for name in self.monitor.usual}
        return {name: mean.history[-1].evidence / mean.needed if mean.history else 0.0 for name, mean in means.items()}

    def update(self, rows: Predicted) -> NDArray[np.bool_]:
        """Take the gate's own decisions on the next m predictions; return which a change or harm stops, (m,)."""
        with self.lock:
            places = self.monitor.rows + 1 + np.arange(len(rows))
            before = self.monitor.health
            self.monitor.take(self._stopped(rows, places))
            self._tell_health(before)
            rows = self._stopped(rows, places)  # there may be an alarm now
            self._keep(rows)
        return rows.by_gate & ~rows.accepted

    def _keep(self, rows: Predicted) -> None:
        """Keep predictions until they can be written; tell once where there are too many, which the state never has."""
        if self.path is None:
            return
        waiting = sum(map(len, self.unwritten))
        if waiting + len(rows) <= MOST_UNWRITTEN:
            self.unwritten.append(rows)
        elif not self.is_full:
            self.is_full = True
            LOGGER.error("%s: %s predictions wait to be written; no more are kept", self.path, waiting)

    def _stopped(self, rows: Predicted, places: NDArray[np.int64]) -> Predicted:
        """Return predictions at some places of the stream, none accepted from the first alarm on if that reviews."""
        first = min(self.monitor.alarms.values(), default=math.inf)
        stopped = rows.by_gate & (places >= first) & self.reviews
        return replace(rows, accepted=rows.by_gate & ~stopped, stopped=stopped)

    def judge(self, answers: list[Arrays]) -> list[Arrays]:
        """Return the rows of several requests, of which those are for review that a change or harm stops."""
        if not all({"accepted", "p_correct"} <= rows.keys() for rows in answers):
            return answers
        outputs = {name: np.concatenate([rows[name] for rows in answers]) for name in answers[0]}
        numbers = (outputs[name] for name in ("p_correct", "accepted", "probability", "label"))
        rows = Predicted.of(*numbers, distance=outputs.get(DISTANCE), lacking=lacking_rows(outputs, self.threshold))
        stopped = self.update(rows)
        outputs["accepted"] = outputs["accepted"] & ~stopped
        outputs[DECISION] = np.where(stopped, REVIEW, outputs[DECISION])
        return split_served_rows({**outputs, STOPPED: stopped}, answers)

    def write_in_time(self) -> None:
        """Write to the file if that is due; answers do not wait for another process."""
        if self.path is not None and time.monotonic() - self.written >= SECONDS:
            try:
                self.write(wait=0)
            except SteepslopeError as error:
                LOGGER.error("%s; what was seen waits in memory", error)

    def write(self, wait: float = WAIT) -> None:
        """Add what came since the last time to the file; what cannot be written now is tried again later."""
        if self.path is None:
            return
        with self.lock:
            self.written = time.monotonic()
            before = self.monitor.health if hasattr(self, "monitor") else HEALTHY
            try:
                self.monitor = self._added(wait)
                self._tell_health(before)
            except Exception as error:
                self.unwritten = [Predicted.joined(self.unwritten)] if self.unwritten else []  # for the next try
                self.failing_since = min(self.failing_since, self.written)
                is_busy = getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
                self.is_lost = not is_busy or self.written - self.failing_since > WAIT  # others may write for a while
                raise
            self.unwritten = []
            self.is_lost = self.is_full = False
            self.failing_since = math.inf

    def _tell_health(self, before: str) -> None:
        """Write to the log if the health is another than before; what others count in the file can change it, too."""
        if self.monitor.health != before:
            LOGGER.warning("health was %s, and is %s now", before, self.monitor.health)

    def _added(self, wait: float) -> Monitor:
        """Return the monitor in the file, to which what is unwritten was added there."""
        assert self.path is not None
        with open_state(self.path, wait=wait) as state:
            monitor = Monitor.read(state.content, self.path)
            if monitor.follows:
                expected = "expected a state without --follow, since a server cannot follow an audit"
                raise SteepslopeError(f"{expected}, found one with it", self.path)
            if monitor.gate != self.digest:
                expected = "expected the state of the gate that is served"
                raise SteepslopeError(f"{expected}, found another gate's", self.path)
            if self.unwritten:
                monitor.take(Predicted.joined(self.unwritten))
            state.write(monitor.as_json())
        return monitor

    def can_write(self) -> bool:
        """Return whether the state can be written. A lost one is tried again here, even if no requests come."""
        if self.is_lost and time.monotonic() - self.written >= RETRY:
            with suppress(SteepslopeError):
                self.write(wait=0)
        return not self.is_lost
