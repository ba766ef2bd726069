"""SIGTERM under load: whatever was connected and sent before the signal is answered, and the exit code is 0."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.serve.live import LiveProcess, running
from tests.serve.models import drawn, encoded, image_gate, of_images

pytestmark = pytest.mark.slow


class Client(threading.Thread):
    """Sends one image again and again until none is accepted, and writes down whether each answer was right."""

    def __init__(self, live: LiveProcess, number: int) -> None:
        super().__init__()
        image = drawn(1, 8, 8, seed=number)
        self.live, self.right = live, list[bool]()
        self.body, self.label = encoded(image[0]), ("red", "green", "blue")[int(of_images(image)["label"][0])]
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection(*self.live.address, timeout=60)
        while True:
            try:
                connection.request("POST", "/predict", self.body, {"Content-Type": "image/png"})
            except OSError:
                break  # never sent
            try:
                answer = connection.getresponse()
                self.right.append(answer.status == 200 and f'"label":"{self.label}"'.encode() in answer.read())
            except (OSError, http.client.HTTPException):
                self.right.append(False)
                break
        connection.close()


def answers_of(clients: list[Client]) -> list[bool]:
    for client in clients:
        client.join()
    return [right for client in clients for right in client.right]


def test_no_accepted_request_is_lost(tmp_path: Path) -> None:
    """A burst of new connections, and of idle ones that wake up, all right before the signal."""
    body = encoded(drawn(1, 8, 8)[0])
    head = f"POST /predict HTTP/1.1\r\nHost: [::]\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
    with running(image_gate(tmp_path, steps=4), "--max-batch 2") as live:
        connections = [socket.create_connection(live.address, 60) for _ in range(50)]
        time.sleep(0.2)
        for number in range(200):
            if number >= len(connections):
                connections.append(socket.create_connection(live.address, 60))
            connections[number].sendall(head.encode() + body)
        code = live.stopped()
        answers = []
        for connection in connections:
            with connection, connection.makefile("rb") as file:
                answers.append(file.read())
    assert code == 0
    assert len(answers) == 200
    assert [one for one in answers if not one.startswith(b"HTTP/1.1 200") or b'"decision":' not in one] == []


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with running(image_gate(tmp_path, steps=300), "--max-batch 1") as live:
        clients = [Client(live, number) for number in range(8)]
        time.sleep(1)
        live.process.terminate()
        time.sleep(0.3)
        started = time.monotonic()
        assert live.stopped() == 2
        assert time.monotonic() - started < 10
        assert live.process.stderr is not None
        told = live.process.stderr.read()
        assert "before all requests were answered" in told
        assert "Traceback" not in told
        assert answers_of(clients).count(False) >= 4


def test_a_server_that_stops_is_not_ready_and_goes_on_answering(tmp_path: Path) -> None:
    with running(image_gate(tmp_path, steps=40), "--max-batch 1") as live:
        clients = [Client(live, number) for number in range(6)]
        time.sleep(0.5)
        probe = http.client.HTTPConnection(*live.address, timeout=30)
        probe.request("GET", "/v2/health/ready")
        assert probe.getresponse().read() == b'{"ready":true}'
        live.process.terminate()
        time.sleep(0.2)
        probe.request("GET", "/v2/health/ready")
        answer = probe.getresponse()
        assert answer.status == 400
        assert answer.read() == b'{"error":"the server is stopping"}'
        assert answer.headers["Connection"] == "close"
        assert live.process.wait(60) == 0
        probe.close()
        assert all(answers_of(clients))
