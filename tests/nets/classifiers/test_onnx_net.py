"""ONNX files as classifiers, and the same net by PyTorch and ONNX Runtime."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.nets.classifiers import _onnx_net as onnx_net
from steepslope.nets.classifiers._onnx_net import OnnxNet, as_onnx
from steepslope.nets.classifiers._specs import load_classifier
from tests.images import EFFICIENTNET, TINY, extracted, words
from tests.tiny_nets import tiny_convolutions


@pytest.mark.slow
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


@pytest.mark.slow
def test_an_export_is_kept_and_checked_when_it_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its digest it is not made again, unless it is another net's, is damaged, or no longer gives the same."""
    monkeypatch.setenv("STEEPSLOPE_CACHE", str(tmp_path))
    made: list[str] = []
    export = onnx_net.exported_onnx

    def counted(*given: Any, **options: Any) -> bytes:
        made.append(given[4])
        return export(*given, **options)

    monkeypatch.setattr(onnx_net, "exported_onnx", counted)
    classifier = load_classifier(TINY).with_transform(16, 0.5, 0.5)
    net, images = classifier.net.requires_grad_(False), classifier.noise(4)
    first = as_onnx(net, images, "net", "digest")
    again = as_onnx(net, images, "net", "digest")
    assert made == ["net"]
    assert torch.equal(first(images)[1], again(images)[1])
    as_onnx(net, images, "another", "another digest")
    as_onnx(net, images[:, :, :8, :8], "smaller", "digest")
    assert made == ["net", "another", "smaller"]
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.1)
    changed = as_onnx(net, images, "changed", "digest")
    assert made[3:] == ["changed"]
    with torch.inference_mode():
        torch.testing.assert_close(changed(images)[1], net(images)[1], atol=1e-3, rtol=0)
    for path in tmp_path.iterdir():
        path.write_bytes(b"damaged")
    as_onnx(net, images, "damaged", "digest")
    assert made[4:] == ["damaged"]


def save_onnx(path: Path, batch: int | str, outputs: tuple[str, ...] = ("logits", "features")) -> None:
    """Write a net by hand: the features are each channel's mean, the logits are twice these."""
    image = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 3, 16, 16])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 3]) for name in outputs]
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    nodes = [
        helper.make_node("ReduceMean", ["pixels", "axes"], ["features"], keepdims=0),
        helper.make_node("Mul", ["features", "two"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "net", [image], results, [two, axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


@pytest.mark.parametrize("batch", [5, "n"])
def test_onnx_files_as_classifiers(batch: int | str, tmp_path: Path) -> None:
    save_onnx(tmp_path / "net.onnx", batch)
    classifier = load_classifier(f"onnx:{tmp_path}/net.onnx").with_transform(mean=[0, 0, 0], std=1)
    images = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    features, logits = classifier(images)
    np.testing.assert_allclose(np.asarray(features), images.mean(dim=(2, 3)), rtol=1e-5)
    np.testing.assert_allclose(logits, 2 * np.asarray(features), rtol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no\.onnx: expected an ONNX file, but it cannot be read"),
        (b"text", "cannot be read as an ONNX file"),
        ("normalisation", "--mean and --std: have to be given, since onnx:"),
        ("size", "cannot run on images of shape"),
    ],
)
def test_bad_onnx_files_are_named(content: bytes | str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "no.onnx"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        save_onnx(path, "n")
    size = 20 if content == "size" else 16
    given = {} if content == "normalisation" else {"image_size": size, "mean": 0.5, "std": 0.25}
    with pytest.raises(SteepslopeError, match=message):
        load_classifier(f"onnx:{path}").with_transform(**given)  # type: ignore[arg-type]


def test_onnx_weights_next_to_the_file(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's exporter puts the weights into a file of their own."""
    (tmp_path / "made").mkdir()
    path = tmp_path / "made" / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net, example = tiny_convolutions().eval(), (torch.zeros(2, 3, 16, 16),)
        shapes = [{0: torch.export.Dim("n")}]
        torch.onnx.export(net, example, path, dynamo=True, dynamic_shapes=shapes, external_data=True, verbose=False)
    (weights,) = path.parent.glob("*.data")
    monkeypatch.chdir(tmp_path)
    found = extracted(f"onnx:{path}", images, tmp_path / "onnx")
    expected = extracted(TINY, images, tmp_path / "torch")
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-5)
    before = load_classifier(f"onnx:{path}").digest
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert load_classifier(f"onnx:{path}").digest != before


def test_an_onnx_file_runs_on_its_own_backend_only(images: Path, tmp_path: Path) -> None:
    save_onnx(tmp_path / "net.onnx", "n", ("logits",))
    assert extracted(f"onnx:{tmp_path}/net.onnx", images, tmp_path / "out").features is None
    for options in (["--backend", "torch"], ["--precision", "bf16"]):
        assert main(words(f"onnx:{tmp_path}/net.onnx", images, tmp_path / "out", *options)) == 2


@pytest.mark.parametrize(
    ("shape", "names", "message"),
    [
        (["n", 3], ["a"], r"expected one input of float images \(n, C, H, W\), found x"),
        (["n", 3, 16, 16], ["a", "b"], "expected one output of floats"),
    ],
)
def test_what_is_no_classifier_of_images_is_refused(shape: list[Any], names: list[str], message: str) -> None:
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in names]
    nodes = [helper.make_node("Flatten", ["x"], [name]) for name in names]
    graph = helper.make_graph(nodes, "net", [image], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with pytest.raises(SteepslopeError, match=message):
        OnnxNet(model.SerializeToString(), "net.onnx")


@pytest.mark.parametrize("beside", [False, True])
def test_an_onnx_net_is_sent_to_another_process(beside: bool, tmp_path: Path) -> None:
    """The file may be gone then, but not the one beside it in which large weights are kept."""
    path = tmp_path / "net.onnx"
    save_onnx(path, "n")
    if beside:
        (tmp_path / "net.onnx.data").write_bytes(b"")
    classifier = load_classifier(f"onnx:{path}")
    sent = pickle.dumps(classifier)
    if not beside:
        path.unlink()
    images = torch.rand(3, 3, 16, 16)
    for one, other in zip(classifier.net(images), pickle.loads(sent).net(images), strict=True):
        np.testing.assert_array_equal(one, other)
