"""Trainings one after another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from steepslope.classifiers.specs import load_classifier
from steepslope.cli import main
from steepslope.errors import SteepslopeError
from steepslope.finetuning import sources
from steepslope.finetuning.launch import stages_of, train_stages
from steepslope.finetuning.request import FinetuneRequest
from steepslope.losses import LOSSES, LossSettings, cross_entropy
from steepslope.oracle.on_images import ImageOracle
from tests.finetuning.trainings import words


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
    request = FinetuneRequest.of(
        oracle="net:digits-net?classes=10", oracle_mean=0.5, oracle_std=0.5, classifier=net, data="digits",
        batch_size=250, stages=[{"name": "a"}, {"name": "b", "alpha_neg": 2}],
    )  # fmt: skip
    lines: list[str] = []
    train_stages(request, tmp_path, lines.append)
    assert loaded == [net, request.oracle, request.oracle]
    trained = "steep_slope oracle on net:digits-net?classes=10, trained on 500 images"
    assert lines == [f"{tmp_path / name}: {trained}" for name in "ab"]
    assert [ImageOracle.load(tmp_path / name).recipe["alpha_neg"] for name in "ab"] == [3, 2]


def test_every_loss_that_weighs_by_counts_needs_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(z: torch.Tensor, target: torch.Tensor, *, class_counts: tuple[int, int] = (1, 1)) -> torch.Tensor:
        return cross_entropy(z, target) * class_counts[0]

    monkeypatch.setitem(LOSSES, "counted", counted)
    needing = {name for name in LOSSES if LossSettings(name).needs_counts}
    assert needing == {"class_balanced", "counted"}
    for loss in needing:
        request = FinetuneRequest(oracle="net:digits-net", classifier="net:digits-net", data="digits", loss=loss)
        with pytest.raises(SteepslopeError, match=f"{loss} weighs by how many are wrong"):
            stages_of(request)
