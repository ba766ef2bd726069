"""Odd settings of finetune, train-classifier, demo and in Python: one line and code 2, or rightly taken."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.nets.training.request import FinetuneRequest
from tests.conftest import files_below

TRAIN = "train-classifier --net digits-net --data digits --out OUT"
TUNE = "finetune --oracle net:digits-net --classifier checkpoint:HOME/classifier --data digits --out OUT"
PLAN = f"{TUNE} --dry-run"

ODD: list[tuple[str, str]] = [
    ("train-classifier --net digit-net --data digits --out OUT", "unknown net 'digit-net': did you mean 'digits-net'?"),
    ("train-classifier --net mnist-net --data digits --out OUT", "mnist-net expects grey images of 28×28 pixels"),
    ("train-classifier --net digits-net --data digits:test --out OUT", "trains on the training split, not on the test"),
    (f"{TRAIN} --holdout 1000", "holdout: expected 1 to 999 of the 1000 training rows, found 1000"),
    ("finetune --oracle net:digits-net --out OUT", "classifier and outputs: expected one of the two, found neither"),
    (f"{TUNE} --num-nodes 2", "num_nodes: expected torchrun --nnodes 2, or MASTER_ADDR, MASTER_PORT, NODE_RANK"),
    (f"{TUNE} --dry-run", "--oracle-mean and --oracle-std: have to be given, since net:digits-net has none of its own"),
    (f"{TUNE} --cycle-momentum", "cycle_momentum: expected the optimizer sgd and the schedule one_cycle with it"),
    (f"{TUNE} --valid some", "valid: expected none where no epoch is selected (--select)"),
    (f"{TUNE} --init nowhere --oracle-mean 0.5 --oracle-std 0.5", "expected a fitted oracle"),
    (f"{TUNE} --stages '[{{\"epochs\": 1}}]'", "stages: expected a name of each"),
    (f"{TUNE} --stages '[{{\"name\": \"a\", \"epocs\": 1}}]'", "stage a: unknown setting 'epocs': did you mean"),
]  # fmt: skip

RIGHT = [
    f"{TRAIN} --epochs 1 --batch-size 5000 --learning-rate 1e-3 --rotate 180",
    f"{TUNE} --dry-run --oracle-mean 0.5 --oracle-std 0.5 --hidden none --stages []",
    f"{TUNE} --dry-run --oracle-mean [0.5] --oracle-std=1 --precision=32 --devices 1 --num-nodes 1",
]

IN_PYTHON: list[tuple[Callable[[], Any], str]] = [
    (lambda: FinetuneRequest(oracle="net:digits-net", outputs="o", seed=np.int8(-1)), "seed: expected a whole number")  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("words", "message"), ODD)
def test_an_odd_option_is_one_line(
    words: str, message: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = shlex.split(words.replace("HOME", str(home)).replace("OUT", str(tmp_path / "out")))
    assert main(given) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("steepslope: error: ")
    assert error.count("\n") == 1
    assert not files_below(tmp_path)


@pytest.mark.parametrize("words", RIGHT)
def test_what_is_right_passes(words: str, home: Path, tmp_path: Path) -> None:
    assert main(shlex.split(words.replace("HOME", str(home)).replace("OUT", str(tmp_path / "out")))) == 0


@pytest.mark.parametrize(("make", "message"), IN_PYTHON)
def test_an_odd_setting_in_python_is_one_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SteepslopeError) as error:
        make()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
