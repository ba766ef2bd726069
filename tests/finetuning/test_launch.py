"""Trainings one after another."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from steepslope.classifiers.specs import load_classifier
from steepslope.cli.main import main
from steepslope.finetuning import sources
from steepslope.finetuning.launch import train_stages
from steepslope.finetuning.request import FinetuneRequest
from steepslope.oracle.on_images import ImageOracle
from steepslope.outputs import ClassifierOutputs
from tests.finetuning.trainings import training_of, words


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
        oracle="net:digits-net?classes=10", oracle_mean=0.5, oracle_std=0.5, classifier=net, data="digits",
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
    assert isinstance(loss, partial)
    correct = ClassifierOutputs.load(home / "outputs" / "train").is_correct
    assert 0 < correct.sum() < len(correct)
    assert loss.keywords["class_counts"] == ((~correct).sum(), correct.sum())
