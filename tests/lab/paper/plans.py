"""What a plan of ``reproduce --dry-run`` says, read back from its text."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

from steepslope.cli.main import main

LINE = re.compile(r"(?P<count>\d+) × (?P<about>.+?)(?: \((?P<done>\d+) done\))?")
TRAINED = re.compile(
    r"train oracle ⟨(?P<oracle>\w+), (?P<classifier>\w+)⟩ (?P<name>[^:]+?)(?: \((?P<live>\w+) run live\))?"
)


@dataclass(frozen=True)
class Line:
    """A kind of steps: how many there are and are done, what they do, and their settings."""

    count: int
    about: str
    settings: dict[str, Any]
    done: int

    @property
    def oracle(self) -> dict[str, str | None]:
        """The nets and the name of an oracle that is trained; empty of all other steps."""
        found = TRAINED.fullmatch(self.about)
        return found.groupdict() if found else {}


@dataclass(frozen=True)
class Plan:
    """The lines of a plan."""

    lines: list[Line]

    def only(self, begin: str) -> Line:
        """Return the only line that begins so."""
        found = [line for line in self.lines if line.about.startswith(begin)]
        assert len(found) == 1, (begin, found)
        return found[0]

    def oracles(self) -> dict[tuple[str | None, str | None, str | None], Line]:
        """Return the lines of oracles that are trained by backbone, classifier and name."""
        found = [(line.oracle, line) for line in self.lines if line.oracle]
        return {(one["oracle"], one["classifier"], one["name"]): line for one, line in found}


def plan_of(preset: str, *options: str, experiment: str = "all") -> Plan:
    """Plan an experiment on the command line, and read what it says."""
    with redirect_stdout(io.StringIO()) as shown:
        code = main(["reproduce", experiment, "--preset", preset, "--dry-run", *options])
    assert code == 0, shown.getvalue()
    return Plan([_line(text) for text in shown.getvalue().splitlines()])


def _line(text: str) -> Line:
    found = LINE.fullmatch(text)
    assert found, text
    about, colon, settings = found["about"].partition(": ")
    return Line(int(found["count"]), about, settings_in(settings) if colon else {}, int(found["done"] or 0))


def settings_in(text: str) -> dict[str, Any]:
    """Return settings as a plan writes them: ``name value`` with commas between, and stages in brackets.

    >>> settings_in("hidden 4+4, epochs 2, [name a, epochs 3], [name b]")
    {'hidden': '4+4', 'epochs': '2', 'stages': [{'name': 'a', 'epochs': '3'}, {'name': 'b'}]}
    """
    stages = [settings_in(stage) for stage in re.findall(r"\[(.+?)\]", text)]
    flat = [one.partition(" ") for one in re.sub(r"\[.+?\]", "", text).split(", ") if one.strip()]
    return {name: value for name, _, value in flat} | ({"stages": stages} if stages else {})
