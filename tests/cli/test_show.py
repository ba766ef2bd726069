"""What a gate is, promises and needs, of folders and of exported files; anything else is one line and exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from steepslope.cli._main import main
from steepslope.gate import Gate
from steepslope.gate._storage import digest_of_gate
from steepslope.nets.export._exporting import export_gate
from steepslope.scores import SCORES
from tests.cli.predictions import LABELLED
from tests.conftest import Captured, make_outputs


def facts_of(name: Path | str, capsys: Captured) -> tuple[dict[str, str], str]:
    """Show a gate; return what stands before the promise, by its heading, and the promise."""
    assert main(["show", str(name)]) == 0
    facts, _, promise = capsys.readouterr().out.partition("\n\n")
    return {line.split(":")[0]: line.partition(":")[2].strip() for line in facts.splitlines()}, promise.strip()


def test_a_folder_and_its_file_tell_the_same(watched: Path, tmp_path: Path, capsys: Captured) -> None:
    gate = Gate.load(watched / "gate")
    digest = digest_of_gate(watched / "gate")
    export_gate(gate, "gate", digest).save(tmp_path / "gate.onnx")
    folder, promise = facts_of(watched / "gate", capsys)
    file, promise_of_file = facts_of(tmp_path / "gate.onnx", capsys)
    assert promise == promise_of_file == gate.sentences()
    for facts in (folder, file):
        assert f"digest {digest[:12]}" in facts["gate"]
        assert facts["threshold"] == f"{gate.threshold:.6g}"
        assert facts["accepted"].startswith(f"{100 * gate.coverage:.1f} %")
    assert folder["ranks by"] == "the score mcp"
    assert folder["inputs"] == f"logits (N, {LABELLED.num_classes})"
    assert file["inputs"] == f"logits float32 (N, {LABELLED.num_classes})"
    assert file["outputs"].startswith("label int64 (N), probability float64 (N)")
    assert "monitor" not in folder


def test_groups_and_missing_calibration_rows_are_told(tmp_path: Path, capsys: Captured) -> None:
    site = np.where(np.arange(300) % 2, "a", "b")
    gate = Gate.of(SCORES["mcp"](), make_outputs(300), 0.5, by="site", groups=site)
    gate.save(tmp_path / "gate")
    (tmp_path / "gate" / "calibration_rows.safetensors").unlink()
    facts, _ = facts_of(tmp_path / "gate", capsys)
    assert facts["groups"] == "site"
    assert facts["threshold"] == ", ".join(f"{name} {value:.6g}" for name, value in gate.thresholds.items())
    assert facts["monitor"].startswith("needs --calibration")


@pytest.mark.parametrize("has_groups", [True, False])
def test_thresholds_as_json(has_groups: bool, tmp_path: Path, capsys: Captured) -> None:
    site = np.repeat(["a", "b"], [297, 3])
    by, groups = ("site", site) if has_groups else (None, None)
    gate = Gate.of(SCORES["mcp"](), make_outputs(300), 0.5, by=by, groups=groups)
    gate.save(tmp_path / "gate")
    assert main(["show", str(tmp_path / "gate"), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    expected = {"a": gate.thresholds["a"], "b": None} if has_groups else gate.threshold
    assert content["thresholds"] == expected
    assert [one["accepted"] for one in content["certificates"]] == [one.accepted for one in gate.certificates]
    assert content["sentences"] == gate.sentences().splitlines()


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (None, "expected a calibrated gate, but it has no gate.json"),
        ("folder", "expected a calibrated gate, but it has no gate.json"),
        ("classifier", "found that its gate is"),
        ("file", "expected a file that steepslope export wrote, with its SHA-256, found another"),
    ],
)
def test_anything_else_is_one_line(made: str | None, expected: str, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "thing"
    if made == "folder":
        path.mkdir()
    elif made == "classifier":  # as TrustedClassifier.save writes it
        (path / "gate").mkdir(parents=True)
        (path / "gate" / "gate.json").touch()
    elif made == "file":
        path.write_bytes(b"onnx")
    assert main(["show", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert expected in error
