"""Training oracles: a block of Table 1 and fine-tuning beside a classifier that runs live, and an epoch from a file."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks.nets import load
from benchmarks.timing import Comparison
from steepslope import ClassifierOutputs, Oracle
from steepslope.losses import LOSSES, PAPER_LOSSES, steep_slope
from steepslope.nets.classifiers import Classifier
from steepslope.nets.data import Images, image_row_ids
from steepslope.nets.extraction import ExtractionOptions, extract
from steepslope.nets.training import (
    FinetuneRequest,
    OracleNet,
    finetune,
    fit_oracle_net,
    fit_set_to_train_on,
    prepare_training,
    stages_of_request,
)
from steepslope.numerics import single_thread
from steepslope.oracle import ColumnSettings, FitRows

BATCH, BLOCK, GOAL = 256, 10_000, 200_000
CLASSES = 10


def block_against_live_classifier(
    rows: int = 10_000, epochs: int = 15, seeds: int = 3, measured: int = 10
) -> Comparison:
    """Time a block of Table 1 on outputs that are extracted once, and the authors' scheme, with the same batches.

    That runs the classifier in every step of every run; its steps are extrapolated from those that are measured.
    """
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(rows, 28, 28), dtype=np.uint8)
    images = Images(pixels, rng.integers(CLASSES, size=rows), image_row_ids("random", np.arange(rows)))
    classifier, options = load("mnist-net"), ExtractionOptions(batch_size=BATCH)
    _step_seconds(classifier, images, 1)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        outputs = extract(classifier, {out: ("random images", images)}, options)[out]
        for loss in PAPER_LOSSES.values():
            for seed in range(seeds):
                Oracle(loss=loss, seed=seed, epochs=epochs).fit(outputs)
    ours = time.perf_counter() - start
    steps = len(PAPER_LOSSES) * seeds * epochs * -(-rows // BATCH)
    theirs = _step_seconds(classifier, images, measured) * steps
    size = f"{len(PAPER_LOSSES)} losses × {seeds} seeds, {rows:,} images, {epochs} epochs"
    return Comparison(f"a block of Table 1, {size}, against a classifier run in every step", ours, theirs, goal=20)


def _step_seconds(classifier: Classifier, images: Images, measured: int) -> float:
    """Return one step of the authors' loop: decode a batch, run the classifier, judge it, train the head on it."""
    oracle = OracleNet(128, (), "hyperplane")
    optimizer = torch.optim.AdamW(oracle.parameters(), fused=True)
    labels = torch.from_numpy(images.labels)
    start = time.perf_counter()
    for step in range(measured):
        rows = np.arange(step * BATCH, (step + 1) * BATCH) % len(images)
        batch = torch.stack([classifier.transform(images.image(int(row))) for row in rows])
        with torch.no_grad():
            features, logits = classifier.net(batch)
        correct = logits.argmax(dim=1) == labels[rows]
        optimizer.zero_grad()
        LOSSES["steep_slope"](oracle(features), correct).mean().backward()
        optimizer.step()
    return (time.perf_counter() - start) / measured


def cached_against_live(
    classifier: str = "resnet18", rows: int = 96, side: int = 112, epochs: int = 2, goal: float = 1.25
) -> Comparison:
    """Time an oracle's training on images from the classifier's cached outputs, and with the classifier run live."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _write_images(home / "images", rows, side).save(home / "outputs")
        shape: dict[str, Any] = {
            "oracle_input": f"size={side}",
            "epochs": epochs,
            "data": f"imagefolder:{home / 'images'}",
        }
        live: dict[str, Any] = {"classifier": f"module:benchmarks.nets:{classifier}"}
        live["classifier_input"] = f"size={side}&mean=0.5&std=0.25"
        cached: dict[str, Any] = {"outputs": str(home / "outputs")}
        _finetune_seconds(**shape, **cached)
        ours, theirs = (min(_finetune_seconds(**shape, **source) for _ in range(2)) for source in (cached, live))
    title = f"fine-tuning ResNet-18 at {side} px from cached outputs, against a live {classifier}"
    return Comparison(title, ours, theirs, goal)


def _write_images(folder: Path, rows: int, side: int) -> ClassifierOutputs:
    """Write images of noise in ten class folders; return made-up outputs of them, half of them right."""
    rng, names = np.random.default_rng(0), sorted(f"{row % CLASSES}/{row:03d}.png" for row in range(rows))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(256, size=(side, side, 3), dtype=np.uint8)).save(folder / name)
    labels = np.array([int(name.partition("/")[0]) for name in names])
    return ClassifierOutputs(
        rng.normal(size=(rows, CLASSES)) + 3 * np.eye(CLASSES)[labels], labels, ids=np.array(names)
    )


def _finetune_seconds(**settings: Any) -> float:
    """Return the time of a training, without the time to load what it needs."""
    oracle: dict[str, Any] = {"oracle": "timm:resnet18?weights=random", "optimizer": "sgd", "batch_size": 16}
    request = FinetuneRequest(**oracle, save_every=10**6, **settings)
    fabric = Fabric(accelerator="cpu", devices=1)
    fit_set = fit_set_to_train_on(request, fabric)
    training = prepare_training(request, fit_set, stages_of_request(request)[""], fabric)
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        finetune(training, Path(out), fabric)
        return time.perf_counter() - start


class _Mapped(torch.utils.data.Dataset[tuple[NDArray[np.float16], np.bool_]]):
    """Rows of a mapped file one by one, the usual way: so many of all."""

    def __init__(self, outputs: ClassifierOutputs, measured: int) -> None:
        self.features, self.target, self.measured = outputs.require_features(), outputs.is_correct, measured

    def __len__(self) -> int:
        return self.measured

    def __getitem__(self, index: int) -> tuple[NDArray[np.float16], np.bool_]:
        row = index * (len(self.target) // self.measured)
        return np.array(self.features[row]), self.target[row]


def streaming_against_loader(rows: int = 1_280_000, width: int = 1_280, measured: int = 10_240) -> Comparison:
    """Time an epoch of an oracle's training on features in a file, and a DataLoader that shuffles the same file.

    Of 3.3 GB of features. The title says how long the disk takes for them, and the memory of a whole fit, of which the
    file's pages are a part.
    """
    with tempfile.TemporaryDirectory() as folder, single_thread():
        path = Path(folder) / "features.npy"
        outputs = _streamed_outputs(path, rows, width)
        disk = _seconds_of_disk(path)
        features = outputs.require_features()
        columns = FitRows(rows, lambda some: features[some].astype(np.float32), outputs.is_correct, features)
        seconds = []
        for epochs in (1, 1, 4):  # the first warms up
            start = time.perf_counter()
            fit_oracle_net(columns, steep_slope, ColumnSettings(epochs=epochs))
            seconds.append(time.perf_counter() - start)
        ours = (seconds[2] - seconds[1]) / 3  # what another epoch adds
        Oracle(epochs=1).fit(outputs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        theirs = _loader_seconds(outputs, measured)
    rates = f"{rows / ours:,.0f} rows/s (goal {GOAL:,}), {ours / disk:.2f} of what the disk takes, peak {peak:.1f} GiB"
    title = f"epoch of fit, {rows:,} × {width:,} float16 in a file: {rates}, against a DataLoader"
    return Comparison(title, ours, theirs, goal=3)


def _seconds_of_disk(path: Path) -> float:
    """Return how long it takes to read a file that is not in the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        start = time.perf_counter()
        while file.read(2**24):
            pass
        return time.perf_counter() - start


def _streamed_outputs(path: Path, rows: int, width: int) -> ClassifierOutputs:
    rng = np.random.default_rng(0)
    with path.open("wb") as file:  # not mapped, so that the peak of memory is the fit's
        header = {"descr": "<f2", "fortran_order": False, "shape": (rows, width)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, rows, BLOCK):
            size = min(BLOCK, rows - start), width
            rng.standard_normal(size, dtype=np.float32).astype(np.float16).tofile(file)
    labels = rng.integers(4, size=rows)
    logits = rng.standard_normal((rows, 4), dtype=np.float32)
    logits[np.arange(rows), labels] += 2
    return ClassifierOutputs(logits, labels, np.load(path, mmap_mode="r"))


def _loader_seconds(outputs: ClassifierOutputs, measured: int) -> float:
    """Return one epoch of the same step fed by a DataLoader, from a part of it."""
    weights = torch.zeros(outputs.require_features().shape[1], requires_grad=True)
    optimizer = torch.optim.AdamW([weights], fused=True)
    start = time.perf_counter()
    for columns, target in DataLoader(_Mapped(outputs, measured), batch_size=BATCH, shuffle=True):
        optimizer.zero_grad()
        steep_slope(columns.float() @ weights, target).mean().backward()
        optimizer.step()
    return (time.perf_counter() - start) * len(outputs) / measured
