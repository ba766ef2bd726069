"""A graph of steps: each makes one folder from others, once; done one after another, or at once on a GPU each.

A plan lists them with all their settings.
"""

import os
import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from graphlib import TopologicalSorter
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

import torch

from steepslope.errors import SteepslopeError
from steepslope.files.artifact import DELETE, Artifact
from steepslope.files.folders import write_json
from steepslope.lab.paper.workspace import Workspace

Settings = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Step:
    """A piece of work of one seed.

    It makes a ``folder``, into which the file ``last`` is written last, so that its presence means that it is done.
    ``about`` tells what it does, with all settings, in the same words for all seeds. ``run`` does it in the folder that
    it gets, or goes on where it was killed. ``needs`` are the steps before it.
    """

    folder: Path
    last: str
    about: str
    run: Callable[[Workspace, Path], None]
    needs: tuple["Step", ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether it is done."""
        return (self.folder / self.last).exists()


def steps_in_order(wanted: Iterable[Step], whole: bool = False) -> list[Step]:
    """Return steps and all that they need, each once and after those that it needs.

    What is done needs nothing, so that what it was made from may be gone; the ``whole`` has that too.
    """
    steps: dict[Path, Step] = {}
    ahead = list(wanted)
    while ahead:
        step = ahead.pop()
        if step.folder not in steps:
            steps[step.folder] = replace(step, needs=()) if step.is_complete and not whole else step
            ahead += steps[step.folder].needs
    graph = {folder: [one.folder for one in step.needs] for folder, step in steps.items()}
    return [steps[folder] for folder in TopologicalSorter(graph).static_order()]


def settings_in_words(settings: Settings) -> str:
    """Return settings in words, as a plan lists them, those of stages in brackets.

    >>> told({"epochs": 1, "hidden": (64, 32), "stages": [{"name": "first", "epochs": 2}]})
    'epochs 1, hidden 64+32, [name first, epochs 2]'
    """
    flat = {name: "+".join(map(str, value)) if isinstance(value, tuple | list) else value
            for name, value in settings.items() if name != "stages"}  # fmt: skip
    stages = [f"[{settings_in_words(stage)}]" for stage in settings.get("stages", ())]
    return ", ".join([*(f"{name} {value}" for name, value in flat.items()), *stages])


def folder_slug(name: str) -> str:
    """Return a name as a folder's.

    >>> slug("SS, z not normalised")
    'ss-z-not-normalised'
    """
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())


VISIBLE = "CUDA_VISIBLE_DEVICES"
KILLED = "a process ended before its task, killed from outside or because memory ran out; run again, the rest goes on"
K = TypeVar("K", bound=Hashable)
Task = Callable[[], None]  # one that can be sent to a process


def gpus_to_share() -> int:
    """Return how many tasks can run at once without sharing a GPU, or 1 where there is none."""
    return max(1, len(visible_gpus()))


def visible_gpus() -> list[str]:
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
    setup = numbers, visible_gpus(), max(1, (os.cpu_count() or 1) // jobs)
    with ProcessPoolExecutor(jobs, context, _set_up_process, setup) as pool:
        try:
            _run_tasks_in_pool(pool, needs, tasks)
        except BrokenProcessPool as error:
            raise SteepslopeError(KILLED) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _run_tasks_in_pool(pool: ProcessPoolExecutor, needs: Mapping[K, Collection[K]], tasks: Mapping[K, Task]) -> None:
    sorter, running = TopologicalSorter(needs), dict["Future[None]", K]()
    sorter.prepare()
    while sorter.is_active():
        ready = sorter.get_ready()
        running |= {pool.submit(tasks[name]): name for name in ready if name in tasks}
        sorter.done(*(name for name in ready if name not in tasks))
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            future.result()
            sorter.done(running.pop(future))


def _set_up_process(numbers: Any, names: Sequence[str], threads: int) -> None:
    """Give a process one GPU of those named, and its part of the cores.

    It ends at once when what started it is killed: what it had begun goes on when the run is started again.
    """

    def end_with(parent: Any) -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with, args=(parent_process(),), daemon=True).start()
    number = numbers.get()
    if names:
        os.environ[VISIBLE] = names[number % len(names)]
    torch.set_num_threads(threads)


CARD = "preset.json"
PRESET = Artifact("the work of a preset", CARD, made="", remedy=DELETE)
WORK = 1  # to be raised when steps come to make something else: what was made before is not mixed with that


def run_steps(steps: Sequence[Step], work: Workspace, jobs: int) -> None:
    """Do what is not done, in so many processes.

    Raises
    ------
    SteepslopeError
        If the work folder holds the work of another preset, or for whatever a step finds wrong.
    """
    bare = replace(work)  # without the nets that were loaded: it may be sent to processes
    made = {"steepslope": version("steepslope"), "work": WORK, **work.preset.as_json()}
    with PRESET.making(work.root, made) as complete:
        needs = {step.folder: [one.folder for one in step.needs] for step in steps}
        tasks = {step.folder: partial(step.run, bare, step.folder) for step in steps if not step.is_complete}
        if not complete:
            with PRESET.staged(work.root) as staging:
                write_json(staging / CARD, made)
        run_tasks(needs, tasks, jobs)


def plan_lines(steps: Sequence[Step]) -> Iterator[str]:
    """Yield a line for each kind of steps: how many there are, what they do with which settings, how many are done."""
    for about in dict.fromkeys(step.about for step in steps):
        alike = [step for step in steps if step.about == about]
        done = sum(step.is_complete for step in alike)
        yield f"{len(alike)} × {about}" + (f" ({done} done)" if done else "")
