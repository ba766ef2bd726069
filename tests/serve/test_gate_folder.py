"""A gate with its nets behind the server: what Python answers, over both protocols, or why it is not served."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from PIL import Image, ImageOps

from steepslope.errors import SteepslopeError
from steepslope.gate import Decisions, Gate, Origin
from steepslope.nets.classifiers.specs import load_classifier
from steepslope.nets.data.images import as_grey
from steepslope.nets.data.transforms import Transform
from steepslope.nets.predict.image_gate import ImageGate
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP
from steepslope.serve.gate_folder import served_gate
from tests.conftest import make_outputs
from tests.images import opened
from tests.serve.models import client_of, encoded
from tests.serve.odd_images import ODD

COUNT = 6
BACKBONE = "module:tests.tiny_nets:ten_classes"


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """Return the first images of the digits' test split, (m, 8, 8)."""
    data = opened("digits:test")
    return np.stack([np.asarray(data.image(row)) for row in range(COUNT)])


@pytest.fixture(scope="module")
def client(gates: Path) -> Iterator[TestClient]:
    with client_of(served_gate(gates / "free")) as found:
        yield found


def infer(client: TestClient, images: NDArray[np.uint8]) -> dict[str, list[Any]]:
    given = {"name": "images", "datatype": "UINT8", "shape": images.shape, "data": images.ravel().tolist()}
    found = client.post("/v2/models/gate/infer", json={"inputs": [given]})
    assert found.status_code == 200, found.text
    return {one["name"]: one["data"] for one in found.json()["outputs"]}


def same(found: dict[str, list[Any]], expected: Decisions) -> None:
    assert found["label"] == expected.labels.tolist()
    assert found["accepted"] == expected.accepted.tolist()
    for name in ("probability", "p_correct", "trust_logit"):
        np.testing.assert_allclose(found[name], getattr(expected, name), rtol=1e-6)


@pytest.mark.parametrize("kind", ["free", "predicted", "mcp"])
def test_it_answers_as_python_does(kind: str, gates: Path, pixels: NDArray[np.uint8]) -> None:
    with client_of(served_gate(gates / kind)) as client:
        same(infer(client, pixels[..., None]), ImageGate.load(gates / kind).predict(pixels))


def test_an_image_file_is_answered_as_its_pixels_are(
    client: TestClient, gates: Path, pixels: NDArray[np.uint8]
) -> None:
    expected = ImageGate.load(gates / "free").predict(pixels, top=3)
    for row, image in enumerate(pixels):
        found = client.post("/predict?top=3", content=encoded(image)).json()
        names = expected.names(expected.labels)
        assert found["label"] == names[row]
        assert found["decision"] == expected.decision[row]
        assert [one["label"] for one in found["top"]] == [*expected.names(expected.top_labels[row])]
        probability = [one["probability"] for one in found["top"]]
        np.testing.assert_allclose(probability, expected.top_probability[row], rtol=1e-4)
        np.testing.assert_allclose(found["trust_logit"], expected.trust_logit[row], rtol=1e-4)


def test_a_second_backbone_that_sees_colour_gets_colour(gates: Path, pixels: NDArray[np.uint8]) -> None:
    gate = ImageGate.load(gates / "auxiliary", auxiliary=BACKBONE)
    image = Image.fromarray(np.stack([pixels[0], pixels[1], pixels[2]], axis=2))
    with client_of(served_gate(gates / "auxiliary", None, BACKBONE)) as client:
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
    with client_of(served_gate(opinions / "nets", opinions=named)) as client:
        assert client.get("/v2/models/gate").json()["inputs"][0]["shape"] == [-1, -1, -1, 3]
        expected = ImageGate.load(opinions / "nets", opinions=named).predict(pixels)
        same(infer(client, np.repeat(pixels[..., None], 3, axis=3)), expected)


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
    with client_of(served_gate(tmp_path / "gate")) as client:
        assert not client.get("/").json()["accepts_any"]
        found = client.post("/predict", content=encoded(pixels[0])).json()
        assert (found["accepted"], found["decision"]) == (False, "review")
        assert client.get("/v2/models/gate").json()["parameters"]["threshold"] is None
        assert "Nothing can be promised" in client.get("/").json()["promise"]


def test_gates_that_no_image_can_be_given_to_are_refused(home: Path, tmp_path: Path) -> None:
    outputs = make_outputs()
    Gate.calibrate(outputs.logits.max(axis=1), outputs.is_correct, 0.3).save(tmp_path / "alone")
    with pytest.raises(SteepslopeError, match=r"alone: expected a gate with an oracle or a score.*confidences alone"):
        served_gate(tmp_path / "alone")
    test = ClassifierOutputs.load(home / "outputs" / "test")
    sites = np.arange(len(test)) % 2
    Gate.of(MCP(), test, 0.5, groups=sites, by="site").save(tmp_path / "sites")
    with pytest.raises(SteepslopeError, match=r"sites: expected a gate without groups, or by predicted.*by site"):
        served_gate(tmp_path / "sites")
    Gate.of(MCP(), outputs, 0.5).save(tmp_path / "unknown")
    with pytest.raises(SteepslopeError, match="give a Classifier, with its transform"):
        served_gate(tmp_path / "unknown")


def test_a_gate_that_counts_votes_is_refused_at_once(opinions: Path) -> None:
    with pytest.raises(SteepslopeError, match="opinion people: no net of it is recorded, so images cannot be judged"):
        served_gate(opinions / "all")


def test_a_net_of_six_channels_takes_floats(tmp_path: Path) -> None:
    transform = Transform((8, 8), (0.5,) * 6, (0.5,) * 6)
    classifier = replace(load_classifier("module:tests.tiny_nets:six_channels"), transform=transform)
    Gate.of(MCP(), make_outputs(num_classes=3), 0.9).save(tmp_path / "gate")
    images = np.random.default_rng(0).random((3, 8, 8, 6), dtype=np.float32)
    values = images.ravel().tolist()
    given = {"name": "images", "datatype": "FP32", "shape": images.shape, "data": values}
    with client_of(served_gate(tmp_path / "gate", classifier)) as client:
        found = client.post("/v2/models/gate/infer", json={"inputs": [given]}).json()
        expected = ImageGate.load(tmp_path / "gate", classifier).predict(images)
        np.testing.assert_allclose(found["outputs"][3]["data"], expected.trust_logit, rtol=1e-5)
        values[7] = 1.5
        found = client.post("/v2/models/gate/infer", json={"inputs": [given]})
        assert (found.status_code, found.json()) == (400, {"error": "images: expected floats in [0, 1], found others"})
        found = client.post("/predict", content=encoded(np.zeros((8, 8, 3), np.uint8)))
        assert found.status_code == 422
        assert found.json()["error"] == "expected an image of 6 channels, found RGB: use infer"


@pytest.mark.parametrize("case", ["half transparent", "16-bit grey", "turned by EXIF, 6", "8×5"])
def test_odd_image_files_are_judged_as_python_judges_them(case: str, client: TestClient, gates: Path) -> None:
    found = client.post("/predict", content=ODD[case])
    with Image.open(io.BytesIO(ODD[case])) as image:
        shown = as_grey(ImageOps.exif_transpose(image))  # the classifier sees grey
    if shown.size != (8, 8):
        assert found.status_code == 400, found.text
        assert f"expected an image of 8×8 pixels, found {shown.width}×{shown.height}" in found.json()["error"]
        return
    expected = ImageGate.load(gates / "free").predict(Image.open(io.BytesIO(ODD[case])))
    np.testing.assert_allclose(found.json()["trust_logit"], expected.trust_logit[0], rtol=1e-6)


@pytest.mark.slow
def test_an_oracle_on_images_sees_them(gate_on_images: Path, pixels: NDArray[np.uint8]) -> None:
    with client_of(served_gate(gate_on_images)) as client:
        same(infer(client, pixels[..., None]), ImageGate.load(gate_on_images).predict(pixels))
