"""The same net by PyTorch and ONNX Runtime, in one process and two, and the evidence that is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from steepslope.classifiers.onnx_net import as_onnx
from steepslope.classifiers.specs import load_classifier
from steepslope.cli import main
from steepslope.errors import SteepslopeError
from steepslope.extraction.engine import dropout_layers
from steepslope.extraction.options import VIEW_NAMES, ExtractionOptions
from steepslope.extraction.views import VIEWS
from steepslope.outputs import ClassifierOutputs
from steepslope.utilities.files import read_json
from tests.extraction.test_extraction import EFFICIENTNET, folder_of

TINY = "module:tests.extraction.test_backends:tiny_convolutions"


class Convolutions(nn.Module):
    """A small net with dropout, for images of any size; as other people's, it says nothing of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.5))
        self.last = nn.Linear(32, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.body(images))
        return logits


def tiny_convolutions() -> Convolutions:
    torch.manual_seed(0)
    return Convolutions()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("images") / "data", 8)


def words(classifier: str, data: Path, out: Path, *options: str) -> list[str]:
    given = ["extract", "--classifier", classifier, "--data", f"imagefolder:{data}", "--out", str(out)]
    return [*given, "--image-size", "16", "--mean", "[0.5]", "--std", "[0.25]", *options]


def extracted(classifier: str, data: Path, out: Path, *options: str) -> ClassifierOutputs:
    assert main(words(classifier, data, out, *options)) == 0
    return ClassifierOutputs.load(out)


def test_real_weights_agree_between_backends() -> None:
    classifier = load_classifier(EFFICIENTNET)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn((5, 3, 224, 224), generator=generator)
    net = as_onnx(classifier.net, images, classifier.spec)
    with torch.inference_mode():
        expected, found = classifier.net(images), net(images)
    for one, other in zip(expected, found, strict=True):
        assert (one - other).abs().max() < 1e-3
    assert torch.equal(expected[1].argmax(dim=1), found[1].argmax(dim=1))


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


class Stubborn(Convolutions):
    """A net whose path depends on the values, which no exporter can follow."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images if images.sum() > 0 else -images)


def test_what_cannot_be_exported_runs_on_torch(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = "module:tests.extraction.test_backends:Stubborn"
    assert main(words(spec, images, tmp_path / "a", "--image-size", "64")) == 0
    assert "PyTorch runs the classifier" in capsys.readouterr().err
    assert main(words(spec, images, tmp_path / "b", "--backend", "onnx")) == 2
    error = capsys.readouterr().err
    assert "cannot be exported to ONNX" in error
    assert error.count("\n") == 1


def test_views_are_the_logits_of_changed_images(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outputs = extracted(
        TINY, images, out, "--evidence", "views,features", "--views", "flip,right,flip", "--backend=onnx"
    )
    assert outputs.views is not None
    assert outputs.views.shape == (24, 2, 3)
    assert read_json(out / "manifest.json", "outputs")["views"] == ["flip", "right"]
    mirrored = tmp_path / "mirrored"
    for path in images.rglob("*.png"):
        from PIL import Image, ImageOps

        (mirrored / path.parent.name).mkdir(parents=True, exist_ok=True)
        ImageOps.mirror(Image.open(path)).save(mirrored / path.parent.name / path.name)
    expected = extracted(TINY, mirrored, tmp_path / "expected", "--backend=torch")
    np.testing.assert_allclose(outputs.views[:, 0], expected.logits, atol=0.02)  # resizing rounds to whole pixels
    assert np.abs(outputs.views[:, 0] - outputs.logits).mean() > 0.02


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


def test_timm_models_get_dropout_by_rate() -> None:
    assert not dropout_layers(load_classifier("timm:resnet18?weights=random").net)
    assert dropout_layers(load_classifier("timm:resnet18?weights=random&dropout=0.3").net)


def test_low_precision_is_close(images: Path, tmp_path: Path) -> None:
    exact = extracted(TINY, images, tmp_path / "32")
    half = extracted(TINY, images, tmp_path / "bf16", "--precision", "bf16")
    assert half.logits.dtype == np.float32
    np.testing.assert_allclose(half.logits, exact.logits, atol=0.02)
    assert not np.array_equal(half.logits, exact.logits)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--evidence", "view"], "unknown evidence 'view': did you mean 'views'?"),
        (["--evidence", "views", "--views", "flop"], "unknown view 'flop': did you mean 'flip'?"),
        (["--evidence", "dropout", "--backend", "onnx"], "dropout passes need torch"),
        (["--evidence", "dropout", "--passes", "1"], "passes: expected a whole number >= 2, found 1"),
        (["--devices", "0"], "devices: expected a whole number >= 1, found 0"),
        (["--strategy", "dp2"], "strategy and precision: cannot be had here"),
    ],
)
def test_bad_options_are_named(
    options: list[str], message: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(TINY, images, tmp_path / "out", *options)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("spec", "message"), [("tiny", "expected dropout layers for"), ("resnet18", "found '2'")])
def test_dropout_needs_layers(spec: str, message: str, images: Path, tmp_path: Path) -> None:
    from steepslope.data.datasets import parse_dataset
    from steepslope.extraction.extraction import extract_to_folder

    names = {
        "tiny": "module:tests.nets:tiny",
        "resnet18": "timm:resnet18?weights=random&dropout=2",
    }
    with pytest.raises(SteepslopeError, match=message):
        extract_to_folder(
            load_classifier(names[spec]),
            parse_dataset(f"imagefolder:{images}"),
            tmp_path / "out",
            ExtractionOptions(evidence=("dropout",)),
        )


def launch(given: list[str], launcher: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    command = [sys.executable, "-m", *launcher, "steepslope", *given]
    return subprocess.run(command, capture_output=True, text=True, env={**kept, "OMP_NUM_THREADS": "1", **environment})


@pytest.mark.parametrize("launcher", ["fabric", "torchrun"])
def test_two_processes_give_the_same_arrays(launcher: str, images: Path, tmp_path: Path) -> None:
    options = ("--shard-rows", "5", "--batch-size", "4", "--evidence", "features,views,dropout", "--passes", "3")
    extracted(TINY, images, tmp_path / "one", *options)
    given = words(TINY, images, tmp_path / "two", *options)
    if launcher == "torchrun":
        result = launch(given, ["torch.distributed.run", "--nproc-per-node", "2", "-m"])
    else:
        result = launch([*given, "--devices", "2"], [])
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("24 predictions") == 1
    files = {path.name for path in (tmp_path / "one").iterdir()}
    assert files == {path.name for path in (tmp_path / "two").iterdir()}
    for name in ("logits", "features", "labels", "views", "dropout"):
        one, two = (np.load(tmp_path / folder / f"{name}.npy") for folder in ("one", "two"))
        np.testing.assert_array_equal(one, two)


def test_when_one_process_fails_all_do(images: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(images, tmp_path / "data")
    (tmp_path / "data" / "bee" / "0003.png").write_text("text")
    given = words(TINY, tmp_path / "data", tmp_path / "out", "--shard-rows", "4", "--devices", "2")
    result = launch(given, [])
    assert result.returncode == 2
    assert result.stderr.count("bee/0003.png: cannot be read as an image") == 1
    assert result.stderr.count("another process failed") == 1
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_torchrun_and_the_options_must_agree(images: Path, tmp_path: Path) -> None:
    given = words(TINY, images, tmp_path / "out", "--devices", "3")
    environment = {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2", "RANK": "0"}
    result = launch(given, [], **environment)
    assert result.returncode == 2
    assert "expected 2 processes, as torchrun started, found 3 × 1" in result.stderr


def test_outputs_keep_views_and_dropout_in_shape() -> None:
    logits, labels = np.zeros((4, 3)), np.zeros(4, dtype=int)
    good: dict[str, Any] = {"views": np.zeros((4, 5, 3)), "dropout": np.zeros((4, 2, 3))}
    ClassifierOutputs(logits, labels, further=good)
    for name, shape in (("views", (4, 3)), ("views", (4, 0, 3)), ("dropout", (4, 3, 3)), ("dropout", (4, 2, 2))):
        with pytest.raises(SteepslopeError, match=f"{name}: expected float16, float32 or float64 of shape"):
            ClassifierOutputs(logits, labels, further={name: np.zeros(shape)})


class Viewing(Convolutions):
    """A net that flattens by ``view``, which channels-last layers do not allow."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.body[:3](images)
        logits: torch.Tensor = self.last(maps.view(-1, 32))
        return logits


class Backwards(nn.Module):
    """A net whose last layer is not the one registered last."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.stem = nn.Linear(4, 3), nn.Linear(3 * 16 * 16, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.stem(images.flatten(1)))
        return logits


def test_unusual_nets_are_read_right(images: Path, tmp_path: Path) -> None:
    for name, width in (("Viewing", 32), ("Backwards", 4)):
        outputs = extracted(f"module:tests.extraction.test_backends:{name}", images, tmp_path / name)
        assert outputs.require_features().shape == (24, width)
        assert outputs.num_classes == 3


class Attentive(nn.Module):
    """A transformer, whose encoder has a fast path without its dropout layers."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.5, batch_first=True)
        self.encoder, self.last = nn.TransformerEncoder(layer, 1), nn.Linear(16, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.encoder(images.mean(dim=1)).mean(dim=1))
        return logits


def attentive() -> nn.Module:
    torch.manual_seed(0)
    return Attentive()


def test_transformers_drop_too(images: Path, tmp_path: Path) -> None:
    options = ("--evidence", "dropout", "--passes", "5")
    outputs = extracted("module:tests.extraction.test_backends:attentive", images, tmp_path / "out", *options)
    assert (outputs.require("dropout")[:, 1] > 0).all()


def test_views_do_not_depend_on_the_precision(images: Path, tmp_path: Path) -> None:
    exact, half = (
        extracted(TINY, images, tmp_path / precision, "--evidence", "views", "--precision", precision)
        for precision in ("32", "bf16")
    )
    np.testing.assert_allclose(half.require("views"), exact.require("views"), atol=0.02)


def softmax() -> nn.Module:
    return nn.Sequential(tiny_convolutions(), nn.Softmax(dim=1))


def pairs() -> nn.Module:
    class Pairs(Convolutions):
        def forward(self, images: torch.Tensor) -> Any:
            return super().forward(images), images

    return Pairs()


def numb() -> nn.Module:
    """Give NaN on dark images only, so that no probe finds it."""

    class Numb(Convolutions):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images) * torch.where(images.amax() > 1.9, torch.nan, 1.0)

    return Numb()


def huge() -> nn.Module:
    net = tiny_convolutions()
    torch.nn.init.constant_(net.body.get_submodule("0").get_parameter("weight"), 1e6)
    return net


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("softmax", [], "expected logits, found probabilities"),
        ("pairs", [], "expected logits of shape (n, K), K >= 2, found tuple"),
        ("numb", [], "found NaN or infinity"),
        ("huge", ["--features", "float16"], "is too large for float16: keep float32"),
        ("tiny_convolutions", ["--precision", "fp16"], "precision: expected 32 or bf16 on a CPU, found 'fp16'"),
        (
            "tiny_convolutions",
            ["--precision", "bf16", "--backend", "onnx"],
            "precision: expected 32 with the backend onnx",
        ),
    ],
)
def test_bad_nets_and_precisions_are_named(
    spec: str, options: list[str], message: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(f"module:tests.extraction.test_backends:{spec}", images, tmp_path / "out", *options)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_another_dropout_rate_is_another_classifier() -> None:
    first, again, other = (
        load_classifier(f"timm:resnet18?weights=random&dropout={rate}").digest for rate in (0.1, 0.1, 0.9)
    )
    assert first == again != other


def unseeded() -> nn.Module:
    torch.seed()
    return Convolutions()


def test_processes_with_different_nets_are_refused(images: Path, tmp_path: Path) -> None:
    result = launch(
        [*words("module:tests.extraction.test_backends:unseeded", images, tmp_path / "out"), "--devices", "2"], []
    )
    assert result.returncode == 2
    assert "expected the same digest in all processes" in result.stderr
