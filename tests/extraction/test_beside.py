"""Features of a second backbone beside outputs: extracted for the same images, whatever their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steepslope.classifiers.specs import load_classifier
from steepslope.cli.main import main
from steepslope.extraction.extraction import extract
from steepslope.extraction.options import ExtractionOptions
from steepslope.outputs import ClassifierOutputs
from tests.images import auxiliary, extract_folder, folder_of, opened


def test_features_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    net = load_classifier("module:tests.nets:ten_classes").with_transform(12, 0.5, 0.5)
    alone = extract(net, {tmp_path / "alone": ("", opened(f"images:{photos}"))}, ExtractionOptions())
    np.testing.assert_array_equal(after.require("auxiliary"), alone[tmp_path / "alone"].require_features())


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
