"""Recolouring as a shift: what the classifier sees is what was attacked, on the fly and from disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from steepslope.classifiers.specs import load_classifier
from steepslope.cli.main import main
from steepslope.data.shifted import Shifted
from steepslope.errors import SteepslopeError
from steepslope.outputs import ClassifierOutputs
from steepslope.shifts.options import RecolorOptions
from steepslope.shifts.recolor import Recoloring, RecolorSpec, random_recolored, recolored, unnormalised
from steepslope.shifts.specs import parse_data
from tests.images import TINY, folder_of


def test_extraction_on_the_fly_sees_the_attack_unrounded(home: Path, tmp_path: Path) -> None:
    """And finds an accuracy below that on the clean images, as images on disk do."""
    classifier = f"checkpoint:{home}/classifier"
    recolored = f"recolor:{classifier}?steps=40&learning_rate=0.003"
    extract = ["extract", "--classifier", classifier, "--data", f"{recolored}/digits:test", "--out", f"{tmp_path}/fly"]
    assert main(extract) == 0
    words = f"shift recolor --data digits:test --classifier {classifier} --steps 40 --learning-rate 0.003"
    assert main([*words.split(), "--format", "npy", "--out", f"{tmp_path}/images"]) == 0
    again = ["extract", "--classifier", classifier, "--data", f"imagefolder:{tmp_path}/images", "--out"]
    assert main([*again, f"{tmp_path}/disk"]) == 0
    fly, disk = (ClassifierOutputs.load(tmp_path / name) for name in ("fly", "disk"))
    clean = ClassifierOutputs.load(home / "outputs" / "test")
    assert fly.is_correct.mean() < clean.is_correct.mean() - 0.03
    assert disk.is_correct.mean() == fly.is_correct.mean()
    assert fly.ids is not None
    assert disk.ids is not None
    place = {str(name): row for row, name in enumerate(fly.ids)}
    rows = [place[str(name).split("/", 1)[1].removesuffix(".npy")] for name in disk.ids]
    np.testing.assert_allclose(disk.logits, fly.logits[rows], atol=1e-4)


def test_images_are_those_of_the_classifiers_input(tmp_path: Path, photos_folder: Path) -> None:
    data = parse_data(f"recolor:{TINY}?image_size=20&mean=0.5&std=0.25&steps=2/images:{photos_folder}").look().open()
    assert isinstance(data, Shifted)
    assert data.shift.size == (20, 20)
    assert {np.asarray(data.image(row)).shape for row in range(4)} == {(20, 20, 3)}


def test_a_bound_of_0_is_the_image_as_the_classifier_sees_it(photos_folder: Path) -> None:
    one = parse_data(f"recolor:{TINY}?image_size=20&mean=0&std=1&steps=2&bound=0/images:{photos_folder}").open()
    net = load_classifier(TINY).with_transform(20, 0.0, 1.0)
    plain = net.transform(parse_data(f"images:{photos_folder}").open().image(0))
    assert np.array_equal(np.moveaxis(np.asarray(one.image(0)), 2, 0), plain.clamp(0, 1).numpy())


def test_the_spec_is_its_own_text() -> None:
    for text in (
        "recolor:checkpoint:here/digits:test",
        "recolor:timm:resnet18?weights=/a/b.pth&bound=0.03&steps=300&mean=0.5,0.5,0.4&image_size=64/images:there",
        "recolor:torchvision:resnet50?keep=last/corrupt:fog:3/digits:test",
    ):
        assert str(parse_data(text)) == text
    spec = parse_data("recolor:timm:resnet18?dropout=0.1&bound=0.03&weights=w.pth/digits").shifts[0]
    assert isinstance(spec, RecolorSpec)
    assert spec.classifier == "timm:resnet18?dropout=0.1&weights=w.pth"
    assert spec.options == RecolorOptions(bound=0.03)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recolor:onnx:net.onnx", "onnx:net.onnx: expected a classifier with gradients to recolour against, found one"),
        ("recolor:timm:resnet18?bound=2", "bound: expected a number from 0 to 1, found 2"),
        ("recolor:timm:resnet18?steps=0", "steps: expected a whole number >= 1, found 0"),
        ("recolor:timm:resnet18?keep=first", "keep: expected best or last, found 'first'"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        parse_data(f"{text}/digits:test").look()


def test_labels_must_be_the_classifiers(home: Path) -> None:
    shift = Recoloring(load_classifier(f"checkpoint:{home}/classifier").with_transform(), RecolorOptions(steps=1))
    image = np.zeros((8, 8, 1), np.float32)
    with pytest.raises(SteepslopeError, match=r"expected labels in 0…9, the classifier's classes, found 10"):
        shift([image], ["a"], np.array([10]))


def test_the_attack_lowers_accuracy_more_than_random_maps_of_the_same_bound(home: Path) -> None:
    net = load_classifier(f"checkpoint:{home}/classifier").with_transform()
    data = parse_data("digits:test").open()
    assert data.labels is not None
    images = torch.stack([unnormalised(net.transform)(data.image(row)) for row in range(300)])
    labels, options = torch.from_numpy(data.labels[:300].copy()), RecolorOptions(learning_rate=0.003)

    def accuracy(pixels: torch.Tensor) -> float:
        mean, std = net.transform.mean[0], net.transform.std[0]
        return float((net((pixels - mean) / std)[1].argmax(axis=1) == labels.numpy()).mean())

    drawn = [random_recolored(images, options, torch.Generator().manual_seed(seed)) for seed in range(5)]
    attacked = recolored(net, images, labels, options)
    assert accuracy(attacked.images) < min(map(accuracy, [images, *drawn])) - 0.03


def test_what_decides_is_in_the_fingerprint(home: Path) -> None:
    net = f"checkpoint:{home}/classifier"
    texts = [f"recolor:{net}?{query}/digits:test" for query in ("bound=0.06", "bound=0.05", "steps=9", "mean=0.4")]
    one = Recoloring(load_classifier("net:digits-net").with_transform(mean=0.3, std=0.3), RecolorOptions())
    other = Shifted(parse_data("digits:test").open(), one)
    assert len({other.fingerprint(), *(parse_data(text).open().fingerprint() for text in texts)}) == 5


def test_auxiliary_features_are_of_the_same_shifted_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels of named classes lead the attack; a backbone without names, or another shift, would see other images."""
    root = folder_of(tmp_path / "photos", 2, ("one", "two", "zero"))
    (tmp_path / "names.txt").write_text("\n".join(("zero", "one", "two", *map(str, range(7)))))
    inputs = "--image-size 12 --mean 0.5 --std 0.5"
    shift = "recolor:module:tests.nets:ten_classes?image_size=12&mean=0.5&std=0.5&steps=2"
    spec = f"{shift}/imagefolder:{root}"
    extract = f"extract --classifier module:tests.nets:ten_classes {inputs} --out {tmp_path}/out"
    assert main([*extract.split(), "--data", spec, "--classes", str(tmp_path / "names.txt")]) == 0
    assert main([*extract.split(), "--data", spec, "--auxiliary"]) == 0
    outputs = ClassifierOutputs.load(tmp_path / "out")
    np.testing.assert_allclose(outputs.require("auxiliary"), outputs.require("features"), atol=1e-5)
    for other in (f"imagefolder:{root}", f"{shift}&bound=0.01/imagefolder:{root}"):
        shutil.rmtree(tmp_path / "out" / "auxiliary")
        assert main([*extract.split(), "--data", other, "--auxiliary"]) == 2
        assert "expected images shifted as those of the outputs (method recolor" in capsys.readouterr().err
        (tmp_path / "out" / "auxiliary").mkdir()
