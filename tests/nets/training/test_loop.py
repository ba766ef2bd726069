"""Oracles trained on images learn, take the same course however it is cut up or killed, and are evaluated."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.precision.amp import MixedPrecision

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.metrics import auroc
from steepslope.nets.data._specs import parse_data
from steepslope.nets.training._learner import set_layer_modes
from steepslope.nets.training._loop import LAST, UNFINISHED, _TrainingRun, _validation_score
from steepslope.nets.training._on_images import ImageOracle
from steepslope.numerics._threads import single_thread
from steepslope.oracle._storage import ORACLE
from steepslope.outputs import ClassifierOutputs
from tests.conftest import Captured, kill_once_there
from tests.files.sealing import seal_again
from tests.nets.training.trainings import (
    COMMAND,
    ENVIRONMENT,
    EXPLODING,
    NORMED,
    SHAPE_WORDS,
    history_of,
    losses,
    trained,
    training_of,
    words,
)


def test_it_learns_what_the_classifier_gets_wrong(home: Path, tmp_path: Path) -> None:
    trained(home, tmp_path, "--epochs", "12", "--learning-rate", "1e-2", "--flip", "false")
    course = losses(tmp_path)
    assert course[-1] < 0.8 * course[0]
    train, test = (ClassifierOutputs.load(home / "outputs" / split) for split in ("train", "test"))
    oracle = ImageOracle.load(tmp_path)
    on_train = oracle.on(parse_data("digits").load("train")).trust_logit(train)
    on_test = oracle.on(parse_data("digits").load("test")).trust_logit(test)
    assert auroc(on_train, train.is_correct) > 0.9
    assert auroc(on_test, test.is_correct) > 0.7
    with pytest.raises(SteepslopeError, match="name their data set"):
        oracle.trust_logit(test)
    with pytest.raises(SteepslopeError, match="fitted for 10 classes, found 2"):
        oracle.on(parse_data("digits").load("test")).trust_logit(
            ClassifierOutputs(test.logits[:, :2], np.zeros(len(test), dtype=int))
        )


def test_accumulation_changes_nothing_but_rounding(home: Path, tmp_path: Path) -> None:
    for parts in ("1", "4"):
        trained(home, tmp_path / parts, "--accumulate", parts, "--dropout", "false", "--optimizer", "sgd",
                "--learning-rate", "1e-2")  # fmt: skip
    np.testing.assert_allclose(losses(tmp_path / "1"), losses(tmp_path / "4"), rtol=1e-4)
    clipped = trained(home, tmp_path / "clipped", "--clip", "1e-9", "--optimizer", "sgd", "--weight-decay", "0")
    assert clipped != trained(home, tmp_path / "free", "--optimizer", "sgd")


def test_a_frozen_backbone_runs_once(home: Path, tmp_path: Path) -> None:
    """Features that stay the same give the weights that running it each time gives, but for rounding."""
    options = ("--trainable", "head", "--epochs", "2", "--hidden", "8")
    trained(home, tmp_path / "once", *options)
    trained(home, tmp_path / "each", *options, "--rotate", "1e-9")  # an augmentation, if of nothing
    one, each = (ImageOracle.load(tmp_path / name).net.top.state_dict() for name in ("once", "each"))
    for name, tensor in one.items():
        torch.testing.assert_close(each[name], tensor, rtol=1e-3, atol=1e-4)


def test_half_precision_runs(home: Path, tmp_path: Path) -> None:
    options = ("--precision", "bf16", "--epochs", "4", "--learning-rate", "1e-2", "--select", "aupr_error")
    trained(home, tmp_path / "bf16", *options, live=True)
    course = losses(tmp_path / "bf16")
    assert np.mean(course[-13:]) < 0.8 * np.mean(course[:13])


def test_the_history_has_what_the_authors_print(home: Path, tmp_path: Path) -> None:
    trained(home, tmp_path, "--epochs", "2", "--select", "aupr_error", "--optimizer", "sgd", live=True)
    rows = history_of(tmp_path)
    assert [int(row["step"]) for row in rows] == list(range(1, 27))
    assert {row["momentum"] for row in rows} == {"0.9"}
    assert [bool(row["valid_aupr_error"]) for row in rows] == ([False] * 12 + [True]) * 2
    assert all(0 <= float(row["tpr"]) <= 1 and 0 <= float(row["tnr"]) <= 1 for row in rows)
    assert float(rows[0]["learning_rate"]) == pytest.approx(1e-4)
    oracle = ImageOracle.load(tmp_path)
    held_out = ClassifierOutputs.load(home / "outputs" / "holdout")
    z = oracle.on(parse_data("digits").load("train")).trust_logit(held_out)
    best = max(float(row["valid_aupr_error"]) for row in rows if row["valid_aupr_error"])
    assert _validation_score(z, held_out.is_correct) == pytest.approx(best, rel=1e-5)


@pytest.fixture(scope="module")
def plain(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train an oracle with the usual settings."""
    folder = tmp_path_factory.mktemp("plain") / "oracle"
    trained(home, folder)
    return folder


def test_a_backbone_of_ones_own_is_named_again(home: Path, tmp_path: Path, capsys: Captured) -> None:
    oracle, fit_set = tmp_path / "oracle", ["--data", "digits", "--outputs", str(home / "outputs" / "train")]
    assert main(["finetune", "--oracle", NORMED, *SHAPE_WORDS, *fit_set, "--out", str(oracle)]) == 0
    evaluate = f"evaluate --outputs {home}/outputs/test --scores {oracle} --bootstrap 0 --out {tmp_path}/report".split()
    for allowed in ([], ["--backbones", "module:os:getcwd"]):
        assert main([*evaluate, *allowed]) == 2
        assert f"code of your own: allow it by its spec, {NORMED} (--backbones)" in capsys.readouterr().err
    assert main([*evaluate, "--backbones", f"{NORMED}?weights=none.pt"]) == 0  # an oracle brings its own


def test_a_loss_that_is_not_finite_stops(home: Path, tmp_path: Path, capsys: Captured) -> None:
    given = ["--oracle", EXPLODING, *SHAPE_WORDS, "--data", "digits", "--outputs", str(home / "outputs" / "train"),
             "--learning-rate", "1", "--optimizer", "sgd", "--schedule", "constant", "--head", "linear",
             "--loss", "cross_entropy", "--save-every", "1", "--out", str(tmp_path)]  # fmt: skip
    assert main(["finetune", *given]) == 2
    error = capsys.readouterr().err
    assert re.search(re.escape(f"{tmp_path}: ") + r"(after )?step \d+: .* not finite", error), error
    assert "Traceback" not in error
    assert not (tmp_path / "oracle.json").exists()


def test_what_is_wrong_with_a_card_is_named(plain: Path, tmp_path: Path) -> None:
    shutil.copytree(plain, tmp_path, dirs_exist_ok=True)
    card = (tmp_path / "oracle.json").read_text()
    for old, new, message in (
        ("net:digits-net?classes=10", "net:digit-net", "did you mean 'digits-net'"),
        ("net:digits-net?classes=10", "module:os:getcwd", "its backbone is code of your own"),
        ('"num_classes": 10', '"num_classes": "ten"', "num_classes"),
        ('"mean"', '"means"', "did you mean 'mean'"),
        ('"head": "hyperplane"', '"head": "plane"', "unknown head 'plane'"),
    ):
        (tmp_path / "oracle.json").write_text(card.replace(old, new))
        seal_again(ORACLE, tmp_path)
        with pytest.raises(SteepslopeError, match=re.escape(message)):
            ImageOracle.load(tmp_path)
    (tmp_path / "oracle.json").write_text(card.replace('"hidden"', '"no hidden"'))
    seal_again(ORACLE, tmp_path)
    with pytest.raises(SteepslopeError, match=r"oracle\.json: the field 'hidden' is missing"):
        ImageOracle.load(tmp_path)


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_weights(home: Path, tmp_path: Path, capsys: Captured) -> None:
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
def test_two_processes_follow_the_course_of_one(home: Path, tmp_path: Path) -> None:
    options = ("--epochs", "4", "--save-every", "5", "--dropout", "false", "--optimizer", "sgd", "--accumulate", "2")
    one, two = tmp_path / "one", tmp_path / "two"
    trained(home, one, *options)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *COMMAND[1:]]
    result = subprocess.run([*torchrun, *words(home, two, *options)], env=ENVIRONMENT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(losses(two), losses(one), rtol=1e-4)
    weights = [ImageOracle.load(folder).net.state_dict() for folder in (one, two)]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-3, atol=1e-5)


def test_the_scale_of_half_precision_losses_is_kept(home: Path, tmp_path: Path) -> None:
    """A scale that grows every second step; on a CPU, only a scaler of one's own can have it."""

    def run(scale: float) -> tuple[_TrainingRun, torch.amp.GradScaler]:
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=2)
        plugin = MixedPrecision("16-mixed", "cpu", scaler)
        fabric = Fabric(accelerator="cpu", devices=1, plugins=[plugin])
        return _TrainingRun(training_of(home, batch_size=100), tmp_path, fabric), scaler

    broken, scaler = run(4.0)
    set_layer_modes(broken.net, broken.recipe)
    examples = broken.training.source.from_step(0, broken.steps, 0, 0)
    for _ in range(3):
        broken.take_step([next(examples)])
    broken.save()
    again, other = run(1.0)
    assert again.resume()
    assert other.state_dict() == scaler.state_dict()
    assert other.get_scale() == 8.0


def test_another_backbone_is_not_begun_with(home: Path, plain: Path, tmp_path: Path, capsys: Captured) -> None:
    other = ["--oracle", "net:mnist-net", "--oracle-input", "mean=0.5&std=0.5", "--init", str(plain)]
    given = ["--data", "digits", "--outputs", str(home / "outputs" / "train"), "--out", str(tmp_path / "other")]
    assert main(["finetune", *other, *given]) == 2
    assert "expected the backbone 'net:mnist-net', found 'net:digits-net?classes=10'" in capsys.readouterr().err
    assert main(["finetune", *words(home, tmp_path / "deep", "--hidden", "3", "--init", str(plain))]) == 2
    assert "expected weights of this architecture" in capsys.readouterr().err


def test_a_damaged_state_is_named(home: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / UNFINISHED).write_bytes(b"not weights")
    (tmp_path / "unfinished.json").write_text(json.dumps(training_of(home, batch_size=40).key))
    assert main(["finetune", *words(home, tmp_path)]) == 2
    assert f"{tmp_path / UNFINISHED}: cannot be read; delete it to start again" in capsys.readouterr().err
