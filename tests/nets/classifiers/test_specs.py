"""What holds of every kind of classifier, and specs that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from steepslope.errors import SteepslopeError
from steepslope.nets.classifiers._specs import CLASSIFIERS, architecture_spec, load_classifier, spec_without_weights
from tests.images import EFFICIENTNET
from tests.nets.classifiers.test_onnx_net import save_onnx


@pytest.fixture
def examples(home: Path, tmp_path: Path) -> dict[str, str]:
    """Return a small classifier of every scheme."""
    save_onnx(tmp_path / "net.onnx", "n")
    return {
        "checkpoint": f"checkpoint:{home / 'classifier'}",
        "net": "net:digits-net",
        "timm": "timm:resnet10t?weights=random",
        "torchvision": "torchvision:resnet18?weights=random",
        "module": "module:tests.tiny_nets:tiny",
        "onnx": f"onnx:{tmp_path / 'net.onnx'}",
    }


@pytest.mark.parametrize("scheme", CLASSIFIERS)
def test_every_kind_keeps_the_contract(scheme: str, examples: dict[str, str]) -> None:
    assert examples.keys() == CLASSIFIERS.keys()
    classifier = load_classifier(examples[scheme]).with_transform(mean=0.5, std=[0.25])
    transform = classifier.transform
    features, logits = classifier(torch.zeros((3, transform.channels, *transform.size)))
    assert logits.shape == (3, classifier.num_classes)
    assert features is not None
    assert features.ndim == 2
    assert features.dtype == logits.dtype == np.float32
    assert (transform.mean, transform.std) == ((0.5,) * transform.channels, (0.25,) * transform.channels)
    assert load_classifier(examples[scheme]).digest == classifier.digest
    assert classifier.trainable == (scheme != "onnx")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("onnx:", "expected something after onnx:"),
        ("checkpont:x", "did you mean 'checkpoint'"),
        ("timm:efficientnet_lite", "did you mean 'efficientnet_lite"),
        ("torchvision:resnet5", "did you mean 'resnet50'"),
        ("timm:resnet18?weight=x", "did you mean 'weights'"),
        ("timm:resnet18?weights=no.pth", "no.pth: cannot be read as weights"),
        (EFFICIENTNET.replace("lite0", "lite1", 1), "expected weights of this architecture: "),
        ("timm:resnet18?weights=random&dropout=2", r"dropout: expected a rate in \[0, 1\), found '2'"),
        ("module:no.such:net", "no.such:net: cannot be imported"),
        ("module:tests.images:EFFICIENTNET", "not callable"),
    ],
)
def test_what_is_no_classifier_is_one_line(spec: str, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message) as error:
        load_classifier(spec)
    assert "\n" not in str(error.value)


def test_an_architecture_is_the_spec_without_weights() -> None:
    for name in ("timm:resnet18", "torchvision:resnet18"):
        given = f"{name}?weights=random"
        assert architecture_spec(load_classifier(given)) == spec_without_weights(f"{name}?weights=mine.pt") == given
    assert spec_without_weights("module:a?b:c") == "module:a?b:c"
