"""The evidence that is kept of a batch, from usual and unusual nets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from steepslope.classifiers.specs import load_classifier
from steepslope.cli.main import main
from steepslope.extraction.engine import on_backend
from steepslope.extraction.machines import single_device
from steepslope.extraction.options import ExtractionOptions
from steepslope.outputs import ClassifierOutputs
from tests.images import TINY, extract_folder, extracted, folder_of, words
from tests.nets import tiny_convolutions


def test_features_by_choice(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 3)
    assert extract_folder(data, tmp_path / "half", "--features", "float16") == 0
    assert extract_folder(data, tmp_path / "none", "--evidence", "none") == 0
    assert ClassifierOutputs.load(tmp_path / "half").require_features().dtype == np.float16
    assert ClassifierOutputs.load(tmp_path / "none").features is None
    assert ClassifierOutputs.load(tmp_path / "half").logits.dtype == np.float32


def test_dropout_passes_are_averaged(images: Path, tmp_path: Path) -> None:
    """The mean of many passes comes close to that of all masks on the last layer's inputs, which is linear."""
    options = ("--evidence", "features,dropout", "--passes", "400", "--shard-rows", "7", "--batch-size", "7")
    outputs = extracted(TINY, images, tmp_path / "a", *options)
    assert outputs.dropout is not None
    assert outputs.dropout.shape == (24, 2, 3)
    log_mean, deviation = outputs.dropout[:, 0], outputs.dropout[:, 1]
    np.testing.assert_allclose(np.exp(log_mean).sum(axis=1), 1, atol=1e-5)
    net = tiny_convolutions()
    rng = np.random.default_rng(0)
    masks = 2 * rng.integers(2, size=(4000, 1, 32))
    weight, bias = net.last.weight.detach().numpy(), net.last.bias.detach().numpy()
    logits = (masks * outputs.require_features()) @ weight.T + bias
    probabilities = torch.from_numpy(logits).softmax(dim=2).numpy()
    np.testing.assert_allclose(np.exp(log_mean), probabilities.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(deviation, probabilities.std(axis=0), atol=0.02)
    again = extracted(TINY, images, tmp_path / "b", *options)
    np.testing.assert_array_equal(again.dropout, outputs.dropout)


def test_low_precision_is_close(images: Path, tmp_path: Path) -> None:
    exact = extracted(TINY, images, tmp_path / "32")
    half = extracted(TINY, images, tmp_path / "bf16", "--precision", "bf16")
    assert half.logits.dtype == np.float32
    np.testing.assert_allclose(half.logits, exact.logits, atol=0.02)
    assert not np.array_equal(half.logits, exact.logits)


def test_unusual_nets_are_read_right(images: Path, tmp_path: Path) -> None:
    for name, width in (("Viewing", 32), ("Backwards", 4)):
        outputs = extracted(f"module:tests.nets:{name}", images, tmp_path / name)
        assert outputs.require_features().shape == (24, width)
        assert outputs.num_classes == 3


def test_transformers_drop_too(images: Path, tmp_path: Path) -> None:
    options = ("--evidence", "dropout", "--passes", "5")
    outputs = extracted("module:tests.nets:attentive", images, tmp_path / "out", *options)
    assert (outputs.require("dropout")[:, 1] > 0).all()


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("squeezed", ["--evidence", "dropout"], "expected dropout layers for dropout passes, found none"),
        ("softmax", [], "expected logits, found probabilities"),
        ("pairs", [], "expected logits of shape (n, K), K >= 2, found tuple"),
        ("numb", [], "found NaN or infinity"),
        ("huge", ["--features", "float16"], "is too large for float16: keep float32"),
        ("tiny_convolutions", ["--precision", "fp16"], "precision: expected 32 or bf16 on a CPU, found 'fp16'"),
        ("tiny_convolutions", ["--precision", "bf16", "--backend", "onnx"], "backend: onnx runs in precision 32"),
    ],
)
def test_bad_nets_and_precisions_are_named(
    spec: str, options: list[str], message: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(f"module:tests.nets:{spec}", images, tmp_path / "out", *options)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_backends_agree_on_images(images: Path, tmp_path: Path) -> None:
    by_torch = extracted(TINY, images, tmp_path / "torch", "--backend", "torch")
    by_onnx = extracted(TINY, images, tmp_path / "onnx", "--backend", "onnx", "--batch-size", "5")
    np.testing.assert_allclose(by_torch.logits, by_onnx.logits, atol=1e-5)
    np.testing.assert_allclose(by_torch.require_features(), by_onnx.require_features(), atol=1e-5)
    assert main(words(TINY, images, tmp_path / "onnx", "--backend", "torch")) == 2


def test_auto_takes_onnx_for_large_inputs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    exported = nn.Identity()
    monkeypatch.setattr("steepslope.extraction.engine.as_onnx", lambda *_: exported)
    for side in (16, 64):
        classifier = load_classifier(TINY).with_transform(side, 0.5, 0.5)
        net = on_backend(classifier, ExtractionOptions(), single_device()).net
        assert (net is exported) == (side == 64)


def test_what_cannot_be_exported_is_one_line(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words("module:tests.nets:Stubborn", images, tmp_path / "out", "--backend", "onnx")) == 2
    error = capsys.readouterr().err
    assert "cannot be exported to ONNX" in error
    assert error.count("\n") == 1
