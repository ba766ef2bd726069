"""A monitor of harm behind the server: it sees every decision, and its state lies in a file."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.files.progress import Notice
from steepslope.gate import Gate
from steepslope.monitor.monitor import Monitor
from steepslope.monitor.sentences import silences
from steepslope.monitor.storage import locked_state, read_state, write_state
from steepslope.serve.served import Served

SECONDS = 10.0  # at most, by which the file lags behind


@dataclass(eq=False)
class Watching:
    """What watches the decisions of one server; :meth:`close` writes its state and lets others write it.

    The file is written every few seconds. It remembers no ids, since requests have none: labels that come later cannot
    find their predictions. While a server runs, no other process can write its state.
    """

    monitor: Monitor
    state: Path
    lock: ExitStack = field(default_factory=ExitStack)
    written: float = field(default_factory=time.monotonic)

    @classmethod
    def open(cls, state: str | Path, digest: str, gate: Gate | None = None) -> Self:
        """Go on with the monitor in a file, or begin one; the gate's ``digest`` tells whose it is.

        Raises
        ------
        SteepslopeError
            If the state is another gate's, or holds predictions of files, or if there is neither state nor gate, or if
            another process holds the state.
        """
        path = Path(state)
        with ExitStack() as lock:
            lock.enter_context(locked_state(path))
            found = cls(_monitor(path, digest, gate), path)
            found.write()
            found.lock = lock.pop_all()
        return found

    @property
    def alarm(self) -> bool:
        """Whether there is, or was, an alarm."""
        return self.monitor.alarm is not None

    def update(
        self, p_correct: NDArray[np.float64], accepted: NDArray[np.bool_], probability: NDArray[np.float64]
    ) -> None:
        """Take the decisions on the next m predictions, (m,) each."""
        self.monitor.update(p_correct, accepted, probability)
        if time.monotonic() - self.written >= SECONDS:
            self.write()

    def write(self) -> None:
        """Write what is known to the file."""
        self.written = time.monotonic()  # a file that cannot be written is tried again after some seconds
        write_state(self.state, self.monitor.as_json())

    def close(self) -> None:
        """Write what is known to the file, and release it."""
        with self.lock:
            self.write()


def watching(state: str, served: Served, notice: Notice) -> Watching:
    """Return what watches a server's decisions; ``notice`` is told which alarms cannot be raised."""
    watch = Watching.open(state, served.card.gate, served.gate)
    for line in silences(watch.monitor):
        notice(line)
    return watch


def _monitor(path: Path, digest: str, gate: Gate | None) -> Monitor:
    if path.exists():
        return _read(path, digest)
    if gate is None:
        expected = "expected a state, since an ONNX file does not know its calibration rows"
        raise SteepslopeError(f"{expected}, found none: steepslope monitor --gate DIR --state FILE makes one", path)
    with located("monitor"):
        return Monitor.of(gate, digest=digest)


def _read(path: Path, digest: str) -> Monitor:
    content, counted = read_state(path)
    monitor = Monitor.read(content)
    if monitor.gate != digest:
        raise SteepslopeError("expected the state of the gate that is served, found another gate's", path)
    if counted is not None and monitor.rows:
        raise SteepslopeError("expected a state of its own, found one with predictions of files: name another", path)
    return monitor
