"""A client of the protocol from PyPI gets the model's numbers as JSON, and is told that there are no binary tensors."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton

from steepslope.serve.options import ServeOptions
from tests.serve.live import Live, running
from tests.serve.models import CARD, CLASSES, drawn, image_gate, of_images


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with running(image_gate(tmp_path_factory.mktemp("live"), hands_over=True)) as found:
        yield found
        assert found.stopped() == 0


@pytest.fixture
def client(live: Live) -> Iterator[Any]:
    with triton.InferenceServerClient(live.host, concurrency=2) as found:
        yield found


def _input(images: np.ndarray[Any, Any], binary: bool = False) -> Any:
    given = triton.InferInput("images", list(images.shape), "UINT8")
    given.set_data_from_numpy(images, binary_data=binary)
    return given


def _wanted(*names: str) -> Any:
    return [triton.InferRequestedOutput(name, binary_data=False) for name in names]


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
    names = [*of_images(images), "handed_over"]
    found = client.infer("gate", [_input(images)], "1", _wanted(*names), request_id="seven")
    assert found.get_response()["id"] == "seven"
    for name, expected in of_images(images).items():
        given = found.as_numpy(name)
        assert given.dtype == expected.dtype
        np.testing.assert_allclose(given, expected, rtol=1e-6)
    np.testing.assert_allclose(found.as_numpy("handed_over"), found.as_numpy("probability") / 2)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_a_server_of_a_file_imports_no_torch(live: Live) -> None:
    """The maps of a process name every library that it has loaded."""
    maps = Path(f"/proc/{live.process.pid}/maps").read_text()
    assert "onnxruntime" in maps
    assert "libtorch" not in maps


def test_the_example_of_the_docs_runs(live: Live, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(example.replace("127.0.0.1:8000", live.host), "serving.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == CARD["words"]


def test_every_route_and_metric_and_option_is_documented(live: Live) -> None:
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    connection = http.client.HTTPConnection(*live.address, timeout=30)
    connection.request("GET", "/openapi.json")
    routes = json.loads(connection.getresponse().read())["paths"]
    assert [route for route in routes if "/versions/" not in route and f"{route}`" not in text] == []
    connection.request("GET", "/metrics")
    shown = re.findall(r"# HELP (\w+) ", connection.getresponse().read().decode())
    connection.close()
    assert [name for name in shown if f"`{name}`" not in text and not name.endswith("_created")] == []
    unnamed = [one.name for one in fields(ServeOptions) if f"--{one.name.replace('_', '-')}" not in text]
    assert unnamed == []
