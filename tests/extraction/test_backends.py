"""PyTorch and ONNX Runtime give the same outputs, and each is taken where it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.cli import main
from steepslope.utilities.files import read_json
from tests.images import TINY, extracted, words


def test_backends_agree_on_images(images: Path, tmp_path: Path) -> None:
    by_torch = extracted(TINY, images, tmp_path / "torch", "--backend", "torch")
    by_onnx = extracted(TINY, images, tmp_path / "onnx", "--backend", "onnx", "--batch-size", "5")
    np.testing.assert_allclose(by_torch.logits, by_onnx.logits, atol=1e-5)
    np.testing.assert_allclose(by_torch.require_features(), by_onnx.require_features(), atol=1e-5)
    assert main(words(TINY, images, tmp_path / "onnx", "--backend", "torch")) == 2


def test_auto_takes_onnx_for_large_inputs_only(images: Path, tmp_path: Path) -> None:
    for side, backend in (("16", "torch"), ("64", "onnxruntime")):
        out = tmp_path / side
        assert main(words(TINY, images, out, "--image-size", side)) == 0
        assert backend in read_json(out / "manifest.json", "outputs")["extraction"]["versions"]


def test_what_cannot_be_exported_runs_on_torch(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = "module:tests.nets:Stubborn"
    assert main(words(spec, images, tmp_path / "a", "--image-size", "64")) == 0
    assert "PyTorch runs the classifier" in capsys.readouterr().err
    assert main(words(spec, images, tmp_path / "b", "--backend", "onnx")) == 2
    error = capsys.readouterr().err
    assert "cannot be exported to ONNX" in error
    assert error.count("\n") == 1
