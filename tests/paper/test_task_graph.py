"""Tasks run after what they need, in one process or several, and an error ends the run."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from steepslope.errors import SteepslopeError
from steepslope.paper.steps import devices, devices_at_hand, run_tasks

NEEDS = {"table": ["ss", "mcp"], "ss": ["outputs"], "mcp": ["outputs"], "outputs": ["net"], "net": []}


def note(file: Path, name: str, wait: float = 0.0) -> None:
    """Write that a task begins and ends, and in which process; O_APPEND keeps lines whole."""
    for what in ("begins", "ends"):
        with file.open("a") as log:
            log.write(f"{name} {what} {os.getpid()}\n")
        time.sleep(wait)


def fail(file: Path, name: str) -> None:
    note(file, name)
    raise SteepslopeError("the third epoch is missing", "net")


def note_device(folder: Path, name: str) -> None:
    """Write which GPU a process has, and wait until another has written that, too: so they are two processes."""
    (folder / name).write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "none"))
    while len([*folder.iterdir()]) < 2:
        time.sleep(0.02)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def lines(file: Path) -> list[list[str]]:
    return [line.split() for line in file.read_text().splitlines()]


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_runs_once_after_what_it_needs(jobs: int, tmp_path: Path) -> None:
    run_tasks(NEEDS, {name: partial(note, tmp_path / "log", name) for name in NEEDS}, jobs)
    found = [(name, what) for name, what, _ in lines(tmp_path / "log")]
    assert sorted(found) == sorted((name, what) for name in NEEDS for what in ("begins", "ends"))
    for name, needed in NEEDS.items():
        assert all(found.index((one, "ends")) < found.index((name, "begins")) for one in needed)


def test_one_job_runs_here_and_several_elsewhere(tmp_path: Path) -> None:
    for jobs in (1, 2):
        run_tasks(NEEDS, {"net": partial(note, tmp_path / f"{jobs}", "net")}, jobs)
    here = {int(process) for *_, process in lines(tmp_path / "1")}
    elsewhere = {int(process) for *_, process in lines(tmp_path / "2")}
    assert here == {os.getpid()}
    assert os.getpid() not in elsewhere


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_done_has_no_task_and_holds_nothing_up(jobs: int, tmp_path: Path) -> None:
    run_tasks(NEEDS, {name: partial(note, tmp_path / "log", name) for name in ("ss", "table")}, jobs)
    assert [name for name, what, _ in lines(tmp_path / "log") if what == "begins"] == ["ss", "table"]
    run_tasks(NEEDS, {}, jobs)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_ends_the_run(jobs: int, tmp_path: Path) -> None:
    tasks = {name: partial(note, tmp_path / "log", name) for name in NEEDS} | {
        "outputs": partial(fail, tmp_path / "log", "outputs")
    }
    with pytest.raises(SteepslopeError, match="net: the third epoch is missing"):
        run_tasks(NEEDS, tasks, jobs)
    assert [name for name, what, _ in lines(tmp_path / "log") if what == "begins"] == ["net", "outputs"]


@pytest.mark.slow
def test_those_that_were_begun_end_before_the_error_is_raised(tmp_path: Path) -> None:
    """Two tasks wait for nothing; one fails while the other goes on; what needs the first never begins."""
    needs = {"fails": [], "goes-on": [], "next": ["fails"], "last": ["goes-on"]}
    tasks = {name: partial(note, tmp_path / "log", name) for name in ("next", "last")}
    tasks |= {"fails": partial(fail, tmp_path / "log", "fails")}
    tasks |= {"goes-on": partial(note, tmp_path / "log", "goes-on", 3.0)}
    with pytest.raises(SteepslopeError, match="the third epoch is missing"):
        run_tasks(needs, tasks, 2)
    found = [(name, what) for name, what, _ in lines(tmp_path / "log")]
    assert ("goes-on", "begins") not in found or ("goes-on", "ends") in found
    assert {name for name, _ in found} <= {"fails", "goes-on"}


def test_there_is_at_least_one_job() -> None:
    assert devices_at_hand() >= 1


@pytest.mark.parametrize(
    ("visible", "count", "expected"),
    [(None, 2, ["0", "1"]), ("4,5", 2, ["4", "5"]), ("GPU-8a,GPU-3b", 2, ["GPU-8a", "GPU-3b"]), ("4,99", 1, ["4"]),
     ("", 0, []), (None, 0, [])],
)  # fmt: skip
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


@pytest.mark.parametrize(
    ("visible", "count", "expected"), [("4,5", 2, ["4", "5"]), (None, 2, ["0", "1"]), ("7", 1, ["7", "7"])]
)
def test_each_process_has_its_own_gpu_of_those_that_are_given(
    visible: str | None, count: int, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    see(visible, count, monkeypatch)
    run_tasks({"a": [], "b": []}, {name: partial(note_device, tmp_path, name) for name in "ab"}, 2)
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == expected
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible


def test_a_process_that_is_killed_ends_the_run_in_one_line(tmp_path: Path) -> None:
    tasks = {name: partial(note, tmp_path / "log", name) for name in NEEDS} | {"outputs": die}
    with pytest.raises(SteepslopeError, match=r"^a process ended before its task, killed from outside .* goes on$"):
        run_tasks(NEEDS, tasks, 2)
    assert [name for name, what, _ in lines(tmp_path / "log") if what == "begins"] == ["net"]
