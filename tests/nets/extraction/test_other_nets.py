"""Features of a second backbone beside outputs: extracted for the same images, whatever their labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import log_softmax

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.files._folders import read_json, write_json
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.extraction._extraction import extract
from steepslope.nets.extraction._options import ExtractionOptions
from steepslope.outputs import ClassifierOutputs, ReadingOptions
from tests.conftest import Captured
from tests.images import auxiliary, extract_folder, folder_of, opened


def test_features_of_a_folder(tmp_path: Path, capsys: Captured) -> None:
    """Skipped images stay skipped; the rows keep their order, and a second run has nothing to do."""
    photos, out = folder_of(tmp_path / "photos", 3), tmp_path / "out"
    (photos / "bee" / "0001.png").write_bytes(b"")
    assert extract_folder(photos, out, "--on-error", "skip") == 0
    before = ClassifierOutputs.load(out)
    assert auxiliary(f"imagefolder:{photos}", out) == 0
    after = ClassifierOutputs.load(out)
    np.testing.assert_array_equal(after.logits, before.logits)
    assert auxiliary(f"imagefolder:{photos}", out) == 0
    assert "already complete, 288 auxiliary features of 8 images" in capsys.readouterr().err
    (photos / "bee" / "0001.png").unlink()
    net = load_classifier("module:tests.tiny_nets:ten_classes").with_transform(12, 0.5, 0.5)
    alone = extract(net, {tmp_path / "alone": ("", opened(f"images:{photos}"))}, ExtractionOptions())
    np.testing.assert_array_equal(after.require("auxiliary"), alone[tmp_path / "alone"].require_features())


def test_what_cannot_be(tmp_path: Path, capsys: Captured) -> None:
    photos, out = folder_of(tmp_path / "photos", 2), tmp_path / "out"
    assert auxiliary(f"imagefolder:{photos}", out) == 2
    assert "expected complete outputs" in capsys.readouterr().err
    assert extract_folder(photos, out) == 0
    assert auxiliary("digits", out) == 2
    assert "such as digits:test" in capsys.readouterr().err
    assert auxiliary("digits:test", out) == 2
    assert "found none with the id 'ant/0000.png' (6 such)" in capsys.readouterr().err
    assert auxiliary(f"imagefolder:{photos}", out, "--classes", "any.txt") == 2
    assert auxiliary(f"imagefolder:{photos}", out) == 0
    (out / "auxiliary" / "ids.json").write_bytes((tmp_path / "out" / "ids.json").read_bytes()[:-1])
    with pytest.raises(SteepslopeError, match=str(out)):
        ClassifierOutputs.load(out)


def test_features_are_of_images_that_are_shifted_as_those_of_the_outputs(tmp_path: Path, capsys: Captured) -> None:
    photos, out = f"images:{folder_of(tmp_path / 'photos', 2)}", tmp_path / "out"
    net = "module:tests.tiny_nets:ten_classes --image-size 12 --mean 0.5 --std 0.5"
    assert main(f"extract --classifier {net} --data corrupt:fog:3/{photos} --out {out}".split()) == 0
    for other in (photos, f"corrupt:fog:4/{photos}"):
        assert auxiliary(other, out) == 2
        expected = "expected images shifted as those of the outputs (method corrupt, kind fog, severity 3, seed 0, crop"
        assert expected in capsys.readouterr().err
    assert auxiliary(f"corrupt:fog:3/{photos}", out) == 0
    outputs = ClassifierOutputs.load(out)
    np.testing.assert_allclose(outputs.require("auxiliary"), outputs.require("features"), atol=1e-5)


def test_opinions_on_copies_and_without_the_images_that_are_lacking(tmp_path: Path) -> None:
    """The other net's classes are in another order; it sees the same copies of the images."""
    photos, out = folder_of(tmp_path / "photos", 3), tmp_path / "out"
    (photos / "bee" / "0001.png").write_bytes(b"")
    assert extract_folder(photos, out, "--on-error", "skip", "--augment", "2") == 0
    adding = ["extract", "--data", f"imagefolder:{photos}", "--out", str(out)]
    assert main([*adding, "--opinion", "named=module:tests.tiny_nets:named"]) == 0
    found = ClassifierOutputs.load(out)
    net = load_classifier("module:tests.tiny_nets:named").with_transform()
    places = [["ant", "bee", "cow"].index(name) for name in ("cow", "ant", "bee")]
    manifest = json.loads((out / "opinions" / "named" / "manifest.json").read_text())
    assert (manifest["classes"], manifest["extraction"]["places"]) == (["cow", "ant", "bee"], places)
    with Image.open(photos / "ant" / "0000.png") as image:
        logits = net(net.transform(image.convert("RGB"))[None])[1][0]
    np.testing.assert_allclose(found.require("opinion_named")[0, places], log_softmax(logits), rtol=1e-4)
    assert found.require("augmented_opinion_named").shape == (8, 2, 3)
    shutil.rmtree(out / "augmented" / "opinions")
    assert ClassifierOutputs.load(out).augmented_opinion_named is None


def test_an_image_that_the_other_net_cannot_read_lacks_its_opinion(tmp_path: Path) -> None:
    photos, out = folder_of(tmp_path / "photos", 2), tmp_path / "out"
    assert extract_folder(photos, out, "--augment", "1") == 0
    (photos / "bee" / "0001.png").write_bytes(b"")
    adding = (
        f"extract --data imagefolder:{photos} --opinion named=module:tests.tiny_nets:named --on-error skip --out {out}"
    )
    assert main(adding.split()) == 0
    found = ClassifierOutputs.load(out)
    assert found.ids is not None
    assert found.ids[np.isnan(found.require("opinion_named")).any(axis=1)].tolist() == ["bee/0001.png"]
    lacking = np.isnan(found.require("augmented_opinion_named")).any(axis=(1, 2))
    assert found.ids[lacking].tolist() == ["bee/0001.png"]


def test_an_opinion_on_other_copies_is_refused(tmp_path: Path) -> None:
    """As many copies, drawn by another seed."""
    photos = folder_of(tmp_path / "photos", 2)
    for name in ("own", "other"):
        assert extract_folder(photos, tmp_path / name, "--augment", "1") == 0
    path = tmp_path / "other" / "augmented" / "manifest.json"
    manifest = read_json(path, "outputs")
    manifest["extraction"]["augmented"]["seed"] = 1
    write_json(path, manifest)
    options = ReadingOptions(opinion=(f"other={tmp_path / 'other'}",))
    with pytest.raises(SteepslopeError, match=r"made alike \(copies 1, .*seed 0\), found others \(.*seed 1\)"):
        ClassifierOutputs.load(tmp_path / "own", options)
    shutil.rmtree(tmp_path / "other" / "augmented")
    assert ClassifierOutputs.load(tmp_path / "own", options).opinions == ("other",)
