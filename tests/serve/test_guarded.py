"""What a server withstands: names of other sites, full disks, slow clients, long queues, little memory."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from steepslope.errors import SteepslopeError
from steepslope.gate._switch import start_gate, stop_gate
from steepslope.serve._app import Answers, make_app
from steepslope.serve._capacity import RUNNING, memory_of_server
from steepslope.serve._decision_log import DecisionLog
from tests.serve.live import listening, running
from tests.serve.models import PREDICT, FullDisk, client_of, drawn, encoded, file_served, image_gate

IMAGE = encoded(drawn(1, 8, 8)[0])
EVIL = {"Host": "evil.example:8103", "Origin": "http://evil.example:8103"}


def test_a_page_that_calls_the_server_by_a_name_of_its_own_is_refused(tmp_path: Path) -> None:
    """DNS rebinding: its Origin and Host agree, and both lead here."""
    with client_of(file_served(image_gate(tmp_path))) as client:
        refused = client.post(PREDICT, content=IMAGE, headers=EVIL)
        assert refused.status_code == 403
        assert "found 'evil.example:8103'; --allow-host NAME adds a name" in refused.json()["error"]
        assert client.get("/metrics", headers={"Host": "evil.example"}).status_code == 403
        for host in ("127.0.0.1:80", "[::1]:80", "10.0.0.7", "LOCALHOST"):
            assert client.post(PREDICT, content=IMAGE, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("name", ["evil.example", "*"])
def test_a_name_that_is_allowed_is_answered(name: str, tmp_path: Path) -> None:
    app = make_app(Answers(file_served(image_gate(tmp_path)), hosts=[name]))
    with TestClient(app, "http://localhost") as client:
        assert client.post(PREDICT, content=IMAGE, headers=EVIL).status_code == 200


def test_decisions_on_a_full_disk_are_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log, disk = DecisionLog.open(tmp_path / "served.csv", None), FullDisk(room=100)
    monkeypatch.setattr("steepslope.serve._decision_log.os.write", disk)
    with client_of(file_served(image_gate(tmp_path)), log=log) as client:
        ids = [client.post(PREDICT, content=IMAGE).json()["id"] for _ in range(20)]
        ready = client.get("/v2/health/ready")
        assert (ready.status_code, ready.json()) == (400, {"error": "decisions cannot be written: the log says why"})
        shown = client.get("/metrics").text
        assert f"steepslope_decisions_waiting {log.waiting}.0" in shown
        assert log.waiting >= 18
        disk.room = 1 << 20
        assert client.get("/v2/health/ready").json() == {"ready": True}
        assert "steepslope_decisions_waiting 0.0" in client.get("/metrics").text
    log.close()
    assert pd.read_csv(tmp_path / "served.csv")["id"].tolist() == ids
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_decisions_that_no_memory_is_left_for_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = DecisionLog.open(tmp_path / "served.csv", None)
    monkeypatch.setattr("steepslope.serve._decision_log.os.write", FullDisk(room=0))
    monkeypatch.setattr("steepslope.serve._decision_log.MOST_KEPT", 300)
    with client_of(file_served(image_gate(tmp_path)), log=log) as client:
        for _ in range(10):
            assert client.post(PREDICT, content=IMAGE).status_code == 200
        while log.waiting + log.lost < 10:
            time.sleep(0.01)
        assert log.lost >= 6
        assert f"steepslope_decisions_lost {log.lost}.0" in client.get("/metrics").text
    log.close()
    assert log.lost == 10


@pytest.mark.slow
def test_a_server_whose_decisions_are_lost_ends_badly_and_no_other_may_write_to_their_file(tmp_path: Path) -> None:
    gate, path = image_gate(tmp_path), tmp_path / "log" / "served.csv"
    with running(gate, f"--decisions {path}") as live:
        with (
            pytest.raises(AssertionError, match=r"served.csv: another run works here"),
            running(gate, f"--decisions {path}"),
        ):
            pass
        path.parent.rename(tmp_path / "elsewhere")
        path.parent.touch()
        head = f"POST /predict HTTP/1.1\r\nHost: [::]\r\nContent-Length: {len(IMAGE)}\r\n\r\n"
        assert live.raw(head.encode() + IMAGE).startswith(b"HTTP/1.1 200")
        assert live.stopped() == 2
        assert live.process.stderr is not None
        assert live.process.stderr.read().endswith("served.csv: 1 decisions could not be written, and are lost\n")


def test_an_answer_that_would_take_too_long_is_refused(tmp_path: Path) -> None:
    served = file_served(image_gate(tmp_path), 1)

    def slow(parts: Any, top: int) -> Any:
        time.sleep(0.3)
        return served.run(parts, top)

    with client_of(replace(served, run=slow), MAX_WAIT=0.1) as client:
        codes: list[tuple[int, str]] = []

        def ask() -> None:
            answer = client.post(PREDICT, content=IMAGE)
            codes.append((answer.status_code, answer.headers.get("retry-after", "")))

        for _ in range(3):
            threads = [threading.Thread(target=ask) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert {code for code, _ in codes} == {200, 503}
    assert all(later for code, later in codes if code == 503)


def test_memory_is_sized_by_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for free, memory, pixels in ((1 << 50, 2 << 30, 32_000_000), (1 << 30, 1 << 29, (1 << 29) // RUNNING)):
        monkeypatch.setattr("steepslope.serve._capacity.free_memory", lambda free=free: float(free))
        assert memory_of_server() == (memory, pixels)
    monkeypatch.setattr("steepslope.serve._capacity.free_memory", lambda: float(20 << 20))
    with pytest.raises(SteepslopeError, match="expected at least 128 MiB of free memory to serve with, found 20"):
        memory_of_server()


def test_a_request_that_memory_runs_out_for_is_told_to_come_later(tmp_path: Path) -> None:
    def run(parts: Any, top: int) -> Any:
        raise RuntimeError("Failed to allocate memory for requested buffer of size 123")

    with client_of(replace(file_served(image_gate(tmp_path)), run=run)) as client:
        answer = client.post(PREDICT, content=IMAGE, headers={"X-Request-Id": "mine"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.headers["x-request-id"] == "mine"
        assert 'steepslope_requests_total{route="predict",status="503"} 1.0' in client.get("/metrics").text


def test_what_ends_a_batch_does_not_end_the_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(answers := Answers(file_served(image_gate(tmp_path))))
    run = answers.batcher._run
    failures = iter([MemoryError()])

    def fails_once(jobs: Any) -> Any:
        for failure in failures:
            raise failure
        return run(jobs)

    answers.batcher._run = fails_once  # type: ignore[method-assign]
    with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
        assert [client.post(PREDICT, content=IMAGE).status_code for _ in range(2)] == [503, 200]
    assert [record.message for record in caplog.records] == ["a batch failed"]


def test_a_stopped_gate_accepts_nothing_from_the_next_request_on(tmp_path: Path) -> None:
    gate = image_gate(tmp_path)
    with running(gate, f"--decisions {tmp_path}/served.csv --allow-host gate") as live:

        def asked() -> Any:
            head = f"POST /predict HTTP/1.1\r\nHost: gate\r\nConnection: close\r\nContent-Length: {len(IMAGE)}\r\n\r\n"
            with socket.create_connection(live.address, 30) as connection, connection.makefile("rb") as file:
                connection.sendall(head.encode() + IMAGE)
                return json.loads(file.read().partition(b"\r\n\r\n")[2])

        before = asked()
        stop_gate(gate, "wrong joins")
        during = asked()
        start_gate(gate)
        after = asked()
        assert live.stopped() == 0
    assert before["accepted"]
    assert (during["accepted"], during["decision"], during["stopped"]) == (False, "review", True)
    assert during["p_correct"] == before["p_correct"] == after["p_correct"]
    assert after["accepted"]
    assert pd.read_csv(tmp_path / "served.csv")["stopped"].tolist() == [False, True, False]


def test_each_line_of_the_log_is_an_object(tmp_path: Path) -> None:
    with running(image_gate(tmp_path), "--log-format json") as live:
        head = f"POST /predict HTTP/1.1\r\nHost: [::]\r\nX-Request-Id: mine\r\nContent-Length: {len(IMAGE)}\r\n\r\n"
        assert live.raw(head.encode() + IMAGE).startswith(b"HTTP/1.1 200")
        assert live.stopped() == 0
        assert live.process.stderr is not None
        lines = [json.loads(line) for line in [*live.lines, *live.process.stderr.read().splitlines()]]
    request = next(line for line in lines if line.get("request_id") == "mine")
    assert (request["message"], request["route"], request["status"]) == ("POST /predict", "predict", 200)
    assert {"time", "level", "message"} <= set.intersection(*map(set, lines))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
def test_readers_that_find_no_memory_for_a_thread_end() -> None:
    """Those that run would wait for the others, and the process for them."""
    code = (
        "import resource, threading\n"
        "from steepslope.errors import is_out_of_memory\n"
        "from steepslope.serve._app import _started_readers\n"
        "threading.stack_size(64 << 20)\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "most = pages * resource.getpagesize() + (100 << 20)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (most, most))\n"
        "try:\n"
        "    _started_readers(8)\n"
        "except RuntimeError as error:\n"
        "    print(is_out_of_memory(error))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == "True\n"


@pytest.mark.slow
@pytest.mark.parametrize("idle", [0, 4])
def test_slow_clients_do_not_cut_honest_uploads(idle: float, tmp_path: Path) -> None:
    """More clients than there may be, each with a byte now and then, come while images are sent for two seconds.

    Some come on connections that asked something before, and were idle for some seconds since.
    """
    body = encoded(drawn(1, 500, 500)[0])
    head = f"POST /predict HTTP/1.1\r\nHost: [::]\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    answers: list[bytes] = []
    with listening(image_gate(tmp_path), MAX_CONNECTIONS=100) as live, ExitStack() as stack:

        def upload() -> None:
            with socket.create_connection(live.address, 30) as connection:
                if idle:
                    connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: [::]\r\n\r\n")
                    before = b""
                    while not before.endswith(b"}"):
                        before += connection.recv(2000)
                    time.sleep(idle)
                connection.sendall(head)
                for part in range(20):
                    connection.sendall(body[len(body) * part // 20 : len(body) * (part + 1) // 20])
                    time.sleep(0.1)
                answers.append(connection.recv(20))

        uploads = [threading.Thread(target=upload) for _ in range(10)]
        for thread in uploads:
            thread.start()
        time.sleep(max(0, idle - 1))  # all are there when the uploads begin
        for _ in range(220):
            slow = stack.enter_context(socket.create_connection(live.address, 30))
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: [::]\r\nContent-Length: 1000\r\n\r\nx")
            time.sleep(0.008)
        for thread in uploads:
            thread.join()
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 200"] * 10


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
def test_a_server_with_little_memory_answers_or_refuses_and_ends(tmp_path: Path) -> None:
    """It once waited forever for a thread that could not start: then neither /live nor SIGTERM were answered."""
    image = encoded(np.zeros((3000, 4000, 3), np.uint8), "JPEG")
    codes: list[int] = []
    head = f"POST /predict HTTP/1.1\r\nHost: [::]\r\nConnection: close\r\nContent-Length: {len(image)}\r\n\r\n".encode()

    def ask() -> None:
        with socket.create_connection(live.address, 120) as connection, connection.makefile("rb") as file:
            connection.sendall(head + image)
            codes.append(int(file.readline().split()[1]))

    with running(image_gate(tmp_path), address_space=3 << 30) as live:
        for _ in range(2):
            threads = [threading.Thread(target=ask) for _ in range(32)]
            for thread in threads:
                thread.start()
            assert live.raw(b"GET /v2/health/live HTTP/1.1\r\nHost: [::]\r\n\r\n").startswith(b"HTTP/1.1 200")
            for thread in threads:
                thread.join()
        assert live.stopped() == 0
    assert len(codes) == 64
    assert set(codes) <= {200, 503}
    assert codes.count(200) >= 2
