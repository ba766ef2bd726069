"""Decisions on images in memory: the same as on files of them, whatever they are given as, or one line."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._confidence_source import Origin
from steepslope.gate._decisions import Decisions
from steepslope.nets.classifiers._classifier import Classifier
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.predict._image_gate import ImageGate, _pictures_in_memory
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from tests.images import PIXELS, TINY, digits, extract_folder, folder_of, opened
from tests.tiny_nets import tiny

BACKBONE = "module:tests.tiny_nets:ten_classes"
COUNT = 12


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return digits(COUNT)


@pytest.fixture(scope="module")
def free(gates: Path) -> ImageGate:
    return ImageGate.load(gates / "free")


def of_outputs(gates: Path, kind: str) -> Decisions:
    outputs = ClassifierOutputs.load(gates / "outputs" / "test")
    return Gate.load(gates / kind).decide(outputs.subset(slice(0, COUNT)))


def same(found: Decisions, expected: Decisions) -> None:
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.decision, expected.decision)
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-6)
    np.testing.assert_allclose(found.trust_logit, expected.trust_logit, rtol=1e-4, atol=1e-4)


FORMS: dict[str, Callable[[NDArray[np.uint8]], Any]] = {
    "(m, H, W)": lambda pixels: pixels,
    "(m, H, W, 1)": lambda pixels: pixels[..., None],
    "(m, H, W, 3)": lambda pixels: np.repeat(pixels[..., None], 3, axis=3),
    "(m, H, W, 4)": lambda pixels: np.concatenate(
        [np.repeat(pixels[..., None], 3, axis=3), np.full((*pixels.shape, 1), 255, np.uint8)], axis=3
    ),
    "PIL in colour": lambda pixels: [Image.fromarray(one).convert("RGB") for one in pixels],
    "arrays and PIL": lambda pixels: [pixels[0], *(Image.fromarray(one) for one in pixels[1:])],
    "a generator": lambda pixels: (one for one in pixels),
    "floats in [0, 1]": lambda pixels: pixels / 255,
    "uint16": lambda pixels: pixels.astype(np.uint16) * 257,
    "not contiguous": lambda pixels: np.repeat(pixels, 2, axis=1)[:, ::2],
}


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_of_an_image_are_the_same(form: str, pixels: NDArray[np.uint8], free: ImageGate, gates: Path) -> None:
    found = free.predict(FORMS[form](pixels))
    same(found, of_outputs(gates, "free"))
    assert found.ids is not None
    assert found.ids.tolist() == [str(row) for row in range(COUNT)]


def test_one_image(pixels: NDArray[np.uint8], free: ImageGate, gates: Path) -> None:
    expected = of_outputs(gates, "free")
    for one in (pixels[0], Image.fromarray(pixels[0]), [pixels[0]], pixels[:1]):
        found = free.predict(one)
        assert len(found) == 1
        np.testing.assert_allclose(found.trust_logit, expected.trust_logit[:1], rtol=1e-4, atol=1e-4)


def test_tensors_are_taken_as_the_net_takes_them(pixels: NDArray[np.uint8], free: ImageGate, gates: Path) -> None:
    several = torch.stack([free.classifier.transform(Image.fromarray(one)) for one in pixels])
    for form in (several, several.double(), list(several), tuple(several)):
        same(free.predict(form), of_outputs(gates, "free"))
    assert len(free.predict(several[0])) == 1


def test_more_images_than_a_batch(free: ImageGate, gates: Path) -> None:
    data = opened("digits:test")
    found = free.predict([data.image(row) for row in range(150)])
    outputs = ClassifierOutputs.load(gates / "outputs" / "test").subset(slice(0, 150))
    same(found, Gate.load(gates / "free").decide(outputs))


BAD: dict[str, tuple[Any, str]] = {
    "none": ([], "images: expected at least one, found none"),
    "an array of none": (np.zeros((0, 8, 8), np.uint8), "images: expected at least one, found none"),
    "no pixels": (np.zeros((0, 0), np.uint8), r"expected an image \(H, W\) or \(H, W, C\), found shape \(0, 0\)"),
    "rows": ([np.zeros(3, np.uint8)], r"found shape \(3,\)"),
    "five axes": (np.zeros((1, 2, 8, 8, 3), np.uint8), "found shape"),
    "lists": ([[1, 2], [3, 4]], "images: expected PIL images or arrays, found list among them"),
    "a name": ("cat.png", "images: expected images, arrays or tensors, found str"),
    "nothing": (None, "found NoneType"),
    "wide whole numbers": (np.full((8, 8), 255), "expected uint8, uint16 or floats in .0, 1., found int64"),
    "floats up to 255": (np.full((8, 8), 255.0), "found floats from 255 to 255"),
    "text": (np.full((8, 8), "a"), "found <U1"),
    "another size": (np.zeros((9, 8), np.uint8), "0: expected an image of 8×8 pixels, found 8×9"),
    "two channels": (np.zeros((8, 8, 2), np.uint8), "0: expected an image of 1 channels|found"),
    "a tensor in colour": (torch.zeros(3, 8, 8), r"expected tensors \(m, 1, 8, 8\), as the classifier takes them, fou"),
    "whole numbers in a tensor": (torch.zeros(1, 8, 8, dtype=torch.uint8), "floats, normalised .* torch.uint8"),
    "tensors of two shapes": ([torch.zeros(1, 8, 8), torch.zeros(1, 9, 9)], "expected tensors .C, H, W. of one shape"),
    "a tensor of NaN": (torch.full((1, 8, 8), torch.nan), "logits"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_image_is_one_line(what: str, free: ImageGate) -> None:
    images, expected = BAD[what]
    with pytest.raises(SteepslopeError, match=expected) as caught:
        free.predict(images)
    assert "\n" not in str(caught.value)


def test_an_image_that_is_broken_is_named(tmp_path: Path, free: ImageGate) -> None:
    path = tmp_path / "broken.png"
    Image.fromarray(PIXELS[0]).save(path)
    path.write_bytes(path.read_bytes()[:1000])
    with Image.open(path) as image, pytest.raises(SteepslopeError, match="images: 1: cannot be read as an image"):
        free.predict([np.zeros((8, 8), np.uint8), image])


def test_two_backbones_see_the_same_image(pixels: NDArray[np.uint8], gates: Path) -> None:
    gate = ImageGate.load(gates / "auxiliary", auxiliary=BACKBONE)
    found = gate.predict(pixels)
    same(found, of_outputs(gates, "auxiliary"))
    expected = of_outputs(gates, "auxiliary").handed_over
    assert found.handed_over is not None
    assert expected is not None
    np.testing.assert_allclose(found.handed_over, expected, atol=1e-4)
    with pytest.raises(SteepslopeError, match="images: expected PIL images or arrays, which both nets can see"):
        gate.predict(torch.zeros(1, 8, 8))
    with pytest.raises(SteepslopeError, match="auxiliary: expected none, since this gate needs no second backbone"):
        ImageGate.load(gates / "free", auxiliary=BACKBONE)
    with pytest.raises(SteepslopeError, match="auxiliary: expected the net that the gate was calibrated for"):
        ImageGate.load(gates / "auxiliary", auxiliary=TINY)


def test_the_net_is_given_in_every_way(home: Path, gates: Path, pixels: NDArray[np.uint8]) -> None:
    spec = f"checkpoint:{home / 'classifier'}"
    own = load_classifier(spec)
    ways: list[str | Classifier | nn.Module] = [spec, own, own.net, own.net.net]  # type: ignore[list-item]
    for given in ways:
        same(ImageGate.load(gates / "free", classifier=given).predict(pixels), of_outputs(gates, "free"))
    changed = load_classifier(spec)
    with torch.no_grad():
        next(changed.net.parameters()).add_(1e-3)
    for other in (changed.net, replace(own, digest="b" * 64), "module:tests.tiny_nets:flat_grey"):
        with pytest.raises(SteepslopeError, match="classifier: expected the net that the gate was calibrated for"):
            ImageGate.load(gates / "free", classifier=other)


def test_a_checkpoint_that_moved(home: Path, tmp_path: Path) -> None:
    """The error says what to do, and it helps."""
    here, there, rows = tmp_path / "here", tmp_path / "there", tmp_path / "rows"
    shutil.copytree(home / "classifier", here)
    assert main(f"extract --classifier checkpoint:{here} --data digits:test --out {rows}".split()) == 0
    Gate.of(MCP(), ClassifierOutputs.load(rows), 0.2, origin=Origin.from_folder(rows)).save(tmp_path / "gate")
    here.rename(there)
    remedy = r"here.* \(if the net has moved, pass --classifier SPEC\)"
    with pytest.raises(SteepslopeError, match=remedy):
        ImageGate.load(tmp_path / "gate")
    assert len(ImageGate.load(tmp_path / "gate", f"checkpoint:{there}").predict(np.zeros((8, 8), np.uint8))) == 1


@pytest.fixture(scope="module")
def of_colour(tmp_path_factory: pytest.TempPathFactory) -> tuple[Gate, Path]:
    """Make a gate for a net of one's own in colour; what it is worth does not matter."""
    home = tmp_path_factory.mktemp("colour")
    photos = folder_of(home / "photos", 30)
    assert extract_folder(photos, home / "outputs") == 0
    outputs = ClassifierOutputs.load(home / "outputs")
    gate = Gate.of(MCP(), outputs, 0.9, origin=Origin.from_folder(home / "outputs"))
    gate.save(home / "gate")
    return gate, home


def test_code_of_ones_own_is_given(of_colour: tuple[Gate, Path]) -> None:
    gate, home = of_colour
    files = sorted((home / "photos").rglob("*.png"))[:5]
    outputs = ClassifierOutputs.load(home / "outputs").subset(slice(0, 5))
    images = [Image.open(path) for path in files]
    for given in (tiny(), "module:tests.tiny_nets:tiny"):
        same(ImageGate.load(home / "gate", classifier=given).predict(images), gate.decide(outputs))
    with pytest.raises(SteepslopeError, match=r"classifier: module:.* is code of your own"):
        ImageGate.of(gate)
    assert gate.decide(outputs).names(np.array([1, 0])).tolist() == ["bee", "ant"]


def test_pictures_in_colour_and_grey(of_colour: tuple[Gate, Path]) -> None:
    gate = ImageGate.of(of_colour[0], tiny())
    assert len(gate.predict(PIXELS)) == 6
    assert len(gate.predict(PIXELS[0])) == 1
    assert len(gate.predict(PIXELS[..., 0])) == 6  # grey ones
    with pytest.raises(SteepslopeError, match="0: expected an image of 3 channels, found"):
        gate.predict(PIXELS[..., 0] / 255)


def test_without_a_record_a_classifier_has_to_be_given(home: Path, gates: Path, pixels: NDArray[np.uint8]) -> None:
    gate = Gate.of(MCP(), ClassifierOutputs.load(gates / "outputs" / "test"), 0.2)
    given = load_classifier(f"checkpoint:{home / 'classifier'}")
    found = ImageGate.of(gate, given).predict(pixels).trust_logit
    np.testing.assert_allclose(found, of_outputs(gates, "mcp").trust_logit, atol=1e-6)
    for other in (None, given.net, "checkpoint:there"):
        with pytest.raises(SteepslopeError, match="classifier: expected calibration outputs that extract made"):
            ImageGate.of(gate, other)


def test_what_is_kept_of_an_image(gates: Path) -> None:
    for kind, evidence in {"mcp": (), "free": ("features",)}.items():
        assert ImageGate.load(gates / kind).options.evidence == evidence


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there fp16 is possible")
def test_a_precision_of_gpus_is_refused_on_a_cpu(gates: Path) -> None:
    gate = Gate.load(gates / "mcp")
    with pytest.raises(SteepslopeError, match="precision: expected 32 or bf16 on a CPU, found 'fp16'"):
        ImageGate.of(replace(gate, origin=replace(gate.origin, precision="fp16"))).predict(np.zeros((8, 8), np.uint8))


def test_an_oracle_on_images_sees_them(gate_on_images: Path, tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(SteepslopeError, match=r"expected an oracle on outputs, found one on images: .*ImageGate"):
        Gate.load(gate_on_images)
    gate = ImageGate.load(gate_on_images)
    found = gate.predict(pixels)
    out = tmp_path / "found.parquet"
    assert main(f"predict --gate {gate_on_images} --data digits:test --out {out} --shard-rows 100".split()) == 0
    table = pq.read_table(out).slice(0, COUNT)
    np.testing.assert_allclose(found.trust_logit, table["trust_logit"].to_numpy(), rtol=1e-4, atol=1e-4)
    with pytest.raises(SteepslopeError, match="this oracle needs the images"):
        gate.predict(torch.zeros(1, 8, 8))


def test_lists_of_pictures() -> None:
    assert [one.mode for one in _pictures_in_memory(PIXELS)] == ["RGB"] * 6  # type: ignore[union-attr]
    satellite = np.zeros((4, 5, 6), np.uint8)
    assert [one.shape for one in _pictures_in_memory(satellite, 6)] == [(4, 5, 6)]  # type: ignore[union-attr]
    assert len(_pictures_in_memory(satellite)) == 4


def test_nets_of_opinions_that_nothing_recorded_are_given_as_classifiers(opinions: Path, home: Path) -> None:
    """Their classes go by names, or by their places where they have none; a spec could be any net."""
    outputs = ClassifierOutputs.load(home / "outputs" / "test")
    other = ClassifierOutputs.load(opinions / "outputs" / "test" / "opinions" / "second")
    both = outputs.with_opinion("second", other)
    oracle = Oracle(inputs=("logits", "opinion_second"), epochs=1).fit(both.subset(slice(0, 300)))
    origin = Origin.from_folder(home / "outputs" / "test")
    gate = Gate.of(oracle, both.subset(slice(300, None)), 0.3, origin=origin)
    net = load_classifier(f"checkpoint:{opinions / 'second'}").with_transform()
    data = opened("digits:test")
    found = ImageGate.of(gate, opinions={"second": net}).predict([data.image(row) for row in range(20)])
    np.testing.assert_allclose(found.trust_logit, gate.decide(both.subset(slice(20))).trust_logit, rtol=1e-3, atol=1e-3)
    for given in ({}, {"second": f"checkpoint:{opinions / 'second'}"}):
        with pytest.raises(SteepslopeError, match="opinion second: no net of it is recorded, so images cannot"):
            ImageGate.of(gate, opinions=given)
