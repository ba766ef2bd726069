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
from typing import Any

import pytest
import torch

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.lab.paper import steps as module
from steepslope.lab.paper.preset import read_preset
from steepslope.lab.paper.steps import Step, devices, devices_at_hand, plan_lines, run, run_tasks
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


def test_those_that_were_begun_end_before_the_error_is_raised(jobs: int, tmp_path: Path) -> None:
    """Two tasks wait for nothing; one fails while the other goes on; what needs the first never begins."""
    needs = {"fails": [], "goes-on": [], "next": ["fails"], "last": ["goes-on"]}
    tasks = {name: partial(note, tmp_path / "log", name) for name in ("next", "last")}
    tasks |= {"fails": partial(fail, tmp_path / "log", "fails", SteepslopeError("the third epoch is missing"))}
    tasks |= {"goes-on": partial(note, tmp_path / "log", "goes-on", 0.1)}
    with pytest.raises(SteepslopeError, match="the third epoch is missing"):
        run_tasks(needs, tasks, jobs)
    found = [(name, what) for name, what, *_ in lines(tmp_path / "log")]
    assert ("goes-on", "begins") not in found or ("goes-on", "ends") in found
    assert {name for name, _ in found} <= {"fails", "goes-on"}


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
    assert devices() == expected
    assert devices_at_hand() == max(1, count)


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
    workspace = Workspace(read_preset("digits"), tmp_path)
    one, other = step(workspace, "one"), step(workspace, "other")
    run([one], workspace, jobs=1)
    with pytest.raises(SteepslopeError, match="holds the work of a preset already, with resamples "):
        run([other], Workspace(workspace.preset.changed(resamples=7), tmp_path), jobs=1)
    assert not other.is_complete
    assert [*plan_lines([one, other])] == ["1 × make one (1 done)", "1 × make other"]


SMALL = """
title: "Small"
paper: [SS]
ours: [MCP, best single score, "fused, free"]
columns: [auc, tnr, delta_auc]
"""


def words_of(folder: Path, *more: str, pairs: str = "all") -> list[str]:
    """Return the command of a small experiment of one's own, in a folder of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "small.yaml").write_text(f"{SMALL}pairs: {pairs}\n")
    options = ["--preset", "digits", "--seeds", "0", "--set", "resamples=20", "--out", str(folder / "out"), *more]
    return ["reproduce", str(folder / "small.yaml"), *options]


def shown(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "out" / "small.json").read_text())
    return content


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("once")
    assert main(words_of(folder)) == 0
    assert len(shown(folder)["rows"]) == 4 * 4  # lines of pairs
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("last", ["nets/early-0/classifier.json", "oracles/late-late-0/ss/oracle.json"])
def test_a_killed_run_goes_on_to_the_same_rows(last: str, once: Path, tmp_path: Path) -> None:
    state = tmp_path / "run" / "out" / "work" / last
    assert (once / "out" / "work" / last).exists()
    words = words_of(tmp_path / "run")
    kill_once_there([sys.executable, "-m", "steepslope", *words], state)
    assert not (tmp_path / "run" / "out" / "small.json").exists()
    made = state.stat().st_mtime_ns
    assert main(words) == 0
    assert state.stat().st_mtime_ns == made
    assert shown(tmp_path / "run") == shown(once)


@pytest.mark.slow
def test_two_processes_give_the_same_rows(once: Path, tmp_path: Path) -> None:
    assert main(words_of(tmp_path / "run", "--jobs", "2")) == 0
    assert shown(tmp_path / "run") == shown(once)
    files = [{path.relative_to(folder) for path in (folder / "out").rglob("*")} for folder in (once, tmp_path / "run")]
    assert files[0] == files[1]


@pytest.mark.slow
def test_seeds_are_added_to_those_that_are_there(once: Path, tmp_path: Path) -> None:
    """The work of the first seed is used again, and its rows stay as they are."""
    work = once / "out" / "work"
    before = {path: path.stat().st_mtime_ns for path in work.rglob("row.json")}
    words = words_of(tmp_path / "run", "--work", str(work))
    words[words.index("--seeds") + 1] = "0,1"
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    rows = shown(tmp_path / "run")["rows"]
    assert [row for row in rows if row["seed"] == 0] == shown(once)["rows"]
    assert len(rows) == 2 * len(shown(once)["rows"])


@pytest.mark.slow
def test_a_classifier_that_is_run_live_sees_what_the_oracle_sees(once: Path, tmp_path: Path) -> None:
    """Its oracle learns from other images than one on outputs does; nothing else changes."""
    words = words_of(tmp_path / "run", pairs="first")
    words[words.index("--set") + 1] += ",pairs.0.training.classifier=late,pairs.0.training.flip=true"
    assert main(words) == 0
    recipe = json.loads((tmp_path / "run/out/work/oracles/late-late-0/ss/oracle.json").read_text())["recipe"]
    assert recipe["flip"]
    live, usual = ({row["score"]: row for row in shown(folder)["rows"] if row["oracle"] == row["classifier"] == "late"}
                   for folder in (tmp_path / "run", once))  # fmt: skip
    assert {score for score in usual if live[score] != usual[score]} == {"SS"}
