"""An epoch of an oracle's training on features in a file, against a DataLoader that shuffles the same file."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from benchmarks.timing import Comparison
from steepslope import ClassifierOutputs, Oracle
from steepslope.files.seeding import single_thread
from steepslope.losses import steep_slope

ROWS, WIDTH, BLOCK, MEASURED, GOAL = 1_280_000, 1_280, 10_000, 10_240, 200_000


class _Mapped(torch.utils.data.Dataset[tuple[NDArray[np.float16], np.bool_]]):
    """Rows of a mapped file one by one, the usual way."""

    def __init__(self, outputs: ClassifierOutputs) -> None:
        self.features, self.target = outputs.require_features(), outputs.is_correct

    def __len__(self) -> int:
        return MEASURED

    def __getitem__(self, index: int) -> tuple[NDArray[np.float16], np.bool_]:
        row = index * (ROWS // MEASURED)
        return np.array(self.features[row]), self.target[row]


def _outputs(path: Path) -> ClassifierOutputs:
    rng = np.random.default_rng(0)
    with path.open("wb") as file:  # not mapped, so that the peak of memory is the fit's
        header = {"descr": "<f2", "fortran_order": False, "shape": (ROWS, WIDTH)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(0, ROWS, BLOCK):
            rng.standard_normal((BLOCK, WIDTH), dtype=np.float32).astype(np.float16).tofile(file)
    labels = rng.integers(4, size=ROWS)
    logits = rng.standard_normal((ROWS, 4), dtype=np.float32)
    logits[np.arange(ROWS), labels] += 2
    return ClassifierOutputs(logits, labels, np.load(path, mmap_mode="r"))


def _epoch_seconds(outputs: ClassifierOutputs) -> float:
    """Return what a second epoch adds to a first."""
    seconds = []
    for epochs in (1, 1, 2):  # the first warms up
        start = time.perf_counter()
        Oracle(epochs=epochs).fit(outputs)
        seconds.append(time.perf_counter() - start)
    return seconds[2] - seconds[1]


def _loader_seconds(outputs: ClassifierOutputs) -> float:
    """Return one epoch of the same step fed by a DataLoader, from a part of it."""
    weights = torch.zeros(WIDTH, requires_grad=True)
    optimizer = torch.optim.AdamW([weights], fused=True)
    start = time.perf_counter()
    for columns, target in DataLoader(_Mapped(outputs), batch_size=256, shuffle=True):
        optimizer.zero_grad()
        steep_slope(columns.float() @ weights, target).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (time.perf_counter() - start) * ROWS / MEASURED


def streaming_against_loader() -> Comparison:
    """Time both on 3.3 GB of features, which the first also has to find in the page cache."""
    with tempfile.TemporaryDirectory() as folder, single_thread():
        outputs = _outputs(Path(folder) / "features.npy")
        ours = _epoch_seconds(outputs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        theirs = _loader_seconds(outputs)
    title = (
        f"epoch of fit, {ROWS:,} × {WIDTH:,} float16 in a file: {ROWS / ours:,.0f} rows/s (goal {GOAL:,}), "
        f"peak of the process {peak:.1f} GiB, against a DataLoader"
    )
    return Comparison(title, ours, theirs, goal=1)
