"""Steps run after what they need, once; a plan lists them, and a killed run goes on to the same rows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope_lab.paper.preset import read_paper_preset
from steepslope_lab.paper.steps import Step, plan_lines, run_steps
from steepslope_lab.paper.workspace import Workspace
from tests.conftest import kill_once_there


def step(workspace: Workspace, name: str) -> Step:
    """Return a step that makes a file."""
    folder = workspace.root / "steps" / name

    def make(out: Path) -> None:
        out.mkdir(parents=True)
        (out / "made").touch()

    return Step(folder, "made", f"make {name}", make)


def test_a_plan_tells_what_is_done(tmp_path: Path) -> None:
    workspace = Workspace(read_paper_preset("digits"), tmp_path)
    one, other = step(workspace, "one"), step(workspace, "other")
    run_steps([one], workspace)
    with pytest.raises(SteepslopeError, match="holds the work of a preset already, with resamples "):
        run_steps([other], Workspace(workspace.preset.changed(resamples=7), tmp_path))
    assert not other.is_complete
    assert [*plan_lines([one, other])] == ["1 × make one (1 done)", "1 × make other"]


SMALL = """
title: "Small"
pairs: first
paper: [SS]
ours: [MCP, best single score, "fused, free"]
columns: [auc, tnr, delta_auc]
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    words = f"reproduce {tmp_path}/small.yaml --preset digits --seeds 0 --set resamples=20 --out {tmp_path}/".split()
    whole, killed = [*words[:-1], f"{words[-1]}whole"], [*words[:-1], f"{words[-1]}killed"]
    assert main(whole) == 0
    state = tmp_path / "killed/work/oracles/late-late-0/ss/oracle.json"
    kill_once_there([sys.executable, "-m", "steepslope", *killed], state)
    assert not (tmp_path / "killed" / "small.json").exists()
    made = state.stat().st_mtime_ns
    assert main(killed) == 0
    assert state.stat().st_mtime_ns == made
    rows, expected = (json.loads((tmp_path / name / "small.json").read_text()) for name in ("killed", "whole"))
    assert len(expected["rows"]) == 4
    assert rows == expected
