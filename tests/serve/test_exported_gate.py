"""A gate that export wrote behind the server: what the gate's folder answers, for tensors and for image files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from steepslope.gate import Gate
from steepslope.nets.export.exporting import Exported, export_gate
from steepslope.nets.export.file import ExportedGate
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from steepslope.serve.gate_folder import served_gate
from steepslope.serve.served import served_file
from tests.images import opened
from tests.nets.export.rows import rows_of
from tests.serve.models import client_of, encoded

COUNT = 40
INFER = "/v2/models/gate/infer"


@pytest.mark.slow
def test_a_file_answers_as_the_folder_does(gates: Path, exported: Callable[[str], Exported], tmp_path: Path) -> None:
    data = opened("digits:test")
    images = np.stack([np.asarray(data.image(row)) for row in range(COUNT)])[..., None]
    tensor = {"name": "images", "datatype": "UINT8", "shape": images.shape, "data": images.ravel().tolist()}
    exported("free").save(tmp_path / "gate.onnx")
    file = served_file(ExportedGate.open(tmp_path / "gate.onnx"), 16)
    with client_of(file) as ours, client_of(served_gate(gates / "free")) as theirs:
        both = [client.post(INFER, json={"inputs": [tensor]}).json()["outputs"] for client in (ours, theirs)]
        found, expected = ({one["name"]: one["data"] for one in some} for some in both)
        assert found.keys() == expected.keys()
        assert (found["label"], found["accepted"]) == (expected["label"], expected["accepted"])
        np.testing.assert_allclose(found["trust_logit"], expected["trust_logit"], rtol=1e-4, atol=1e-4)
        picture = encoded(Image.fromarray(images[3, ..., 0]), "PNG")
        one, other = (
            client.post("/predict", content=picture, headers={"Content-Type": "image/png"}).json()
            for client in (ours, theirs)
        )
        assert (one["label"], one["decision"]) == (other["label"], other["decision"])


@pytest.mark.slow
def test_a_file_rejects_where_its_gate_does(tmp_path: Path) -> None:
    gate, rows = Gate.of(MCP(), rows_of(2_000), 0.05, reject=0.2), rows_of(200, seed=1)
    export_gate(gate, "gate").save(tmp_path / "gate.onnx")
    served = served_file(ExportedGate.open(tmp_path / "gate.onnx"), 16)
    (found,) = served.run([{"logits": np.asarray(rows.logits)}], 1)
    assert found.decision is not None
    assert found.decision.tolist() == gate.decide(rows).decision.tolist()
    assert "reject" in found.decision


@pytest.mark.slow
def test_opinions_are_inputs_of_a_file_and_a_row_may_lack_them(opinions: Path, tmp_path: Path) -> None:
    """NaN stands in the JSON as Python and others write it; of any other input it is refused."""
    gate = Gate.load(opinions / "all")
    export_gate(gate, "gate").save(tmp_path / "gate.onnx")
    served = served_file(ExportedGate.open(tmp_path / "gate.onnx"), 16)
    some = ClassifierOutputs.load(opinions / "outputs" / "test").subset(slice(COUNT))
    votes, vendor = np.arange(COUNT) % 12 - 1, np.array(some.require("opinion_second"))
    vendor[::3] = np.nan
    outputs = some.with_opinion("people", np.where(votes == 10, "unknown", votes.astype(str))).with_opinion(
        "vendor", vendor
    )
    arrays = {one.name: np.asarray(outputs.require(one.name)) for one in served.inputs}
    with client_of(served) as client:
        found = client.post(INFER, content=request_of(arrays))
        assert found.status_code == 200, found.text
        trust_logit = {one["name"]: one["data"] for one in found.json()["outputs"]}["trust_logit"]
        np.testing.assert_allclose(trust_logit, gate.decide(outputs).trust_logit, rtol=1e-4, atol=1e-5)
        refused = client.post(INFER, content=request_of({**arrays, "logits": np.full_like(arrays["logits"], np.nan)}))
        assert (refused.status_code, refused.json()["error"]) == (
            400, "logits: expected finite numbers, found NaN or infinite ones",
        )  # fmt: skip


def request_of(arrays: dict[str, NDArray[Any]]) -> str:
    types = {"float32": "FP32", "int64": "INT64"}
    inputs = [
        {"name": name, "datatype": types[array.dtype.name], "shape": array.shape, "data": array.ravel().tolist()}
        for name, array in arrays.items()
    ]
    return json.dumps({"inputs": inputs})
