"""A gate with its nets behind the server: what Python answers, over both protocols, or why it is not served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image

from steepslope.errors import SteepslopeError
from steepslope.gate import Gate
from steepslope.gate._confidence_source import Origin
from steepslope.gate._decisions import Decisions
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._transforms import Transform
from steepslope.nets.export._exporting import export_gate
from steepslope.nets.export._file import ExportedGate
from steepslope.nets.predict._image_gate import ImageGate
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from steepslope.serve._gate_folder import served_gate_folder
from steepslope.serve._served import served_file
from tests.conftest import make_outputs
from tests.images import opened
from tests.serve.models import client_of, encoded, inferred, posted

COUNT = 40
BACKBONE = "module:tests.tiny_nets:ten_classes"


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """Return the first images of the digits' test split, (m, 8, 8)."""
    data = opened("digits:test")
    return np.stack([np.asarray(data.image(row)) for row in range(6)])


@pytest.fixture(scope="module")
def client(gates: Path) -> Iterator[TestClient]:
    with client_of(served_gate_folder(gates / "free")) as found:
        yield found


def same(found: dict[str, list[Any]], expected: Decisions) -> None:
    assert found["label"] == expected.labels.tolist()
    assert found["accepted"] == expected.accepted.tolist()
    for name in ("probability", "p_correct", "trust_logit"):
        np.testing.assert_allclose(found[name], getattr(expected, name), rtol=1e-6)


@pytest.mark.parametrize("kind", ["free", "predicted", "mcp"])
def test_it_answers_as_python_does(kind: str, gates: Path, pixels: NDArray[np.uint8]) -> None:
    expected = ImageGate.load(gates / kind).predict(pixels, top=3)
    with client_of(served_gate_folder(gates / kind)) as client:
        same(inferred(client, images=pixels[..., None]), expected)
        found = client.post("/predict?top=3", content=encoded(pixels[4])).json()
    assert (found["label"], found["decision"]) == (expected.names(expected.labels)[4], expected.decision[4])
    assert [one["label"] for one in found["top"]] == [*expected.names(expected.top_labels[4])]
    np.testing.assert_allclose([one["probability"] for one in found["top"]], expected.top_probability[4], rtol=1e-4)
    np.testing.assert_allclose(found["trust_logit"], expected.trust_logit[4], rtol=1e-4)


def test_a_second_backbone_that_sees_colour_gets_colour(gates: Path, pixels: NDArray[np.uint8]) -> None:
    gate = ImageGate.load(gates / "auxiliary", auxiliary=BACKBONE)
    image = Image.fromarray(np.stack([pixels[0], pixels[1], pixels[2]], axis=2))
    with client_of(served_gate_folder(gates / "auxiliary", None, BACKBONE)) as client:
        metadata = client.get("/v2/models/gate").json()
        assert metadata["inputs"][0]["shape"] == [-1, -1, -1, 3]
        assert [one["name"] for one in metadata["outputs"]][-1] == "handed_over"
        found, expected = client.post("/predict", content=encoded(image)).json(), gate.predict(image)
        assert expected.handed_over is not None
        np.testing.assert_allclose(found["trust_logit"], expected.trust_logit[0], rtol=1e-6)
        np.testing.assert_allclose(found["handed_over"], expected.handed_over[0], rtol=1e-6)
        assert "steepslope_handed_over_total 0.0" not in client.get("/metrics").text.splitlines()


def test_the_nets_of_opinions_see_the_images_too(opinions: Path, pixels: NDArray[np.uint8]) -> None:
    named = {"twelve": "module:tests.tiny_nets:twelve_classes"}
    with client_of(served_gate_folder(opinions / "nets", opinions=named)) as client:
        assert client.get("/v2/models/gate").json()["inputs"][0]["shape"] == [-1, -1, -1, 3]
        expected = ImageGate.load(opinions / "nets", opinions=named).predict(pixels)
        same(inferred(client, images=np.repeat(pixels[..., None], 3, axis=3)), expected)


def test_what_is_promised_stands_in_the_metadata(client: TestClient, gates: Path) -> None:
    gate = Gate.load(gates / "free")
    found = client.get("/v2/models/gate").json()["parameters"]
    assert found["words"] == gate.sentences()
    assert found["threshold"] == gate.threshold
    assert found["certificates"] == [one.as_json() for one in gate.certificates]
    assert client.get("/").json()["promise"] == gate.sentences()


def test_a_gate_that_accepts_nothing_is_served_and_says_so(
    home: Path, tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    outputs = ClassifierOutputs.load(home / "outputs" / "test").subset(slice(0, 40))
    Gate.of(MCP(), outputs, 0.001, origin=Origin.from_folder(home / "outputs" / "test")).save(tmp_path / "gate")
    with client_of(served_gate_folder(tmp_path / "gate")) as client:
        assert not client.get("/").json()["accepts_any"]
        found = client.post("/predict", content=encoded(pixels[0])).json()
        assert (found["accepted"], found["decision"]) == (False, "review")
        assert client.get("/v2/models/gate").json()["parameters"]["threshold"] is None
        assert "Nothing can be promised" in client.get("/").json()["promise"]


def test_gates_that_no_image_can_be_given_to_are_refused(home: Path, tmp_path: Path) -> None:
    outputs = make_outputs()
    Gate.calibrate(outputs.logits.max(axis=1), outputs.is_correct, 0.3).save(tmp_path / "alone")
    with pytest.raises(SteepslopeError, match=r"alone: expected a gate with an oracle or a score.*confidences alone"):
        served_gate_folder(tmp_path / "alone")
    test = ClassifierOutputs.load(home / "outputs" / "test")
    sites = np.arange(len(test)) % 2
    Gate.of(MCP(), test, 0.5, groups=sites, by="site").save(tmp_path / "sites")
    with pytest.raises(SteepslopeError, match=r"sites: expected a gate without groups, or by predicted.*by site"):
        served_gate_folder(tmp_path / "sites")


def test_a_gate_that_knows_no_net_takes_arrays(tmp_path: Path) -> None:
    outputs = make_outputs()
    gate = Gate.of(MCP(), outputs, 0.5)
    gate.save(tmp_path / "gate")
    with client_of(served_gate_folder(tmp_path / "gate")) as client:
        (taken,) = client.get("/v2/models/gate").json()["inputs"]
        assert (taken["name"], taken["datatype"], taken["shape"]) == ("logits", "FP64", [-1, outputs.num_classes])
        assert client.post("/predict", content=b"").status_code == 404
        same(inferred(client, logits=outputs.logits.astype(np.float64)), gate.decide(outputs))


def test_a_gate_that_counts_votes_is_refused_at_once(opinions: Path) -> None:
    with pytest.raises(SteepslopeError, match="opinion people: no net of it is recorded, so images cannot be judged"):
        served_gate_folder(opinions / "all")


def test_a_net_of_six_channels_takes_floats(tmp_path: Path) -> None:
    transform = Transform((8, 8), (0.5,) * 6, (0.5,) * 6)
    classifier = replace(load_classifier("module:tests.tiny_nets:six_channels"), transform=transform)
    Gate.of(MCP(), make_outputs(num_classes=3), 0.9).save(tmp_path / "gate")
    images = np.random.default_rng(0).random((3, 8, 8, 6), dtype=np.float32)
    with client_of(served_gate_folder(tmp_path / "gate", classifier)) as client:
        expected = ImageGate.load(tmp_path / "gate", classifier).predict(images)
        np.testing.assert_allclose(inferred(client, images=images)["trust_logit"], expected.trust_logit, rtol=1e-5)
        images[0, 0, 0, 3] = 1.5
        found = posted(client, images=images)
        assert (found.status_code, found.json()) == (400, {"error": "images: expected floats in [0, 1], found others"})
        found = client.post("/predict", content=encoded(np.zeros((8, 8, 3), np.uint8)))
        assert found.status_code == 422
        assert found.json()["error"] == "expected an image of 6 channels, found RGB: use infer"


@pytest.mark.slow
def test_an_oracle_on_images_sees_them(gate_on_images: Path, pixels: NDArray[np.uint8]) -> None:
    with client_of(served_gate_folder(gate_on_images)) as client:
        same(inferred(client, images=pixels[..., None]), ImageGate.load(gate_on_images).predict(pixels))


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
        trust_logit = inferred(client, **arrays)["trust_logit"]
        np.testing.assert_allclose(trust_logit, gate.decide(outputs).trust_logit, rtol=1e-4, atol=1e-5)
        refused = posted(client, **{**arrays, "logits": np.full_like(arrays["logits"], np.nan)})
        assert (refused.status_code, refused.json()["error"]) == (
            400, "logits: expected finite numbers, found NaN or infinite ones",
        )  # fmt: skip
