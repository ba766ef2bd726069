"""What arrives while the model runs is run together, in a thread of its own; a bad request never spoils another."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.nets.export import Arrays
from steepslope.serve._logs import LOGGER
from steepslope.serve._served import Served, finite_served_rows, served_row_count

Seen = Callable[[Sequence[Arrays], float], None]  # is told the requests' rows of a batch, and the seconds that it took
Judge = Callable[[list[Arrays]], list[Arrays]]  # returns the requests' rows of a batch as what watches leaves them
ID = "id"  # of a row, by its request


@dataclass(eq=False)
class _BatchJob:
    """One request: its arrays, how many of the most probable classes are wanted, and its id."""

    arrays: Arrays
    top: int
    request_id: str = ""
    done: Future[Arrays] = field(default_factory=Future)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return served_row_count(self.arrays)

    @property
    def row_ids(self) -> NDArray[np.object_]:
        """The id of each row, (m,): the request's, with the number of the row behind it where there are several."""
        several = [f"{self.request_id}/{row}" for row in range(self.rows)]
        return np.array([self.request_id] if self.rows == 1 else several, dtype=object)


class Batcher:
    """A thread that runs a model on jobs, up to ``max_batch`` rows at once.

    What comes while the model runs is the next batch. The ``judges`` see the rows of a batch before they are answered,
    and ``seen`` is told of them after that; what goes wrong in any of them is logged, and changes no answer.
    """

    def __init__(self, served: Served, max_batch: int, seen: Seen, judges: Sequence[Judge] = ()) -> None:
        self.served, self.max_batch, self.seen, self.judges = served, max_batch, seen, judges
        self.waiting: queue.SimpleQueue[_BatchJob | None] = queue.SimpleQueue()
        self.left: _BatchJob | None = None
        self.thread = threading.Thread(target=self._work, name="inference", daemon=True)
        self.thread.start()

    def submit(self, arrays: Arrays, top: int = 1, request_id: str = "") -> Future[Arrays]:
        """Queue a job; its rows, or what is wrong with it, come later."""
        job = _BatchJob(arrays, top, request_id)
        self.waiting.put(job)
        return job.done

    def close(self) -> None:
        """Run all that is queued, then end the thread."""
        self.waiting.put(None)
        self.thread.join()

    def _work(self) -> None:
        while jobs := self._gather():
            try:
                self._answer([job for job in jobs if job.done.set_running_or_notify_cancel()])
            except Exception as error:  # without this thread, nothing would be answered any more
                LOGGER.exception("a batch failed")
                for job in jobs:
                    if not job.done.done():
                        job.done.set_exception(error)

    def _answer(self, jobs: list[_BatchJob]) -> None:
        started = time.perf_counter()
        answers = self._run(jobs)
        if not answers:
            return
        try:
            self.seen(answers, time.perf_counter() - started)
        except Exception:
            LOGGER.exception("what watches the decisions failed")

    def _gather(self) -> list[_BatchJob]:
        """Return the jobs of the next batch; none at the end."""
        first = self.left or self.waiting.get()
        self.left = None
        if first is None:
            return []
        jobs, rows = [first], first.rows
        while rows < self.max_batch and not self.waiting.empty():
            job = self.waiting.get()
            if job is None:
                self.waiting.put(None)  # the end, for the next time
                break
            if rows + job.rows > self.max_batch:
                self.left = job
                break
            jobs.append(job)
            rows += job.rows
        return jobs

    def _run(self, jobs: list[_BatchJob]) -> list[Arrays]:
        """Answer some jobs, together if that works, else one by one; return what was found, with the ids of rows."""
        if not jobs:
            return []
        try:
            answers = [
                finite_served_rows(one)
                for one in self.served.run([job.arrays for job in jobs], max(job.top for job in jobs))
            ]
        except Exception as error:
            if len(jobs) > 1:
                return [rows for job in jobs for rows in self._run([job])]
            if not isinstance(error, SteepslopeError):
                LOGGER.exception("request %s failed", jobs[0].request_id)
            jobs[0].done.set_exception(error)
            return []
        for judge in self.judges:
            try:
                answers = judge(answers)
            except Exception:
                LOGGER.exception("the monitor failed")
        for job, rows in zip(jobs, answers, strict=True):
            job.done.set_result(rows)
        return [{**rows, ID: job.row_ids} for job, rows in zip(jobs, answers, strict=True)]
