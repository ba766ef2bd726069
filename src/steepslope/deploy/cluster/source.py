"""The decisions on a data set's images, made by actors of a cluster; this process alone writes."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steepslope.deploy.cluster.options import ClusterOptions
from steepslope.deploy.cluster.session import session
from steepslope.deploy.cluster.work import Actor, Equipment, Row, Task, tasks, unpacked
from steepslope.deploy.parts import FromImages, Made
from steepslope.errors import SteepslopeError, explained
from steepslope.gate import Gate
from steepslope.utilities.progress import Notice, bar, silent

IN_FLIGHT = 2  # parts an actor: while it makes one, the next is on its way


class Notices:
    """What users are told of a run: each notice of an actor once, and that an actor had to be started again."""

    def __init__(self, actors: int, notice: Notice) -> None:
        self.most, self.notice = actors, notice
        self.lines: set[str] = set()
        self.actors: set[str] = set()

    def pass_on(self, row: Row) -> None:
        """Tell what comes with the rows of a part, unless it was told before."""
        self.actors.add(row["actor"])
        for line in row["notice"].splitlines():
            if line not in self.lines:
                self.notice(line)
            self.lines.add(line)
        if len(self.actors) > self.most:
            self.notice("an actor died, and was started again; its parts are made once more")
            self.most = len(self.actors)


@dataclass(frozen=True, eq=False)
class FromCluster:
    """The parts of ``images``, each made by some actor, in the order in which they are done.

    An actor that dies is started again, and its parts are made once more: a part is what comes back of it, so none
    comes twice, and which actor made it, or how often it was tried, changes nothing.
    """

    images: FromImages
    cluster: ClusterOptions

    @property
    def gate(self) -> Gate:
        """The gate that decides."""
        return self.images.gate

    def key(self) -> dict[str, Any]:
        """Return what decides the rows: nothing of the cluster."""
        return self.images.key()

    def all(self, folder: Path) -> list[Path]:
        """Return the files of all parts, in order."""
        return self.images.all(folder)

    def missing(self, folder: Path, notice: Notice = silent) -> Made:
        """Yield the parts that are not in the folder yet, with their rows."""
        parts = tasks(self.images, self.images.missing_shards(folder))
        if not parts:
            return
        sizes = {part.name: len(part.data) for part in parts}
        with session(self.cluster) as room, bar() as progress:
            task = progress.add_task(f"extracting {self.images.source}", total=sum(sizes.values()))
            actors = min(self.cluster.actors or room, len(parts))
            notices = Notices(actors, notice)
            for row in self._rows(parts, actors):
                notices.pass_on(row)
                if row["error"]:
                    raise SteepslopeError(row["error"])
                yield folder / row["name"], unpacked(row["table"])
                progress.advance(task, sizes[row["name"]])

    def _rows(self, parts: list[Task], actors: int) -> Iterator[Row]:
        """Yield what the actors make of the parts."""
        found = iter(self._data_set(parts, actors).iter_rows())
        while True:
            with explained("the cluster failed", "engine ray", longest=300):
                row = next(found, None)
            if row is None:
                return
            yield row

    def _data_set(self, parts: list[Task], actors: int) -> Any:
        """Return Ray Data's plan, which begins when it is read: a block a part, and a call of an actor a block."""
        import ray

        images, options = self.images, self.cluster
        with explained("the gate and its nets cannot be sent to actors", "engine ray", longest=300):
            equipment = ray.put(Equipment(images.gate, images.live, images.source, images.options))
        rows = [{"task": pickle.dumps(part)} for part in parts]
        ray.data.DataContext.get_current().enable_progress_bars = False
        data_set = ray.data.from_items(rows, override_num_blocks=len(rows))
        with warnings.catch_warnings():  # without a limit, an image that kills its process would do so for ever
            warnings.filterwarnings("ignore", ".*ray_remote_args")
            return data_set.map_batches(
                Actor,
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=IN_FLIGHT),
                fn_constructor_args=(equipment,),
                num_cpus=options.cpus,
                num_gpus=options.gpus or None,
                max_restarts=-1,
                max_task_retries=options.retries,
            )
