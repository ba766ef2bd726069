"""The decisions on a data set's images, made by the actors of a Ray cluster; this process alone writes.

A cluster lasts for a block: one that is joined, or one that is started on this machine. An actor loads a gate and its
nets once, and then makes chunks.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from steepslope.errors import SteepslopeError, explained
from steepslope.files import Notice, bar, require_extra, silent
from steepslope.nets.data import Dataset, Divisible
from steepslope.nets.extraction import Shards
from steepslope.nets.predict._from_images import FromImages
from steepslope.nets.predict._options import AUTO, ClusterOptions
from steepslope.outputs import Frame
from steepslope.predict import GroupOf, Made

_NEED = "--engine ray"
_RETRIES = 3  # of a chunk whose actor died
SECONDS = 10  # to reach a head that is there; Ray itself would wait for many minutes
_STDERR = 2
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # tells nobody that it was used
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DEDUP_LOGS": "0",  # which would be printed when all is over
}


@contextmanager
def _ray_session(options: ClusterOptions) -> Iterator[int]:
    """Join or start a cluster, and leave or stop it at the end; give the number of actors that it can hold.

    Where the caller's process has joined a cluster already, that one is used, and stays.

    Raises
    ------
    SteepslopeError
        If Ray is not installed, there is no such cluster, or it has no room for an actor.
    """
    for name, value in _QUIET.items():  # they stay: a change while Ray's threads read them could end the process
        os.environ.setdefault(name, value)
    ray = require_extra("ray", "ray", _NEED)
    ours = not ray.is_initialized()
    with redirect_stdout(_WithoutRay(sys.stdout)):
        try:
            if ours:
                _start_ray(ray, options)
            yield _room_for_actors(ray.cluster_resources(), options)
        finally:
            if ours:
                ray.shutdown()


def _start_ray(ray: Any, options: ClusterOptions) -> None:
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if options.code is not None:
        if not Path(options.code).is_dir():
            raise SteepslopeError("expected a folder of Python modules, found none", options.code)
        common["runtime_env"] = {"working_dir": str(Path(options.code).resolve())}
    if options.address is not None:
        _require_reachable_head(options.address)
        with explained("no cluster can be joined", options.address, longest=200), _without_stderr_of_ray():
            ray.init(options.address, **common)
        return
    cpus = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    wanted = max(cpus, (options.actors or 1) * options.cpus)  # the system shares cores where actors outnumber them
    with explained("Ray cannot be started here", _NEED, longest=200), _without_stderr_of_ray():
        ray.init("local", num_cpus=wanted, include_dashboard=False, **common)


def _require_reachable_head(address: str) -> None:
    if address == AUTO:
        return
    host, _, port = address.rpartition(":")
    with explained("expected the head of a Ray cluster, found none that answers", address, (OSError, OverflowError)):
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()


def _room_for_actors(resources: dict[str, float], options: ClusterOptions) -> int:
    """Return how many actors the cluster's CPUs and GPUs suffice for."""
    room = int(resources.get("CPU", 0) // options.cpus)
    if options.gpus:
        room = min(room, int(resources.get("GPU", 0) / options.gpus))
    if room < 1:
        found = f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
        wanted = f"{options.cpus} CPUs"
        if options.gpus:
            wanted += f" and {options.gpus:g} GPUs"
        raise SteepslopeError(f"expected a cluster with room for an actor of {wanted}, found {found}", _NEED)
    return room


@contextmanager
def _without_stderr_of_ray() -> Iterator[None]:
    """Drop what is written to standard error, also by libraries that are not Python; errors are raised all the same."""
    try:
        before = os.dup(_STDERR)
    except OSError:  # there is none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _STDERR)
        yield
    finally:
        os.dup2(before, _STDERR)
        os.close(before)
        os.close(nowhere)


class _WithoutRay(io.TextIOBase):
    """A text stream that passes on what is written to another, but for what Ray's own threads write."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        if threading.current_thread().name.startswith("ray_"):
            return len(text)
        return self.stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()


@dataclass(frozen=True, eq=False)
class _ChunkTask:
    """One chunk: its images alone, the number of the first in the whole data set, their batches, and their groups."""

    name: str
    first: int
    data: Dataset
    batches: list[list[int]]
    groups: GroupOf | None


def _ray_tasks(images: FromImages, shards: Shards) -> list[_ChunkTask]:
    """Return a task a chunk, with neighbouring rows of a data set that can be cut.

    Raises
    ------
    SteepslopeError
        If the data set cannot be cut.
    """
    data = images.data
    if not isinstance(data, Divisible):
        expected = "expected images in files (images:, imagefolder: or paths:)"
        raise SteepslopeError(f"{expected}, found {images.source}, which only one machine can read", "engine")
    tasks = []
    for path, batches in shards.items():
        first = batches[0][0]
        chunk = data.subset(np.arange(first, batches[-1][-1] + 1))
        groups = images.groups
        if groups is not None:
            groups = {name: groups[name] for name in map(str, chunk.ids) if name in groups}
        within = [[row - first for row in batch] for batch in batches]
        tasks.append(_ChunkTask(path.name, first, chunk, within, groups))
    return tasks


@dataclass(frozen=True)
class _ChunkAnswer:
    """What an actor makes of a task: its rows, or a user's error in place of them; notices; and which actor it was."""

    name: str
    actor: str
    table: Frame | None
    error: str
    notices: tuple[str, ...]


class _Actor:
    """Holds a gate, its nets and options, and decides on a task's images; Ray makes one a process.

    What users are told, an error of theirs or a notice, comes back as data.
    """

    def __init__(self, images: FromImages) -> None:
        self.images = images
        self.name = uuid.uuid4().hex  # of this life: one that is started again has another
        self.notices: list[str] = []
        self.error: SteepslopeError | None = None
        try:
            self.engines = self.images.engines(self.notices.append)
        except SteepslopeError as error:
            self.error = error

    def answer(self, task: _ChunkTask) -> _ChunkAnswer:
        """Make a chunk."""
        table = None
        refused = ""
        try:
            if self.error is not None:
                raise self.error
            images = replace(self.images, data=task.data, groups=task.groups, first=task.first)
            ((_, table),) = images.made({Path(task.name): task.batches}, self.engines)
        except SteepslopeError as error:
            refused = str(error)
        notices = tuple(self.notices)
        self.notices.clear()
        return _ChunkAnswer(task.name, self.name, table, refused, notices)


_IN_FLIGHT = 2  # chunks an actor: while it makes one, the next is on its way


def _answers_with_notices(answers: Iterable[_ChunkAnswer], actors: int, notice: Notice) -> Iterator[_ChunkAnswer]:
    """Yield answers, and tell each notice of an actor once, and that an actor had to be started again."""
    tell_once = cache(notice)
    seen: set[str] = set()
    for answer in answers:
        for line in answer.notices:
            tell_once(line)
        seen.add(answer.actor)
        if len(seen) > actors:
            notice("an actor died, and was started again; its chunks are made once more")
            actors = len(seen)
        yield answer


@dataclass(frozen=True, eq=False)
class FromCluster(FromImages):
    """The chunks of images, each made by some actor, in the order in which they are done.

    An actor that dies is started again, and its chunks are made once more. A chunk counts once its actor
    has returned it, so none comes twice, and which actor made it, or how often it was tried, changes nothing.
    """

    cluster: ClusterOptions = field(default_factory=ClusterOptions)

    def missing(self, folder: Path, notice: Notice = silent) -> Made:
        """Yield the chunks that are not in the folder yet, with their rows."""
        chunks = _ray_tasks(self, self.missing_shards(folder))
        if not chunks:
            return
        sizes = {chunk.name: len(chunk.data) for chunk in chunks}
        with _ray_session(self.cluster) as room, bar(f"extracting {self.source}", sum(sizes.values())) as progress:
            actors = min(self.cluster.actors or room, len(chunks))
            for answer in _answers_with_notices(self._answers_of_actors(chunks, actors), actors, notice):
                if answer.table is None:
                    raise SteepslopeError(answer.error)
                yield folder / answer.name, answer.table
                progress.update(sizes[answer.name])

    def _answers_of_actors(self, tasks: list[_ChunkTask], actors: int) -> Iterator[_ChunkAnswer]:
        """Yield the answer to each task, in the order in which they come."""
        import ray
        from ray.util import ActorPool

        nothing: Any = None
        alone = FromImages(self.image_gate, nothing, self.source, self.options)
        with explained("the gate and its nets cannot be sent to actors", "engine ray", longest=300):
            images = ray.put(alone)
        settings = {"num_cpus": self.cluster.cpus, "num_gpus": self.cluster.gpus or None}
        tries = {"max_restarts": -1, "max_task_retries": _RETRIES}
        remote = ray.remote(_Actor).options(**settings, **tries)
        pool: Any = ActorPool([remote.remote(images) for _ in range(actors)] * _IN_FLIGHT)
        with explained("the cluster failed", "engine ray", longest=300):
            yield from pool.map_unordered(lambda actor, task: actor.answer.remote(task), tasks)
