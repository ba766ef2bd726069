"""A real nginx, with the configuration of deploy/, before real servers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.linters import require_program
from tests.serve.live import LiveProcess, running
from tests.serve.models import drawn, encoded, image_gate

pytestmark = pytest.mark.slow
CONFIGURATION = Path(__file__).parents[2] / "deploy" / "nginx.conf"
SERVER = "        server gate:8000;"  # the line of the configuration that names the server
PNG = {"Content-Type": "image/png"}
MIB = 1 << 20
CLIENTS = 16


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


class Proxy:
    """A running nginx, and how to lead it to other servers."""

    def __init__(self, folder: Path) -> None:
        self.program = require_program("nginx", "apt-get install nginx-light")
        self.folder, self.port, self.path = folder, free_port(), folder / "nginx.conf"

    def leads_to(self, *servers: LiveProcess) -> None:
        """Write the configuration, with these servers in place of the one that it names."""
        text = CONFIGURATION.read_text(encoding="utf-8")
        assert SERVER in text
        lines = "".join(f"        server 127.0.0.1:{server.address[1]};\n" for server in servers)
        text = text.replace(SERVER, lines).replace("listen 8080", f"listen 127.0.0.1:{self.port}")
        text = text.replace("/tmp/", f"{self.folder}/").replace("/dev/std", f"{self.folder}/std")
        as_root = "user root;\n" if os.geteuid() == 0 else ""  # else its workers could not write below the folder
        self.path.write_text(as_root + text, encoding="utf-8")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def asked(self, body: bytes, **headers: str) -> httpx.Response:
        """Return the answer to an image; of a header's name, a _ stands for a dash."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(f"{self.url}/predict", content=body, headers={**PNG, **named}, timeout=90)

    def is_listening(self) -> bool:
        """Whether it accepts connections."""
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def reads_again(self) -> None:
        """Read the configuration again, as ``nginx -s reload`` does, and wait for the new workers."""
        subprocess.run([self.program, "-c", self.path, "-s", "reload"], check=True, capture_output=True)
        time.sleep(1)


@contextmanager
def proxied(folder: Path, *servers: LiveProcess) -> Iterator[Proxy]:
    """Start nginx before some servers, and end it with the block."""
    proxy = Proxy(folder)
    proxy.leads_to(*servers)
    command = [proxy.program, "-c", str(proxy.path), "-e", str(folder / "early.log"), "-g", "daemon off;"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 20
            while not proxy.is_listening() and time.monotonic() < deadline:
                time.sleep(0.05)
            yield proxy
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def test_bodies_ids_and_hosts_go_through(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(256, size=(2600, 2600, 3), dtype=np.uint8)
    large = encoded(pixels)  # noise: a PNG file is as large as its pixels
    assert 19 * MIB < len(large) < 22 * MIB
    decisions = tmp_path / "decisions.csv"
    small = encoded(drawn(1, 8, 8)[0])
    with running(image_gate(tmp_path), f"--decisions {decisions}") as live, proxied(tmp_path, live) as proxy:
        answer = proxy.asked(large, X_Request_Id="of-the-client")
        assert (answer.status_code, answer.json()["id"]) == (200, "of-the-client")
        assert answer.headers["X-Request-Id"] == "of-the-client"
        made = proxy.asked(small).json()["id"]
        assert len(made) == 32
        answer = proxy.asked(bytes(33 * MIB))
        assert answer.status_code == 413
        assert answer.json() == {"error": "expected a body of at most 33,554,432 bytes, found more"}
        assert proxy.asked(small, Host="evil.example").status_code == 421
        assert proxy.asked(small, Origin="http://evil.example").status_code == 403
        assert httpx.get(f"{proxy.url}/metrics").status_code == 404
        assert httpx.get(f"{proxy.url}/v2/health/ready").json() == {"ready": True}
        assert live.stopped() == 0
        answer = proxy.asked(small)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "error" in answer.json()
    written = [line.split(",")[0] for line in decisions.read_text(encoding="utf-8").splitlines()[1:]]
    assert written == ["of-the-client", made]
    log = (tmp_path / "stdout").read_text(encoding="utf-8").splitlines()
    assert json.loads(log[0])["id"] == "of-the-client"


def statuses_under_load(proxy: Proxy, change: Callable[[], None]) -> Counter[int]:
    """Return how many answers of each status some clients got, which ask all the time while something changes."""
    is_over, counted, lock = threading.Event(), Counter[int](), threading.Lock()

    def ask(number: int) -> None:
        body, own = encoded(drawn(1, 8, 8, seed=number)[0]), Counter[int]()
        while not is_over.is_set():
            try:
                own[proxy.asked(body).status_code] += 1
            except httpx.HTTPError:
                own[0] += 1
        with lock:
            counted.update(own)

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    time.sleep(1)
    change()
    time.sleep(1)
    is_over.set()
    for client in clients:
        client.join()
    return counted


def test_a_roll_out_under_load_loses_nothing(tmp_path: Path) -> None:
    """As the page on operations tells it: lead the proxy to the new server, then stop the old one."""
    gate = image_gate(tmp_path, steps=2)
    files = [tmp_path / "old.csv", tmp_path / "new.csv"]
    old_server, new_server = (running(gate, f"--decisions {file}") for file in files)
    codes: list[int] = []
    with old_server as old, new_server as new, proxied(tmp_path, old) as proxy:

        def roll_out() -> None:
            proxy.leads_to(new)
            proxy.reads_again()
            codes.append(old.stopped())

        counted = statuses_under_load(proxy, roll_out)
        codes.append(new.stopped())  # a decision is written after its answer
    rows = [len(file.read_text(encoding="utf-8").splitlines()) - 1 for file in files]
    assert codes == [0, 0]
    assert set(counted) == {200}
    assert min(rows) > 0
    assert sum(rows) == counted[200]


def test_without_a_word_to_the_proxy_nothing_is_decided_twice(tmp_path: Path) -> None:
    """A connection that the server had not accepted when it closed its port gets 503; another try is the client's.

    This happens to few requests or none, at most one of each client.
    """
    gate = image_gate(tmp_path, steps=2)
    files = [tmp_path / "first.csv", tmp_path / "second.csv"]
    first_server, second_server = (running(gate, f"--decisions {file}") for file in files)
    codes: list[int] = []
    with first_server as first, second_server as second, proxied(tmp_path, first, second) as proxy:
        counted = statuses_under_load(proxy, lambda: codes.append(first.stopped()))
        codes.append(second.stopped())
    rows = [len(file.read_text(encoding="utf-8").splitlines()) - 1 for file in files]
    assert codes == [0, 0]
    assert set(counted) <= {200, 503}
    assert counted[503] <= CLIENTS
    assert sum(rows) == counted[200] > CLIENTS
