"""A client of the protocol from PyPI gets the model's numbers as JSON, and is told that there are no binary tensors."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from tests.serve.live import LiveProcess, listening, running
from tests.serve.models import CARD, CLASSES, array_gate, client_of, drawn, file_served, image_gate, of_images


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveProcess]:
    with running(image_gate(tmp_path_factory.mktemp("live"), hands_over=True)) as found:
        yield found
        assert found.stopped() == 0


@pytest.fixture
def client(live: LiveProcess) -> Iterator[Any]:
    with triton.InferenceServerClient("{}:{}".format(*live.address), concurrency=2) as found:
        yield found


def test_the_server_and_its_model_are_described(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("gate")
    assert client.is_model_ready("gate", "1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == []
    found = client.get_model_metadata("gate")
    assert found["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert [one["name"] for one in found["outputs"]][:2] == ["label", "probability"]
    assert found["parameters"]["classes"] == list(CLASSES)
    assert found["parameters"]["certificates"][0]["max_risk"] == 0.05


def test_it_gets_the_models_numbers(client: Any) -> None:
    images = drawn(7, 6, 5)
    tensor = triton.InferInput("images", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=False)
    wanted = [triton.InferRequestedOutput(name, binary_data=False) for name in [*of_images(images), "handed_over"]]
    found = client.infer("gate", [tensor], "1", wanted, request_id="seven")
    assert found.get_response()["id"] == "seven"
    for name, expected in of_images(images).items():
        given = found.as_numpy(name)
        assert given.dtype == expected.dtype
        np.testing.assert_allclose(given, expected, rtol=1e-6)
    np.testing.assert_allclose(found.as_numpy("handed_over"), found.as_numpy("probability") / 2)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_a_server_of_a_file_imports_no_torch(live: LiveProcess) -> None:
    """The maps of a process name every library that it has loaded."""
    maps = Path(f"/proc/{live.process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    assert "libtorch" not in maps


def test_the_example_of_the_docs_runs(live: LiveProcess, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(example.replace("127.0.0.1:8000", "{}:{}".format(*live.address)), "serving.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == CARD["words"]


def test_every_route_and_metric_and_option_is_documented(live: LiveProcess) -> None:
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    connection = http.client.HTTPConnection(*live.address, timeout=30)
    connection.request("GET", "/openapi.json")
    routes = json.loads(connection.getresponse().read())["paths"]
    assert [route for route in routes if "/versions/" not in route and f"{route}`" not in text] == []
    connection.request("GET", "/metrics")
    shown = re.findall(r"# HELP (\w+) ", connection.getresponse().read().decode())
    connection.close()
    assert [name for name in shown if f"`{name}`" not in text and not name.endswith("_created")] == []
    assert [
        name for name in ("host", "port", "name", "max-batch", "monitor", "decisions") if f"--{name}" not in text
    ] == []


# What JSON Schema cannot say of a request: that bytes are an image, or that data have the size of their shape.
# A body too large is refused unread, so whether it fits the schema or not: both have 413 among their answers.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "413", "415", "422"]
[checks.negative_data_rejection]
expected-statuses = ["400", "404", "405", "413", "415", "422"]
"""
EXAMPLES = 25


@pytest.mark.slow
@pytest.mark.parametrize("write", [image_gate, array_gate])
def test_schemathesis_finds_nothing(write: Callable[[Path], Path], tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    with listening(write(tmp_path), MAX_BODY=100_000) as live:
        program = Path(sys.executable).with_name("schemathesis")
        command = f"{program} --no-color --config-file {config} run {live.url}/openapi.json --max-examples {EXAMPLES}"
        found = subprocess.run(command.split(), capture_output=True, text=True, timeout=300, cwd=tmp_path)
        assert found.returncode == 0, found.stdout
        assert " passed" in found.stdout


@pytest.mark.parametrize("write", [image_gate, array_gate])
def test_the_example_of_a_request_is_answered(write: Callable[[Path], Path], tmp_path: Path) -> None:
    with client_of(file_served(write(tmp_path))) as client:
        body = client.get("/openapi.json").json()["paths"]["/v2/models/gate/infer"]["post"]["requestBody"]
        (example,) = body["content"]["application/json"]["schema"]["examples"]
        assert "$ref" not in str(body)
        found = client.post("/v2/models/gate/infer", json=example)
        assert found.status_code == 200, found.text
        assert ("/predict" in client.get("/openapi.json").json()["paths"]) == (write is image_gate)
