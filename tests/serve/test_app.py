"""The routes: what they answer of a model, which limits hold together, and what is counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import ImageFile
from prometheus_client.parser import text_string_to_metric_families

from steepslope.nets.export._file import Arrays
from steepslope.serve._capacity import Capacity
from tests.serve.models import (
    CARD,
    CLASSES,
    INFER,
    PREDICT,
    array_gate,
    asked,
    client_of,
    decided,
    drawn,
    encoded,
    file_served,
    image_gate,
    inferred,
    of_images,
    posted,
    tensor,
)


@dataclass(eq=False)
class Noted:
    """What watches: it writes down what it is shown, and calls the gate changed at the third prediction."""

    shown: list[Arrays] = field(default_factory=list)

    @property
    def code(self) -> int:
        return 4 if sum(len(rows["p_correct"]) for rows in self.shown) >= 3 else 0

    def judge(self, answers: list[Arrays]) -> list[Arrays]:
        self.shown += answers
        return answers

    def write_in_time(self) -> None:
        """Write nothing."""

    def can_write(self) -> bool:
        return True

    def evidence(self) -> dict[str, float]:
        return {"trust": self.code / 4}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(file_served(image_gate(tmp_path_factory.mktemp("gate")))) as found:
        yield found


def metrics_of(client: TestClient) -> dict[str, float]:
    """Return the metrics without labels, and the counts by route and status."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [one for family in families for one in family.samples]
    return {" ".join([one.name, *one.labels.values()]): one.value for one in samples}


def test_a_version_has_the_routes_of_its_model(client: TestClient) -> None:
    prefix = "/v2/models/gate/versions/1"
    assert client.get(prefix).json() == client.get("/v2/models/gate").json()
    assert client.get(f"{prefix}/ready").json() == {"name": "gate", "ready": True}
    found = client.post(f"{prefix}/infer", content=asked(tensor(), id="a", outputs=[{"name": "label"}])).json()
    assert (found["id"], found["model_version"], len(found["outputs"])) == ("a", "1", 1)
    assert client.get("/v2/models/gate/versions/2").status_code == 404
    assert "the model of this server is gate" in client.get("/v2/models/other").json()["error"]


def test_the_same_image_has_the_same_answer_on_both_routes(client: TestClient) -> None:
    images = drawn(1, 9, 7)
    expected = {name: array[0] for name, array in of_images(images).items()}
    by_name = inferred(client, images=images)
    for headers in ({"Content-Type": "image/png"}, None):
        answer = client.post(PREDICT, content=encoded(images[0]), headers=headers).json()
        assert answer["label"] == CLASSES[expected["label"]]
        assert answer["decision"] == ("accept" if expected["accepted"] else "review")
        assert "top" not in answer
        assert "handed_over" not in answer
        for name in ("probability", "p_correct", "trust_logit", "accepted"):
            assert answer[name] == pytest.approx(expected[name], rel=1e-6)
            assert by_name[name] == [answer[name]]
    assert client.post(f"{PREDICT}?top=5", content=encoded(images[0])).json()["top"][0]["label"] == answer["label"]


def test_arrays_go_to_a_gate_that_takes_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features, auxiliary = (rng.normal(size=(6, width)).astype(np.float32) for width in (3, 5))
    with client_of(file_served(array_gate(tmp_path), max_batch=4)) as client:
        expected = decided(features + auxiliary.max(axis=1, keepdims=True))
        found = inferred(client, features=features, auxiliary=auxiliary)
        np.testing.assert_allclose(found["p_correct"], expected["p_correct"], rtol=1e-5)
        assert client.post(PREDICT, content=encoded(drawn(1, 3, 3)[0])).status_code == 404
        features[0] = np.inf
        assert posted(client, features=features, auxiliary=auxiliary).json() == {
            "error": "features: expected finite numbers, found NaN or infinite ones"
        }
        assert posted(client, auxiliary=auxiliary).status_code == 400


def test_a_model_that_breaks_is_a_500_and_the_server_lives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def breaks(parts: Sequence[Arrays], top: int) -> list[Arrays]:
        raise ZeroDivisionError

    with client_of(replace(file_served(image_gate(tmp_path)), run=breaks)) as client:
        found = client.post(INFER, content=asked(tensor()))
        assert (found.status_code, found.json()) == (500, {"error": "the server failed; its log tells why"})
        assert client.get("/v2/health/live").status_code == 200


def test_probes_are_answered_while_the_model_runs_and_a_full_queue_is_told(tmp_path: Path) -> None:
    served, may_run = file_served(image_gate(tmp_path), 4), threading.Event()

    def waits(parts: Sequence[Arrays], top: int) -> list[Arrays]:
        assert may_run.wait(20)
        return served.run(parts, top)

    with client_of(replace(served, run=waits), MAX_WAITING=3) as client, ThreadPoolExecutor(3) as pool:
        sent = [pool.submit(client.post, INFER, content=asked(tensor())) for _ in range(3)]
        capacity: Capacity = client.app.state.answers.capacity  # type: ignore[attr-defined]
        while capacity.pace.under_way < 3:
            assert client.get("/v2/health/ready").json() == {"ready": True}
        for path in (INFER, PREDICT):
            found = client.post(path, content=asked(tensor()))
            assert (found.status_code, found.headers["retry-after"]) == (503, "1")
            assert found.json() == {"error": "3 requests are under way: try again later"}
        may_run.set()
        assert [one.result().status_code for one in sent] == [200] * 3
        assert client.post(INFER, content=asked(tensor())).status_code == 200
        assert (capacity.pace.under_way, capacity.held) == (0, 0)


def test_an_image_is_decoded_only_where_there_is_memory_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, decoded = encoded(drawn(1, 700, 700)[0], "JPEG", quality=20), list[str]()
    load = ImageFile.ImageFile.load

    def noted(self: ImageFile.ImageFile) -> Any:
        decoded.append(str(self.format))
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", noted)
    assert len(image) < 200_000
    with client_of(file_served(image_gate(tmp_path)), MAX_MEMORY=4 << 20) as client:
        found = client.post(PREDICT, content=image)  # decoding takes about 10 MB
        assert (found.status_code, decoded) == (413, [])
        assert client.post(PREDICT, content=encoded(drawn(1, 9, 9)[0])).status_code == 200
    with client_of(file_served(image_gate(tmp_path)), MAX_MEMORY=16 << 20) as client:
        capacity: Capacity = client.app.state.answers.capacity  # type: ignore[attr-defined]
        with capacity.claim() as other:
            other.take(8 << 20)
            decoded.clear()
            found = client.post(PREDICT, content=image)
            assert (found.status_code, found.headers["retry-after"], decoded) == (503, "1", [])
        assert client.post(PREDICT, content=image).status_code == 200
        assert (capacity.pace.under_way, capacity.held) == (0, 0)


def test_what_is_counted_is_what_was_answered(tmp_path: Path) -> None:
    watch, images = Noted(), drawn(2, 4, 4, seed=3)
    expected = of_images(images)
    with client_of(file_served(image_gate(tmp_path, hands_over=True)), watch) as client:
        assert metrics_of(client)["steepslope_health"] == 0
        assert posted(client, images=images).status_code == 200
        assert client.post(INFER, content=b"{").status_code == 400
        assert watch.code == 0
        assert client.post(PREDICT, content=encoded(images[0])).status_code == 200
        found = metrics_of(client)
    assert found["steepslope_health"] == 4
    assert found["steepslope_evidence trust"] == 1
    assert found["steepslope_calibrated_coverage"] == CARD["coverage"]
    assert found["steepslope_predictions_total"] == 3
    accepted = [*expected["accepted"], expected["accepted"][0]]
    assert found["steepslope_accepted_total"] == sum(accepted)
    handed_over = np.array([*expected["probability"], expected["probability"][0]]) / 2
    assert found["steepslope_handed_over_total"] == pytest.approx(handed_over.sum(), rel=1e-6)
    assert found["steepslope_batch_rows_count"] == 2
    assert found["steepslope_batch_rows_sum"] == 3
    assert found["steepslope_requests_total infer 200"] == found["steepslope_requests_total infer 400"] == 1
    assert found["steepslope_requests_total predict 200"] == 1
    assert found["steepslope_request_seconds_count infer"] == 2
    seen = {name: np.concatenate([rows[name] for rows in watch.shown]) for name in ("p_correct", "probability")}
    np.testing.assert_allclose(seen["p_correct"][:2], expected["p_correct"], rtol=1e-6)
    np.testing.assert_allclose(seen["probability"], 2 * handed_over, rtol=1e-6)
