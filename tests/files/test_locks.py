"""One run at a time: the operating system holds the lock, which goes with the run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.files.folders import LOCK, locked

COUNT = """
import json, os, sys
from pathlib import Path
from steepslope.errors import SteepslopeError
from steepslope.files.folders import locked
folder, left, overlaps = Path(sys.argv[1]), 50, 0
flag, state = folder.parent / "inside", folder.parent / "state.json"
while left:
    try:
        with locked(folder):
            try:
                os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                overlaps += 1
                continue
            count = json.loads(state.read_text())
            state.write_text(json.dumps(count + 1))
            flag.unlink()
            left -= 1
    except SteepslopeError:
        pass
sys.exit(overlaps > 0)
"""
HOLD = """
import sys, time
from steepslope.files.folders import locked
with locked(sys.argv[1]):
    print(1, flush=True)
    time.sleep(60)
"""


def test_of_many_processes_one_is_inside(tmp_path: Path) -> None:
    """Four processes add to a number fifty times each; none is inside with another, and no addition is lost."""
    (tmp_path / "state.json").write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path / "a")]
    running = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert (tmp_path / "state.json").read_text() == "200"


def test_a_second_run_is_refused_until_the_first_ends_or_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with locked(out):
        (out / "result").write_text("mine")
        with pytest.raises(SteepslopeError, match=f"^{out}: another run works here: wait for it"):
            locked(out).__enter__()
        with locked(out, "another.lock"):
            pass
    with subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == b"1\n"
        with pytest.raises(SteepslopeError, match="another run works"):
            locked(out).__enter__()
        held.send_signal(signal.SIGKILL)
        held.wait()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            with locked(out):
                assert sorted(path.name for path in out.iterdir()) == [LOCK, "another.lock", "result"]
                return
        except SteepslopeError:
            time.sleep(0.1)
    pytest.fail("the lock stayed")


def test_a_run_that_leaves_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wrong"), locked(tmp_path / "a" / "b"):
        raise ValueError("wrong")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_to_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "inside"):  # writing says that it is a file
        with locked(place):
            pass
    assert (tmp_path / "file").read_text() == "mine"
