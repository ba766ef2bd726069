"""How tests train oracles on images of digits, and nets of one's own to train."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from steepslope.cli._main import main
from steepslope.nets.training._launch import stages_of_request
from steepslope.nets.training._loop import HISTORY
from steepslope.nets.training._prepare import Training, prepare_training
from steepslope.nets.training._request import FinetuneRequest
from steepslope.nets.training._sources import fit_set_to_train_on

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
COMMAND = [sys.executable, "-m", "steepslope", "finetune"]
NORMED, EXPLODING = (f"module:{__name__}:{name}" for name in ("Normed", "Exploding"))
SHAPE = {"oracle_input": "size=8&mean=0.5&std=0.5"}  # which these nets do not name
SHAPE_WORDS = ["--oracle-input", "size=8&mean=0.5&std=0.5"]


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


class Exploding(nn.Module):
    """A net whose features soon are too large."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(192, 8)
        self.last = nn.Linear(8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(torch.exp(torch.exp(self.inner(images.flatten(1)))))
        return logits


def words(home: Path, out: Path, *options: str, live: bool = False) -> list[str]:
    """Return the options of a training on the classifier's own backbone."""
    net = f"checkpoint:{home / 'classifier'}"
    source = ["--classifier", net] if live else ["--outputs", str(home / "outputs" / "train")]
    return ["--oracle", net, "--data", "digits", *source, "--batch-size", "40", *options, "--out", str(out)]


def trained(home: Path, out: Path, *options: str, live: bool = False) -> bytes:
    """Train and return the file of weights."""
    assert main(["finetune", *words(home, out, *options, live=live)]) == 0
    return (out / "oracle.safetensors").read_bytes()


def training_of(home: Path, **changes: Any) -> Training:
    """Prepare a training in this process."""
    given = {"oracle": f"checkpoint:{home / 'classifier'}", "data": "digits", "outputs": str(home / "outputs/train")}
    request, fabric = FinetuneRequest.from_flat(**{**given, **changes}), Fabric(accelerator="cpu", devices=1)
    return prepare_training(request, fit_set_to_train_on(request, fabric), stages_of_request(request)[""], fabric)


def history_of(folder: Path) -> list[dict[str, str]]:
    """Read a training's history."""
    with (folder / HISTORY).open() as file:
        return list(csv.DictReader(file))


def losses(folder: Path) -> list[float]:
    """Read the course of the loss."""
    return [float(row["loss"]) for row in history_of(folder)]
