"""Whole gates as ONNX files: from images or from arrays to the decisions that the gate itself makes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from PIL import Image

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._storage import digest_of_gate
from steepslope.nets.classifiers._onnx_net import OnnxNet, as_onnx
from steepslope.nets.export import _graphs as graphs
from steepslope.nets.export._agreement import require_agreement
from steepslope.nets.export._exporting import Exported, export_gate
from steepslope.nets.export._file import KEY, ExportedGate
from steepslope.nets.predict._image_gate import ImageGate
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES
from tests.cli.predictions import refuses
from tests.conftest import Captured
from tests.images import digits
from tests.nets.export.rows import rows_of, run

CALIBRATION, NEW = rows_of(2_000, seed=7), rows_of(300, seed=8)
RISK = 0.05


def same_decisions(model: Any, gate: Gate, rows: ClassifierOutputs, groups: NDArray[np.str_] | None = None) -> None:
    """Check a file from arrays to decisions against the gate."""
    given = dict(rows.arrays)
    if groups is not None:
        given["group"] = np.array(
            [[*gate.thresholds].index(name) if name in gate.thresholds else -1 for name in groups]
        )
    found, expected = run(model, given), gate.decide_rows(rows, groups)
    np.testing.assert_array_equal(found["label"], expected.labels)
    np.testing.assert_array_equal(found["accepted"], expected.accepted)
    np.testing.assert_allclose(found["p_correct"], expected.p_correct, atol=1e-6)
    np.testing.assert_allclose(found["probability"], expected.probability, atol=1e-12)
    np.testing.assert_allclose(found["trust_logit"], expected.trust_logit, rtol=1e-4, atol=1e-6)
    if gate.rejection is not None:
        np.testing.assert_array_equal(found["rejected"], expected.decision == "reject")


@pytest.mark.parametrize(("name", "aims"), [("max_logit", {"reject": 0.2}), ("mcp", {"by": "predicted"})])
def test_gates_of_scores_decide_the_same(name: str, aims: dict[str, Any]) -> None:
    gate = Gate.of(SCORES[name]().fit(rows_of(900, seed=9)), CALIBRATION, RISK, **aims)
    accepted = gate.decide_rows(NEW).accepted
    assert 0 < accepted.sum() < len(NEW)
    same_decisions(export_gate(gate, "gate").model, gate, NEW)
    assert ("reject" in gate.decide_rows(NEW).decision) == ("reject" in aims)


def test_groups_of_ones_own_are_given_by_number_and_metadata_hold_the_promise() -> None:
    """Groups that the gate does not know are not accepted."""
    names = ("ant", "bee", "cat", "dog", "é")
    groups = np.where(np.arange(len(CALIBRATION)) % 3 == 0, "left", "right")
    gate = Gate.of(SCORES["mcp"](), ClassifierOutputs.of(CALIBRATION.arrays, names), (RISK, 0.2), groups=groups)
    exported = export_gate(gate, "gate", digest="0123")
    named = np.array(["left", "right", "neither"])[np.arange(len(NEW)) % 3]
    same_decisions(exported.model, gate, NEW, named)
    about = {entry.key: json.loads(entry.value) for entry in exported.model.metadata_props}["steepslope"]
    assert (about["groups"], about["classes"]) == (["left", "right"], [*names])
    assert about["thresholds"] == gate.thresholds
    assert about["words"] == gate.sentences() == exported.model.doc_string
    assert about["certificates"] == json.loads(json.dumps([promise.as_json() for promise in gate.certificates]))
    assert (about["threshold"], about["gate"], about["part"], about["version"]) == (None, "0123", "gate", 2)
    assert require_agreement(exported) < 1e-6


def test_a_gate_that_accepts_nothing_accepts_nothing() -> None:
    gate = Gate.of(SCORES["mcp"](), CALIBRATION.subset(slice(0, 20)), 0.01)
    model = export_gate(gate, "gate").model
    same_decisions(model, gate, NEW)
    assert not run(model, NEW.arrays)["accepted"].any()


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return digits(120)


def same_on_images(exported: Exported, pixels: NDArray[np.uint8]) -> set[str]:
    """Check a file from images to decisions against the gate, on grey images; return the names of its outputs."""
    channels = exported.model.graph.input[0].type.tensor_type.shape.dim[3].dim_value
    found = run(exported.model, {"images": np.repeat(pixels[..., None], channels, axis=3)})
    assert exported.nets is not None
    expected = exported.nets.predict_rows(pixels)
    np.testing.assert_array_equal(found["label"], expected.labels)
    np.testing.assert_array_equal(found["accepted"], expected.accepted)
    np.testing.assert_allclose(found["trust_logit"], expected.trust_logit, rtol=1e-4, atol=1e-4)
    return set(found)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["columns", "free", "auxiliary"])
def test_gates_decide_the_same_on_images(
    kind: str, exported: Callable[[str], Exported], pixels: NDArray[np.uint8]
) -> None:
    assert ("handed_over" in same_on_images(exported(kind), pixels)) == (kind != "columns")


@pytest.mark.slow
def test_images_that_are_resized_decide_the_same(gates: Path) -> None:
    draw = np.random.default_rng(0)
    gate = Gate.load(gates / "free")
    assert gate.origin.classifier is not None
    transform = {**gate.origin.classifier.transform, "resize": "crop", "crop_share": 0.8}
    record = replace(gate.origin.classifier, transform=transform)
    whole = export_gate(replace(gate, origin=replace(gate.origin, classifier=record)))
    for size in ((30, 21), (8, 40), (100, 17)):
        same_on_images(whole, draw.integers(0, 256, (5, *size), dtype=np.uint8))


@pytest.mark.slow
def test_an_oracle_on_images_is_exported_with_its_net(gate_on_images: Path, pixels: NDArray[np.uint8]) -> None:
    gate = ImageGate.load(gate_on_images)
    same_on_images(export_gate(gate), pixels)
    with pytest.raises(SteepslopeError, match="an oracle on images can only be exported with its nets"):
        export_gate(gate, "gate")


@pytest.mark.slow
def test_a_classifier_that_is_a_file_becomes_part_of_the_whole(gates: Path, pixels: NDArray[np.uint8]) -> None:
    gate = ImageGate.load(gates / "mcp")
    classifier = gate.classifier
    net = as_onnx(classifier.net, classifier.noise(4), "net.onnx")
    live = replace(gate, classifier=replace(classifier, net=net))
    same_on_images(export_gate(live), pixels)
    half = replace(live, classifier=replace(classifier, net=net_in_half_precision(net)))
    assert require_agreement(export_gate(half)) < 1e-3
    net.fixed[0] = 4
    with pytest.raises(SteepslopeError, match=r"net.onnx: expected a file for batches of any size, found one for 4"):
        export_gate(live)


def net_in_half_precision(net: OnnxNet) -> OnnxNet:
    """Return a net's file with inputs in float16, which it casts."""
    assert isinstance(net.model, bytes)
    model = onnx.load_from_string(net.model)
    name = model.graph.input[0].name
    for node in model.graph.node:
        node.input[:] = [f"{one}/wide" if one == name else one for one in node.input]
    model.graph.node.insert(0, onnx.helper.make_node("Cast", [name], [f"{name}/wide"], to=onnx.TensorProto.FLOAT))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    return OnnxNet(model.SerializeToString(), "half.onnx").eval()


@pytest.mark.slow
def test_features_that_were_kept_in_half_precision_pass_through_it(
    gates: Path, exported: Callable[[str], Exported], pixels: NDArray[np.uint8]
) -> None:
    gate = Gate.load(gates / "columns")
    halved = export_gate(replace(gate, origin=replace(gate.origin, features="float16")))
    same_on_images(halved, pixels)
    found, whole = (
        run(one.model, {"images": pixels[..., None]})["trust_logit"] for one in (halved, exported("columns"))
    )
    assert not np.array_equal(found, whole)


def test_what_a_graph_cannot_hold_is_refused_with_the_reason(gates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate.load(gates / "mcp")
    with pytest.raises(SteepslopeError, match="precision 32, found bf16: a graph runs in float32"):
        export_gate(replace(gate, origin=replace(gate.origin, precision="bf16")))
    alone = Gate.calibrate(np.arange(100.0), np.arange(100) > 20, 0.5)
    with pytest.raises(SteepslopeError, match="found one of confidences alone: what it decides is confidence >="):
        export_gate(alone, "gate")
    monkeypatch.setattr(graphs, "LARGEST", 1)
    with pytest.raises(SteepslopeError, match="less than 2 GiB, which is what an ONNX file can hold"):
        export_gate(gate, "gate")


def test_a_file_that_decides_otherwise_is_not_written(gates: Path) -> None:
    gate = Gate.load(gates / "mcp")
    exported = export_gate(gate, "gate")
    with pytest.raises(SteepslopeError, match=r"ONNX Runtime finds another .*trust_logit.* than the gate"):
        require_agreement(replace(exported, gate=Gate.load(gates / "temperature")))
    strict = replace(gate, certificates=(replace(gate.promises[0], threshold=np.inf, advice="none"),))
    with pytest.raises(SteepslopeError, match="finds another accepted than the gate"):
        require_agreement(replace(exported, gate=strict))


@pytest.mark.slow
def test_the_command(gates: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "gate.onnx"
    assert main(f"export --gate {gates}/mcp --out {out}".split()) == 0
    told = capsys.readouterr().out
    assert "inputs:     images uint8 (N, " in told
    assert "outputs:    label int64 (N), probability float64 (N), p_correct float64 (N)" in told
    assert Gate.load(gates / "mcp").promises[0].sentences() in told
    assert ExportedGate.open(out).card.gate == digest_of_gate(gates / "mcp")
    assert main(f"export --gate {gates}/columns-oracle --out {tmp_path}/oracle.onnx".split()) == 0
    assert "outputs:    trust_logit float64 (N)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--gate {gates}/free --out {out}", "there is such a file already: choose another, or give --replace"),
        ("--gate {gates}/free --out {out}.bin", "out: expected a file that ends in .onnx"),
        ("--out {out}x.onnx", "the following arguments are required: --gate"),
        ("--gate {gates}/nothing --out {out}x.onnx", "expected a calibrated gate, but it has no gate.json"),
        ("--gate {gates}/free --part gate --classifier timm:resnet18 --out {out}x.onnx", "this file holds no nets"),
    ],
)
def test_wrong_input_is_one_line(words: str, line: str, gates: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "gate.onnx"
    out.write_text("mine")
    refuses(f"export {words.format(gates=gates, out=out)}", capsys, line)
    assert [path.name for path in tmp_path.iterdir()] == ["gate.onnx"]
    assert out.read_text() == "mine"


ALONE = """
import sys, json
sys.modules["torch"] = sys.modules["steepslope"] = None  # to import them is an error
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
names = [one.name for one in session.get_outputs()]
found = dict(zip(names, session.run(None, {"images": np.load(sys.argv[2])})))
json.dump({"accepted": found["accepted"].tolist(), **session.get_modelmeta().custom_metadata_map}, sys.stdout)
"""


@pytest.mark.slow
def test_the_file_runs_where_this_package_is_not(
    gates: Path, exported: Callable[[str], Exported], tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    gate = ImageGate.load(gates / "free")
    exported("free").save(tmp_path / "gate.onnx")
    np.save(tmp_path / "pixels.npy", pixels[..., None])
    command = [sys.executable, "-c", ALONE, str(tmp_path / "gate.onnx"), str(tmp_path / "pixels.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["accepted"] == gate.predict_rows(pixels).accepted.tolist()
    assert json.loads(found[KEY])["part"] == "all"
    opened_again = ExportedGate.open(tmp_path / "gate.onnx")
    assert (opened_again.card.part, opened_again.card.threshold) == ("all", gate.gate.threshold)
    assert opened_again.run({"images": pixels[..., None]})["accepted"].tolist() == found["accepted"]
    assert done.stderr == ""


@pytest.mark.slow
def test_the_programs_of_the_page_run_on_a_file(
    exported: Callable[[str], Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """The net of the digits takes grey images; the page says how to give these."""
    text = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
    first, second = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exported("free").save(tmp_path / "gate.onnx")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("photo.jpg")
    exec(compile(first.replace('"RGB"))[None]', '"L"))[None, :, :, None]'), "export.md", "exec"), {})
    assert ExportedGate.open(tmp_path / "gate.onnx").card.words in capsys.readouterr().out
    exec(compile(second, "export.md", "exec"), {})
