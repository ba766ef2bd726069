"""From any classifier and any data set to outputs, or to one line that says what is wrong."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.files._progress import silent
from steepslope.nets.classifiers._options import ClassifierTraining
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.classifiers._training import train_classifier
from steepslope.nets.data._images import Images
from steepslope.nets.data._specs import holdout_split, parse_data
from steepslope.nets.extraction._extraction import data_by_split, extract, extract_to_folder, summary_of_outputs
from steepslope.nets.extraction._options import ExtractionOptions
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from tests.conftest import Captured, write_idx
from tests.images import folder_of


def test_extraction_keeps_rows_and_splits(home: Path, tmp_path: Path) -> None:
    classifier = load_classifier(f"checkpoint:{home / 'classifier'}")
    splits = {name: ClassifierOutputs.load(home / "outputs" / name) for name in ("train", "holdout", "test")}
    ids = [set(outputs.require("ids").tolist()) for outputs in splits.values()]
    assert sum(len(some) for some in ids) == len(set.union(*ids)) == 1797
    images = parse_data("digits").load("test")
    out = tmp_path / "again"
    again = extract(classifier, {out: ("digits:test", images)}, ExtractionOptions(batch_size=100))[out]
    np.testing.assert_allclose(again.logits, splits["test"].logits, atol=1e-5)
    assert again.require_features().shape == (797, 32)
    assert list(extract_to_folder(classifier, parse_data("digits:test"), out)) == [out]  # found complete there


def test_held_out_rows_are_known_under_any_name(idx_folder: Path, tmp_path: Path) -> None:
    """The split is recognised by the images, not by their folder's name; other images get a cut of their own."""
    recipe = ClassifierTraining(epochs=1)
    classifier, _ = train_classifier("digits-net", f"idx:{idx_folder}", tmp_path / "c", recipe, holdout=5)
    assert classifier.card is not None
    fitted, held_out = holdout_split(40, 5, classifier.card.split_seed)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(idx_folder, elsewhere)
    for spec in (f"idx:{idx_folder}/", f"idx:{elsewhere}"):
        splits = data_by_split(classifier, parse_data(spec), None)
        assert list(splits["holdout"].ids) == [f"train/{row:05d}" for row in held_out]
        assert len(splits["train"]) == len(fitted)
    write_idx(elsewhere / "train-images-idx3-ubyte", np.zeros((40, 8, 8), dtype=np.uint8))
    with pytest.raises(SteepslopeError, match="expected images that differ"):
        train_classifier("digits-net", f"idx:{elsewhere}", tmp_path / "c", recipe)
    assert len(data_by_split(classifier, parse_data(f"idx:{elsewhere}"), None)["holdout"]) == 20


def test_the_library_tells_its_caller_and_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    def failing(*_: object) -> None:
        raise SteepslopeError("cannot be exported")

    monkeypatch.setattr("steepslope.nets.extraction._engine.as_onnx", failing)
    (folder_of(tmp_path / "data", 2) / "bee" / "0000.png").write_bytes(b"damaged")
    classifier = load_classifier("module:tests.tiny_nets:tiny_convolutions").with_transform(64, 0.5, 0.25)
    spec, out, lines = parse_data(f"imagefolder:{tmp_path / 'data'}"), tmp_path / "out", list[str]()
    options = ExtractionOptions(on_error="skip", augment=0)
    for folder, notice in ((tmp_path / "silent", silent), (out, lines.append), (out, lines.append)):
        extract_to_folder(classifier, spec, folder, options, notice=notice)
    beginnings = [
        "PyTorch runs the classifier (cannot be exported)",
        f"{out}: 1 images could not be read and are listed in manifest.json",
        f"{out}: 5 predictions, accuracy ",
        "PyTorch runs the classifier (",
        f"{out}: already complete, 5 predictions, accuracy ",
    ]
    assert all(line.startswith(beginning) for line, beginning in zip(lines, beginnings, strict=True)), lines
    assert capsys.readouterr().err == ""


def test_images_that_do_not_fit_are_refused(home: Path, tmp_path: Path) -> None:
    classifier = load_classifier(f"checkpoint:{home / 'classifier'}")
    pixels, ids = np.zeros((2, 8, 8), dtype=np.uint8), np.array(["a", "b"])
    known = Images(pixels, np.array([0, -1]), ids)
    (outputs,) = extract(classifier, {tmp_path / "unknown": ("mine", known)}, ExtractionOptions()).values()
    assert outputs.is_unknown.tolist() == [False, True]
    assert "(1 out-of-class, which count as errors)" in summary_of_outputs(outputs)
    wrong = Images(pixels, np.array([0, 10]), ids)
    with pytest.raises(SteepslopeError, match="expected labels in 0…9, the classifier's classes, found 10 in row 1"):
        extract(classifier, {tmp_path: ("mine", wrong)}, ExtractionOptions())
    letters = replace(wrong, labels=np.array([0, 1]), classes=tuple("abcdefghij"))
    with pytest.raises(SteepslopeError, match="mine: expected the classifier's classes, 0 is '0', found 'a'"):
        extract(classifier, {tmp_path: ("mine", letters)}, ExtractionOptions())
    large = Images(np.zeros((2, 28, 28, 3), np.uint8), np.array([0, 1]), ids)
    with pytest.raises(SteepslopeError, match=r"mine: a: .*expected an image of 8×8 pixels, found 28×28"):
        extract(classifier, {tmp_path: ("mine", large)}, ExtractionOptions())
    none = Images(pixels[:0], np.zeros(0, np.int64), ids[:0])
    with pytest.raises(SteepslopeError, match="mine: expected images, found none"):
        extract(classifier, {tmp_path: ("mine", none)}, ExtractionOptions())


def test_preprocessing_of_an_extraction_serves_the_next(tmp_path: Path, capsys: Captured) -> None:
    data = folder_of(tmp_path / "data", 1)
    words = ["extract", "--classifier", "module:tests.tiny_nets:grey", "--data", f"imagefolder:{data}", "--out"]
    first, again = tmp_path / "first", tmp_path / "again"
    assert main([*words, str(first), "--image-size", "9", "--mean", "0.4", "--std", "0.3", "--resize", "squash"]) == 0
    assert main([*words, str(again), "--preprocessing", str(first / "manifest.json")]) == 0
    manifests = [json.loads((out / "manifest.json").read_text()) for out in (first, again)]
    assert manifests[0] == manifests[1]
    assert manifests[0]["classes"] == ["ant", "bee", "cow"]
    assert manifests[0]["extraction"]["transform"]["mean"] == [0.4]


def test_names_of_classes_go_with_outputs(home: Path) -> None:
    """From the data to the checkpoint, from there to outputs, and to oracles, which refuse others."""
    digits = tuple("0123456789")
    assert tuple(load_classifier(f"checkpoint:{home / 'classifier'}").classes or ()) == digits
    fit_set, test = (ClassifierOutputs.load(home / "outputs" / name) for name in ("holdout", "test"))
    assert fit_set.classes == test.classes == digits
    with pytest.raises(SteepslopeError, match="the oracle: expected the same classes in the same order: 0 is '0'"):
        Oracle(epochs=1).fit(fit_set).trust_logit(test.named(digits[::-1]))
    for other in (Oracle(), Oracle(inputs="neighbors"), Oracle.fused()):
        with pytest.raises(SteepslopeError, match="reference: expected the same classes in the same order: 0 is '0'"):
            other.fit(fit_set, test.named(digits[::-1]))


def test_labels_in_another_order_than_the_classes_are_noticed() -> None:
    labels = np.arange(300) % 3
    logits = 5.0 * np.eye(3)[labels]
    assert summary_of_outputs(ClassifierOutputs(logits, labels)) == "300 predictions, accuracy 100.00 %"
    moved = summary_of_outputs(ClassifierOutputs(logits, (labels + 1) % 3))
    assert moved.startswith("300 predictions, accuracy 0.00 %; WARNING: 100.00 % if its classes were in another order")
    few = ClassifierOutputs(logits[:50], (labels[:50] + 1) % 3)  # of which luck would make as much
    assert summary_of_outputs(few) == "50 predictions, accuracy 0.00 %"
    guesses = np.random.default_rng(0).normal(size=(300, 3))
    assert "WARNING" not in summary_of_outputs(ClassifierOutputs(guesses, labels))
