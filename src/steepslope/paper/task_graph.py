"""Tasks that need one another, done one after another, or several at once in processes with a GPU each."""

import os
import threading
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from graphlib import TopologicalSorter
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

import torch

from steepslope.errors import SteepslopeError

VISIBLE = "CUDA_VISIBLE_DEVICES"
KILLED = "a process ended before its task, killed from outside or for want of memory; run again, the rest goes on"
K = TypeVar("K", bound=Hashable)
Task = Callable[[], None]  # one that can be sent to a process


def devices_at_hand() -> int:
    """Return how many tasks can run at once without sharing a GPU, or 1 where there is none."""
    return max(1, len(devices()))


def devices() -> list[str]:
    """Return the GPUs that PyTorch sees, each as ``CUDA_VISIBLE_DEVICES`` names it: by number, or as UUID."""
    count = torch.cuda.device_count()
    given = os.environ.get(VISIBLE)
    return [str(number) for number in range(count)] if given is None else given.split(",")[:count]


def run_tasks(needs: Mapping[K, Collection[K]], tasks: Mapping[K, Task], jobs: int = 1) -> None:
    """Run tasks, each after those that it needs.

    With several jobs, as many processes run tasks at once; each has a GPU of its own where there are so many, and its
    part of the cores. A task that raises ends the run: those that were begun are waited for, no other begins.

    Parameters
    ----------
    needs
        What each name needs, by names; names without a task are done already.
    tasks
        The tasks by name.
    jobs
        Number of processes; 1 runs them in this one.

    Raises
    ------
    SteepslopeError
        If a process is killed. What a task raises is raised as it is.
    """
    if jobs == 1:
        for name in TopologicalSorter(needs).static_order():
            if name in tasks:
                tasks[name]()
        return
    context = get_context("spawn")
    numbers = context.Queue()
    for number in range(jobs):
        numbers.put(number)
    setup = numbers, devices(), max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, context, _set_up, setup) as pool:
        try:
            for future in _in_order(needs, tasks, pool):
                future.result()
        except BrokenProcessPool as error:
            raise SteepslopeError(KILLED) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _in_order(
    needs: Mapping[K, Collection[K]], tasks: Mapping[K, Task], pool: ProcessPoolExecutor
) -> Iterator["Future[None]"]:
    """Yield what is finished, before what needs it begins."""
    sorter, running = TopologicalSorter(needs), dict["Future[None]", K]()
    sorter.prepare()
    while sorter.is_active():
        for name in sorter.get_ready():
            if name in tasks:
                running[pool.submit(tasks[name])] = name
            else:
                sorter.done(name)
        if running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield future
                sorter.done(running.pop(future))


def _set_up(numbers: Any, names: Sequence[str], threads: int) -> None:
    """Give a process one GPU of those named, and its part of the cores; it ends when what started it is killed."""
    threading.Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    number = numbers.get()
    if names:
        os.environ[VISIBLE] = names[number % len(names)]
    torch.set_num_threads(threads)


def _end_with(parent: Any) -> None:
    """End this process at once when another has ended: what it had begun goes on when the run is started again."""
    parent.join()
    os._exit(1)
