"""From experiments to what has to be done, in order; and what that will cost."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import product

import torch

from steepslope.classifiers.specs import load_classifier, without_weights
from steepslope.files.folders import locked, read_json, require_same, staged_folder, write_json
from steepslope.paper.experiment import Experiment
from steepslope.paper.lab import Case, Lab
from steepslope.paper.methods import KINDS, Wanted
from steepslope.paper.oracle_steps import sweep_step
from steepslope.paper.score import score_step
from steepslope.paper.step import Step, in_order
from steepslope.paper.task_graph import run_tasks
from steepslope.shifts.pixels import device_at_hand

CARD, TIMES = "preset.json", "times.csv"
TRIAL = 2  # images of noise, on a CPU
ON_GPU = 32  # on a GPU
WORK = 1  # to be raised when steps come to make something else: what was made before is not mixed with that


def wanted_of(experiment: Experiment, lab: Lab) -> list[Wanted]:
    """Return the lines of an experiment, for each pair and set of images, of each seed.

    Lines that a classifier cannot have are left out, and where all seeds share a score, it is there once.
    """
    preset, found = lab.preset, []
    pairs = preset.group(experiment.pairs) if experiment.lines else ()
    for pair, where, (name, method) in product(pairs, experiment.where, experiment.lines.items()):
        net, kind = preset.nets[pair.classifier], KINDS[method["kind"]]
        seeds = preset.seeds if kind.learns or net.is_seeded else preset.seeds[:1]
        cases = [Case(pair.oracle, pair.classifier, where, seed) for seed in seeds]
        found += [Wanted(name, method, pair, case) for case in cases if not kind.lacks(method, net)]
    return found


def steps_of(experiments: Sequence[Experiment], lab: Lab, whole: bool = False) -> list[Step]:
    """Return the steps to some experiments, each after those that it needs; see :func:`in_order`."""
    scores = [score_step(lab, wanted) for one in experiments for wanted in wanted_of(one, lab)]
    return in_order([*scores, *(step for one in experiments for step in sweeps_of(one, lab))], whole)


def sweeps_of(experiment: Experiment, lab: Lab) -> list[Step]:
    """Return the sweeps of an experiment that shows one."""
    seeds = lab.preset.seeds[: lab.preset.sweep.get("seeds", len(lab.preset.seeds))]
    pairs = lab.preset.group(experiment.pairs) if "sweep" in experiment.views else ()
    return [sweep_step(lab, pair, seed) for pair in pairs for seed in seeds]


def run(steps: Sequence[Step], lab: Lab, jobs: int) -> None:
    """Do what is not done, in so many processes, and keep how long each step took.

    Raises
    ------
    SteepslopeError
        If the work folder holds the work of another preset, or for whatever a step finds wrong.
    """
    bare = replace(lab)  # without the nets that were loaded: it may be sent to processes
    with locked(lab.work):
        needs = {step.folder: [one.folder for one in step.needs] for step in steps}
        tasks = {step.folder: partial(_timed, bare, replace(step, needs=())) for step in steps if not step.is_complete}
        made = json.loads(json.dumps({"steepslope": version("steepslope"), "work": WORK, **lab.preset.as_json()}))
        if (lab.work / CARD).exists():
            found = read_json(lab.work / CARD, "the preset of a work folder")
            require_same(lab.work, "the work of another preset", found, made)
        else:
            with staged_folder(lab.work, last=CARD) as staging:
                write_json(staging / CARD, made)
        run_tasks(needs, tasks, jobs)


def _timed(lab: Lab, step: Step) -> None:
    start = time.perf_counter()
    step.run(lab)
    with (lab.work / TIMES).open("a", encoding="utf-8") as file:
        file.write(f"{step.folder.relative_to(lab.work)},{time.perf_counter() - start:.1f}\n")


def plan_lines(steps: Sequence[Step], lab: Lab) -> Iterator[str]:
    """Yield a line for each kind of steps, what those that are done have cost, and what the others will cost here.

    The time is that of forward passes on images of noise, of which a step of training counts three.
    """
    groups: dict[str, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.about, []).append(step)
    seen: dict[str, int] = {}
    for about, some in groups.items():
        costs, left = some[0].costs, [step for step in some if not step.is_complete]
        images = costs[0].images(lab) if costs else 0
        done = f" ({len(some) - len(left)} done)" if len(left) < len(some) else ""
        yield f"{len(some)} × {about}{f'; {images:,} images each' if images else ''}{done}"
        for cost in costs if left else ():
            seen[cost.net] = seen.get(cost.net, 0) + cost.passes(lab) * len(left)
    if any(step.is_complete for step in steps):
        yield f"done: {hours_of(steps, lab):,.2f} hours of single processes, reading, shifting and fitting included"
    speeds = {name: images_per_second(lab, name) for name in seen}
    for name, images in seen.items():
        speed = speeds[name]
        yield f"{name}: {images:,} forward passes, {images / speed / 3600:,.2f} hours at {speed:,.1f} images/s"
    hours = sum(images / speeds[name] for name, images in seen.items()) / 3600
    beside = "reading and shifting images, stylizers and fits come on top"
    yield f"in all {hours:,.2f} hours of nets on one device like this one; {beside}"


def hours_of(steps: Sequence[Step], lab: Lab) -> float:
    """Return how long steps took in all, one after another, as far as the work folder knows."""
    if not (lab.work / TIMES).exists():
        return 0.0
    lines = (lab.work / TIMES).read_text(encoding="utf-8").splitlines()
    took = {folder: float(seconds) for folder, seconds in (line.split(",") for line in lines)}
    return sum(took.get(str(step.folder.relative_to(lab.work)), 0.0) for step in steps) / 3600


def images_per_second(lab: Lab, name: str) -> float:
    """Return how fast a net of random weights runs forward; changing its transform has run it a first time."""
    own = lab.preset.nets[name]
    if own.train:
        net = load_classifier(f"net:{own.train['net']}?classes=10").with_transform(mean=0.5, std=0.5)
    else:
        net = load_classifier(without_weights(own.spec)).with_transform(own.size, own.mean, own.std, own.resize)
    device = device_at_hand()
    images = net.noise(ON_GPU if device.type == "cuda" else TRIAL).to(device)
    net.net.to(device)
    with torch.inference_mode():
        start = time.perf_counter()
        net.net(images)[1].cpu()
    return len(images) / (time.perf_counter() - start)
