"""Folders of outputs: complete, unfinished, and those of another extraction."""

from __future__ import annotations

from pathlib import Path

import pytest

from steepslope.classifiers.training import recipe_for, train_classifier
from steepslope.data.datasets import parse_dataset
from steepslope.errors import SteepslopeError
from steepslope.extraction.extraction import extract_to_folder
from steepslope.outputs import ClassifierOutputs
from tests.images import extract_folder, folder_of


def test_a_second_run_is_complete_and_a_changed_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = folder_of(tmp_path / "data", 3), tmp_path / "out"
    assert extract_folder(data, out) == 0
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    capsys.readouterr()
    assert extract_folder(data, out) == 0
    assert "already complete" in capsys.readouterr().err
    for options in (["--image-size", "8", "--mean", "[0.4]"], ["--features", "float16"], ["--resize", "squash"]):
        assert extract_folder(data, out, *options) == 2
        assert "is not mixed with this one" in capsys.readouterr().err
    (data / "ant" / "0000.png").unlink()
    assert extract_folder(data, out) == 2
    assert "fingerprint" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_a_stopped_run_goes_on_when_mended_or_told_to_skip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, options = folder_of(tmp_path / "data", 8), ("--shard-rows", "6", "--batch-size", "6")
    whole = (data / "cow" / "0003.png").read_bytes()
    for out, mend in (("mended", True), ("skipped", False)):
        (data / "cow" / "0003.png").write_bytes(whole[:100])
        assert extract_folder(data, tmp_path / out, *options) == 2
        assert len(list((tmp_path / out / ".shards").glob("*.npz"))) == 3
        assert extract_folder(data, tmp_path / out, *options, "--features", "float16") == 2
        if mend:
            (data / "cow" / "0003.png").write_bytes(whole)
        assert extract_folder(data, tmp_path / out, *options, *([] if mend else ["--on-error", "skip"])) == 0
        assert len(ClassifierOutputs.load(tmp_path / out)) == (24 if mend else 23)
    (tmp_path / "mended" / ".shards").mkdir()
    assert extract_folder(data, tmp_path / "skipped", *options) == 2
    (data / "cow" / "0003.png").write_bytes(whole)
    assert extract_folder(data, tmp_path / "mended", *options) == 0
    assert not (tmp_path / "mended" / ".shards").exists()


def test_a_failed_extraction_leaves_all_earlier_splits(idx_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_for("digits-net", epochs=1)
    spec, out = parse_dataset(f"idx:{idx_folder}"), tmp_path / "out"
    first, _ = train_classifier("digits-net", str(spec), tmp_path / "a", recipe)
    second, _ = train_classifier("digits-net", str(spec), tmp_path / "b", recipe_for("digits-net", epochs=1, seed=1))
    extract_to_folder(first, spec, out)
    before = {path: path.read_bytes() for path in sorted(out.rglob("*.npy"))}
    with pytest.raises(SteepslopeError, match=r"train: holds outputs of another extraction .* digest: expected"):
        extract_to_folder(second, spec, out)
    extract_to_folder(first, spec, out)
    (idx_folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(SteepslopeError, match="expected a file t10k-labels-idx1-ubyte"):
        extract_to_folder(first, spec, out)
    assert {path: path.read_bytes() for path in sorted(out.rglob("*.npy"))} == before
