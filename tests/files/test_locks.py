"""One run at a time: the operating system holds the lock, which goes with the run, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.files.folders import LOCK, locked
from tests.conftest import make_outputs

HOLD = """
import sys, time
from steepslope.files.folders import locked
with locked(sys.argv[1]):
    print(1, flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    out = tmp_path / "a" / "b"
    with locked(out):
        (out / "result").write_text("mine")
        with (
            pytest.raises(SteepslopeError, match=f"^{out}: another run works in this folder: wait for it"),
            locked(out),
        ):
            pass
    with locked(out):
        assert (out / "result").read_text() == "mine"


def test_a_run_that_leaves_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "a" / "b"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with locked(tmp_path / "mine"):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_what_cannot_be_written_to_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with locked(tmp_path / "file"):  # writing says that it is a file
        pass
    with locked(tmp_path / "file" / "inside"):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_run_that_is_killed_leaves_no_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_outputs(60).save(tmp_path / "o.npz")
    words = f"evaluate --outputs {tmp_path}/o.npz --bootstrap 0 --out {tmp_path}/out".split()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == b"1\n"
        assert main(words) == 2
        assert f"{tmp_path / 'out'}: another run works in this folder" in capsys.readouterr().err
        os.kill(held.pid, signal.SIGKILL)
        held.wait()
    assert (tmp_path / "out" / LOCK).exists()
    deadline = time.monotonic() + 5
    while main(words) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (tmp_path / "out" / "report.html").exists()
