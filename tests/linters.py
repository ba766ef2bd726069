"""Programs that check or serve files of operations: they are skipped where they are missing, but not in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REQUIRED = "STEEPSLOPE_TOOLS"  # set where a missing program is a failure


def require_program(name: str, package: str) -> str:
    """Return the path of a program, which lies next to Python or on the PATH; skip the test where there is none."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"]
    path = shutil.which(name, path=os.pathsep.join(folders))
    if path is not None:
        return path
    missing = f"this test needs {name}: {package}"
    if os.environ.get(REQUIRED):
        pytest.fail(missing)
    pytest.skip(missing)


def require_clean(name: str, package: str, *words: str | Path) -> None:
    """Raise unless a linter finds nothing; its last words are the files."""
    program = require_program(name, package)
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
