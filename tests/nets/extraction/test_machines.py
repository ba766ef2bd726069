"""Two processes give the arrays of one, and fail together; options that cannot be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric.plugins.environments.lightning import find_free_network_port

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.nets.extraction._machines import failing_together, launched_processes
from steepslope.nets.extraction._options import ExtractionOptions, Machines
from tests.conftest import Captured
from tests.images import TINY, extracted, words


def launch(given: list[str], launcher: list[str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    command = [sys.executable, "-m", *launcher, "steepslope", *given]
    return subprocess.run(command, capture_output=True, text=True, env={**kept, "OMP_NUM_THREADS": "1"})


@pytest.mark.slow
def test_two_processes_give_the_same_arrays(images: Path, tmp_path: Path) -> None:
    sizes = ("--shard-rows", "5", "--batch-size", "4", "--passes", "3", "--augment", "2")
    options = (*sizes, "--evidence", "features,views,dropout,noise")
    extracted(TINY, images, tmp_path / "one", *options)
    given = words(TINY, images, tmp_path / "two", *options)
    result = launch(given, ["torch.distributed.run", "--nproc-per-node", "2", "-m"])
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("24 predictions") == 1
    files = {path.name for path in (tmp_path / "one").iterdir()}
    assert files == {path.name for path in (tmp_path / "two").iterdir()}
    assert result.stderr.count("48 predictions") == 1
    kept = ("logits", "features", "labels", "noise")
    for name in (*kept, "views", "dropout", *(f"augmented/{name}" for name in kept)):
        one, two = (np.load(tmp_path / folder / f"{name}.npy") for folder in ("one", "two"))
        np.testing.assert_array_equal(one, two)


class OneOfTwo:
    """What is asked of a process whose sister fails."""

    def all_reduce(self, failed: torch.Tensor, reduce_op: str) -> torch.Tensor:
        return failed + 1


def test_a_process_ends_with_its_sister() -> None:
    alone: Any = OneOfTwo()
    with pytest.raises(SteepslopeError, match="another process failed"), failing_together(alone):
        pass
    with pytest.raises(KeyError, match="its own"), failing_together(alone):
        raise KeyError("its own")


@pytest.mark.slow
def test_when_one_process_fails_all_do(images: Path, tmp_path: Path) -> None:

    shutil.copytree(images, tmp_path / "data")
    (tmp_path / "data" / "bee" / "0003.png").write_text("text")
    given = words(TINY, tmp_path / "data", tmp_path / "out", "--shard-rows", "4", "--devices", "2")
    result = launch(given, [])
    assert result.returncode == 2
    assert result.stderr.count("bee/0003.png: cannot be read as an image") == 1
    assert result.stderr.count("another process failed") == 1
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_torchrun_and_the_options_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    message = "devices and num_nodes: expected 2 processes, as torchrun started, found 3 × 1"
    with pytest.raises(SteepslopeError, match=message), launched_processes(Machines(devices=3)):
        pass


def test_several_machines_need_a_place_to_meet(images: Path, tmp_path: Path, capsys: Captured) -> None:
    """Each once waited by itself, for seven days."""
    assert main([*words(TINY, images, tmp_path / "out"), "--num-nodes", "2"]) == 2
    error = capsys.readouterr().err
    expected = "num_nodes: expected torchrun --nnodes 2, or MASTER_ADDR, MASTER_PORT, NODE_RANK in the environment"
    assert expected in error
    assert error.count("\n") == 1


MEET = """
import sys, time
from datetime import timedelta
from steepslope.nets.extraction import _machines as machines
from steepslope.nets.extraction._options import ExtractionOptions, Machines

machines.JOIN = timedelta(seconds=float(sys.argv[1]))
with machines.launched_processes(Machines(devices=1, num_nodes=2)) as fabric:
    time.sleep(0 if fabric.global_rank else float(sys.argv[2]))
    fabric.barrier()
    print("met")
"""


def meeting(rank: int, port: int, *seconds: float) -> subprocess.Popen[str]:
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(rank), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEET, *map(str, seconds)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **place})


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_machine_that_no_other_joins_says_so(rank: int) -> None:
    _, error = meeting(rank, find_free_network_port(), 2, 0).communicate(timeout=120)
    assert "num_nodes: waited 0.0333333 minutes for 2 processes to meet at 127.0.0.1:" in error.splitlines()[-1]


@pytest.mark.slow
def test_once_met_they_wait_long_for_one_another() -> None:
    """The time to come does not bound the work: the first process may join shards for hours."""
    port = find_free_network_port()
    both = [meeting(rank, port, 10, 13) for rank in (0, 1)]
    assert ["met" in one.communicate(timeout=300)[0] for one in both] == [True, True]


@pytest.mark.slow
def test_processes_with_different_nets_are_refused(images: Path, tmp_path: Path) -> None:
    result = launch([*words("module:tests.tiny_nets:unseeded", images, tmp_path / "out"), "--devices", "2"], [])
    assert result.returncode == 2
    assert "expected the same digest in all processes" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"evidence": ("view",)}, "unknown name in evidence: 'view': did you mean 'views'?"),
        ({"views": ("flip", "left", "flip")}, "views: expected each name once, found flip 2 times"),
        ({"evidence": ("dropout",), "backend": "onnx"}, "without dropout passes"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SteepslopeError, match=re.escape(message)):
        ExtractionOptions(**options)
