"""A piece of work behind the tables: it makes one folder from others, and is not done again where that is there."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, NamedTuple, Self

from steepslope.paper.lab import Lab

STEP = 3  # forward passes that take as long as a step of training
Settings = tuple[tuple[str, Any], ...]  # sorted, so that they can be compared and hashed


class Cost(NamedTuple):
    """A net that is run ``times`` over a set of images of a classifier, ``trained`` times of these backward too."""

    net: str
    where: str
    times: int = 1
    trained: int = 0
    rows: int | None = None  # of the set; None are all

    def images(self, lab: Lab) -> int:
        """Return how many images the net sees."""
        return self.times * self._size(lab)

    def passes(self, lab: Lab) -> int:
        """Return the number of forward passes that take as long."""
        return (self.times + (STEP - 1) * self.trained) * self._size(lab)

    def many(self, times: int) -> Self:
        """Return the same so many times."""
        return self._replace(times=times * self.times, trained=times * self.trained)

    def _size(self, lab: Lab) -> int:
        size = lab.size(self.net, self.where)
        return size if self.rows is None else min(self.rows, size)


@dataclass(frozen=True, eq=False)
class Step:
    """A piece of work of one seed.

    It makes a ``folder``, into which the file ``last`` is written last, so that its presence means that it is done.
    ``about`` tells what it does, with all settings, in the same words for all seeds. ``run`` does it, or goes on where
    it was killed. ``needs`` are the steps before it; ``costs`` are those of each net that it runs, the main one first.
    """

    folder: Path
    last: str
    about: str
    run: Callable[[Lab], None]
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


def frozen(settings: Mapping[str, Any]) -> Settings:
    """Return settings as a step holds them."""
    return tuple(sorted((name, tuple(value) if isinstance(value, list) else value) for name, value in settings.items()))


def told(settings: Mapping[str, Any]) -> str:
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
