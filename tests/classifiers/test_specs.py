"""What holds of every kind of classifier, and specs that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from steepslope.classifiers.specs import CLASSIFIERS, architecture, load_classifier, without_weights
from steepslope.errors import SteepslopeError
from tests.classifiers.test_onnx_net import save_onnx


@pytest.fixture
def examples(home: Path, tmp_path: Path) -> dict[str, str]:
    """Return a small classifier of every scheme."""
    save_onnx(tmp_path / "net.onnx", "n")
    return {
        "checkpoint": f"checkpoint:{home / 'classifier'}",
        "net": "net:digits-net",
        "timm": "timm:resnet10t?weights=random",
        "torchvision": "torchvision:resnet18?weights=random",
        "module": "module:tests.nets:tiny",
        "onnx": f"onnx:{tmp_path / 'net.onnx'}",
    }


def test_examples_are_of_all_schemes(examples: dict[str, str]) -> None:
    assert examples.keys() == CLASSIFIERS.keys()


@pytest.mark.parametrize("scheme", CLASSIFIERS)
def test_every_kind_keeps_the_contract(scheme: str, examples: dict[str, str]) -> None:
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


@pytest.mark.parametrize("scheme", CLASSIFIERS)
def test_a_scheme_alone_is_no_classifier(scheme: str) -> None:
    with pytest.raises(SteepslopeError, match=f"expected something after {scheme}:"):
        load_classifier(f"{scheme}:")


def test_unknown_classifier_scheme_is_named() -> None:
    with pytest.raises(SteepslopeError, match="did you mean 'checkpoint'"):
        load_classifier("checkpont:x")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, "--mean and --std"),
        ({"mean": [1.0, 2.0], "std": 1.0}, "--mean"),
        ({"mean": 0.5, "std": 0.0}, "--std"),
        ({"mean": 0.5, "std": 0.5, "image_size": 0}, "--image-size"),
    ],
)
def test_a_wrong_input_is_named_by_its_option(changes: dict[str, float], place: str, tmp_path: Path) -> None:
    save_onnx(tmp_path / "net.onnx", "n")
    with pytest.raises(SteepslopeError) as error:
        load_classifier(f"onnx:{tmp_path / 'net.onnx'}").with_transform(**changes)  # type: ignore[arg-type]
    assert error.value.place == place


def test_an_architecture_is_the_spec_without_weights() -> None:
    for name in ("timm:resnet18", "torchvision:resnet18"):
        given = f"{name}?weights=random"
        assert architecture(load_classifier(given)) == without_weights(f"{name}?weights=mine.pt") == given
    assert without_weights("module:a?b:c") == "module:a?b:c"
