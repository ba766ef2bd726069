"""The evidence that is kept of a batch, from usual and unusual nets: views, estimates of noise, passes with dropout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from scipy.stats import norm
from torch import nn

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.files._folders import read_json
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._benchmark_sets import load_digits
from steepslope.nets.extraction._engine import VIEWS, _noise_of_images, classifier_on_backend
from steepslope.nets.extraction._machines import single_device
from steepslope.nets.extraction._options import VIEW_NAMES, ExtractionOptions
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import refused
from tests.conftest import Captured
from tests.images import TINY, extract_folder, extracted, folder_of, words
from tests.tiny_nets import tiny_convolutions


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
    exact = extracted(TINY, images, tmp_path / "32", "--evidence", "views")
    half = extracted(TINY, images, tmp_path / "bf16", "--evidence", "views", "--precision", "bf16")
    assert half.logits.dtype == np.float32
    np.testing.assert_allclose(half.logits, exact.logits, atol=0.02)
    assert not np.array_equal(half.logits, exact.logits)
    np.testing.assert_allclose(half.require("views"), exact.require("views"), atol=0.02)


def test_unusual_nets_are_read_right(images: Path, tmp_path: Path) -> None:
    for name, width in (("Viewing", 32), ("Backwards", 4)):
        outputs = extracted(f"module:tests.tiny_nets:{name}", images, tmp_path / name)
        assert outputs.require_features().shape == (24, width)
        assert outputs.num_classes == 3


def test_transformers_drop_too(images: Path, tmp_path: Path) -> None:
    options = ("--evidence", "dropout", "--passes", "5")
    outputs = extracted("module:tests.tiny_nets:attentive", images, tmp_path / "out", *options)
    assert (outputs.require("dropout")[:, 1] > 0).all()


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("squeezed", ["--evidence", "dropout"], "expected dropout layers for dropout passes, found none"),
        ("softmax", [], "expected logits, found probabilities"),
        ("pairs", [], "expected logits of shape (n, K), K >= 2, found tuple"),
        ("numb", [], "found NaN or infinity"),
        ("huge", ["--features", "float16"], "is too large for float16: keep float32"),
        ("Stubborn", ["--backend", "onnx"], "cannot be exported to ONNX"),
        ("tiny_convolutions", ["--precision", "fp16"], "precision: expected 32 or bf16 on a CPU, found 'fp16'"),
        ("tiny_convolutions", ["--precision", "bf16", "--backend", "onnx"], "backend: onnx runs in precision 32"),
    ],
)
def test_bad_nets_and_precisions_are_named(
    spec: str, options: list[str], message: str, images: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert main(words(f"module:tests.tiny_nets:{spec}", images, tmp_path / "out", *options)) == 2
    refused(capsys, message)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_backends_agree_on_images(images: Path, tmp_path: Path) -> None:
    by_torch = extracted(TINY, images, tmp_path / "torch", "--backend", "torch")
    by_onnx = extracted(TINY, images, tmp_path / "onnx", "--backend", "onnx", "--batch-size", "5")
    np.testing.assert_allclose(by_torch.logits, by_onnx.logits, atol=1e-5)
    np.testing.assert_allclose(by_torch.require_features(), by_onnx.require_features(), atol=1e-5)
    assert main(words(TINY, images, tmp_path / "onnx", "--backend", "torch")) == 2


def test_auto_takes_onnx_for_large_inputs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    exported = nn.Identity()
    monkeypatch.setattr("steepslope.nets.extraction._engine.as_onnx", lambda *_: exported)
    for side in (16, 64):
        classifier = load_classifier(TINY).with_transform(side, 0.5, 0.5)
        net = classifier_on_backend(classifier, ExtractionOptions(), single_device()).net
        assert (net is exported) == (side == 64)


def test_each_view_does_what_it_says() -> None:
    assert tuple(VIEWS) == VIEW_NAMES
    images = torch.zeros(2, 1, 28, 28)
    images[:, 0, 10, 20] = 1
    places = {name: divmod(int(view(images)[1].argmax()), 28) for name, view in VIEWS.items()}
    moved = {"flip": (10, 7), "left": (10, 19), "right": (10, 21), "up": (9, 20), "down": (11, 20)}
    assert {name: places[name] for name in moved} == moved
    assert places["shrink"] == (10, 19)
    assert places["grow"] == (10, 21)
    assert places["turn_left"][0] < 10 < places["turn_right"][0]
    assert float(VIEWS["blur"](images).max()) < 0.5
    assert float(VIEWS["more_contrast"](images).std()) == pytest.approx(1.2 * float(images.std()))
    assert float(VIEWS["less_contrast"](images).mean()) == pytest.approx(float(images.mean()), abs=1e-6)
    flat = torch.full((1, 3, 30, 20), 0.7)
    for name, view in VIEWS.items():
        torch.testing.assert_close(view(flat), flat, msg=f"{name} brings something in from outside")


def test_views_are_the_logits_of_changed_images(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outputs = extracted(TINY, images, out, "--evidence", "views,features", "--views", "flip,right")
    assert outputs.views is not None
    assert outputs.views.shape == (24, 2, 3)
    assert read_json(out / "manifest.json", "outputs")["views"] == ["flip", "right"]
    mirrored = tmp_path / "mirrored"
    for path in images.rglob("*.png"):
        (mirrored / path.parent.name).mkdir(parents=True, exist_ok=True)
        ImageOps.mirror(Image.open(path)).save(mirrored / path.parent.name / path.name)
    expected = extracted(TINY, mirrored, tmp_path / "expected")
    np.testing.assert_allclose(outputs.views[:, 0], expected.logits, atol=0.02)  # resizing rounds to whole pixels
    assert np.abs(outputs.views[:, 0] - outputs.logits).mean() > 0.02


@pytest.mark.parametrize(("sigma", "channels"), [(0.05, 3), (1.0, 1)])
def test_the_estimates_are_1_for_white_noise_and_0_for_a_ramp(sigma: float, channels: int) -> None:
    noise = sigma * torch.randn((2, channels, 150, 150), generator=torch.Generator().manual_seed(1))
    assert _noise_of_images(noise).numpy() == pytest.approx(1, rel=0.02)
    ramp = torch.linspace(-3, 3, 150).expand(2, channels, 150, 150) + 5
    assert _noise_of_images(ramp).numpy() == pytest.approx(0, abs=1e-4)
    assert _noise_of_images(torch.full((1, channels, 9, 9), sigma)).tolist() == [[0, 0]]


def test_they_follow_immerkaers_formula() -> None:
    """Mask and scale as in the paper, by explicit loops, over the mean difference as a deviation."""
    image = np.random.default_rng(0).normal(size=(6, 8))
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    responses = [abs((image[i : i + 3, j : j + 3] * mask).sum()) for i in range(4) for j in range(6)]
    differences = (np.abs(np.diff(image, axis=0)).mean() + np.abs(np.diff(image, axis=1)).mean()) / 2
    deviation = differences * np.sqrt(np.pi) / 2
    by_mean = np.sqrt(np.pi / 2) * sum(responses) / (6 * 6 * 4) / deviation
    by_median = sorted(responses)[11] / 6 / norm.ppf(0.75) / deviation  # the lower of the two in the middle
    found = _noise_of_images(torch.from_numpy(image)[None, None])[0]
    assert found.tolist() == pytest.approx([by_mean, by_median], rel=1e-5)


def test_images_below_the_mask_are_named() -> None:
    with pytest.raises(SteepslopeError, match="noise: expected images of at least 3 × 3 pixels, found 2 × 5"):
        _noise_of_images(torch.zeros(1, 1, 2, 5))


def test_noise_is_kept_unless_it_is_not_wanted(home: Path, images: Path, tmp_path: Path) -> None:
    assert extract_folder(images, tmp_path / "without", "--evidence", "features") == 0
    assert ClassifierOutputs.load(tmp_path / "without").noise is None
    outputs = ClassifierOutputs.load(home / "outputs" / "test")
    pixels = load_digits("", "test").pixels
    expected = _noise_of_images(torch.from_numpy(pixels[:, None].astype(np.float32)))  # whatever the normalisation
    np.testing.assert_allclose(outputs.require("noise"), expected, rtol=1e-3)
