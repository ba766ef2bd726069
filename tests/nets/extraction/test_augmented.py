"""Outputs of augmented copies beside outputs: what is kept of them, how they come to be, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.files._folders import read_json, write_json
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._augmentation import AUGMENTATIONS, Augmented
from steepslope.nets.data._specs import parse_data
from steepslope.nets.extraction._engine import _noise_of_images
from steepslope.outputs import ClassifierOutputs
from tests.cli.predictions import refused
from tests.conftest import Captured, contents
from tests.images import auxiliary, extract_folder, folder_of, opened


def test_each_copy_is_what_the_net_makes_of_it(images: Path, tmp_path: Path) -> None:
    options = ["--augment", "2"]
    assert extract_folder(images, tmp_path / "out", "--evidence", "features,views,noise", *options) == 0
    outputs = ClassifierOutputs.load(tmp_path / "out")
    logits_of_copies = outputs.require("augmented_logits")
    assert logits_of_copies.shape == (24, 2, 3)
    assert np.shares_memory(outputs.augmented().logits, logits_of_copies)  # type: ignore[union-attr]
    net = load_classifier("module:tests.tiny_nets:tiny").with_transform()
    copies = Augmented(opened(f"imagefolder:{images}"), 2)
    for row in (0, 1, 17, 47):
        inputs = net.transform(copies.image(row))[None]
        features, logits = net(inputs)
        place = row // 2, row % 2
        np.testing.assert_allclose(logits_of_copies[place], logits[0], atol=1e-5)
        np.testing.assert_allclose(outputs.require("augmented_features")[place], np.asarray(features)[0], atol=1e-5)
        np.testing.assert_allclose(outputs.require("augmented_noise")[place], _noise_of_images(inputs)[0], rtol=1e-4)
    assert {path.name for path in (tmp_path / "out" / "augmented").iterdir()} == {
        "features.npy", "ids.json", "labels.npy", "logits.npy", "manifest.json", "noise.npy",
    }  # fmt: skip
    record = read_json(tmp_path / "out" / "augmented" / "manifest.json", "outputs")["extraction"]["augmented"]
    assert record == {"copies": 2, "kinds": [*AUGMENTATIONS], "seed": 0}


def test_copies_are_added_to_complete_outputs(tmp_path: Path, capsys: Captured) -> None:
    """What lies there stays as it is; a second run has nothing to do, and other copies are refused."""
    data, out = folder_of(tmp_path / "data", 2), tmp_path / "out"
    assert extract_folder(data, out, "--augment", "0") == 0
    before = contents(out)
    capsys.readouterr()
    assert extract_folder(data, out, "--augment", "2") == 0
    assert capsys.readouterr().err.count("already complete") == 1
    after = contents(out)
    assert {name: after[name] for name in before} == before
    assert {Path(name).parts[0] for name in after.keys() - before.keys()} == {"augmented"}
    for options in (["--augment", "2"], []):  # nothing is asked for: other copies stay
        assert extract_folder(data, out, *options) == 0
        assert capsys.readouterr().err.count("already complete") == 1 + bool(options)
    assert extract_folder(data, out, "--augment", "3") == 2
    refused(capsys, "augmented: holds outputs already, with ")
    assert contents(out) == after
    plain = tmp_path / "plain"
    assert extract_folder(data, plain, "--evidence", "none", "--augment", "1") == 0
    assert list(ClassifierOutputs.load(plain).arrays) == ["ids", "labels", "logits", "augmented_logits"]


def test_labelled_images_get_a_copy_unasked(tmp_path: Path) -> None:
    data, unlabelled = folder_of(tmp_path / "data", 2), tmp_path / "unlabelled"
    assert extract_folder(data, tmp_path / "out") == extract_folder(data, tmp_path / "asked", "--augment", "1") == 0
    assert contents(tmp_path / "asked") == contents(tmp_path / "out")
    net = "--classifier module:tests.tiny_nets:squeezed --image-size 8 --mean 0.5 --std 0.5"
    assert main(f"extract {net} --data images:{data} --out {unlabelled}".split()) == 0
    assert not (unlabelled / "augmented").exists()


def test_splits_that_are_fitted_on_get_copies(home: Path, idx_folder: Path, tmp_path: Path) -> None:
    """And an auxiliary backbone sees the same ones, with nothing to say again."""
    out, spec = tmp_path / "outputs", f"idx:{idx_folder}"
    words = ["extract", "--classifier", f"checkpoint:{home / 'classifier'}", "--data", spec, "--out", str(out)]
    assert main([*words, "--augment", "0"]) == 0
    assert auxiliary(spec, out) == 0
    assert main([*words, "--augment", "2"]) == 0
    assert ClassifierOutputs.load(out / "train").augmented_auxiliary is None
    assert auxiliary(spec, out) == 0
    for part in ("train", "holdout"):
        outputs = ClassifierOutputs.load(out / part)
        copies = outputs.augmented()
        assert copies is not None
        assert copies.require("auxiliary").shape == (40, 288)
        np.testing.assert_array_equal(copies.labels, np.repeat(outputs.require_labels(), 2))
    test = ClassifierOutputs.load(out / "test")
    assert (test.require("auxiliary").shape, test.augmented()) == ((20, 288), None)
    backbone = load_classifier("module:tests.tiny_nets:ten_classes").with_transform(12, 0.5, 0.5)
    outputs, data = ClassifierOutputs.load(out / "holdout"), parse_data(spec).load_into_memory("train")
    row = data.ids.tolist().index(outputs.require("ids")[3])
    copy = Augmented(data, 2).image(2 * row + 1)
    features, _ = backbone(backbone.transform(copy)[None])
    np.testing.assert_allclose(outputs.require("augmented_auxiliary")[3, 1], np.asarray(features)[0], atol=1e-5)


def test_a_named_split_gets_copies_unless_it_is_the_test_split(
    home: Path, idx_folder: Path, tmp_path: Path, capsys: Captured
) -> None:
    given = ["extract", "--classifier", f"checkpoint:{home / 'classifier'}", "--augment", "1"]
    assert main([*given, "--data", f"idx:{idx_folder}:test", "--out", str(tmp_path / "test")]) == 2
    assert f"found the test split idx:{idx_folder}:test" in capsys.readouterr().err
    assert not (tmp_path / "test").exists()
    assert main([*given, "--data", f"idx:{idx_folder}:train", "--out", str(tmp_path / "train")]) == 0
    assert ClassifierOutputs.load(tmp_path / "train").require("augmented_logits").shape == (40, 1, 10)


def test_copies_of_skipped_images_are_skipped(tmp_path: Path, capsys: Captured) -> None:
    data, out = folder_of(tmp_path / "data", 3), tmp_path / "out"
    (data / "bee" / "0001.png").write_bytes(b"")
    assert extract_folder(data, out, "--augment", "2", "--on-error", "skip") == 0
    outputs = ClassifierOutputs.load(out)
    assert outputs.require("augmented_logits").shape == (8, 2, 3)
    skipped = read_json(out / "augmented" / "manifest.json", "outputs")["skipped"]
    assert [one["id"] for one in skipped] == ["bee/0001.png#1", "bee/0001.png#2"]
    capsys.readouterr()
    assert auxiliary(f"imagefolder:{data}", out) == 0
    assert "288 auxiliary features of 16 images" in capsys.readouterr().err
    assert ClassifierOutputs.load(out).require("augmented_auxiliary").shape == (8, 2, 288)


def test_images_too_small_for_noise_are_kept_without(tmp_path: Path, capsys: Captured) -> None:
    data, out = folder_of(tmp_path / "data", 1), tmp_path / "out"
    net = "--classifier module:tests.tiny_nets:flat --image-size 2 --mean 0.5 --std 0.5"
    assert main(f"extract {net} --data imagefolder:{data} --augment 1 --out {out}".split()) == 0
    assert capsys.readouterr().err.count("noise is not kept: expected images of at least 3 × 3 pixels") == 1
    expected = ["ids", "labels", "logits", "features", "augmented_logits", "augmented_features"]
    assert list(ClassifierOutputs.load(out).arrays) == expected


def test_what_an_auxiliary_backbone_cannot_have(tmp_path: Path, capsys: Captured) -> None:
    data, out = folder_of(tmp_path / "data", 1), tmp_path / "out"
    assert extract_folder(data, out, "--augment", "1") == 0
    spec = f"imagefolder:{data}"
    for options, message in (
        (["--augment", "2"], "augment: expected none with another net"),
        (["--evidence", "noise"], "evidence: of an auxiliary backbone, expected features, found ('noise',)"),
    ):
        assert auxiliary(spec, out, *options) == 2
        assert message in capsys.readouterr().err
    path = out / "augmented" / "manifest.json"
    manifest = read_json(path, "outputs")
    for record, message in (
        ({"copies": 1, "kinds": ["fog"], "seed": 0}, "found others: extract them again"),
        ({"kinds": ["blur"]}, "the field 'copies' is missing"),
        ([], "field 'augmented': found [] of an unexpected type"),
    ):
        write_json(path, {**manifest, "extraction": {**manifest["extraction"], "augmented": record}})
        assert auxiliary(spec, out) == 2
        refused(capsys, f"{path}: ", message)


def test_copies_of_other_images_or_classifiers_are_refused(tmp_path: Path) -> None:
    for name in ("one", "other"):
        data = folder_of(tmp_path / name, 2, ("ant", "bee", "cow") if name == "one" else ("ant", "bat", "cow"))
        assert extract_folder(data, tmp_path / f"{name}-out", "--augment", "2") == 0
    out, other = tmp_path / "one-out", tmp_path / "other-out" / "augmented"
    shutil.rmtree(out / "augmented")
    shutil.copytree(other, out / "augmented")
    with pytest.raises(SteepslopeError, match=f"expected copies #1 to #A of each image of {out}, in the same order"):
        ClassifierOutputs.load(out)
    manifest = read_json(other / "manifest.json", "outputs")
    changed = {**manifest, "extraction": {**manifest["extraction"], "digest": "0" * 64}}
    write_json(out / "augmented" / "manifest.json", changed)
    with pytest.raises(SteepslopeError, match=f"expected outputs of the same classifier and input as {out}"):
        ClassifierOutputs.load(out)
