"""A graph of steps: each makes one folder from others, once; done one after another, or at once on a GPU each.

A plan tells what steps have cost, and what those that are left will cost.
"""

import os
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from graphlib import TopologicalSorter
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from steepslope.errors import SteepslopeError
from steepslope.files.artifact import DELETE, Artifact
from steepslope.files.folders import write_json
from steepslope.lab.paper.workspace import Workspace
from steepslope.lab.shifts.pixels import device_at_hand
from steepslope.nets.classifiers.classifier import takes_channels_last
from steepslope.nets.classifiers.specs import load_classifier, without_weights

STEP = 3  # forward passes that take as long as a step of training
Settings = Mapping[str, Any]


class Cost(NamedTuple):
    """A net that is run ``times`` over a set of images of a classifier, ``trained`` times of these backward too."""

    net: str
    where: str
    times: int = 1
    trained: int = 0
    rows: int | None = None  # of the set; None are all

    def images(self, work: Workspace) -> int:
        """Return how many images the net sees."""
        return self.times * self._size(work)

    def passes(self, work: Workspace) -> int:
        """Return the number of forward passes that take as long."""
        return (self.times + (STEP - 1) * self.trained) * self._size(work)

    def _size(self, work: Workspace) -> int:
        size = work.size(self.net, self.where)
        return size if self.rows is None else min(self.rows, size)


@dataclass(frozen=True, eq=False)
class Step:
    """A piece of work of one seed.

    It makes a ``folder``, into which the file ``last`` is written last, so that its presence means that it is done.
    ``about`` tells what it does, with all settings, in the same words for all seeds. ``run`` does it in the folder that
    it gets, or goes on where it was killed. ``needs`` are the steps before it; ``costs`` are those of each net that it
    runs, the main one first.
    """

    folder: Path
    last: str
    about: str
    run: Callable[[Workspace, Path], None]
    needs: tuple["Step", ...] = ()
    costs: tuple[Cost, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether it is done."""
        return (self.folder / self.last).exists()


def in_order(wanted: Iterable[Step], whole: bool = False) -> list[Step]:
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


def told(settings: Settings) -> str:
    """Return settings in words, as a plan lists them, those of stages in brackets.

    >>> told({"epochs": 1, "hidden": (64, 32), "stages": [{"name": "first", "epochs": 2}]})
    'epochs 1, hidden 64+32, [name first, epochs 2]'
    """
    flat = {name: "+".join(map(str, value)) if isinstance(value, tuple | list) else value
            for name, value in settings.items() if name != "stages"}  # fmt: skip
    stages = [f"[{told(stage)}]" for stage in settings.get("stages", ())]
    return ", ".join([*(f"{name} {value}" for name, value in flat.items()), *stages])


def slug(name: str) -> str:
    """Return a name as a folder's.

    >>> slug("SS, z not normalised")
    'ss-z-not-normalised'
    """
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())


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
            _run_in(pool, needs, tasks)
        except BrokenProcessPool as error:
            raise SteepslopeError(KILLED) from error
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _run_in(pool: ProcessPoolExecutor, needs: Mapping[K, Collection[K]], tasks: Mapping[K, Task]) -> None:
    sorter, running = TopologicalSorter(needs), dict["Future[None]", K]()
    sorter.prepare()
    while sorter.is_active():
        ready = sorter.get_ready()
        running |= {pool.submit(tasks[name]): name for name in ready if name in tasks}
        sorter.done(*(name for name in ready if name not in tasks))
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            future.result()
            sorter.done(running.pop(future))


def _set_up(numbers: Any, names: Sequence[str], threads: int) -> None:
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


CARD, TIMES = "preset.json", "times.csv"
PRESET = Artifact("the work of a preset", CARD, made="", remedy=DELETE)
TRIAL, MOST_TRIED = 2, 256  # images of noise
LONG_ENOUGH = 0.2  # seconds of a forward pass, to tell a net's speed
WORK = 1  # to be raised when steps come to make something else: what was made before is not mixed with that


def run(steps: Sequence[Step], work: Workspace, jobs: int) -> None:
    """Do what is not done, in so many processes, and keep how long each step took.

    Raises
    ------
    SteepslopeError
        If the work folder holds the work of another preset, or for whatever a step finds wrong.
    """
    bare = replace(work)  # without the nets that were loaded: it may be sent to processes
    made = {"steepslope": version("steepslope"), "work": WORK, **work.preset.as_json()}
    with PRESET.making(work.root, made) as complete:
        needs = {step.folder: [one.folder for one in step.needs] for step in steps}
        tasks = {step.folder: partial(_timed, bare, replace(step, needs=())) for step in steps if not step.is_complete}
        if not complete:
            with PRESET.staged(work.root) as staging:
                write_json(staging / CARD, made)
        run_tasks(needs, tasks, jobs)


def _timed(work: Workspace, step: Step) -> None:
    start = time.perf_counter()
    step.run(work, step.folder)
    with (work.root / TIMES).open("a", encoding="utf-8") as file:
        file.write(f"{step.folder.relative_to(work.root)},{time.perf_counter() - start:.1f}\n")


def plan_lines(steps: Sequence[Step], work: Workspace) -> Iterator[str]:
    """Yield a line for each kind of steps, what those that are done have cost, and what the others will cost here.

    The time is that of forward passes on images of noise, of which a step of training counts three.
    """
    seen: dict[str, int] = {}
    for about in dict.fromkeys(step.about for step in steps):
        some = [step for step in steps if step.about == about]
        costs, left = some[0].costs, [step for step in some if not step.is_complete]
        images = costs[0].images(work) if costs else 0
        done = f" ({len(some) - len(left)} done)" if len(left) < len(some) else ""
        yield f"{len(some)} × {about}{f'; {images:,} images each' if images else ''}{done}"
        for cost in costs if left else ():
            seen[cost.net] = seen.get(cost.net, 0) + cost.passes(work) * len(left)
    if any(step.is_complete for step in steps):
        yield f"done: {hours_of(steps, work):,.2f} hours of single processes, reading, shifting and fitting included"
    hours = 0.0
    for name, images in seen.items():
        speed = images_per_second(work, name)
        hours += images / speed / 3600
        yield f"{name}: {images:,} forward passes, {images / speed / 3600:,.2f} hours at {speed:,.1f} images/s"
    yield (f"in all {hours:,.2f} hours of nets on one device like this one; reading and shifting images, stylizers and "
           "fits come on top")  # fmt: skip


def hours_of(steps: Sequence[Step], work: Workspace) -> float:
    """Return how long steps took in all, one after another, as far as the work folder knows."""
    if not (work.root / TIMES).exists():
        return 0.0
    lines = (work.root / TIMES).read_text(encoding="utf-8").splitlines()
    took = {folder: float(seconds) for folder, seconds in (line.split(",") for line in lines)}
    return sum(took.get(str(step.folder.relative_to(work.root)), 0.0) for step in steps) / 3600


def images_per_second(work: Workspace, name: str) -> float:
    """Return how fast a net of random weights runs forward, on as many images of noise as take a while."""
    net = work.preset.nets[name]
    if net.train:
        model = load_classifier(f"net:{net.train['net']}?classes=10").with_transform(mean=0.5, std=0.5)
    else:
        model = load_classifier(without_weights(net.spec))
        model = model.with_transform(net.size, net.mean, net.std, net.resize)
    device = device_at_hand()
    model.net.to(device)
    count, seconds = TRIAL, 0.0
    fits = takes_channels_last(model.net, model.net, model.noise(count).to(device))
    layout = torch.channels_last if fits else torch.contiguous_format
    while seconds < LONG_ENOUGH and count < MOST_TRIED:
        count *= 2
        images = model.noise(count).to(device).contiguous(memory_format=layout)
        seconds = min(_seconds_of(model.net, images) for _ in range(2))  # the first run of a size is slower
    return count / seconds


def _seconds_of(net: nn.Module, images: Tensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        net(images)[1].cpu()
    return time.perf_counter() - start
