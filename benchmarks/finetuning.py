"""Training an oracle on images from the classifier's cached outputs, against one that runs the classifier live."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from lightning_fabric import Fabric
from PIL import Image

from benchmarks.timing import Comparison
from steepslope import ClassifierOutputs
from steepslope.finetuning.launch import stages_of
from steepslope.finetuning.loop import finetune
from steepslope.finetuning.prepare import prepare
from steepslope.finetuning.request import FinetuneRequest
from steepslope.finetuning.sources import open_sources

ROWS, BATCH, SIDE, EPOCHS = 96, 16, 112, 2
ORACLE = "timm:resnet18?weights=random"


def _write_images(folder: Path) -> ClassifierOutputs:
    """Write images of noise in ten class folders; return made-up outputs of them, half of them right."""
    rng = np.random.default_rng(0)
    ids = []
    for row in range(ROWS):
        name = f"{row % 10}/{row:03d}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)).save(folder / name)
        ids.append(name)
    order = np.argsort(ids)
    labels = (np.arange(ROWS) % 10)[order]
    return ClassifierOutputs(rng.normal(size=(ROWS, 10)) + 3 * np.eye(10)[labels], labels, ids=np.array(ids)[order])


def _seconds(home: Path, **source: Any) -> float:
    """Return the time of a training, without the time to load what it needs."""
    shape: dict[str, Any] = {
        "optimizer": "sgd",
        "oracle_size": SIDE,
        "batch_size": BATCH,
        "epochs": EPOCHS,
        "save_every": 10**6,
    }
    request = FinetuneRequest(oracle=ORACLE, data=f"imagefolder:{home / 'images'}", **shape, **source)
    fabric = Fabric(accelerator="cpu", devices=1)
    training = prepare(open_sources(request, fabric), stages_of(request)[""], fabric)
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        finetune(training, Path(out), fabric)
        return time.perf_counter() - start


def _compared(classifier: str, what: str, goal: float) -> Comparison:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _write_images(home / "images").save(home / "outputs")
        (home / "classes.txt").write_text("\n".join(map(str, range(10))))
        live: dict[str, Any] = {"classifier": f"timm:{classifier}?weights=random", "classifier_size": SIDE}
        live["classes"] = str(home / "classes.txt")
        _seconds(home, outputs=str(home / "outputs"))
        ours = min(_seconds(home, outputs=str(home / "outputs")) for _ in range(2))
        theirs = min(_seconds(home, **live) for _ in range(2))
    title = f"fine-tuning ResNet-18 at {SIDE} px from cached outputs, against a live {what}"
    return Comparison(title, ours, theirs, goal)


def cached_against_live() -> Comparison:
    """Time both with a classifier of the oracle's size."""
    return _compared("resnet18", "classifier of the same size", goal=1.25)


def cached_against_larger() -> Comparison:
    """Time both with a classifier four times as costly."""
    return _compared("resnet101", "ResNet-101", goal=2)
