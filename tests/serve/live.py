"""A server that listens on a port of its own: a process of the command, as users run it, or a thread of this one."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from steepslope.serve._app import Answers
from steepslope.serve._server import Server, open_server_socket, server_address
from tests.serve.models import file_served, limited


@dataclass(frozen=True)
class Live:
    """A server that listens."""

    url: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def raw(self, request: bytes, wait: float = 20) -> bytes:
        """Return the head of the answer to some bytes."""
        with socket.create_connection(self.address, wait) as connection:
            connection.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer and (part := connection.recv(65536)):
                answer += part
        return answer


@dataclass(frozen=True)
class LiveProcess(Live):
    """A server in a process of its own; ``lines`` are what it told before it listened."""

    process: subprocess.Popen[str]
    lines: list[str]

    def stopped(self, wait: float = 60) -> int:
        """Tell the server to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(wait)


@contextmanager
def running(
    gate: Path, options: str = "", python: str | Path = sys.executable, address_space: int | None = None
) -> Iterator[LiveProcess]:
    """Start the command, which may have a limit of its address space in bytes, and end it with the block."""
    limit = [] if address_space is None else ["prlimit", f"--as={address_space}"]
    command = [*limit, str(python), "-m", "steepslope", "serve", "--gate", str(gate), "--port", "0", *options.split()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        lines = []
        try:
            for line in process.stderr:
                lines.append(line.rstrip())
                if listens := re.search(r" on (http://\S+) ", line):
                    yield LiveProcess(listens[1], process, lines)
                    break
            else:
                raise AssertionError("\n".join(lines))
        finally:
            process.kill()


@contextmanager
def listening(gate: Path, **changed: float) -> Iterator[Live]:
    """Serve a file in a thread of this process, within limits of which some are changed."""
    with limited(**changed), open_server_socket("127.0.0.1", 0) as bound:
        answers, is_listening = Answers(file_served(gate)), threading.Event()
        server = Server(answers, is_listening.set)
        thread = threading.Thread(target=server.run, args=([bound],))
        thread.start()
        try:
            assert is_listening.wait(30)
            yield Live(server_address(bound))
        finally:
            server.should_exit = True
            thread.join()
            answers.close()
