"""Whatever is wrong with a request, the answer is 4xx and tells why, and the server goes on."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, strategies as st

from steepslope.serve.app import LONGEST
from tests.serve.live import Live, running
from tests.serve.malformed import INFER, LIMITS, OPTIONS, PREDICT, RAW, WRONG, asked, of_json, picture, tensor
from tests.serve.models import client_of, drawn, encoded, file_served, image_gate
from tests.serve.odd_images import ODD


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    served = file_served(image_gate(tmp_path_factory.mktemp("gate")))
    with client_of(served, **OPTIONS) as found:
        yield found


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with running(image_gate(tmp_path_factory.mktemp("live")), LIMITS) as found:
        yield found
        assert found.stopped() == 0


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
    **{name: picture(200, data) for name, data in ODD.items()},
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


def test_a_server_lives_through_all_of_them(live: Live) -> None:
    connection = http.client.HTTPConnection(*live.address, timeout=30)
    for case, wrong in WRONG.items():
        connection.request(wrong.method, wrong.path, wrong.body, dict(wrong.headers))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == wrong.status, case
    connection.request("POST", PREDICT, encoded(drawn(1, 4, 4)[0]), {"Content-Type": "image/png"})
    assert connection.getresponse().status == 200
    connection.close()
    assert live.process.poll() is None


@pytest.mark.parametrize("case", RAW)
def test_what_is_no_request_is_refused(case: str, live: Live) -> None:
    assert live.raw(RAW[case]).startswith(b"HTTP/1.1 4"), case
    connection = http.client.HTTPConnection(*live.address, timeout=30)
    connection.request("GET", "/v2/health/ready")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.slow
def test_a_body_that_does_not_come_is_given_up(live: Live) -> None:
    connection = http.client.HTTPConnection(*live.address, timeout=30)
    connection.putrequest("POST", PREDICT)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"half")
    assert connection.getresponse().status == 408
    connection.close()


def test_clients_that_send_a_byte_keep_nobody_out(tmp_path: Path) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n"
    with running(image_gate(tmp_path), "--max-waiting 4 --body-seconds 2") as found, ExitStack() as slow:
        for _ in range(4):
            slow.enter_context(socket.create_connection(found.address, 20)).sendall(head + b"x")
        body = encoded(drawn(1, 9, 9)[0])
        request = f"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        for _ in range(8):
            assert found.raw(request).startswith(b"HTTP/1.1 200")


@pytest.mark.slow
@pytest.mark.parametrize("part", [b"", b"GET / HT", b"GET /v2 HTTP/1.1\r\nHost: here\r\n\r\nGET / HT"])
def test_headers_that_do_not_come_are_given_up(part: bytes, live: Live) -> None:
    with socket.create_connection(live.address, 20) as connection:
        started = time.monotonic()
        connection.sendall(part)
        while connection.recv(65536):
            pass
        assert 1 < time.monotonic() - started < 15


def test_connections_are_bounded_and_slow_clients_make_room(tmp_path: Path) -> None:
    """Of too many, the one is closed that has kept the server waiting for longest, be it for headers or a body."""
    ask, slow = (
        b"GET /v2 HTTP/1.1\r\nHost: here\r\n",
        b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n",
    )
    with running(image_gate(tmp_path), "--max-connections 3") as found, ExitStack() as held:
        waiting = []
        for part in (ask, slow, b""):
            waiting.append(held.enter_context(socket.create_connection(found.address, 20)))
            waiting[-1].sendall(part)
            time.sleep(0.2)
        assert found.raw(ask + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert waiting[0].recv(9) == b""
        waiting[2].sendall(ask + b"\r\n")
        assert waiting[2].recv(12) == b"HTTP/1.1 200"
        for _ in range(9):
            waiting.append(held.enter_context(socket.create_connection(found.address, 20)))
        assert found.raw(ask + b"\r\n").startswith(b"HTTP/1.1 200")
        assert waiting[1].recv(9) == b""


def test_a_length_that_is_told_twice_ends_the_connection(live: Live) -> None:
    with socket.create_connection(live.address, 20) as connection:
        connection.sendall(RAW["two ways to tell its length"])
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.count(b"HTTP/1.1 ") == 1


def test_no_page_loads_what_others_serve(client: TestClient) -> None:
    assert [client.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404, 404, 200]
    own = client.post(PREDICT, content=encoded(drawn(1, 4, 4)[0]), headers={"Origin": "http://testserver"})
    assert own.status_code == 200


def test_clients_that_go_away_leave_no_trace(live: Live) -> None:
    """Some go in the middle of a body, some before the answer, some without a word."""
    body = encoded(drawn(1, 9, 9)[0])
    head = f"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for number in range(90):
        with socket.create_connection(live.address, 20) as leaving:
            leaving.sendall((head + body[:50], head + body, b"")[number % 3])
    connection = http.client.HTTPConnection(*live.address, timeout=30)
    connection.request("POST", PREDICT, body)
    assert connection.getresponse().status == 200
    connection.close()
