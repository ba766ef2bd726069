"""One run at a time: the operating system holds the lock, which goes with the run."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from steepslope.errors import SteepslopeError
from steepslope.files._folders import LOCK, locked

COUNT = """
import json, os, sys
from pathlib import Path
from steepslope.errors import SteepslopeError
from steepslope.files._folders import locked
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
from steepslope.files._folders import locked
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


class Failing:
    """What takes a lock after a few errors; it counts its calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *errors: int) -> None:
        self.errors, self.calls, self.acquire = list(errors), 0, FileLock.acquire
        monkeypatch.setattr(FileLock, "acquire", lambda lock, **options: self(lock, **options))

    def __call__(self, lock: Any, **options: Any) -> Any:
        self.calls += 1
        if self.errors:
            code = self.errors.pop(0)
            raise OSError(code, os.strerror(code), lock.lock_file)
        return self.acquire(lock, **options)


@pytest.mark.parametrize("code", [errno.EEXIST, errno.ENOENT])
def test_a_folder_that_vanishes_and_comes_back_is_locked(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run removes it between two system calls of the library's own."""
    failing = Failing(monkeypatch, code, code)
    with locked(tmp_path / "a"), pytest.raises(SteepslopeError, match="another run works"):
        locked(tmp_path / "a").__enter__()
    assert failing.calls == 4


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE, errno.EIO, errno.EACCES])
def test_what_can_be_written_to_and_not_locked_is_refused(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing(monkeypatch, code)
    with pytest.raises(SteepslopeError, match=rf"^{tmp_path}: cannot be locked \(.*{os.strerror(code)}.*\)$"):
        locked(tmp_path).__enter__()


def test_a_folder_that_no_run_can_write_to_is_not_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    for code in (errno.EACCES, errno.EPERM, errno.EROFS):
        failing = Failing(monkeypatch, code)
        with locked(tmp_path):
            assert failing.calls == 1
        monkeypatch.setattr(FileLock, "acquire", failing.acquire)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_no_endless_wait(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "a")
    with locked(tmp_path / "link" / "inside"):  # writing says that it cannot be made
        pass
    with pytest.raises(SteepslopeError, match=r"^/proc/nothing: cannot be locked"):
        locked("/proc/nothing").__enter__()


def test_whoever_may_write_to_a_folder_may_lock_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o775)
    with locked(tmp_path):
        assert (tmp_path / LOCK).stat().st_mode & 0o777 == 0o664
