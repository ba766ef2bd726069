"""From any classifier and any data set to outputs, or to one line that says what is wrong."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from steepslope.classifiers.specs import load_classifier
from steepslope.classifiers.training import recipe_for, train_classifier
from steepslope.cli.main import main
from steepslope.data.images import Images
from steepslope.data.specs import holdout_split, parse_dataset
from steepslope.errors import SteepslopeError
from steepslope.extraction.extraction import extract, extract_to_folder, named_data, summary
from steepslope.extraction.options import ExtractionOptions
from steepslope.oracle import Oracle
from steepslope.outputs import ClassifierOutputs
from tests.conftest import write_idx
from tests.images import EFFICIENTNET, folder_of


@pytest.mark.parametrize(
    ("classifier", "data", "options", "message"),
    [
        ("timm:efficientnet_lite", "{}", [], "did you mean 'efficientnet_lite"),
        ("torchvision:resnet5", "{}", [], "did you mean 'resnet50'"),
        ("timm:resnet18?weight=x", "{}", [], "did you mean 'weights'"),
        ("timm:resnet18?weights=no.pth", "{}", [], "no.pth: cannot be read as weights"),
        (EFFICIENTNET.replace("lite0", "lite1", 1), "{}", [], "expected weights of this architecture: "),
        ("module:no.such:net", "{}", [], "cannot be imported and called"),
        ("module:tests.images:EFFICIENTNET", "{}", [], "not callable"),
        ("module:tests.nets:tiny", "imagefolder:no/such", [], "no such folder"),
        ("module:tests.nets:tiny", "{}/ant", [], "expected one subfolder a class"),
        ("module:tests.nets:tiny", "{}", ["--mean", "[1,2]"], "expected 1 or 3 numbers, found 2"),
        ("module:tests.nets:tiny", "{}", ["--image-size", "0"], "image-size: expected the side"),
        ("module:tests.nets:tiny", "{}", ["--classes", "{}/classes.txt"], "bee: the class 'bee' is none of"),
        ("timm:efficientnet_lite0?weights=random", "{}", [], "ant: the class 'ant' is none of"),
        ("module:tests.nets:tiny", "{}4", [], "expected 3 class folders, as many as the classifier has, found 4"),
        ("module:tests.nets:tiny", "{}0", [], "bee: expected images"),
    ],
)
def test_bad_extractions_say_so_in_one_line(
    classifier: str, data: str, options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder_of(tmp_path / "data", 1)
    (root / "classes.txt").write_text("ant\ncow\n")
    folder_of(tmp_path / "data4", 1, ("a", "b", "c", "d"))
    (folder_of(tmp_path / "data0", 1) / "bee" / "0000.png").unlink()
    spec = data.format(f"imagefolder:{root}")
    words = ["extract", "--classifier", classifier, "--data", spec, "--out", str(tmp_path / "out")]
    assert main([*words, *(option.format(root) for option in options)]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_extraction_keeps_rows_and_splits(home: Path, tmp_path: Path) -> None:
    classifier = load_classifier(f"checkpoint:{home / 'classifier'}")
    splits = {name: ClassifierOutputs.load(home / "outputs" / name) for name in ("train", "holdout", "test")}
    ids = [set(outputs.ids.tolist()) for outputs in splits.values() if outputs.ids is not None]
    assert sum(len(some) for some in ids) == len(set.union(*ids)) == 1797
    images = parse_dataset("digits").load("test")
    out = tmp_path / "again"
    again = extract(classifier, {out: ("digits:test", images)}, ExtractionOptions(batch_size=100))[out]
    np.testing.assert_allclose(again.logits, splits["test"].logits, atol=1e-5)
    assert again.features is not None
    assert again.features.shape == (797, 32)


def test_held_out_rows_are_known_under_any_name(idx_folder: Path, tmp_path: Path) -> None:
    """The split is recognised by the images, not by their folder's name; other images get a cut of their own."""
    recipe = recipe_for("digits-net", epochs=1)
    classifier, _ = train_classifier("digits-net", f"idx:{idx_folder}", tmp_path / "c", recipe, holdout=5)
    assert classifier.card is not None
    fitted, held_out = holdout_split(40, 5, classifier.card.split_seed)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(idx_folder, elsewhere)
    for spec in (f"idx:{idx_folder}/", f"idx:{elsewhere}"):
        splits = named_data(classifier, parse_dataset(spec), None)
        assert list(splits["holdout"].ids) == [f"train/{row:05d}" for row in held_out]
        assert len(splits["train"]) == len(fitted)
    write_idx(elsewhere / "train-images-idx3-ubyte", np.zeros((40, 8, 8), dtype=np.uint8))
    assert len(named_data(classifier, parse_dataset(f"idx:{elsewhere}"), None)["holdout"]) == 20


def test_empty_and_flat_images_are_refused(idx_folder: Path, home: Path, tmp_path: Path) -> None:
    classifier = load_classifier(f"checkpoint:{home / 'classifier'}")
    none = Images(np.zeros((0, 8, 8), np.uint8), np.zeros(0, np.int64), np.array([], dtype=str))
    with pytest.raises(SteepslopeError, match="mine: expected images, found none"):
        extract(classifier, {tmp_path / "none": ("mine", none)}, ExtractionOptions())
    write_idx(idx_folder / "train-images-idx3-ubyte", np.zeros((40, 8, 8), dtype=np.uint8))
    with pytest.raises(SteepslopeError, match="expected images that differ"):
        train_classifier("digits-net", f"idx:{idx_folder}", tmp_path / "c", recipe_for("digits-net"))


def test_the_library_tells_its_caller_and_prints_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder_of(tmp_path / "data", 2) / "bee" / "0000.png").write_bytes(b"damaged")
    classifier = load_classifier("module:tests.nets:Stubborn").with_transform(64, 0.5, 0.25)
    spec, out, lines = parse_dataset(f"imagefolder:{tmp_path / 'data'}"), tmp_path / "out", list[str]()
    options = ExtractionOptions(on_error="skip")
    extract_to_folder(classifier, spec, out, options)
    assert capsys.readouterr().err == ""
    extract_to_folder(classifier, spec, tmp_path / "again", options, notice=lines.append)
    extract_to_folder(classifier, spec, out, options, notice=lines.append)
    beginnings = [
        "PyTorch runs the classifier (",
        f"{tmp_path / 'again'}: 1 images could not be read and are listed in manifest.json",
        f"{tmp_path / 'again'}: 5 predictions, accuracy ",
        "PyTorch runs the classifier (",
        f"{out}: already complete, 5 predictions, accuracy ",
    ]
    assert all(line.startswith(beginning) for line, beginning in zip(lines, beginnings, strict=True)), lines
    assert capsys.readouterr().err == ""


def test_a_named_split_goes_to_the_folder_itself(home: Path, tmp_path: Path) -> None:
    classifier = load_classifier(f"checkpoint:{home / 'classifier'}")
    written = extract_to_folder(classifier, parse_dataset("digits:test"), tmp_path / "out")
    assert list(written) == [tmp_path / "out"]
    assert len(ClassifierOutputs.load(tmp_path / "out")) == 797


def test_images_that_do_not_fit_are_refused(home: Path, tmp_path: Path) -> None:
    classifier = load_classifier(f"checkpoint:{home / 'classifier'}")
    pixels, ids = np.zeros((2, 8, 8), dtype=np.uint8), np.array(["a", "b"])
    wrong = Images(pixels, np.array([0, 10]), ids)
    with pytest.raises(SteepslopeError, match="expected labels in 0…9, the classifier's classes, found 10 in row 1"):
        extract(classifier, {tmp_path: ("mine", wrong)}, ExtractionOptions())
    large = Images(np.zeros((2, 28, 28, 3), np.uint8), np.array([0, 1]), ids)
    with pytest.raises(SteepslopeError, match=r"mine: a: .*expected an image of 8×8 pixels, found 28×28"):
        extract(classifier, {tmp_path: ("mine", large)}, ExtractionOptions())


def test_preprocessing_of_an_extraction_serves_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = folder_of(tmp_path / "data", 1)
    words = ["extract", "--classifier", "module:tests.nets:grey", "--data", f"imagefolder:{data}", "--out"]
    first, again = tmp_path / "first", tmp_path / "again"
    assert main([*words, str(first), "--image-size", "9", "--mean", "0.4", "--std", "0.3", "--resize", "squash"]) == 0
    assert main([*words, str(again), "--preprocessing", str(first / "manifest.json")]) == 0
    manifests = [json.loads((out / "manifest.json").read_text()) for out in (first, again)]
    assert manifests[0] == manifests[1]
    assert manifests[0]["classes"] == ["ant", "bee", "cow"]
    assert manifests[0]["extraction"]["transform"]["mean"] == [0.4]


def test_names_of_classes_go_with_outputs(home: Path, tmp_path: Path) -> None:
    """From the data to the checkpoint, from there to outputs of other data, and to oracles, which refuse others."""
    digits = tuple("0123456789")
    classifier = load_classifier(f"checkpoint:{home / 'classifier'}")
    assert classifier.card is not None
    assert tuple(classifier.card.classes or ()) == digits
    fit_set, test = (ClassifierOutputs.load(home / "outputs" / name) for name in ("holdout", "test"))
    assert fit_set.classes == test.classes == digits
    Oracle().fit(fit_set).save(tmp_path / "oracle")
    oracle = Oracle.load(tmp_path / "oracle")
    assert len(oracle.trust_logit(test)) == len(oracle.trust_logit(test.named(None))) == 797
    with pytest.raises(SteepslopeError, match="the oracle: expected the same classes in the same order: 0 is '0'"):
        oracle.trust_logit(test.named(digits[::-1]))
    reference = ClassifierOutputs.load(home / "outputs" / "train").named(digits[::-1])
    for other in (Oracle(), Oracle(inputs="neighbors"), Oracle.fused()):
        with pytest.raises(SteepslopeError, match="reference: expected the same classes in the same order: 0 is '0'"):
            other.fit(fit_set, reference)


def test_a_checkpoint_refuses_data_of_other_classes(home: Path, tmp_path: Path) -> None:
    classifier = load_classifier(f"checkpoint:{home / 'classifier'}")
    letters = Images(np.zeros((2, 8, 8), np.uint8), np.array([0, 1]), np.array(["a", "b"]), tuple("abcdefghij"))
    with pytest.raises(SteepslopeError, match="mine: expected the classifier's classes, 0 is '0', found 'a'"):
        extract(classifier, {tmp_path: ("mine", letters)}, ExtractionOptions())


def test_labels_in_another_order_than_the_classes_are_noticed() -> None:
    labels = np.arange(300) % 3
    logits = 5.0 * np.eye(3)[labels]
    assert summary(ClassifierOutputs(logits, labels)) == "300 predictions, accuracy 100.00 %"
    moved = summary(ClassifierOutputs(logits, (labels + 1) % 3))
    assert moved.startswith("300 predictions, accuracy 0.00 %; WARNING: 100.00 % if its classes were in another order")
    few = ClassifierOutputs(logits[:50], (labels[:50] + 1) % 3)  # of which luck would make as much
    assert summary(few) == "50 predictions, accuracy 0.00 %"
    guesses = np.random.default_rng(0).normal(size=(300, 3))
    assert "WARNING" not in summary(ClassifierOutputs(guesses, labels))
