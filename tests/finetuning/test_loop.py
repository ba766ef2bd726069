"""Oracles trained on images: what they learn from, that they resume, and what is refused."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.amp import MixedPrecision
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader

from steepslope.classifiers.specs import load_classifier
from steepslope.cli import main
from steepslope.data.datasets import parse_dataset
from steepslope.errors import SteepslopeError
from steepslope.finetuning import loop as module
from steepslope.finetuning.examples import Steps
from steepslope.finetuning.loop import HISTORY, LAST, STATE, optimizer_of
from steepslope.finetuning.loop import _Run as Run
from steepslope.finetuning.prepare import prepare
from steepslope.finetuning.recipe import Finetuning
from steepslope.finetuning.request import FinetuneRequest
from steepslope.metrics import auroc
from steepslope.oracle.on_images import ImageOracle
from steepslope.outputs import ClassifierOutputs
from tests.conftest import kill_once_there
from tests.finetuning.trainings import COMMAND, ENVIRONMENT, trained, words


class Normed(nn.Module):
    """A net with batch normalisation, dropout, and no transform of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(2), nn.Flatten()
        )
        self.last = nn.Linear(32, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.body(images))
        return logits


def task_of(home: Path, **changes: Any) -> Any:
    net = f"checkpoint:{home / 'classifier'}"
    given = {"oracle": net, "data": "digits", "outputs": str(home / "outputs" / "train"), **changes}
    request = FinetuneRequest(**given)
    return prepare(request, request.recipe, Fabric(accelerator="cpu", devices=1))


def losses(folder: Path) -> list[float]:
    with (folder / HISTORY).open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def test_it_learns_what_the_classifier_gets_wrong(home: Path, tmp_path: Path) -> None:
    trained(home, tmp_path, "--epochs", "30", "--learning-rate", "3e-3", "--flip", "false")
    course = losses(tmp_path)
    assert course[-1] < 0.8 * course[0]
    train, test = (ClassifierOutputs.load(home / "outputs" / split) for split in ("train", "test"))
    oracle = ImageOracle.load(tmp_path)
    on_train = oracle.on(parse_dataset("digits").load("train")).trust_logit(train)
    on_test = oracle.on(parse_dataset("digits").load("test")).trust_logit(test)
    assert auroc(on_train, train.is_correct) > 0.9
    assert auroc(on_test, test.is_correct) > 0.7
    with pytest.raises(SteepslopeError, match="say where they are"):
        oracle.trust_logit(test)
    with pytest.raises(SteepslopeError, match="fitted for 10 classes, found 2"):
        oracle.on(parse_dataset("digits").load("test")).trust_logit(
            ClassifierOutputs(test.logits[:, :2], np.zeros(len(test), dtype=int))
        )


def test_a_live_classifier_teaches_what_its_outputs_do(home: Path, tmp_path: Path) -> None:
    for loss in ("steep_slope", "true_class_probability"):
        cached = trained(home, tmp_path / f"{loss} cached", "--loss", loss)
        assert trained(home, tmp_path / f"{loss} live", "--loss", loss, live=True) == cached


def test_accumulation_changes_nothing_but_rounding(home: Path, tmp_path: Path) -> None:
    for parts in ("1", "4"):
        trained(home, tmp_path / parts, "--accumulate", parts, "--dropout", "false", "--optimizer", "sgd",
                "--learning-rate", "1e-2")  # fmt: skip
    np.testing.assert_allclose(losses(tmp_path / "1"), losses(tmp_path / "4"), rtol=1e-4)
    clipped = trained(home, tmp_path / "clipped", "--clip", "1e-9", "--optimizer", "sgd", "--weight-decay", "0")
    assert clipped != trained(home, tmp_path / "free", "--optimizer", "sgd")


def test_a_killed_training_resumes_to_the_same_weights(home: Path, tmp_path: Path) -> None:
    options = (
        "--epochs", "40", "--save-every", "5", "--flip", "true", "--rotate", "20", "--select", "aupr_error",
    )  # fmt: skip
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    kill_once_there([*COMMAND, *words(home, killed, *options, live=True)], killed / STATE)
    assert not (killed / "oracle.json").exists()
    for folder in (killed, unbroken):
        given = [*COMMAND, *words(home, folder, *options, live=True)]
        result = subprocess.run(given, env=ENVIRONMENT, capture_output=True, text=True, check=True)
        assert ("goes on after step" in result.stderr) == (folder == killed)
        assert not (folder / STATE).exists()
    for name in ("oracle.safetensors", f"{LAST}/oracle.safetensors"):
        assert (killed / name).read_bytes() == (unbroken / name).read_bytes()
    assert losses(killed) == losses(unbroken)
    again = subprocess.run(given, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert "already complete" in again.stderr


def test_two_processes_follow_the_course_of_one_and_resume(home: Path, tmp_path: Path) -> None:
    options = ("--epochs", "12", "--save-every", "5", "--dropout", "false", "--optimizer", "sgd", "--accumulate", "2")
    one, two = tmp_path / "one", tmp_path / "two"
    trained(home, one, *options)
    given = words(home, two, *options)
    kill_once_there([*COMMAND, *given, "--devices", "2"], two / STATE)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *COMMAND[1:]]
    result = subprocess.run([*torchrun, *given], env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("goes on after step") == 1
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-4)
    weights = [ImageOracle.load(folder).net.state_dict() for folder in (one, two)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-3, atol=1e-5)


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


def test_a_frozen_backbone_is_looked_through_once(home: Path, tmp_path: Path) -> None:
    """Features that stay the same give the weights that looking each time gives, but for rounding."""
    options = ("--trainable", "head", "--epochs", "2", "--hidden", "[8]")
    trained(home, tmp_path / "once", *options)
    trained(home, tmp_path / "each", *options, "--rotate", "1e-9")  # an augmentation, if of nothing
    one, each = (ImageOracle.load(tmp_path / name).net.top.state_dict() for name in ("once", "each"))
    for name, tensor in one.items():
        torch.testing.assert_close(each[name], tensor, rtol=1e-3, atol=1e-4)


def test_a_live_classifier_is_judged_on_the_turned_image(home: Path) -> None:
    """A classifier of upright digits errs more on those upside down, and is told so."""
    net = f"checkpoint:{home / 'classifier'}"
    right = []
    for rotate in (0.0, 180.0):
        task = task_of(home, outputs=None, classifier=net, rotate=rotate, batch_size=200)
        steps = Steps(len(task.source), 200, 1, 1, 1, 0)
        judged = [task.judge(example)[0] for example in task.source.from_step(0, steps, 0, 0)]
        right.append(float(torch.cat(judged).float().mean()))
    assert right[1] < right[0] - 0.2


def test_what_trains_drops_and_counts_is_what_the_recipe_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    shape = {"oracle_size": 8, "oracle_mean": 0.5, "oracle_std": 0.5}

    def modes(**changes: Any) -> tuple[bool, bool, int]:
        task = task_of(home, oracle="module:test_loop:Normed", **shape, **changes)
        run = Run(task, home / "unused", Fabric(accelerator="cpu", devices=1))
        run.set_modes()
        body: Any = task.oracle.net.backbone.model.body
        return body[1].training, body[3].training, sum(one.requires_grad for one in task.oracle.net.parameters())

    assert modes() == (True, True, 6)  # without the net's own last layer
    assert modes(dropout=False, batch_norm="frozen") == (False, False, 6)
    assert modes(trainable="head") == (False, False, 2)
    assert modes(trainable="head", frozen_dropout=True) == (False, True, 2)


def test_the_oracle_may_see_the_classifiers_image_resized_by_nearest(home: Path, tmp_path: Path) -> None:
    net = ("--oracle", "net:digits-net", "--classifier", f"checkpoint:{home / 'classifier'}", "--data", "digits")
    assert main(["finetune", *net, "--between", "nearest", "--oracle-mean", "0.5", "--oracle-std", "0.5",
                 "--out", str(tmp_path)]) == 0  # fmt: skip
    oracle = ImageOracle.load(tmp_path)
    assert oracle.transform == load_classifier(f"checkpoint:{home / 'classifier'}").transform
    images = torch.arange(16.0).view(1, 1, 4, 4)
    enlarged = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        torch.testing.assert_close(oracle.net(images), oracle.net(enlarged))


def test_half_precision_runs_and_all_optimizers_do(home: Path, tmp_path: Path) -> None:
    options = ("--precision", "bf16", "--epochs", "9", "--learning-rate", "3e-3", "--select", "aupr_error")
    trained(home, tmp_path / "bf16", *options, live=True)
    course = losses(tmp_path / "bf16")
    assert np.mean(course[-13:]) < 0.8 * np.mean(course[:13])
    for name, kind in {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}.items():
        recipe = Finetuning(optimizer=name, weight_decay=0.1)  # type: ignore[arg-type]
        optimizer = optimizer_of(recipe, nn.Linear(2, 1))
        assert type(optimizer) is kind
        assert optimizer.param_groups[0]["weight_decay"] == 0.1


def test_the_history_has_what_the_authors_print(home: Path, tmp_path: Path) -> None:
    trained(home, tmp_path, "--epochs", "2", "--select", "aupr_error", "--optimizer", "sgd", live=True)
    with (tmp_path / HISTORY).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 27))
    assert {row["momentum"] for row in rows} == {"0.9"}
    assert [bool(row["valid_aupr_error"]) for row in rows] == ([False] * 12 + [True]) * 2
    assert all(0 <= float(row["tpr"]) <= 1 and 0 <= float(row["tnr"]) <= 1 for row in rows)
    assert float(rows[0]["learning_rate"]) == pytest.approx(1e-4)
    oracle = ImageOracle.load(tmp_path)
    held_out = ClassifierOutputs.load(home / "outputs" / "holdout")
    z = oracle.on(parse_dataset("digits").load("train")).trust_logit(held_out)
    best = max(float(row["valid_aupr_error"]) for row in rows if row["valid_aupr_error"])
    assert module.validation_score(z, held_out.is_correct) == pytest.approx(best, rel=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what torch.compile calls
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler on a CPU")
def test_compiled_it_takes_the_same_course(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dropout, whose draws compiled code takes otherwise."""
    compiled: list[object] = []
    compile_it = torch.compile

    def counted(net: nn.Module) -> Any:
        compiled.append(net)
        return compile_it(net)

    monkeypatch.setattr(torch, "compile", counted)
    for name in ("false", "true"):
        assert not compiled
        trained(home, tmp_path / name, "--compile", name, "--dropout", "false")
    assert len(set(compiled)) == 1  # which Fabric takes apart and compiles anew
    assert losses(tmp_path / "true") == pytest.approx(losses(tmp_path / "false"), rel=1e-4)
    weights = [load_file(tmp_path / name / "oracle.safetensors") for name in ("true", "false")]
    assert weights[0].keys() == weights[1].keys()


def test_it_is_evaluated_beside_scores(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(home, tmp_path / "oracle")
    test = home / "outputs" / "test"
    given = ["--scores", f"margin,{tmp_path / 'oracle'}", "--out", str(tmp_path / "report")]
    assert main(["evaluate", "--outputs", str(test), *given]) == 0
    assert (tmp_path / "report" / "report.html").exists()
    ClassifierOutputs.load(test).save(tmp_path / "moved.npz")
    assert main(["evaluate", "--outputs", str(tmp_path / "moved.npz"), *given]) == 2
    assert "does not say where its images are: give --data" in capsys.readouterr().err
    assert main(["evaluate", "--outputs", str(tmp_path / "moved.npz"), "--data", "digits", *given]) == 0


class Smaller(Normed):
    """Another net of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.body[-2] = nn.AdaptiveAvgPool2d(1)
        self.last = nn.Linear(8, 10)


def test_backbones_of_ones_own_are_named_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    codes = ["module:test_loop:Normed", "module:test_loop:Smaller"]
    shape = ["--oracle-size", "8", "--oracle-mean", "0.5", "--oracle-std", "0.5"]
    fit_set = ["--data", "digits", "--outputs", str(home / "outputs" / "train")]
    for code in codes:
        out = str(tmp_path / code.rpartition(":")[2])
        assert main(["finetune", "--oracle", code, *shape, *fit_set, "--out", out]) == 0
    trained(home, tmp_path / "known")
    scores = ",".join(str(tmp_path / name) for name in ("Normed", "Smaller", "known"))
    given = ["evaluate", "--outputs", str(home / "outputs" / "test"), "--scores", scores, "--bootstrap", "0",
             "--out", str(tmp_path / "report")]  # fmt: skip
    for allowed in ("", codes[0], f"{codes[0]},module:os:getcwd"):
        assert main([*given, *(["--backbones", allowed] if allowed else [])]) == 2
        missing = codes[1] if allowed else codes[0]
        assert f"its backbone is code of your own: say so by its spec, {missing} (--backbones)" in (
            capsys.readouterr().err
        )
    assert main([*given, "--backbones", ",".join(codes)]) == 0


def test_processes_that_decode_change_nothing(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They decode what is trained on, features and validation rows alike."""
    asked: list[int] = []

    def loader(*given: Any, **options: Any) -> DataLoader[Any]:
        asked.append(options["num_workers"])
        return DataLoader(*given, **options)

    for name in ("extraction.shards", "finetuning.examples"):
        monkeypatch.setattr(f"steepslope.{name}.DataLoader", loader)
    looked = {"aupr_error": 3, "head": 2}  # held-out rows twice and what is trained on; its features and opinions on it
    for options in (["--select", "aupr_error"], ["--trainable", "head", "--hidden", "[8]"]):
        one = trained(home, tmp_path / f"{options[1]} alone", *options, live=True)
        asked.clear()
        assert trained(home, tmp_path / options[1], *options, "--workers", "1", live=True) == one
        assert asked == [1] * looked[options[1]]


def test_the_scale_of_half_precision_losses_is_kept(home: Path, tmp_path: Path) -> None:
    """A scale that grows every second step; on a CPU, only a scaler of one's own can have it."""

    def run(scale: float) -> tuple[Run, torch.amp.GradScaler]:
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2)
        plugin = MixedPrecision("16-mixed", "cpu", scaler)
        return Run(
            task_of(home, batch_size=100), tmp_path, Fabric(accelerator="cpu", devices=1, plugins=[plugin])
        ), scaler

    broken, scaler = run(4.0)
    broken.set_modes()
    examples = broken.task.source.from_step(0, broken.steps, 0, 0)
    for _ in range(3):
        broken.take_step([next(examples)])
    broken._save()
    again, other = run(1.0)
    again.resume()
    assert other.state_dict() == scaler.state_dict()
    assert other.get_scale() == 8.0
