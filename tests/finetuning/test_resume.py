"""Killed at any moment, a training goes on to the same weights; what was saved stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.amp import MixedPrecision

from steepslope.cli import main
from steepslope.finetuning import resume as module
from steepslope.finetuning.history import HISTORY
from steepslope.finetuning.learner import set_modes
from steepslope.finetuning.loop import Run
from steepslope.finetuning.resume import LAST, UNFINISHED
from steepslope.oracle.on_images import ImageOracle
from steepslope.utilities import run_state
from steepslope.utilities.seeding import single_thread
from tests.conftest import kill_once_there
from tests.finetuning.trainings import COMMAND, ENVIRONMENT, losses, trained, training_of, words


def test_a_killed_training_resumes_to_the_same_weights(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (
        "--epochs", "4", "--save-every", "5", "--flip", "true", "--rotate", "20", "--select", "aupr_error",
    )  # fmt: skip
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    kill_once_there([*COMMAND, *words(home, killed, *options, live=True)], killed / UNFINISHED)
    assert not (killed / "oracle.json").exists()
    capsys.readouterr()
    for folder in (killed, unbroken):
        with single_thread():
            trained(home, folder, *options, live=True)
        assert ("goes on after step" in capsys.readouterr().err) == (folder == killed)
        assert not (folder / UNFINISHED).exists()
    for name in ("oracle.safetensors", f"{LAST}/oracle.safetensors"):
        assert (killed / name).read_bytes() == (unbroken / name).read_bytes()
    assert losses(killed) == losses(unbroken)
    trained(home, unbroken, *options, live=True)
    assert "already complete" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_follow_the_course_of_one_and_resume(home: Path, tmp_path: Path) -> None:
    options = ("--epochs", "4", "--save-every", "5", "--dropout", "false", "--optimizer", "sgd", "--accumulate", "2")
    one, two = tmp_path / "one", tmp_path / "two"
    trained(home, one, *options)
    given = words(home, two, *options)
    kill_once_there([*COMMAND, *given, "--devices", "2"], two / UNFINISHED)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *COMMAND[1:]]
    result = subprocess.run([*torchrun, *given], env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("goes on after step") == 1
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-4)
    weights = [ImageOracle.load(folder).net.state_dict() for folder in (one, two)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-3, atol=1e-5)


def test_an_interrupted_write_leaves_what_was_there(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "save_state", _second_fails(run_state.save_state))
    options = ("--epochs", "2", "--flip", "true")
    assert main(["finetune", *words(home, tmp_path, *options)]) == 2
    assert "No space left" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == [HISTORY, UNFINISHED]
    monkeypatch.undo()
    resumed = trained(home, tmp_path, *options)
    assert "goes on after step 13" in capsys.readouterr().err
    assert resumed == trained(home, tmp_path / "unbroken", *options)


def _second_fails(save: Any) -> Any:
    calls = []

    def failing(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        save(*arguments)

    return failing


def test_the_scale_of_half_precision_losses_is_kept(home: Path, tmp_path: Path) -> None:
    """A scale that grows every second step; on a CPU, only a scaler of one's own can have it."""

    def run(scale: float) -> tuple[Run, torch.amp.GradScaler]:
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2)
        plugin = MixedPrecision("16-mixed", "cpu", scaler)
        fabric = Fabric(accelerator="cpu", devices=1, plugins=[plugin])
        return Run(training_of(home, batch_size=100), tmp_path, fabric), scaler

    broken, scaler = run(4.0)
    set_modes(broken.net, broken.recipe)
    examples = broken.training.source.from_step(0, broken.steps, 0, 0)
    for _ in range(3):
        broken.take_step([next(examples)])
    broken.save()
    again, other = run(1.0)
    assert again.resume()
    assert other.state_dict() == scaler.state_dict()
    assert other.get_scale() == 8.0


def test_another_training_is_not_mixed_in(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = trained(home, tmp_path)
    assert main(["finetune", *words(home, tmp_path, "--seed", "1")]) == 2
    assert "holds another training and is not mixed with this one: recipe" in capsys.readouterr().err
    assert (tmp_path / "oracle.safetensors").read_bytes() == before
    other = ["--oracle", "net:mnist-net", "--oracle-mean", "0.5", "--oracle-std", "0.5", "--init", str(tmp_path)]
    given = ["--data", "digits", "--outputs", str(home / "outputs" / "train"), "--out", str(tmp_path / "other")]
    assert main(["finetune", *other, *given]) == 2
    assert "expected the backbone 'net:mnist-net', found 'net:digits-net?classes=10'" in capsys.readouterr().err
    assert main(["finetune", *words(home, tmp_path / "deep", "--hidden", "[3]", "--init", str(tmp_path))]) == 2
    assert "expected weights of this architecture" in capsys.readouterr().err


def test_a_damaged_state_is_named(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / UNFINISHED).write_bytes(b"not weights")
    assert main(["finetune", *words(home, tmp_path)]) == 2
    assert f"{tmp_path / UNFINISHED}: cannot be read; delete it to start anew" in capsys.readouterr().err
