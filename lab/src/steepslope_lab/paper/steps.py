"""A graph of steps: each makes one folder from others, once. A plan lists them with all their settings."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from steepslope.files import DELETE, Artifact, write_json
from steepslope_lab.paper.workspace import Workspace

Settings = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Step:
    """A piece of work of one seed.

    It makes a ``folder``, into which the file ``last`` is written last, so that its presence means that it is done.
    ``about`` tells what it does, with all settings, in the same words for all seeds. ``run`` does it in the folder, or
    goes on where it was killed. ``needs`` are the steps before it.
    """

    folder: Path
    last: str
    about: str
    run: Callable[[Path], None]
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

    >>> settings_in_words({"epochs": 1, "hidden": (64, 32), "stages": [{"name": "first", "epochs": 2}]})
    'epochs 1, hidden 64+32, [name first, epochs 2]'
    """
    flat = {name: "+".join(map(str, value)) if isinstance(value, tuple | list) else value
            for name, value in settings.items() if name != "stages"}  # fmt: skip
    stages = [f"[{settings_in_words(stage)}]" for stage in settings.get("stages", ())]
    return ", ".join([*(f"{name} {value}" for name, value in flat.items()), *stages])


def folder_slug(name: str) -> str:
    """Return a name as a folder's.

    >>> folder_slug("SS, z not normalised")
    'ss-z-not-normalised'
    """
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())


CARD = "preset.json"
PRESET = Artifact("the work of a preset", CARD, made="", remedy=DELETE)
WORK = 1  # to be raised when steps come to make something else: what was made before is not mixed with that


def run_steps(steps: Sequence[Step], work: Workspace) -> None:
    """Do what is not done, in the order given, in which each step comes after those that it needs.

    Raises
    ------
    SteepslopeError
        If the work folder holds the work of another preset, or for whatever a step finds wrong.
    """
    made = {"steepslope": version("steepslope"), "work": WORK, **work.preset.as_json()}
    with PRESET.making(work.root, made) as complete:
        if not complete:
            with PRESET.staged(work.root) as staging:
                write_json(staging / CARD, made)
        for step in steps:
            if not step.is_complete:
                step.run(step.folder)


def plan_lines(steps: Sequence[Step]) -> Iterator[str]:
    """Yield a line for each kind of steps: how many there are, what they do with which settings, how many are done."""
    for about in dict.fromkeys(step.about for step in steps):
        alike = [step for step in steps if step.about == about]
        done = sum(step.is_complete for step in alike)
        yield f"{len(alike)} × {about}" + (f" ({done} done)" if done else "")
