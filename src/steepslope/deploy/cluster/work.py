"""What goes to an actor and what comes back, and the actor: a gate and its nets, loaded once, that make parts."""

from __future__ import annotations

import pickle
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from steepslope.data.images import Dataset, Divisible
from steepslope.deploy.options import PredictOptions
from steepslope.deploy.parts import FromImages, GroupOf
from steepslope.errors import SteepslopeError
from steepslope.extraction.shards import Shards
from steepslope.gate import Gate
from steepslope.gate.live import LiveNets

Row = dict[str, Any]  # of Ray Data's tables, which hold one part a row
Block = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Equipment:
    """What an actor needs for any part: gate, nets and options; ``source`` is the data set's name, for errors."""

    gate: Gate
    live: LiveNets
    source: str
    options: PredictOptions


@dataclass(frozen=True, eq=False)
class Task:
    """One part: its images alone, the number of the first in the whole data set, their batches, and their groups."""

    name: str
    first: int
    data: Dataset
    batches: list[list[int]]
    groups: GroupOf | None


def tasks(images: FromImages, shards: Shards) -> list[Task]:
    """Return a task a part, with neighbouring rows of a data set of which parts can be taken.

    Raises
    ------
    SteepslopeError
        If parts of the data set cannot be sent alone.
    """
    data = images.data
    if not isinstance(data, Divisible):
        expected = "expected images in files (images:, imagefolder:, wds: or paths:)"
        raise SteepslopeError(f"{expected}, found {images.source}, which only one machine can read", "engine")
    return [_task(images, data, path, batches) for path, batches in shards.items()]


def _task(images: FromImages, data: Divisible, path: Path, batches: list[list[int]]) -> Task:
    first, last = batches[0][0], batches[-1][-1]
    part = data.subset(np.arange(first, last + 1))
    groups = None
    if images.groups is not None:
        groups = {name: images.groups[name] for name in map(str, part.ids) if name in images.groups}
    return Task(path.name, first, part, [[row - first for row in batch] for batch in batches], groups)


class Actor:
    """An actor of Ray Data: made once a process with a reference to its equipment, then called with a task at a time.

    What users are told, an error of theirs or a notice, comes back as data.
    """

    def __init__(self, equipment: Any) -> None:
        import ray

        found: Equipment = ray.get(equipment)
        self.name = uuid.uuid4().hex  # of this life: one that is started again has another
        self.notices: list[str] = []
        self.error: SteepslopeError | None = None
        nothing: Any = None
        self.images = FromImages(found.gate, found.live, nothing, found.source, found.options)
        try:
            self.engines = self.images.engines(self.notices.append)
        except SteepslopeError as error:
            self.error = error

    def __call__(self, block: Block) -> Block:
        """Make the parts of a block, which has one."""
        made = [self._made(pickle.loads(content)) for content in block["task"]]
        return {name: [one[name] for one in made] for name in made[0]}

    def _made(self, task: Task) -> Row:
        row = {"name": task.name, "actor": self.name, "table": b"", "error": "", "notice": "\n".join(self.notices)}
        self.notices.clear()
        try:
            if self.error is not None:
                raise self.error
            images = replace(self.images, data=task.data, groups=task.groups, first=task.first)
            ((_, table),) = images.made({Path(task.name): task.batches}, self.engines)
        except SteepslopeError as error:
            return {**row, "error": str(error)}
        return {**row, "table": packed(table)}


def packed(table: Any) -> bytes:
    """Return a table as bytes, with its columns and types as they are."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return bytes(stream.getvalue())


def unpacked(content: bytes) -> Any:
    """Return the table that :func:`packed` made bytes of."""
    with pa.ipc.open_stream(content) as reader:
        return reader.read_all()
