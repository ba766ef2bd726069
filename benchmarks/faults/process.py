"""A command in a forked process: killed, limited, or left alone, with what it said and how it ended."""

from __future__ import annotations

import ctypes
import importlib
import mmap
import os
import re
import resource
import select
import signal
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg

from steepslope.cli import main

TIME_LIMIT = 60.0  # seconds; the longest command takes 5
NOBODY = 65534  # a user without rights
SQUARE = 300  # rows of a matrix that is not small to OpenBLAS
PAGE = 4096  # bytes to read at a time
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.link", "sqlite3.connect")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PARENT_DIES = 1  # PR_SET_PDEATHSIG: no process outlives the harness


@dataclass(frozen=True)
class Ending:
    """How a process ended.

    Parameters
    ----------
    code
        Exit code; minus the number of the signal that ended it.
    said
        Both of its streams, as one text.
    seconds
        Its duration.
    changes
        How often it began to change the file system, as far as Python's audit hooks tell.
    modules
        Modules that it imported by itself.
    is_late
        Whether it was ended because it took too long.
    """

    code: int
    said: str
    seconds: float
    changes: int
    modules: list[str] = field(default_factory=list)
    is_late: bool = False


@dataclass(frozen=True)
class Disturbance:
    """What is done to a process.

    Parameters
    ----------
    kill_at_change
        It is killed as it begins its n-th change of the file system, from 1.
    kill_after
        It is killed after so many seconds.
    file_bytes
        No file can grow larger.
    more_memory
        It can take so many bytes of address space more than it has at its start.
    as_nobody
        It runs as a user without rights.
    clock_back
        Seconds by which its clock is set back.
    """

    kill_at_change: int = 0
    kill_after: float | None = None
    file_bytes: int | None = None
    more_memory: int | None = None
    as_nobody: bool = False
    clock_back: float = 0.0


UNDISTURBED = Disturbance()


class Running:
    """A forked process that runs a command in a folder; :meth:`end` waits for it."""

    def __init__(self, words: list[str], folder: Path, disturbance: Disturbance = UNDISTURBED, until: str = "") -> None:
        self._until, self._disturbance = until, disturbance
        self._begun = time.monotonic()
        self._shared = mmap.mmap(-1, 8)
        self._output, output = os.pipe()
        self._notes, notes = os.pipe()
        sys.stdout.flush()
        self._process = os.fork()
        if self._process == 0:
            _run_and_leave(words, folder, disturbance, output, notes, self._shared)
        os.close(output)
        os.close(notes)

    def end(self) -> Ending:
        """Wait until the process ends, or end it; tell how it ended."""
        said, notes = self._read()
        is_late = time.monotonic() - self._begun > TIME_LIMIT
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process, signal.SIGKILL)
        _, status = os.waitpid(self._process, 0)
        for stream in (self._output, self._notes):
            os.close(stream)
        (changes,) = struct.unpack("q", self._shared[:8])
        code = os.waitstatus_to_exitcode(status)
        text = said.decode(errors="replace")
        modules = notes.decode().split()
        return Ending(code, text, time.monotonic() - self._begun, changes, modules, is_late)

    def _read(self) -> tuple[bytes, bytes]:
        """Return what both pipes gave until the process closed them, or was killed."""
        texts = {self._output: b"", self._notes: b""}
        open_streams = [*texts]
        is_stopped = False
        while open_streams and time.monotonic() - self._begun < TIME_LIMIT:
            ready, _, _ = select.select(open_streams, [], [], 0.01)
            for stream in ready:
                part = os.read(stream, PAGE)
                texts[stream] += part
                if not part:
                    open_streams.remove(stream)
            if self._is_to_be_killed():
                os.kill(self._process, signal.SIGKILL)  # a zombie at worst: it is waited for later
                break
            if self._until and not is_stopped and re.search(self._until, texts[self._output].decode(errors="replace")):
                os.kill(self._process, signal.SIGTERM)
                is_stopped = True
            if self._has_ended():
                open_streams = [stream for stream in open_streams if select.select([stream], [], [], 0)[0]]
        return texts[self._output], texts[self._notes]

    def _is_to_be_killed(self) -> bool:
        moment = self._disturbance.kill_after
        return moment is not None and time.monotonic() - self._begun >= moment

    def _has_ended(self) -> bool:
        ended = os.waitid(os.P_PID, self._process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is not None


def run(words: list[str], folder: Path, disturbance: Disturbance = UNDISTURBED, until: str = "") -> Ending:
    """Run a command in a folder, and import here what it imported, so that the next one need not."""
    ending = Running(words, folder, disturbance, until).end()
    if disturbance == UNDISTURBED:
        import_all(ending.modules)
    return ending


def claim_buffers() -> None:
    """Let OpenBLAS take its buffers. Where it finds no memory for them, it ends the process, or waits for ever."""
    square = np.eye(SQUARE)
    np.linalg.inv(square @ square)
    scipy.linalg.qr(square)
    scipy.linalg.blas.dgemm(1.0, square, square)


def import_all(names: list[str]) -> None:
    """Import modules, except those that only scripts and tests of one's own have."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            if name not in sys.modules and not name.startswith("__"):
                with suppress(Exception):
                    importlib.import_module(name)


def _run_and_leave(
    words: list[str], folder: Path, disturbance: Disturbance, output: int, notes: int, shared: mmap.mmap
) -> None:
    """Run the command in this process, the forked one, and end it."""
    code = 1
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PARENT_DIES, signal.SIGKILL)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        os.chdir(folder)
        known = {*sys.modules}
        _disturb(disturbance, shared)
        code = _ended(words)
        os.write(notes, " ".join(sorted({*sys.modules} - known)).encode()[: 16 * PAGE - 1])
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _ended(words: list[str]) -> int:
    try:
        return main(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1


def _disturb(disturbance: Disturbance, shared: mmap.mmap) -> None:
    """Set the limits, and count changes."""
    if disturbance.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (disturbance.file_bytes, resource.RLIM_INFINITY))
    if disturbance.more_memory is not None:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + disturbance.more_memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if disturbance.as_nobody and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    if disturbance.clock_back:
        _set_clock_back(disturbance.clock_back)
    if disturbance.more_memory is None:  # a hook that finds no memory complains by itself
        sys.addaudithook(_counting(shared, disturbance.kill_at_change))


def _counting(shared: mmap.mmap, last: int) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that counts changes of the file system, and kills the process at one of them."""
    count = 0

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal count
        is_change = event in CHANGES or (event == "open" and isinstance(given[2], int) and given[2] & WRITING)
        if is_change and not str(given[0]).startswith(("/dev", "/proc")):
            count += 1
            shared[:8] = struct.pack("q", count)
            if count == last:
                os.killpg(0, signal.SIGKILL)

    return hook


def _set_clock_back(seconds: float) -> None:
    """Let Python's clocks of the day be late; those that only count are as they were."""
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() - seconds
    time.time_ns = lambda: now_ns() - int(seconds * 1e9)
