"""On a real Ray of two actors: processes are killed, and the file is that of one machine, byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from steepslope.cli._main import main
from tests.images import digits_below

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
ROWS, PARTS, SECONDS = 240, 12, 400
ON_RAY = ("--engine", "ray", "--actors", "2")
SLOW = "module:tests.slow_nets:slow"
PROC = Path("/proc")
PROJECT = Path(__file__).parents[3]
needs_proc = pytest.mark.skipif(not PROC.exists(), reason="processes are found there")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return digits_below(tmp_path_factory.mktemp("photos"), [f"{row % 3} of 3/ü #{row:04d}.png" for row in range(ROWS)])


@pytest.fixture(scope="module")
def slow_gate(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a gate for a net that takes its time."""
    home = tmp_path_factory.mktemp("slow")
    transform = "--image-size 8 --mean 0.5 --std 0.5 --evidence none"
    assert main(f"extract --classifier {SLOW} --data digits:test {transform} --out {home}/outputs".split()) == 0
    words = f"calibrate --oracle mcp --max-risk 0.9 --outputs {home}/outputs --out {home}/gate"
    assert main(words.split()) == 0
    return home / "gate"


def words(gate: Path, photos: Path, out: Path, *options: str) -> list[str]:
    parts = ["--shard-rows", str(ROWS // PARTS), "--batch-size", "10"]
    return ["predict", "--gate", str(gate), "--data", f"images:{photos}", *parts, "--out", str(out), *options]


@pytest.fixture(scope="module")
def whole(slow_gate: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the file of one machine."""
    out = tmp_path_factory.mktemp("whole") / "found.parquet"
    assert main(words(slow_gate, photos, out, "--classifier", SLOW)) == 0
    return out.read_bytes()


def started(given: list[str], folder: Path = PROJECT) -> subprocess.Popen[str]:
    """Start a command in a process of its own, as users do: one that Ray ends is not that of the tests."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "steepslope", *given]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which a shell's & would leave ignored
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, text=True, cwd=folder, preexec_fn=heard, stdout=pipe, stderr=pipe)


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def parts_in(out: Path) -> int:
    """Count the finished parts: one that is being written is hidden."""
    return len([*(out.parent / f".{out.name}.chunks").glob("[!.]*.npz")])


def processes() -> dict[int, tuple[int, bytes]]:
    """Return the parent and the command of each process that runs, by their ids."""
    running = {}
    for path in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            state, parent, *_ = (path / "stat").read_text().rpartition(")")[2].split()
            if state != "Z":
                running[int(path.name)] = int(parent), (path / "cmdline").read_bytes()
    return running


def actors_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the actors among the descendants of a process."""
    running = processes()

    def descends(one: int) -> bool:
        return one == process.pid or (one in running and descends(running[one][0]))

    actors = (one for one, (_, command) in running.items() if command.startswith(b"ray::_Actor"))
    return [one for one in actors if descends(one)]


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=SECONDS)
    return process.returncode, out, error


def on_ray(given: list[str], folder: Path = PROJECT, actors: int = 2) -> tuple[int, str]:
    """Run a command to its end; return its exit code, and what it wrote to standard error."""
    with started([*given, "--engine", "ray", "--actors", str(actors)], folder) as process:
        code, _, error = ended(process)
    return code, error


@needs_proc
def test_an_actor_that_is_killed_costs_no_row(slow_gate: Path, photos: Path, whole: bytes, tmp_path: Path) -> None:
    out = tmp_path / "found.parquet"
    with started(words(slow_gate, photos, out, "--classifier", SLOW, *ON_RAY)) as process:
        wait_for(lambda: parts_in(out) >= 3, process)
        os.kill(actors_of(process)[0], signal.SIGKILL)
        code, printed, error = ended(process)
    assert code == 0, error
    assert out.read_bytes() == whole
    assert printed == ""
    lines = error.splitlines()
    assert lines[0].startswith("an actor died, and was started again")
    assert lines[1].startswith(f"{ROWS} predictions: ")
    assert lines[-1] == f"decisions: {out}"
    assert len(lines) == 4, error  # the other tells that the gate of a net without training accepts nothing


@needs_proc
def test_a_driver_that_is_interrupted_goes_on(slow_gate: Path, photos: Path, whole: bytes, tmp_path: Path) -> None:
    """As Ctrl-C does it: what is finished stays, no actor lives on, the next run ends it."""
    out = tmp_path / "found.parquet"
    given = words(slow_gate, photos, out, "--classifier", SLOW)
    with started([*given, *ON_RAY]) as process:
        wait_for(lambda: parts_in(out) >= 3, process)
        actors = actors_of(process)
        process.send_signal(signal.SIGINT)
        code, printed, error = ended(process)
    assert (code, printed) == (130, "")
    assert error.startswith("steepslope: interrupted; earlier results are as they were; to go on: ")
    assert error.count("\n") == 1, error
    deadline = time.monotonic() + SECONDS
    while {*actors} & processes().keys():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not out.exists()
    assert 3 <= parts_in(out) < PARTS
    assert main(given) == 0  # parts of one engine are parts of the other
    assert out.read_bytes() == whole


def test_an_image_that_kills_its_process_ends_the_run(
    slow_gate: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part is tried four times, not forever."""
    monkeypatch.setenv("STEEPSLOPE_TEST_DEADLY", "1")
    given = words(slow_gate, photos, tmp_path / "found.csv", "--classifier", SLOW)
    code, error = on_ray(given)
    assert code == 2
    assert "steepslope: error: engine ray: the cluster failed (" in error
    assert error.count("\n") == 1, error


OF_MINE = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 62 * 62, 10))
"""


def test_code_that_lies_elsewhere_is_sent(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The actors import a module that only the folder named by --code has, and run a net by ONNX Runtime."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "net_of_mine.py").write_text(OF_MINE)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    net = "module:net_of_mine:build"
    transform = "--image-size 64 --mean 0.5 --std 0.5 --evidence none"
    assert main(f"extract --classifier {net} --data digits:test {transform} --out {tmp_path}/outputs".split()) == 0
    calibrate = f"calibrate --oracle mcp --max-risk 0.95 --outputs {tmp_path}/outputs --out {tmp_path}/gate"
    assert main(calibrate.split()) == 0
    common = ("--classifier", net, "--backend", "onnx")
    assert main(words(tmp_path / "gate", photos, tmp_path / "here.csv", *common)) == 0
    given = words(tmp_path / "gate", photos, tmp_path / "there.csv", *common, "--code", f"{tmp_path}/code")
    code, error = on_ray(given, folder=tmp_path / "code")
    assert code == 0, error
    assert (tmp_path / "here.csv").read_bytes() == (tmp_path / "there.csv").read_bytes()
