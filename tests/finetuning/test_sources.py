"""What a training is made of: wrong options and images that cannot be read are named in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from steepslope.cli.main import main
from tests.finetuning.trainings import words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--loss", "steep"], "unknown loss 'steep'"),
        (["--head", "steep"], "unknown head 'steep'"),
        (["--oracle-sees", "nearest"], "oracle-sees nearest: expected a live classifier"),
        (["--select", "aupr_error"], "expected outputs to compare epochs on"),
        (["--cycle-momentum", "true"], "expected the optimizer sgd and the schedule one_cycle"),
        (["--epochs", "0"], "epochs: expected a whole number >= 1, found 0"),
        (["--rotate", "200"], "rotate: expected a number from 0 to 180, found 200"),
        (["--hidden", "[0]"], "hidden: expected a list, each a whole number >= 1"),
        (["--accumulate", "50"], "batch_size: expected at least 50 rows"),
        (["--precision", "fp16"], "precision: expected 32 or bf16 on a CPU"),
        (["--oracle-size", "9"], ": expected an image of 9×9 pixels"),
        (["--oracle-size", "0"], "oracle: --oracle-size: expected the side"),
        (["--oracle-std", "0"], "oracle: --oracle-std: expected numbers > 0"),
        (["--oracle", "net:digits-net"], "oracle: --oracle-mean and --oracle-std: have to be given"),
        (["--oracle-channels", "0"], "oracle: --oracle-channels: expected a whole number >= 1, found 0"),
        (["--oracle-channels", "3"], "oracle: --oracle-mean and --oracle-std: have to be given"),
        (["--oracle-preprocessing", "none.json"], "expected a preprocessing file, but it has no none.json"),
        (["--classifier-preprocessing", "none.json"], "channels and preprocessing: expected none beside outputs"),
        (["--valid-data", "idx:nowhere", "--oracle", "timm:resnet50"], "data spec 'idx:nowhere': no such folder"),
        (["--data", "images:nowhere"], "data spec 'images:nowhere': no such folder"),
        (["--classes", "names.txt"], "classes: expected none beside outputs"),
        (["--stages", "[{loss: focal}]"], "stages: expected a name of each"),
        (["--stages", "[{name: a, los: focal}]"], "unknown setting 'los': did you mean 'loss'"),
        (["--stages", "[{name: a}, {name: b, loss: focl}]"], "stage b: unknown loss 'focl'"),
        (["--stages", "[{name: a}, {name: b, hidden: [3]}]"], "stage b: hidden: expected (), as for all stages"),
        (["--stages", "[{name: a}, {name: b, precision: bf16}]"], "stage b: precision: expected '32', as"),
        (["--stages", "[{name: a}, {name: a}]"], "stages: expected a name of each"),
        (["--stages", "[{name: a, alpha_pos: 90}]"], "stage a: alpha_pos: expected a number from 1e-06 to 80"),
        (["--stages", "[{name: a, hidden: 3}]"], "hidden: expected a list, each a whole number >= 1, found 3"),
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


def test_the_classifiers_options_are_named_as_they_are_given(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["finetune", *words(home, tmp_path / "out", live=True)]
    for options in (["--classifier-size", "0"], ["--classifier-mean", "1,2"], ["--classifier-std", "0"]):
        assert main([*given, *options]) == 2
        assert f"classifier: {options[0]}: expected" in capsys.readouterr().err


def test_images_to_train_on_need_labels(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "data" / "a.png")
    given = [*words(home, tmp_path / "out", live=True), "--data", f"images:{tmp_path / 'data'}"]
    assert main(["finetune", *given]) == 2
    assert "data: expected labelled images, found none" in capsys.readouterr().err


def test_an_image_that_cannot_be_read_is_named(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for label in range(2):
        (tmp_path / "data" / str(label)).mkdir(parents=True)
        for row in range(4):
            pixels = rng.integers(256, size=(12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / str(label) / f"{row}.png")
    (tmp_path / "data" / "1" / "2.png").write_text("text")
    (tmp_path / "classes.txt").write_text("\n".join(map(str, range(1000))))
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
