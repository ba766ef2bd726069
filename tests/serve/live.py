"""A server as users run it: a process of the command, on a port of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Live:
    """A server that listens; ``lines`` are what it told before."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    @property
    def host(self) -> str:
        """Host and port as clients of the protocol take them."""
        return "{}:{}".format(*self.address)

    def stopped(self, wait: float = 60) -> int:
        """Tell the server to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(wait)

    def raw(self, request: bytes, wait: float = 20) -> bytes:
        """Return the head of the answer to some bytes."""
        with socket.create_connection(self.address, wait) as connection:
            connection.sendall(request)
            found = b""
            while b"\r\n\r\n" not in found and (part := connection.recv(65536)):
                found += part
        return found


@contextmanager
def running(gate: Path, options: str = "") -> Iterator[Live]:
    """Start a server, and end it with the block."""
    command = [sys.executable, "-m", "steepslope", "serve", "--gate", str(gate), "--port", "0", *options.split()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        lines = []
        try:
            for line in process.stderr:
                lines.append(line.rstrip())
                if found := re.search(r" on (http://\S+) ", line):
                    yield Live(process, found[1], lines)
                    break
            else:
                raise AssertionError("\n".join(lines))
        finally:
            process.kill()
