"""What a plan says of the time that was and will be needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from steepslope.paper.preset import read_preset
from steepslope.paper.steps import TIMES, Step, hours_of, plan_lines, run
from steepslope.paper.workspace import Workspace


def step(workspace: Workspace, name: str) -> Step:
    """Return a step that makes a file."""
    folder = workspace.root / "steps" / name

    def make(_: Workspace) -> None:
        folder.mkdir(parents=True)
        (folder / "made").touch()

    return Step(folder, "made", f"make {name}", make)


def test_what_is_done_tells_how_long_it_took(tmp_path: Path) -> None:
    workspace = Workspace(read_preset("digits"), tmp_path)
    one, other = step(workspace, "one"), step(workspace, "other")
    assert not [line for line in plan_lines([one, other], workspace) if "single processes" in line]
    run([one], workspace, jobs=1)
    assert 0 <= hours_of([one, other], workspace) < 0.01
    (tmp_path / TIMES).write_text("steps/one,1800.0\nsteps/gone,7.0\n")
    assert hours_of([one, other], workspace) == pytest.approx(0.5)
    first, second, took, _ = plan_lines([one, other], workspace)
    assert (first, second) == ("1 × make one (1 done)", "1 × make other")
    assert took == "done: 0.50 hours of single processes, reading, shifting and fitting included"
