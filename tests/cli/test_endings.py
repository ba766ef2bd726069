"""How commands end where something is lacking: memory, time, a library; with one line, and never with a traceback."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from steepslope.cli._main import COMMANDS, all_commands, main
from tests.conftest import Captured

INTERRUPTED = """
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "steepslope.cli._parser":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from steepslope.__main__ import program
sys.exit(program())
"""


def test_an_interrupt_among_the_imports_is_one_line() -> None:
    """So is that of the script, which runs the same function."""
    ended = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "steepslope: interrupted\n")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"steepslope": "steepslope.__main__:program"}


def test_an_interrupted_command_says_what_to_type(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def waits(out: str, seed: int = 0) -> None:
        """Wait."""
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "waits", waits)
    assert main(["waits", "--out", "my runs/o", "--seed", "3"]) == 130
    expected = "earlier results are as they were; to go on: steepslope waits --out 'my runs/o' --seed 3\n"
    assert capsys.readouterr().err == f"steepslope: interrupted; {expected}"


def _raise(message: str) -> None:
    raise RuntimeError(message)


GREEDY = [
    lambda: np.empty(2**55),
    lambda: torch.empty(2**55),
    lambda: bytearray(2**60),
    partial(_raise, "can't start new thread"),  # as Python says it
    partial(_raise, "could not create a primitive"),  # as PyTorch says it where oneDNN finds none
]


@pytest.mark.parametrize("allocate", GREEDY)
def test_too_little_memory_is_one_line(
    allocate: Callable[[], object], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def greedy() -> None:
        """Take more memory than there is."""
        allocate()

    monkeypatch.setitem(COMMANDS, "greedy", greedy)
    assert main(["greedy"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("steepslope: error: not enough memory (")
    assert error.count("\n") == 1


@pytest.mark.parametrize("library", ["onnx", "onnxruntime", "onnxscript"])
def test_export_names_the_library_that_it_lacks(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert main(["export", "--gate", "gate", "--out", str(tmp_path / "gate.onnx")]) == 2
    assert f"export needs {library}: pip install 'steepslope[nets]'" in capsys.readouterr().err


def test_the_extras_that_help_names_are_there() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {
        name: re.findall(r"Needs: pip install 'steepslope\[(\w+)\]'", one.__doc__ or "")
        for name, one in all_commands().items()
    }
    needed = {name: extras for name, extras in needed.items() if extras}
    assert set(needed) == {"export", "push", "serve", "sign", "shift corrupt", "shift recolor"}
    assert {extra for extras in needed.values() for extra in extras} <= set(project["optional-dependencies"])
