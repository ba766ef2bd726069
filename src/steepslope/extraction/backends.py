"""Which library runs a classifier: PyTorch, or ONNX Runtime where it agrees and pays."""

from dataclasses import replace
from importlib.util import find_spec

import torch
from lightning_fabric import Fabric

from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.onnx_net import as_onnx
from steepslope.errors import SteepslopeError
from steepslope.extraction.options import ExtractionOptions
from steepslope.utilities.progress import console

SMALL = 64  # inputs of fewer pixels a side cost less than an export
CHECK_ROWS = 4


def on_backend(classifier: Classifier, options: ExtractionOptions, fabric: Fabric) -> Classifier:
    """Return the classifier as the backend runs it; ``auto`` takes ONNX Runtime where it can and pays."""
    if not classifier.trainable and (options.backend == "torch" or options.precision != "32"):
        raise SteepslopeError("expected the backend onnx and precision 32, since it is a file", classifier.spec)
    wanted = options.backend == "onnx" or (options.backend == "auto" and _onnx_pays(classifier, options, fabric))
    if not classifier.trainable or not wanted:
        return classifier
    generator = torch.Generator().manual_seed(0)
    size = (CHECK_ROWS, classifier.transform.channels, *classifier.transform.size)
    try:
        return replace(classifier, net=as_onnx(classifier.net, torch.randn(size, generator=generator), classifier.spec))
    except SteepslopeError as error:
        if options.backend == "onnx":
            raise
        console().print(f"PyTorch runs the classifier ({error})")
        return classifier


def _onnx_pays(classifier: Classifier, options: ExtractionOptions, fabric: Fabric) -> bool:
    return (
        fabric.device.type == "cpu"
        and options.precision == "32"
        and "dropout" not in options.evidence
        and min(classifier.transform.size) >= SMALL
        and all(find_spec(name) is not None for name in ("onnxruntime", "onnxscript"))
    )
