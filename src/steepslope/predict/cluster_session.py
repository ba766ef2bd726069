"""A Ray cluster for the length of a block: one that is joined, or one that is started on this machine."""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from steepslope.errors import SteepslopeError, explained
from steepslope.files.extras import require_extra
from steepslope.predict.options import AUTO, ClusterOptions

NEED = "--engine ray"
SECONDS = 10  # to reach a head that is there; Ray itself would wait for many minutes
STDERR = 2
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # tells nobody that it was used
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS": "0",  # which would be printed when all is over
}


@contextmanager
def session(options: ClusterOptions) -> Iterator[int]:
    """Join or start a cluster, and leave or stop it at the end; give the number of actors that it can hold.

    Where the caller's process has joined a cluster already, that one is used, and stays.

    Raises
    ------
    SteepslopeError
        If Ray is not installed, there is no such cluster, or it has no room for an actor.
    """
    with _environment(QUIET):
        ray = require_extra("ray", "ray", NEED)
        require_extra("ray.data", "ray", NEED)
        ours = not ray.is_initialized()
        with _silenced():
            try:
                if ours:
                    _start(ray, options)
                yield _room(ray.cluster_resources(), options)
            finally:
                if ours:
                    ray.shutdown()


def _start(ray: Any, options: ClusterOptions) -> None:
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if options.code is not None:
        common["runtime_env"] = {"working_dir": _folder(options.code)}
    if options.address is not None:
        _require_reachable(options.address)
        with explained("no cluster can be joined", options.address, longest=200), _no_stderr():
            ray.init(options.address, **common)
        return
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = max(cpus, (options.actors or 1) * options.cpus)  # the system shares cores where actors outnumber them
    with explained("Ray cannot be started here", NEED, longest=200), _no_stderr():
        ray.init("local", num_cpus=wanted, include_dashboard=False, **common)


def _folder(code: str) -> str:
    if not Path(code).is_dir():
        raise SteepslopeError("expected a folder of Python modules, found none", code)
    return str(Path(code).resolve())


def _require_reachable(address: str) -> None:
    if address == AUTO:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except (OSError, OverflowError) as error:
        raise SteepslopeError(
            f"expected the head of a Ray cluster, found none that answers ({error})", address
        ) from error


def _room(resources: dict[str, float], options: ClusterOptions) -> int:
    """Return how many actors the cluster's CPUs and GPUs suffice for."""
    room = int(resources.get("CPU", 0) // options.cpus)
    if options.gpus:
        room = min(room, int(resources.get("GPU", 0) / options.gpus))
    if room < 1:
        found = f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
        wanted = f"{options.cpus} CPUs" + (f" and {options.gpus:g} GPUs" if options.gpus else "")
        raise SteepslopeError(f"expected a cluster with room for an actor of {wanted}, found {found}", NEED)
    return room


@contextmanager
def _environment(names: dict[str, str]) -> Iterator[None]:
    """Set variables that are not set, for the length of the block."""
    added = {name: value for name, value in names.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Drop what is written to standard error, also by libraries that are not Python; errors are raised all the same."""
    try:
        kept = os.dup(STDERR)
    except OSError:  # there is none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
        os.close(nowhere)


class _WithoutRay(io.TextIOBase):
    """A text stream that passes on what is written to another, but for what Ray's own threads write."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        return len(text) if threading.current_thread().name.startswith("ray_") else self.stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep the words of Ray and Ray Data from the terminal; their log files still have them."""
    handlers = [one for one in logging.getLogger("ray.data").handlers if type(one).__name__ == "PlainRayHandler"]
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        with redirect_stdout(_WithoutRay(sys.stdout)):
            yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)
