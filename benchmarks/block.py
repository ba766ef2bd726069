"""One block of Table 1 (4 losses × 3 seeds): outputs extracted once, against a classifier that runs in every step."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import Comparison
from steepslope import Oracle
from steepslope.classifiers.classifier import Classifier, module_digest
from steepslope.classifiers.nets import TwoParts, mnist_net
from steepslope.data.images import Images, row_ids
from steepslope.data.transforms import Transform
from steepslope.extraction.extraction import extract
from steepslope.extraction.options import ExtractionOptions
from steepslope.losses import LOSSES, PAPER_LOSSES
from steepslope.oracle.net import OracleNet

ROWS, EPOCHS, BATCH, SEEDS, MEASURED = 10_000, 15, 256, 3, 10


def _classifier() -> Classifier:
    torch.manual_seed(0)
    net = TwoParts(mnist_net(10)).eval()
    transform = Transform((28, 28), (0.5,), (0.5,), resize="exact")
    return Classifier("random mnist-net", net, transform, 10, module_digest(net))


def _ours(classifier: Classifier, images: Images) -> float:
    """Return the seconds for extraction and all twelve fits."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        outputs = extract(classifier, {out: ("random images", images)}, ExtractionOptions(batch_size=BATCH))[out]
        for loss in PAPER_LOSSES.values():
            for seed in range(SEEDS):
                Oracle(loss=loss, seed=seed, epochs=EPOCHS, batch_size=BATCH).fit(outputs)
    return time.perf_counter() - start


def _step_seconds(classifier: Classifier, images: Images) -> float:
    """Return one step of the authors' loop: decode a batch, run the classifier, judge it, train the head on it."""
    oracle = OracleNet(128, (), "hyperplane")
    optimizer = torch.optim.AdamW(oracle.parameters(), fused=True)
    labels = torch.from_numpy(images.labels)
    start = time.perf_counter()
    for step in range(MEASURED):
        rows = np.arange(step * BATCH, (step + 1) * BATCH)
        batch = torch.stack([classifier.transform(images.image(int(row))) for row in rows])
        with torch.no_grad():
            features, logits = classifier.net(batch)
        correct = logits.argmax(dim=1) == labels[rows]
        optimizer.zero_grad()
        LOSSES["steep_slope"](oracle(features), correct).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (time.perf_counter() - start) / MEASURED


def block_against_live_classifier() -> Comparison:
    """Time both with the same batches and epochs; the authors' steps are extrapolated from ten."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(ROWS, 28, 28), dtype=np.uint8)
    images = Images(pixels, rng.integers(10, size=ROWS), row_ids("random", np.arange(ROWS)))
    classifier = _classifier()
    _step_seconds(classifier, images)
    steps = len(PAPER_LOSSES) * SEEDS * EPOCHS * -(-ROWS // BATCH)
    ours, theirs = _ours(classifier, images), _step_seconds(classifier, images) * steps
    return Comparison(
        f"a block of Table 1, {len(PAPER_LOSSES)} losses × {SEEDS} seeds, {ROWS:,} images, {EPOCHS} epochs, "
        "against a classifier run in every step",
        ours,
        theirs,
        goal=20,
    )
