"""A gate of answers behind the server: a class and a confidence, as Python decides, or one line that says why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray

from steepslope.cli._main import main
from steepslope.gate import Gate
from steepslope.nets.export._exporting import export_gate
from steepslope.nets.export._file import ExportedGate
from steepslope.oracle import FusedOracle
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from steepslope.serve._answer_inputs import taking_answers
from steepslope.serve._gate_folder import served_gate_folder
from steepslope.serve._served import served_file
from tests.serve.models import INFER, client_of

CLASSES = ("ant", "bee", "cow", "dog")
OWN, OTHER = ("prediction", "confidence"), ("prediction_vendor", "confidence_vendor")
Service = tuple[NDArray[Any], NDArray[Any]]


def service(truths: NDArray[np.int64], right: float, seed: int) -> Service:
    """Return the answers of a service, and how sure it is in percent."""
    draw = np.random.default_rng(seed)
    answers = np.where(draw.random(len(truths)) < right, truths, draw.integers(len(CLASSES), size=len(truths)))
    sure = np.where(answers == truths, draw.beta(5, 1.5, len(truths)), draw.beta(2, 2, len(truths)))
    return np.array(CLASSES)[answers], 100 * np.round(sure, 3)


def outputs_of(own: Service, other: Service, truths: NDArray[np.int64] | None = None) -> ClassifierOutputs:
    labels = None if truths is None else np.array(CLASSES)[truths]
    vendor = ClassifierOutputs.from_answers(*other, classes=CLASSES)
    return ClassifierOutputs.from_answers(*own, labels, classes=CLASSES).with_opinion("vendor", vendor)


@pytest.fixture(scope="module")
def gate() -> Gate:
    truths = np.random.default_rng(0).integers(len(CLASSES), size=1_200)
    outputs = outputs_of(service(truths, 0.8, 1), service(truths, 0.8, 2), truths)
    oracle = FusedOracle().fit(outputs.subset(slice(400)))
    return Gate.of(oracle, outputs.subset(slice(400, None)), max_risk=0.1)


@pytest.fixture(scope="module")
def client(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("gate")
    gate.save(folder)
    with client_of(served_gate_folder(folder)) as found:
        yield found


def asked(columns: dict[str, list[Any]]) -> bytes:
    """Return a request; text and numbers stand as they are."""
    kinds = {"prediction": "BYTES", "confidence": "FP64"}
    tensors = [
        {"name": name, "shape": [len(data)], "datatype": kinds.get(name.partition("_")[0], "FP32"), "data": data}
        for name, data in columns.items()
    ]
    return json.dumps({"inputs": tensors}).encode()


def answered(client: TestClient, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    found = client.post(INFER, content=asked(columns))
    assert found.status_code == 200, found.text
    return {one["name"]: one["data"] for one in found.json()["outputs"]}


def columns_of(own: Service, other: Service) -> dict[str, list[Any]]:
    return dict(zip((*OWN, *OTHER), (column.tolist() for column in (*own, *other)), strict=True))


def test_it_decides_on_answers_as_python_does(client: TestClient, gate: Gate) -> None:
    truths = np.random.default_rng(5).integers(len(CLASSES), size=60)
    own, other = service(truths, 0.8, 6), service(truths, 0.8, 7)
    expected = gate.decide(outputs_of(own, other))
    found = answered(client, columns_of(own, other))
    assert 0 < sum(found["accepted"]) < 60
    assert found["accepted"] == expected.accepted.tolist()
    assert found["label"] == expected.labels.tolist()
    np.testing.assert_allclose(found["trust_logit"], expected.trust_logit, atol=1e-5)


def test_the_metadata_tell_what_to_send(client: TestClient) -> None:
    about = client.get("/v2/models/gate").json()
    assert [(one["name"], one["datatype"], one["shape"]) for one in about["inputs"]] == [
        ("prediction", "BYTES", [-1]), ("confidence", "FP64", [-1]),
        ("prediction_vendor", "BYTES", [-1]), ("confidence_vendor", "FP64", [-1]),
    ]  # fmt: skip
    assert about["parameters"]["classes"] == list(CLASSES)
    example = client.get("/openapi.json").json()["paths"][INFER]["post"]["requestBody"]["content"]["application/json"]
    assert client.post(INFER, json=example["schema"]["examples"][0]).status_code == 200


def test_what_is_missing_is_missing_and_what_is_new_goes_to_review(client: TestClient, gate: Gate) -> None:
    sure: list[Any] = [None, *[99.0] * 4]
    given: list[list[Any]] = [["ant"] * 5, sure, ["ant"] * 5, [99.0] * 5]
    columns = dict(zip((*OWN, *OTHER), given, strict=True))
    columns["prediction"][1:3] = ["zebra", None]
    columns["prediction_vendor"][3:5] = ["", "zebra"]
    found = answered(client, columns)
    vendor = ClassifierOutputs.from_answers(["ant"] * 3 + ["zebra"], [99.0] * 4, ids=list("acbe"))
    own = ClassifierOutputs.from_answers(["ant", "ant", "ant"], [None, 99.0, 99.0], classes=CLASSES, ids=list("ade"))
    expected = gate.decide(own.with_opinion("vendor", vendor))
    assert found["label"] == [0, -1, -1, 0, 0]
    np.testing.assert_allclose(np.array(found["trust_logit"])[[0, 3, 4]], expected.trust_logit, atol=1e-5)
    assert found["accepted"] == [bool(expected.accepted[0]), False, False, False, bool(expected.accepted[2])]
    assert not expected.accepted[1]  # it lacks the opinion


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("prediction", [1, 2], "prediction: expected text, flat or nested as the shape is, found others"),
        ("confidence", ["99", "98"], "confidence: expected numbers, flat or nested as the shape is, found others"),
        ("confidence", [1e999, 0.5], "confidence: expected finite numbers, found NaN or infinite ones"),
        ("confidence", [0.5], "inputs: expected as many rows of each, found"),
        ("confidence_vendor", None, "inputs: expected the inputs prediction, confidence, prediction_vendor, conf"),
        ("logits", [0.0, 1.0], "unknown input 'logits'"),
    ],
)
def test_wrong_rows_are_told_in_a_line(name: str, data: list[Any] | None, message: str, client: TestClient) -> None:
    rows: dict[str, Any] = dict(zip((*OWN, *OTHER), (["ant"] * 2, [9.0] * 2, ["bee"] * 2, [9.0] * 2), strict=True))
    rows = {key: value for key, value in {**rows, name: data}.items() if value is not None}
    found = client.post(INFER, content=asked(rows))
    assert found.status_code == 400
    assert message in found.json()["error"]
    assert "\n" not in found.json()["error"]


def test_an_exported_gate_takes_answers_too(gate: Gate, client: TestClient, tmp_path: Path) -> None:
    export_gate(gate, "gate").save(tmp_path / "gate.onnx")
    truths = np.random.default_rng(8).integers(len(CLASSES), size=40)
    columns = columns_of(service(truths, 0.8, 9), service(truths, 0.8, 10))
    columns["prediction"][0], columns["confidence"][1] = "zebra", None
    with client_of(taking_answers(served_file(ExportedGate.open(tmp_path / "gate.onnx", threads=1), 32))) as other:
        found, expected = answered(other, columns), answered(client, columns)
    assert found["label"] == expected["label"]
    assert found["accepted"] == expected["accepted"]
    np.testing.assert_allclose(found["trust_logit"], expected["trust_logit"], atol=1e-3)


def test_classes_without_names_are_numbers_and_graded_answers_a_confidence_alone(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    sure, right = draw.random(600), draw.random(600)
    numbers = ClassifierOutputs.from_answers(np.ones(600, np.int64), sure, np.where(right < sure, 1, 0))
    graded = numbers.named(("wrong", "right"))
    for kind, outputs in {"numbers": numbers, "graded": graded}.items():
        Gate.of(MCP(), outputs, max_risk=0.3).save(tmp_path / kind)
    with client_of(served_gate_folder(tmp_path / "numbers")) as client:
        whole = {"name": "prediction", "shape": [3], "datatype": "INT64", "data": [1, 2, -1]}
        floats = {"name": "confidence", "shape": [3], "datatype": "FP64", "data": [0.99] * 3}
        first = client.post(INFER, json={"inputs": [whole, floats]}).json()["outputs"]
        assert first[0]["data"] == [1, -1, -1]
        refused = client.post(INFER, json={"inputs": [whole, {**floats, "data": [93, 0.9, 0.9]}]})
        assert "confidence: expected confidences in [0, 1], as in the calibration rows" in refused.json()["error"]
    with client_of(served_gate_folder(tmp_path / "graded")) as client:
        second = answered(client, {"confidence": [0.99] * 3})
    assert second["trust_logit"] == pytest.approx([first[3]["data"][0]] * 3)


@pytest.mark.parametrize("confidence", [None, "judge"])
def test_graded_answers_have_signals(confidence: str | None, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    skill = draw.normal(size=900)
    signals = {"judge": skill + draw.normal(size=900), "entropy": draw.normal(size=900) - skill}
    outputs = ClassifierOutputs.from_graded(signals, skill > -0.5, confidence=confidence)
    oracle = FusedOracle().fit(outputs.subset(slice(300)))
    gate = Gate.of(oracle, outputs.subset(slice(300, 800)), 0.2)
    gate.save(tmp_path / "gate")
    file = str(tmp_path / "gate.onnx")
    assert main(["export", "--gate", str(tmp_path / "gate"), "--part", "gate", "--out", file]) == 0
    new = outputs.subset(slice(800, None))
    columns = {name: new.require(name).tolist() for name in ("signal_judge", "signal_entropy")}
    columns |= {} if confidence is None else {"confidence": columns["signal_judge"]}
    columns["signal_entropy"][0] = None
    expected = gate.decide(new.changed(signal_entropy=[np.nan, *new.require("signal_entropy")[1:]]))
    exported = taking_answers(served_file(ExportedGate.open(file, threads=1), 32))
    for served in (served_gate_folder(tmp_path / "gate"), exported):
        with client_of(served) as client:
            found = answered(client, columns)
        assert found["accepted"] == expected.accepted.tolist()
        assert not found["accepted"][0]
        np.testing.assert_allclose(found["trust_logit"][1:], expected.trust_logit[1:], atol=1e-3)
