"""Trainings one after another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from steepslope.cli._main import main
from steepslope.losses import class_balanced
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.training import _sources as sources
from steepslope.nets.training._launch import train_stages
from steepslope.nets.training._on_images import ImageOracle
from steepslope.nets.training._request import FinetuneRequest
from steepslope.outputs import ClassifierOutputs
from tests.conftest import Captured
from tests.images import folder_of
from tests.nets.training.trainings import training_of, words


def test_stages_begin_where_the_one_before_ended(home: Path, tmp_path: Path) -> None:
    config = tmp_path / "stages.yaml"
    config.write_text(
        "hidden: [12]\nselect: aupr_error\nstages:\n"
        "- {name: head, loss: true_class_probability, trainable: head, head: linear, epochs: 3}\n"
        "- {name: all, loss: steep_slope, optimizer: sgd, learning_rate: 1.0e-12, dropout: false}\n"
    )
    given = words(home, tmp_path / "out", "--config", str(config), live=True)
    assert main(["finetune", *given]) == 0
    first, second = (ImageOracle.load(tmp_path / "out" / name).net.state_dict() for name in ("head", "all"))
    frozen = load_classifier(f"checkpoint:{home / 'classifier'}").net.state_dict()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor)
        if name.startswith("backbone."):
            torch.testing.assert_close(tensor, frozen[name.removeprefix("backbone.")], rtol=0, atol=0)


def test_stages_share_what_is_opened_and_give_notice(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The classifier is loaded once, the backbone anew for each stage, since training changes it."""
    loaded: list[str] = []

    def counted(spec: str) -> Any:
        loaded.append(spec)
        return load_classifier(spec)

    monkeypatch.setattr(sources, "load_classifier", counted)
    net = f"checkpoint:{home / 'classifier'}"
    request = FinetuneRequest.from_flat(
        oracle="net:digits-net?classes=10", oracle_input="mean=0.5&std=0.5", classifier=net, data="digits",
        batch_size=250, stages=[{"name": "a"}, {"name": "b", "alpha_neg": 2}],
    )  # fmt: skip
    lines: list[str] = []
    train_stages(request, tmp_path, lines.append)
    assert loaded == [net, request.oracle, request.oracle]
    trained = "steep_slope oracle on net:digits-net?classes=10, trained on 500 images"
    assert lines == [f"{tmp_path / name}: {trained}" for name in "ab"]
    assert [ImageOracle.load(tmp_path / name).recipe["alpha_neg"] for name in "ab"] == [3, 2]


def test_a_loss_that_weighs_by_counts_gets_those_of_a_live_classifier(home: Path) -> None:
    """They are those of its predictions on the images as they are, whatever flips are drawn."""
    net = f"checkpoint:{home / 'classifier'}"
    loss = training_of(home, outputs=None, classifier=net, flip=True, loss="class_balanced").loss
    correct = ClassifierOutputs.load(home / "outputs" / "train").is_correct
    counts = int((~correct).sum()), int(correct.sum())
    assert 0 < counts[0] < counts[1]
    batch = torch.tensor([0.5, -2.0]), torch.tensor([True, False])  # of which as many are wrong as correct
    torch.testing.assert_close(loss(*batch), class_balanced(*batch, class_counts=counts))


def test_a_dry_run_counts_and_writes_nothing(home: Path, tmp_path: Path, capsys: Captured) -> None:
    net = f"checkpoint:{home / 'classifier'}"
    given = ["--oracle", net, "--classifier", net, "--data", "digits", "--epochs", "3", "--dry-run"]
    assert main(["finetune", *given, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().err
    conv, dense, head, last = 16 * 10, 32 * 257, 33, 330
    assert "oracle: images 1 × 8 × 8, " in shown
    assert f"{conv + dense + head + last:,} parameters, {conv + dense + head:,} of them trained" in shown
    assert f"classifier: {conv + dense + last:,} parameters, run live" in shown
    assert "images: 1,500 in 39 steps of 40" in shown
    (hours,) = re.findall(r"time: ([\d.,]+) hours at ", shown)
    assert float(hours.replace(",", "")) >= 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--oracle-sees", "nearest"], "oracle-sees nearest: expected a live classifier"),
        (["--select", "aupr_error"], "expected outputs to compare epochs on"),
        (["--cycle-momentum", "true"], "expected the optimizer sgd and the schedule one_cycle"),
        (["--accumulate", "50"], "batch_size: expected at least 50 rows"),
        (["--oracle-input", "size=9"], ": expected an image of 9×9 pixels"),
        (["--oracle-input", "std=0"], "oracle_input: std: expected a list, each a number from 1e-12"),
        (["--oracle", "net:digits-net"], "--oracle-input mean=… and --oracle-input std=…: have to be given"),
        (["--oracle-input", "none.json"], "expected a preprocessing file, but it has no none.json"),
        (["--classifier-input", "none.json"], "classifier_input: expected none with outputs"),
        (["--valid-data", "idx:nowhere", "--oracle", "timm:resnet50"], "data spec 'idx:nowhere': no such folder"),
        (["--classes", "names.txt"], "classes: expected none with outputs"),
        (["--valid", "OUTPUTS/holdout"], "valid: expected none where no epoch is selected"),
        (["--classifier", "net:digits-net"], "expected one of the two, found both"),
        (["--outputs", "OUTPUTS/test", "--data", "digits:train"], "expected an image for each output, found none"),
        (["--init", "nowhere"], "expected a fitted oracle"),
        (["--oracle", "onnx:nothing.onnx"], "nothing.onnx"),
    ],
)
def test_wrong_options_are_named(
    options: list[str], message: str, home: Path, tmp_path: Path, capsys: Captured
) -> None:
    given = [word.replace("OUTPUTS", str(home / "outputs")) for word in options]
    out = tmp_path / "out"
    assert main(["finetune", *words(home, out), *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (out / "oracle.json").exists()


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ("[{name: a, epocs: 1}]", "stage a: unknown setting 'epocs': did you mean"),
        ("[{name: a}, {name: b, loss: focl}]", "stage b: unknown loss 'focl'"),
        ("[{name: a}, {name: b, hidden: [3]}]", "stage b: hidden: expected (), as for all stages"),
        ("[{name: a}, {name: a}]", "stages: expected a name of each"),
    ],
)
def test_wrong_stages_are_named(stages: str, message: str, home: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "stages.yaml").write_text(f"stages: {stages}\n")
    assert main(["finetune", *words(home, tmp_path / "out"), "--config", str(tmp_path / "stages.yaml")]) == 2
    assert message in capsys.readouterr().err


def test_images_to_train_on_need_labels(home: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "data").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "data" / "a.png")
    given = [*words(home, tmp_path / "out", live=True), "--data", f"images:{tmp_path / 'data'}"]
    assert main(["finetune", *given]) == 2
    assert "data: expected labelled images, found none" in capsys.readouterr().err


def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, capsys: Captured) -> None:
    (folder_of(tmp_path / "data", 3) / "bee" / "0001.png").write_text("text")
    (tmp_path / "classes.txt").write_text("\n".join(["ant", "bee", "cow", *map(str, range(997))]))
    net = "timm:resnet10t?weights=random"
    given = ["--oracle", net, "--oracle-input", "size=32", "--classifier", net, "--classifier-input", "size=32"]
    given += ["--batch-size", "4"]
    given += ["--data", f"imagefolder:{tmp_path / 'data'}", "--classes", str(tmp_path / "classes.txt")]
    for workers in ("0", "1"):
        assert main(["finetune", *given, "--workers", workers, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert "bee/0001.png: cannot be read as an image" in error
        assert "Traceback" not in error
