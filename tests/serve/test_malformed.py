"""Whatever is wrong with a request, the answer is 4xx and tells why, and the server goes on."""

from __future__ import annotations

import http.client
import socket
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, strategies as st
from PIL import Image

from steepslope.serve._app import LONGEST
from tests.serve.live import Live, listening
from tests.serve.models import (
    INFER,
    PIXELS,
    PREDICT,
    asked,
    client_of,
    drawn,
    encoded,
    file_served,
    image_gate,
    png,
    tensor,
)

MAX_BODY = 100_000
LIMITS = {"MAX_JSON": 94_000, "MAX_BODY": MAX_BODY, "MAX_ROWS": 64, "MAX_PIXELS": 10_000, "BODY_SECONDS": 1}
LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True)
class Wrong:
    """A wrong request, and the status that it is answered with."""

    status: int
    body: bytes = b""
    path: str = INFER
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


def of_json(status: int, *tensors: Any, **fields: Any) -> Wrong:
    return Wrong(status, asked(*tensors, **fields))


def picture(status: int, body: bytes, kind: str = "image/png", query: str = "") -> Wrong:
    return Wrong(status, body, PREDICT + query, {"Content-Type": kind})


DOT = encoded(np.zeros((4, 4, 3), np.uint8))
DRAWING, PHOTO = (
    encoded(np.random.default_rng(0).integers(256, size=(40, 40, 3), dtype=np.uint8), kind) for kind in ("PNG", "JPEG")
)
TWO = [0.5] * 3 + [1.5] * 9

WRONG: dict[str, Wrong] = {
    "no body": Wrong(400),
    "no JSON": Wrong(400, b"hello"),
    "no UTF-8": Wrong(400, b'{"inputs": "\xff\xfe"}'),
    "JSON of a list": Wrong(400, b"[]"),
    "an empty object": Wrong(400, b"{}"),
    "deep brackets": Wrong(400, b'{"inputs":' + b"[" * 40_000 + b"]" * 40_000 + b"}"),
    "deep data": Wrong(400, asked(tensor(data="@")).replace(b'"@"', b"[" * 900 + b"1" + b"]" * 900)),
    "a number of 5,000 digits": Wrong(400, asked(tensor(data="@")).replace(b'"@"', b"[" + b"9" * 5000 + b"]")),
    "an input without name": of_json(400, tensor(name=None)),
    "an unknown input": of_json(400, tensor(name="image")),
    "a flag of 90,000 letters": of_json(400, tensor(), parameters={"binary_data_output": "x" * 90_000}),
    "an input twice": of_json(400, tensor(), tensor()),
    "100 inputs": of_json(400, *[tensor()] * 100),
    "another datatype": of_json(400, tensor(datatype="FP32")),
    "a negative size": of_json(400, tensor(shape=[-1, 2, 2, 3])),
    "a size of a half": of_json(400, tensor(shape=[1, 2, 2, 1.5])),
    "a huge size": of_json(400, tensor(shape=[10**30, 2, 2, 3])),
    "one channel": of_json(400, tensor(shape=[3, 2, 2, 1])),
    "no rows": of_json(400, tensor(shape=[0, 2, 2, 3], data=[])),
    "more data than the shape": of_json(400, tensor(data=[*PIXELS, 1])),
    "data nested otherwise": of_json(400, tensor(data=[PIXELS[:6], PIXELS[6:]])),
    "ragged data": of_json(400, tensor(data=[[1, 2, 3], [4]])),
    "text among data": of_json(400, tensor(data=[*PIXELS[1:], "a"])),
    "data of booleans": of_json(400, tensor(data=[True] * 12)),
    "a pixel of 256": of_json(400, tensor(data=[*PIXELS[1:], 256])),
    "pixels of halves": of_json(400, tensor(data=TWO)),
    "65 rows": of_json(413, tensor(shape=[65, 1, 1, 3], data=[0] * 195)),
    "an image of too many pixels": of_json(413, tensor(shape=[1, 1, 10_001, 3], data=[0] * 30_003)),
    "an id that is a number": of_json(400, tensor(), id=7),
    "a parameter that is an object": of_json(400, tensor(), parameters={"a": {}}),
    "an unknown output": of_json(400, tensor(), outputs=[{"name": "logits"}]),
    "an output twice": of_json(400, tensor(), outputs=[{"name": "label"}] * 2),
    "a classification": of_json(400, tensor(), outputs=[{"name": "label", "parameters": {"classification": 2}}]),
    "shared memory": of_json(400, tensor(parameters={"shared_memory_region": "a"})),
    "binary data": Wrong(400, asked(tensor()) + bytes(12), headers={LENGTH: str(len(asked(tensor())))}),
    "a body that is too large": Wrong(413, bytes(MAX_BODY + 1)),
    "JSON that is too large": of_json(413, tensor(), id="x" * 95_000),
    "a compressed body": Wrong(415, zlib.compress(asked(tensor())), headers={"Content-Encoding": "gzip"}),
    "a body of a form": Wrong(415, b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    "GET for infer": Wrong(405, method="GET"),
    "another model": Wrong(404, asked(tensor()), "/v2/models/other/infer"),
    "a path upwards": Wrong(404, path="/v2/../../etc/passwd", method="GET"),
    "no image": picture(415, b""),
    "EPS, which would be run": picture(415, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    "half of a PNG": picture(422, DRAWING[: len(DRAWING) // 2]),
    "a PNG with a wrong checksum": picture(415, DRAWING[:30] + bytes([DRAWING[30] ^ 255]) + DRAWING[31:]),
    "an image of 101 × 100": picture(413, png(101, 100)),
    "an image of floats": picture(422, encoded(Image.new("F", (4, 4)), "TIFF"), "image/tiff"),
    "an image from another site": Wrong(403, DOT, PREDICT, {"Origin": "https://evil.example"}),
    "an image from a damaged site": Wrong(403, DOT, PREDICT, {"Origin": "http://["}),
    "an image that is too large a body": picture(413, DOT + bytes(MAX_BODY)),
    "top of 0": picture(422, DOT, query="?top=0"),
    "an image in a form": picture(415, DOT, "multipart/form-data; boundary=a"),
}  # fmt: skip
RAW: dict[str, bytes] = {
    "no HTTP": b"hello\r\n\r\n",
    "a length of text": b"POST /predict HTTP/1.1\r\nHost: [::]\r\nContent-Length: abc\r\n\r\n",
    "two lengths": b"POST /predict HTTP/1.1\r\nHost: [::]\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two ways to tell its length": b"POST /predict HTTP/1.1\r\nHost: [::]\r\nContent-Length: 50\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v2/health/live HTTP/1.1\r\nHost: [::]\r\n\r\n",
    "chunks over the limit": b"POST /predict HTTP/1.1\r\nHost: [::]\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"8000\r\n" + bytes(0x8000) + b"\r\n" + b"8000\r\n" + bytes(0x8000) + b"\r\n"
    + b"8000\r\n" + bytes(0x8000) + b"\r\n" + b"8000\r\n" + bytes(0x8000) + b"\r\n0\r\n\r\n",
    "a length over the limit": b"POST /predict HTTP/1.1\r\nHost: [::]\r\nContent-Length: 99999999999\r\n\r\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    served = file_served(image_gate(tmp_path_factory.mktemp("gate")))
    with client_of(served, **LIMITS) as found:
        yield found


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with listening(image_gate(tmp_path_factory.mktemp("live")), **LIMITS) as found:
        yield found


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_with_the_reason(case: str, client: TestClient) -> None:
    wrong = WRONG[case]
    found = client.request(wrong.method, wrong.path, content=wrong.body, headers=dict(wrong.headers))
    assert found.status_code == wrong.status, found.text
    assert [*found.json()] == ["error"]
    message = found.json()["error"]
    assert message
    assert "\n" not in message
    assert len(message) <= LONGEST
    assert client.post(INFER, content=asked(tensor())).status_code == 200


VALID = {
    **{kind: picture(200, encoded(drawn(1, 8, 8)[0], kind)) for kind in ("PNG", "GIF", "TIFF", "WEBP", "JPEG", "PPM")},
    "JSON": of_json(200, tensor(), id="a", outputs=[{"name": "label"}]),
}


@given(case=st.sampled_from([*VALID]), place=st.floats(0, 1), length=st.integers(0, 9), instead=st.binary(max_size=9))
def test_damaged_requests_are_the_clients_fault(
    case: str, place: float, length: int, instead: bytes, client: TestClient
) -> None:
    body = VALID[case].body
    start = int(place * len(body))
    damaged = body[:start] + instead + body[start + length :]
    found = client.post(VALID[case].path, content=damaged, headers=dict(VALID[case].headers))
    assert found.status_code in (200, 400, 413, 415, 422), found.text


@pytest.mark.parametrize("case", RAW)
def test_what_is_no_request_is_refused(case: str, live: Live) -> None:
    assert live.raw(RAW[case]).startswith(b"HTTP/1.1 4"), case
    connection = http.client.HTTPConnection(*live.address, timeout=30)
    connection.request("GET", "/v2/health/ready")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_body_that_does_not_come_is_given_up(live: Live) -> None:
    connection = http.client.HTTPConnection(*live.address, timeout=30)
    connection.putrequest("POST", PREDICT)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"half")
    assert connection.getresponse().status == 408
    connection.close()


def test_clients_that_send_a_byte_keep_nobody_out(tmp_path: Path) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: [::]\r\nContent-Length: 1000\r\n\r\n"
    with listening(image_gate(tmp_path), MAX_WAITING=4, BODY_SECONDS=5) as found, ExitStack() as slow:
        for _ in range(4):
            slow.enter_context(socket.create_connection(found.address, 20)).sendall(head + b"x")
        body = encoded(drawn(1, 9, 9)[0])
        request = f"POST /predict HTTP/1.1\r\nHost: [::]\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        for _ in range(8):
            assert found.raw(request).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "part", [b"", b"GET / HT", pytest.param(b"GET /v2 HTTP/1.1\r\nHost: [::]\r\n\r\nGET / HT", marks=pytest.mark.slow)]
)
def test_headers_that_do_not_come_are_given_up(part: bytes, live: Live) -> None:
    with socket.create_connection(live.address, 20) as connection:
        started = time.monotonic()
        connection.sendall(part)
        while connection.recv(65536):
            pass
        assert 0.9 < time.monotonic() - started < 15


def test_connections_are_bounded_and_slow_clients_make_room(tmp_path: Path) -> None:
    """Of too many, the one is closed that has kept the server waiting for longest, be it for headers or a body."""
    ask, slow = (
        b"GET /v2 HTTP/1.1\r\nHost: [::]\r\n",
        b"POST /predict HTTP/1.1\r\nHost: [::]\r\nContent-Length: 9\r\n\r\n",
    )
    with listening(image_gate(tmp_path), MAX_CONNECTIONS=3) as found, ExitStack() as held:
        waiting = []
        for part in (ask, slow, b""):
            waiting.append(held.enter_context(socket.create_connection(found.address, 20)))
            waiting[-1].sendall(part)
            time.sleep(0.05)
        assert found.raw(ask + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert waiting[0].recv(9) == b""
        waiting[2].sendall(ask + b"\r\n")
        assert waiting[2].recv(12) == b"HTTP/1.1 200"
        for _ in range(9):
            waiting.append(held.enter_context(socket.create_connection(found.address, 20)))
        assert found.raw(ask + b"\r\n").startswith(b"HTTP/1.1 200")
        assert waiting[1].recv(9) == b""


def test_no_page_loads_what_others_serve(client: TestClient) -> None:
    assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404, 404, 200]
    own = client.post(PREDICT, content=encoded(drawn(1, 4, 4)[0]), headers={"Origin": "http://localhost"})
    assert own.status_code == 200
