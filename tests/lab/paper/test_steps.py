"""Tasks run after what they need, in one process or several, and an error ends the run."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest
import torch

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.lab.paper import steps as module
from steepslope.lab.paper.preset import read_paper_preset
from steepslope.lab.paper.steps import Step, gpus_to_share, plan_lines, run_steps, run_tasks, visible_gpus
from steepslope.lab.paper.workspace import Workspace
from tests.conftest import kill_once_there

NEEDS = {"table": ["ss", "mcp"], "ss": ["outputs"], "mcp": ["outputs"], "outputs": ["net"], "net": []}


def note(file: Path, name: str, wait: float = 0.0) -> None:
    """Write that a task begins and ends, in which process and on which GPU; O_APPEND keeps lines whole."""
    for what in ("begins", "ends"):
        with file.open("a") as log:
            log.write(f"{name} {what} {os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
        time.sleep(wait)


def fail(file: Path, name: str, error: Exception) -> None:
    note(file, name)
    raise error


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def lines(file: Path) -> list[list[str]]:
    return [line.split() for line in file.read_text().splitlines()]


def begun(file: Path) -> list[str]:
    return [name for name, what, *_ in lines(file) if what == "begins"]


@pytest.fixture(params=[1, 2])
def jobs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run tasks one after another, or on two threads in place of processes, which take seconds to start."""
    monkeypatch.setattr(module, "ProcessPoolExecutor", lambda jobs, *_: ThreadPoolExecutor(jobs))
    return int(request.param)


def test_each_runs_once_after_what_it_needs(jobs: int, tmp_path: Path) -> None:
    run_tasks(NEEDS, {name: partial(note, tmp_path / "log", name) for name in NEEDS}, jobs)
    found = [(name, what) for name, what, *_ in lines(tmp_path / "log")]
    assert sorted(found) == sorted((name, what) for name in NEEDS for what in ("begins", "ends"))
    for name, needed in NEEDS.items():
        assert all(found.index((one, "ends")) < found.index((name, "begins")) for one in needed)


def test_an_error_ends_the_run(jobs: int, tmp_path: Path) -> None:
    tasks = {name: partial(note, tmp_path / "log", name) for name in NEEDS}
    tasks["outputs"] = partial(fail, tmp_path / "log", "outputs", SteepslopeError("the third epoch is missing", "net"))
    with pytest.raises(SteepslopeError, match="net: the third epoch is missing"):
        run_tasks(NEEDS, tasks, jobs)
    assert begun(tmp_path / "log") == ["net", "outputs"]


@pytest.mark.parametrize("jobs", [2], indirect=True)
def test_a_process_that_is_killed_ends_the_run_in_one_line(jobs: int, tmp_path: Path) -> None:
    broken = partial(fail, tmp_path / "log", "net", BrokenProcessPool())
    with pytest.raises(SteepslopeError, match=r"^a process ended before its task, killed from outside .* goes on$"):
        run_tasks(NEEDS, {"net": broken, "ss": partial(note, tmp_path / "log", "ss")}, jobs)
    assert begun(tmp_path / "log") == ["net"]


@pytest.mark.slow
def test_processes_have_their_own_gpus_and_may_be_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    see("4,5", 2, monkeypatch)
    run_tasks({"a": [], "b": []}, {name: partial(note, tmp_path / "log", name, 5.0) for name in "ab"}, 2)
    processes = {process: gpu for *_, process, gpu in lines(tmp_path / "log")}
    assert sorted(processes.values()) == ["4", "5"]
    assert str(os.getpid()) not in processes
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == "4,5"
    with pytest.raises(SteepslopeError, match=r"^a process ended before its task"):
        run_tasks(NEEDS, {"net": die, "outputs": partial(note, tmp_path / "log", "outputs")}, 2)
    assert "outputs" not in begun(tmp_path / "log")


@pytest.mark.parametrize(
    ("visible", "count", "expected"),
    [(None, 2, ["0", "1"]), ("GPU-8a,GPU-3b", 2, ["GPU-8a", "GPU-3b"]), ("4,99", 1, ["4"]), ("", 0, [])],
)
def test_gpus_are_those_that_torch_sees(
    visible: str | None, count: int, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    see(visible, count, monkeypatch)
    assert visible_gpus() == expected
    assert gpus_to_share() == max(1, count)


def see(visible: str | None, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that there are so many GPUs, of which the environment names some."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)


def step(workspace: Workspace, name: str) -> Step:
    """Return a step that makes a file."""
    folder = workspace.root / "steps" / name

    def make(_: Workspace, out: Path) -> None:
        out.mkdir(parents=True)
        (out / "made").touch()

    return Step(folder, "made", f"make {name}", make)


def test_a_plan_tells_what_is_done(tmp_path: Path) -> None:
    workspace = Workspace(read_paper_preset("digits"), tmp_path)
    one, other = step(workspace, "one"), step(workspace, "other")
    run_steps([one], workspace, jobs=1)
    with pytest.raises(SteepslopeError, match="holds the work of a preset already, with resamples "):
        run_steps([other], Workspace(workspace.preset.changed(resamples=7), tmp_path), jobs=1)
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
    """Also in two processes."""
    (tmp_path / "small.yaml").write_text(SMALL)
    words = f"reproduce {tmp_path}/small.yaml --preset digits --seeds 0 --set resamples=20 --out {tmp_path}/".split()
    whole, killed = [*words[:-1], f"{words[-1]}whole"], [*words[:-1], f"{words[-1]}killed"]
    assert main(whole) == 0
    state = tmp_path / "killed/work/oracles/late-late-0/ss/oracle.json"
    kill_once_there([sys.executable, "-m", "steepslope", *killed], state)
    assert not (tmp_path / "killed" / "small.json").exists()
    made = state.stat().st_mtime_ns
    assert main([*killed, "--jobs", "2"]) == 0
    assert state.stat().st_mtime_ns == made
    rows, expected = (json.loads((tmp_path / name / "small.json").read_text()) for name in ("killed", "whole"))
    assert len(expected["rows"]) == 4
    assert rows == expected
