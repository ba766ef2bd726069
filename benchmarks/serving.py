"""A served gate under a bounded load on this machine, beside the same file, or the same gate, called without a server.

Server and clients share the cores; a request is one image of 224×224 pixels, and every client keeps its connection.
"""

from __future__ import annotations

import io
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.nets import LITE0, load, spec_of
from benchmarks.timing import Comparison
from steepslope.gate import Gate, NetRecord, Origin
from steepslope.nets.classifiers import Classifier
from steepslope.nets.export import ExportedGate, export_gate
from steepslope.nets.predict import ImageGate
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import MCP

SIDE, ROWS, CLASSES = 224, 4_000, 1000


def _gate(classifier: Classifier) -> Gate:
    """Return a gate whose promise does not matter here."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((ROWS, CLASSES), dtype=np.float32)
    labels = np.where(rng.random(ROWS) < 0.9, logits.argmax(axis=1), 0)
    outputs = ClassifierOutputs(logits, labels).of_classifier(classifier.digest)
    record = NetRecord(spec_of(LITE0), classifier.digest, json.loads(json.dumps(asdict(classifier.transform))))
    return Gate.of(MCP(), outputs, 0.5, origin=Origin(classifier=record))


@dataclass(frozen=True)
class Load:
    """How long each of some requests took, and all together, in seconds."""

    each: list[float]
    whole: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.each) / self.whole

    def __str__(self) -> str:
        percentiles = statistics.quantiles(self.each, n=100)
        return f"{self.rate:.1f}/s, p50 {1e3 * percentiles[49]:.1f} ms, p99 {1e3 * percentiles[98]:.1f} ms"


def _timed(work: Callable[[], object], count: int) -> Load:
    """Return how long some calls took, one after another."""
    each = []
    work()
    for _ in range(count):
        started = time.perf_counter()
        work()
        each.append(time.perf_counter() - started)
    return Load(each, sum(each))


@contextmanager
def _server(gate: Path) -> Iterator[tuple[str, int]]:
    """Start the command; give the address on which it listens."""
    command = [sys.executable, "-m", "steepslope", "serve", "--gate", str(gate), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = next(one for line in process.stderr if (one := re.search(r" on http://([\d.]+):(\d+) ", line)))
            yield found[1], int(found[2])
            process.terminate()
            process.wait(60)
        finally:
            process.kill()


def _client(address: tuple[str, int], request: bytes, count: int) -> list[float]:
    """Send a request again and again on one connection; return how long each took."""
    each = []
    with socket.create_connection(address) as connection:
        for _ in range(count):
            started = time.perf_counter()
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), answer
            length = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]
            while len(body) < length:
                body += connection.recv(65536)
            each.append(time.perf_counter() - started)
    return each


def _load(address: tuple[str, int], request: bytes, clients: int, count: int) -> Load:
    """Return how long requests took, of some clients at once, after a few to warm up."""
    _client(address, request, 5)
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        parts = [*pool.map(lambda _: _client(address, request, count // clients), range(clients))]
    return Load([one for part in parts for one in part], time.perf_counter() - started)


def _picture() -> tuple[Image.Image, bytes]:
    """Return an image, and the request that sends it as a JPEG file."""
    coarse = Image.fromarray(np.random.default_rng(0).integers(256, size=(8, 8, 3), dtype=np.uint8))
    image, file = coarse.resize((SIDE, SIDE)), io.BytesIO()
    image.save(file, "JPEG")
    body = file.getvalue()
    head = (
        f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return image, head.encode() + body


def _compared(
    gate: Path, request: bytes, bare: Callable[[], object], name: str, requests: int, clients: int
) -> Comparison:
    """Compare a second's requests of several clients with as many calls; the title also has those of one client."""
    calls = _timed(bare, requests // 4)
    with _server(gate) as address:
        one, several = _load(address, request, 1, requests // 4), _load(address, request, clients, requests)
    title = f"{name}; {clients} clients: {several}; one client: {one}; called without server: {calls}"
    return Comparison(title, 1 / several.rate, 1 / calls.rate, goal=0.8)


def served_file_against_session(requests: int = 400, clients: int = 8) -> Comparison:
    """Compare a served ONNX file, asked with JPEG files, with ONNX Runtime's own session on the decoded image."""
    classifier = load(LITE0)
    image, request = _picture()
    images = np.asarray(image)[None]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gate.onnx"
        export_gate(ImageGate.of(_gate(classifier), classifier)).save(path)
        session = ExportedGate.open(path).session
        return _compared(
            path, request, lambda: session.run(None, {"images": images}), "serve FILE.onnx, predict", requests, clients
        )


def served_gate_against_predict(requests: int = 400, clients: int = 8) -> Comparison:
    """Compare a served gate folder, asked with JPEG files, with the gate's own predict on the decoded image."""
    classifier = load(LITE0)
    image, request = _picture()
    with tempfile.TemporaryDirectory() as folder:
        gate = _gate(classifier)
        gate.save(folder)
        live = ImageGate.of(gate, classifier)
        return _compared(
            Path(folder), request, lambda: live.predict(image), "serve --gate DIR, predict", requests, clients
        )
