"""Trainings on images that go wrong: what is said, and what stays."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from steepslope.cli import main
from steepslope.errors import SteepslopeError
from steepslope.finetuning import loop as module
from steepslope.finetuning.loop import HISTORY, STATE
from steepslope.oracle.on_images import ImageOracle
from steepslope.utilities import run_state
from tests.finetuning.trainings import COMMAND, ENVIRONMENT, trained, words


class Exploding(nn.Module):
    """A net whose features soon are too large."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(192, 8)
        self.last = nn.Linear(8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(torch.exp(torch.exp(self.inner(images.flatten(1)))))
        return logits


def test_the_loss_is_not_finite(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    given = ["--oracle", "module:test_errors:Exploding", "--oracle-size", "8", "--oracle-mean", "[0.5]",
             "--oracle-std", "[0.5]", "--data", "digits", "--outputs", str(home / "outputs" / "train"),
             "--learning-rate", "1", "--optimizer", "sgd", "--schedule", "constant", "--head", "linear",
             "--loss", "cross_entropy", "--save-every", "1", "--out", str(tmp_path)]  # fmt: skip
    error = re.escape(f"{tmp_path}: ") + r"(after )?step \d+: .* not finite"
    result = subprocess.run([*COMMAND, *given], env={**ENVIRONMENT, "PYTHONPATH": str(Path(__file__).parent)},
                            capture_output=True, text=True)  # fmt: skip
    assert result.returncode == 2
    assert re.search(error, result.stderr), result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "oracle.json").exists()


def test_an_interrupted_write_leaves_what_was_there(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "save_state", _second_fails(run_state.save_state))
    options = ("--epochs", "3", "--flip", "true")
    assert main(["finetune", *words(home, tmp_path, *options)]) == 2
    assert "No space left" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == [HISTORY, STATE]
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--loss", "steep"], "unknown loss 'steep'"),
        (["--head", "steep"], "unknown head 'steep'"),
        (["--between", "nearest"], "between nearest: expected a live classifier"),
        (["--select", "aupr_error"], "expected outputs to compare epochs on"),
        (["--cycle-momentum", "true"], "expected the optimizer sgd and the schedule one_cycle"),
        (["--epochs", "0"], "epochs: expected a whole number >= 1, found 0"),
        (["--rotate", "200"], "rotate: expected a number from 0 to 180, found 200"),
        (["--hidden", "[0]"], "hidden: expected whole numbers >= 1"),
        (["--accumulate", "50"], "batch_size: expected at least 50 rows"),
        (["--precision", "fp16"], "precision: expected 32 or bf16 on a CPU"),
        (["--oracle-size", "9"], "(expected an image of 9×9 pixels"),
        (["--classes", "names.txt"], "classes: expected none beside outputs"),
        (["--stages", "[{loss: focal}]"], "stages: expected a name of each"),
        (["--stages", "[{name: a, los: focal}]"], "unknown setting 'los': did you mean 'loss'"),
        (["--stages", "[{name: a}, {name: b, loss: focl}]"], "stage b: unknown loss 'focl'"),
        (["--stages", "[{name: a}, {name: b, hidden: [3]}]"], "stage b: hidden: expected the same layers"),
        (["--stages", "[{name: a, hidden: 3}]"], "hidden: expected a list of whole numbers, found 3"),
        (["--strategy", "fsdp"], "strategy: expected auto, ddp or a kind of ddp"),
        (["--valid", "OUTPUTS/holdout"], "valid: expected none where no epoch is selected"),
        (["--classifier-size", "8"], "expected none beside outputs"),
        (["--classifier", "net:digits-net"], "expected one of the two, found both"),
        (["--data", "idx:nowhere"], "no such folder"),
        (["--outputs", "OUTPUTS/test", "--data", "digits:train"], "expected an image for each output, found none"),
        (["--init", "nowhere"], "expected a trained oracle to begin with"),
        (["--oracle", "onnx:nothing.onnx"], "nothing.onnx"),
        (["--tensorboard", "true"], "tensorboard: expected the package of this name"),
    ],
)
def test_wrong_options_are_named(
    options: list[str], message: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    given = [word.replace("OUTPUTS", str(home / "outputs")) for word in options]
    out = tmp_path / "out"
    assert main(["finetune", *words(home, out), *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (out / "oracle.json").exists()


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


def test_damaged_files_are_named(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / STATE).write_bytes(b"not weights")
    assert main(["finetune", *words(home, tmp_path)]) == 2
    assert f"{tmp_path / STATE}: cannot be read; delete it to start anew" in capsys.readouterr().err
    trained(home, tmp_path / "good")
    card = (tmp_path / "good" / "oracle.json").read_text()
    for old, new, message in (
        ("net:digits-net?classes=10", "net:digit-net", "did you mean 'digits-net'"),
        ("net:digits-net?classes=10", "module:os:getcwd", "its backbone is code of your own"),
        ('"num_classes": 10', '"num_classes": "ten"', "num_classes"),
        ('"mean"', '"means"', "unexpected keyword"),
        ('"head": "hyperplane"', '"head": "plane"', "unknown head 'plane'"),
    ):
        (tmp_path / "good" / "oracle.json").write_text(card.replace(old, new))
        with pytest.raises(SteepslopeError, match=re.escape(message)):
            ImageOracle.load(tmp_path / "good")


def test_an_image_that_cannot_be_read_is_named(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for label in range(2):
        (tmp_path / "data" / str(label)).mkdir(parents=True)
        for row in range(4):
            pixels = rng.integers(256, size=(12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / str(label) / f"{row}.png")
    (tmp_path / "data" / "1" / "2.png").write_text("text")
    (tmp_path / "classes.txt").write_text("\n".join("0123456789"))
    out = str(tmp_path / "out")
    given = ["--oracle", "net:digits-net", "--oracle-mean", "0.5", "--oracle-std", "0.5", "--out", out,
             "--classifier", "timm:resnet10t?weights=random", "--classifier-size", "32", "--batch-size", "4",
             "--data", f"imagefolder:{tmp_path / 'data'}", "--classes", str(tmp_path / "classes.txt")]  # fmt: skip
    assert main(["finetune", *given]) == 2
    assert "12×12" in capsys.readouterr().err  # the oracle takes 8×8 only
    given[1:2] = ["timm:resnet10t?weights=random", "--oracle-size", "32"]
    assert main(["finetune", *given]) == 2
    assert "1/2.png: cannot be read as an image" in capsys.readouterr().err
    assert main(["finetune", *given, "--workers", "1"]) == 2
    error = capsys.readouterr().err
    assert "1/2.png: cannot be read as an image" in error
    assert "Traceback" not in error
