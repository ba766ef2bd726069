"""The documentation of the routes is true: schemathesis, which makes requests of it, finds nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from steepslope.serve.protocol import InferRequest, infer_schema
from tests.serve.live import running
from tests.serve.models import array_gate, client_of, file_served, image_gate

# What JSON Schema cannot say of a request: that bytes are an image, or that data have the size of their shape.
# A body too large is refused unread, so whether it fits the schema or not: both have 413 among their answers.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "413", "415", "422"]
[checks.negative_data_rejection]
expected-statuses = ["400", "404", "405", "413", "415", "422"]
"""
EXAMPLES = 50


@pytest.mark.slow
@pytest.mark.parametrize("write", [image_gate, array_gate])
def test_schemathesis_finds_nothing(write: Callable[[Path], Path], tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    with running(write(tmp_path), "--max-body 0.1") as live:
        program = Path(sys.executable).with_name("schemathesis")
        command = f"{program} --no-color --config-file {config} run {live.url}/openapi.json --max-examples {EXAMPLES}"
        found = subprocess.run(command.split(), capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert found.returncode == 0, found.stdout
        assert " passed" in found.stdout
        assert live.stopped() == 0


@pytest.mark.parametrize("write", [image_gate, array_gate])
def test_the_example_of_a_request_is_answered(write: Callable[[Path], Path], tmp_path: Path) -> None:
    with client_of(file_served(write(tmp_path))) as client:
        body = client.get("/openapi.json").json()["paths"]["/v2/models/gate/infer"]["post"]["requestBody"]
        (example,) = body["content"]["application/json"]["schema"]["examples"]
        found = client.post("/v2/models/gate/infer", json=example)
        assert found.status_code == 200, found.text
        assert ("/predict" in client.get("/openapi.json").json()["paths"]) == (write is image_gate)


def test_the_schema_refers_to_nothing_outside_of_it() -> None:
    schema = infer_schema([{"name": "logits", "datatype": "FP32", "shape": [-1, 3]}])
    assert "$ref" not in str(schema)
    assert InferRequest.model_validate(schema["examples"][0]).inputs[0].shape == [1, 3]
