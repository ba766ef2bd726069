"""Features of a second backbone beside outputs: extracted for the same images, whatever their labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli.main import main
from steepslope.outputs import ClassifierOutputs
from tests.images import extract_folder, folder_of

BACKBONE = ["extract", "--classifier", "module:tests.nets:ten_classes", "--image-size", "12"]
WORDS = [*BACKBONE, "--mean", "0.5", "--std", "0.5", "--auxiliary"]


def auxiliary(data: str, out: Path, *options: str) -> int:
    return main([*WORDS, "--data", data, "--out", str(out), *options])


def test_features_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Skipped images stay skipped; the rows keep their order, and a second run has nothing to do."""
    photos, out = folder_of(tmp_path / "photos", 3), tmp_path / "out"
    (photos / "bee" / "0001.png").write_bytes(b"")
    assert extract_folder(photos, out, "--on-error", "skip") == 0
    before = ClassifierOutputs.load(out)
    assert auxiliary(f"imagefolder:{photos}", out) == 0
    after = ClassifierOutputs.load(out)
    assert after.auxiliary is not None
    assert after.auxiliary.shape == (8, 288)
    np.testing.assert_array_equal(after.logits, before.logits)
    alone = [*BACKBONE, "--mean", "0.5", "--std", "0.5", "--data", f"imagefolder:{photos}", "--on-error", "skip"]
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join(["ant", "bee", "cow", *"defghij"]))
    assert main([*alone, "--classes", str(classes), "--out", str(tmp_path / "alone")]) == 0
    np.testing.assert_array_equal(after.auxiliary, ClassifierOutputs.load(tmp_path / "alone").require_features())
    assert auxiliary(f"imagefolder:{photos}", out) == 0
    assert "already complete, 288 auxiliary features of 8 images" in capsys.readouterr().err


def test_features_of_three_splits(home: Path, tmp_path: Path) -> None:
    """A classifier with its own hold-out: each part gets the rows that it holds, and a fused oracle takes them."""
    out = tmp_path / "outputs"
    shutil.copytree(home / "outputs", out)
    assert auxiliary("digits", out) == 0
    for part in ("train", "holdout", "test"):
        outputs = ClassifierOutputs.load(out / part)
        assert len(outputs.require("auxiliary")) == len(outputs)
    words = ["fit", "--outputs", str(out / "holdout"), "--reference", str(out / "train")]
    assert main([*words, "--inputs", "auxiliary_neighbors,second_opinion", "--out", str(tmp_path / "oracle")]) == 0


def test_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, out = folder_of(tmp_path / "photos", 2), tmp_path / "out"
    assert auxiliary(f"imagefolder:{photos}", out) == 2
    assert "expected complete outputs" in capsys.readouterr().err
    assert extract_folder(photos, out) == 0
    assert auxiliary("digits", out) == 2
    assert "such as digits:test" in capsys.readouterr().err
    assert auxiliary("digits:test", out) == 2
    assert "found none with the id 'ant/0000.png' (6 such)" in capsys.readouterr().err
    assert auxiliary(f"imagefolder:{photos}", out, "--evidence", "views") == 2
    assert "expected features, found" in capsys.readouterr().err
    assert auxiliary(f"imagefolder:{photos}", out, "--classes", "any.txt") == 2
    assert auxiliary(f"imagefolder:{photos}", out) == 0
    (out / "auxiliary" / "ids.parquet").write_bytes((tmp_path / "out" / "ids.parquet").read_bytes()[:-1])
    assert main(["evaluate", "--outputs", str(out), "--out", str(tmp_path / "report")]) == 2
    assert str(out) in capsys.readouterr().err
