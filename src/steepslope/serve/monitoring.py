"""A monitor behind the server: it sees every decision, and its state lies in a file."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.gate import Gate
from steepslope.monitor.monitor import EXIT_CODES, Monitor
from steepslope.monitor.state import WAIT, begin_state, open_state

SECONDS = 10.0  # at most, by which the file lags behind
Decisions = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]


@dataclass(eq=False)
class ServedMonitor:
    """A monitor of the decisions of one server; :meth:`write` adds them to its state, which others may change too.

    The state remembers no ids of them, which would make it grow with each request: labels that come later find the
    rows of a :class:`~steepslope.serve.decision_log.DecisionLog`.
    """

    path: Path
    digest: str
    monitor: Monitor = field(init=False)
    unwritten: list[Decisions] = field(default_factory=list)
    written: float = field(default_factory=time.monotonic)
    failing_since: float = math.inf
    is_lost: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def open(cls, state: str | Path, digest: str, gate: Gate | None = None) -> Self:
        """Go on with the monitor in a file, or begin one; the gate's ``digest`` tells whose it is.

        Raises
        ------
        SteepslopeError
            If the state is another gate's, or if there is neither state nor gate.
        """
        path = Path(state)
        if not path.exists():
            if gate is None:
                expected = "expected a state, since an ONNX file does not know its calibration rows"
                made = "steepslope monitor --gate DIR --state FILE makes one"
                raise SteepslopeError(f"{expected}, found none: {made}", path)
            with located("monitor"):
                begin_state(path, Monitor.of(gate, digest=digest).as_json())
        served = cls(path, digest)
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

    def update(self, *decisions: *Decisions) -> None:
        """Take the decisions on the next m predictions, as :meth:`Monitor.update` does, (m,) each."""
        with self.lock:
            self.monitor.update(*decisions)
            self.unwritten.append(decisions)
        if time.monotonic() - self.written >= SECONDS:
            self.write(wait=0)  # answers do not wait for another process

    def write(self, wait: float = WAIT) -> None:
        """Add what came since the last time to the file; what cannot be written now is tried again later."""
        with self.lock:
            self.written = time.monotonic()
            try:
                self.monitor = self._added(wait)
            except Exception as error:
                self.failing_since = min(self.failing_since, self.written)
                is_busy = getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
                self.is_lost = not is_busy or self.written - self.failing_since > WAIT  # others may write for a while
                raise
            self.unwritten = []
            self.is_lost = False
            self.failing_since = math.inf

    def _added(self, wait: float) -> Monitor:
        """Return the monitor in the file, to which what is unwritten was added there."""
        with open_state(self.path, wait=wait) as state:
            monitor = Monitor.read(state.content, self.path)
            if monitor.follows:
                expected = "expected a state without --follow, since a server cannot follow an audit"
                raise SteepslopeError(f"{expected}, found one with it", self.path)
            if monitor.gate != self.digest:
                expected = "expected the state of the gate that is served"
                raise SteepslopeError(f"{expected}, found another gate's", self.path)
            for decisions in self.unwritten:
                monitor.update(*decisions)
            state.write(monitor.as_json())
        return monitor

    def can_write(self) -> bool:
        """Return whether the state can be written. A lost one is tried again here, even if no requests come."""
        if self.is_lost:
            with suppress(SteepslopeError):
                self.write(wait=0)
        return not self.is_lost
