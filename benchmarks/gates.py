"""What trusting costs: a classifier's batch with an oracle on its features and logits, against the classifier alone.

Both run on ONNX Runtime: as extraction runs them, and as one exported file. So does extraction itself, against PyTorch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks.nets import LITE0, load
from benchmarks.timing import Comparison, median_seconds, medians_in_turn
from steepslope import ClassifierOutputs, Oracle
from steepslope.gate import ConfidenceSource, Gate
from steepslope.nets.export import IMAGES, LOGITS, export_gate, joined_graphs, net_piece, preparing_piece
from steepslope.nets.extraction import Engine, ExtractionOptions, classifier_on_backend, launched_processes
from steepslope.nets.predict import ImageGate
from steepslope.numerics import LinearPool, OpinionPool
from steepslope.oracle import FeatureHandover, FusedFit, FusedOracle, Pool
from steepslope.oracle.evidence import EVIDENCE

REFERENCES, NET_ROWS, SIDE = 50_000, 2_000, 256
FREE_INPUTS: dict[str, int] = {"logits": 1, "neighbors": 3, "feature_opinion": 1}  # with as many opinions each


def _random_outputs(n: int, width: int, classes: int) -> ClassifierOutputs:
    rng = np.random.default_rng(0)
    features, logits = (rng.standard_normal((n, columns), dtype=np.float32) for columns in (width, classes))
    labels = np.where(rng.random(n) < 0.8, logits.argmax(axis=1), 0)
    return ClassifierOutputs(logits, labels, features)


def random_fused(width: int, classes: int, references: int = REFERENCES) -> FusedOracle:
    """Return a fused oracle of the free budget at its most expensive; what it learnt does not matter here."""
    rows = {"neighbors": references, "feature_opinion": min(references, NET_ROWS)}
    learning = {name: EVIDENCE[name].learning for name in rows}
    states = {
        name: one.fit(_random_outputs(rows[name], width, classes)) for name, one in learning.items() if one is not None
    }
    count = sum(FREE_INPUTS.values())
    learnt, steady = OpinionPool(np.ones(count), np.zeros(1)), LinearPool(np.full(count, 1 / count), np.zeros(1))
    pool, fallback = (Pool(tuple(FREE_INPUTS), tuple(FREE_INPUTS.values()), one) for one in (learnt, steady))
    handover = FeatureHandover.from_outputs(_random_outputs(NET_ROWS, width, classes), None)
    oracle = FusedOracle(budget="free")
    oracle.fitted_ = FusedFit("free", pool, (fallback,), (handover,), states, 1.0, 0.0, classes)
    return oracle


def gate_against_bare_classifier(
    net: str = LITE0, fused: bool = False, batch: int = 32, rounds: int = 40, rows: int = 0, slower: float = 1.05
) -> Comparison:
    """Time a net with an oracle behind it, and alone; ``slower`` is how much longer a batch may take.

    The oracle is a plain one that is fitted to 5,000 rows, or a free ``fused`` one with 50,000 references, unless
    ``rows`` says otherwise.
    """
    classifier = load(net)
    images = torch.randn(
        (batch, classifier.transform.channels, *classifier.transform.size), generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        width, classes = (part.shape[1] for part in classifier.net(images[:1]))
    oracle: Any = (
        random_fused(width, classes, rows or REFERENCES)
        if fused
        else Oracle(inputs=("features", "logits"), epochs=1).fit(_random_outputs(rows or 5_000, width, classes))
    )
    labels, options = np.zeros(batch, dtype=np.int64), ExtractionOptions(evidence=("features",), backend="onnx")
    with launched_processes(options, options.backend) as fabric, torch.inference_mode():
        engine = Engine.on(classifier_on_backend(classifier, options, fabric), options, fabric)

        def trusted() -> None:
            arrays = engine(images, 0)
            oracle.trusts(ClassifierOutputs(arrays["logits"], labels, arrays["features"]))

        ours, theirs = medians_in_turn(trusted, lambda: engine(images, 0), rounds)
    kind = f"a free fused oracle, {rows or REFERENCES:,} references" if fused else "an oracle on features and logits"
    return Comparison(f"{net} and {kind}, batch {batch}, against the net alone", ours, theirs, goal=1 / slower)


def _session(model: Any) -> Any:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def exported_gate_against_classifier(batch: int = 32, rounds: int = 100, rows: int = REFERENCES) -> Comparison:
    """Time an exported file with a gate of the free budget, and one of the net alone; at most 5 % more latency.

    For a single image the references are read as a whole.
    """
    classifier = load(LITE0).with_transform()
    draw, classes = np.random.default_rng(0), 1000
    plain = Gate.calibrate(draw.normal(size=5_000), draw.random(5_000) < 0.9, 0.2, of_log_odds=True)
    source = ConfidenceSource.from_model(random_fused(1280, classes, rows), classes)
    gate = replace(plain, source=replace(source, shapes={"features": (1280,)}))
    judge = ImageGate(gate, classifier, {}, ExtractionOptions(evidence=("features",)))
    pieces = [
        preparing_piece("classifier", classifier.transform, 3),
        net_piece("classifier", classifier, {LOGITS: LOGITS}),
    ]
    whole, alone = _session(export_gate(judge).model), _session(joined_graphs(pieces, [IMAGES], [LOGITS]))
    feed = {IMAGES: draw.integers(0, 256, (batch, SIDE, SIDE, 3), dtype=np.uint8)}
    ours, theirs = medians_in_turn(lambda: whole.run(None, feed), lambda: alone.run(None, feed), rounds)
    title = f"exported: EfficientNet-Lite0 at 224 px with a fused gate (free), batch {batch}, against the net alone"
    return Comparison(title, ours, theirs, goal=1 / 1.05)


def backend_against_eager(batch: int = 32) -> Comparison:
    """Time extraction's backend and PyTorch eager on the same batch; raise if they do not agree."""
    classifier = load(LITE0)
    images = torch.randn((batch, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    options = ExtractionOptions(backend="onnx")
    with launched_processes(options, options.backend) as fabric, torch.inference_mode():
        engine = Engine.on(classifier_on_backend(classifier, options, fabric), options, fabric)
        theirs = median_seconds(lambda: classifier.net(images), 5)
        ours = median_seconds(lambda: engine(images, 0), 5)
        found, expected = torch.from_numpy(engine(images, 0)["logits"]), classifier.net(images)[1]
    gap = float((found - expected).abs().max())
    if gap > 1e-3 or not torch.equal(found.argmax(dim=1), expected.argmax(dim=1)):
        raise RuntimeError(f"the backends do not agree: logits differ by {gap}")
    rate = f"batch {batch} ({batch / ours:.0f} images/s)"
    return Comparison(f"extraction, EfficientNet-Lite0, 224 px, {rate}, against PyTorch eager", ours, theirs, goal=3)
