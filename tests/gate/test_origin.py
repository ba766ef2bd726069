"""What extraction recorded of the nets, as a gate keeps it, and who is refused by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate, Origin
from steepslope.gate.origin import UNKNOWN
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from tests.conftest import make_outputs


def test_a_folder_tells_both_nets(gates: Path) -> None:
    found = Origin.of_folder(gates / "outputs" / "test")
    manifest = json.loads((gates / "outputs" / "test" / "manifest.json").read_text())["extraction"]
    assert found.classifier is not None
    assert found.auxiliary is not None
    assert (found.classifier.spec, found.classifier.digest) == (manifest["classifier"], manifest["digest"])
    assert found.classifier.transform == manifest["transform"]
    assert found.auxiliary.spec == "module:tests.nets:ten_classes"
    assert Origin.read(json.loads(json.dumps(found.as_json())), Path("gate.json")) == found


def test_files_and_folders_of_ones_own_tell_nothing(tmp_path: Path) -> None:
    make_outputs().save(tmp_path / "outputs")
    assert Origin.of_folder(tmp_path / "outputs") == UNKNOWN
    make_outputs().save(tmp_path / "outputs.npz")
    assert Origin.of_folder(tmp_path / "outputs.npz") == UNKNOWN
    assert Origin.read(UNKNOWN.as_json(), Path("gate.json")) == UNKNOWN


def test_another_classifier_is_refused_where_both_are_known(gates: Path) -> None:
    gate, outputs = Gate.load(gates / "mcp"), ClassifierOutputs.load(gates / "outputs" / "test")
    with pytest.raises(SteepslopeError, match=r"outputs: expected the net that the gate was calibrated for .* \(bbbb"):
        gate.decide(outputs.of_classifier("b" * 64))
    assert len(gate.decide(outputs.of_classifier(None))) == len(outputs)
    with pytest.raises(SteepslopeError, match="outputs: expected the net"):
        Gate.of(MCP(), outputs.of_classifier("b" * 64), origin=gate.origin)
