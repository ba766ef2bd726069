"""The process of a server: a socket, the app, and an end that loses no request that was accepted."""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import h11
import uvicorn
from PIL import Image
from uvicorn.protocols.http.h11_impl import H11Protocol

from steepslope.errors import SteepslopeError
from steepslope.serve import _limits as limits
from steepslope.serve._app import Answers, make_app

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BACKLOG = 2048  # connections that wait to be accepted
BLOCK = 64 << 20  # bytes in which PIL holds an image; of smaller ones, the system would not get all back
_HEAD_START = 1 << 16  # bytes that a request counts as sent when it begins
FILES = 4 * limits.MAX_CONNECTIONS  # that may be open at once, where the system allows it


def open_server_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, but does not listen yet.

    Raises
    ------
    SteepslopeError
        If the host is not known, or the port is taken or not allowed.
    """
    place = f"{host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise SteepslopeError(f"expected a host to listen on ({error})", place) from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise SteepslopeError(f"cannot listen here ({error.strerror}): choose another --port", place) from error
    return bound


def server_address(bound: socket.socket) -> str:
    """Return the address of a socket as a URL."""
    host, port = bound.getsockname()[:2]
    if bound.family == socket.AF_INET6:
        return f"http://[{host}]:{port}"
    return f"http://{host}:{port}"


class _ServerConnection(H11Protocol):
    """A connection that is closed where the headers of a request do not come in time.

    If there are too many connections, the one is closed whose client sends its request most slowly. Connections that
    wait after an answer are closed last.
    """

    headers_due: asyncio.TimerHandle | None = None
    waits_since = 0.0
    received = 0  # bytes since then

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for headers."""
        super().connection_made(transport)
        self._expect_headers()
        others = (other for other in self.connections if isinstance(other, _ServerConnection))
        connected = [other for other in others if not other.transport.is_closing()]
        if len(connected) > limits.MAX_CONNECTIONS:
            waiting = [other for other in connected if other.conn.their_state in (h11.IDLE, h11.SEND_BODY)]
            min(waiting, key=lambda other: (other.is_kept_alive, other.bytes_a_second), default=self).transport.close()

    @property
    def bytes_a_second(self) -> float:
        """How fast a request comes; one that has just begun counts as fast."""
        return (self.received + _HEAD_START) / (self.loop.time() - self.waits_since + 1)

    @property
    def is_kept_alive(self) -> bool:
        """Whether it waits for another request after one that was answered."""
        return self.cycle is not None and self.conn.their_state is h11.IDLE

    def data_received(self, data: bytes) -> None:
        """Go on waiting for headers until they are complete."""
        if self.is_kept_alive and self.headers_due is None:  # a further request begins
            self.waits_since, self.received = self.loop.time(), 0
        self.received += len(data)
        super().data_received(data)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        self._wait_no_more()

    def _expect_headers(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._wait_no_more()
        elif self.headers_due is None and not self.transport.is_closing():
            self.waits_since, self.received = self.loop.time(), 0
            self.headers_due = self.loop.call_later(limits.BODY_SECONDS, self.timeout_keep_alive_handler)

    def _wait_no_more(self) -> None:
        if self.headers_due is not None:
            self.headers_due.cancel()
            self.headers_due = None


class Server(uvicorn.Server):
    """Uvicorn's server with another end.

    After SIGTERM or SIGINT it is not ready any more. It goes on accepting until no request has come for
    ``DRAIN_SECONDS``, or half of ``stop_within`` seconds is over, answers all of them, and ends with exit code 0. A
    second signal ends it at once. ``listening`` is called when it accepts.
    """

    def __init__(
        self, answers: Answers, listening: Callable[[], None], stop_within: float = limits.STOP_SECONDS
    ) -> None:
        config = uvicorn.Config(
            make_app(answers),
            http=_ServerConnection,
            ws="none",
            lifespan="off",
            backlog=_BACKLOG,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            log_config=None,
        )
        super().__init__(config)
        self.answers, self.listening, self.stop_within = answers, listening, stop_within
        self.told = 0.0  # when it was told to stop

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals while the block runs; unlike uvicorn's own, none is raised again at the end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.signal(one, self.handle_exit) for one in SIGNALS}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; at the second signal, stop at once."""
        self.force_exit = self.should_exit = self.answers.stopping
        if not self.answers.stopping:
            self.told = time.monotonic()
        self.answers.stopping = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell so."""
        await super().startup(sockets)
        self.listening()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to close the socket."""
        if self.answers.stopping and not self.should_exit:
            now = time.monotonic()
            is_quiet = now - max(self.told, self.answers.asked) > limits.DRAIN_SECONDS
            self.should_exit = is_quiet or now - self.told > self.stop_within / 2
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the socket, answer all that was connected before, and close its connections."""
        accepted = [connection for bound in sockets or [] for connection in _waiting_connections(bound)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in accepted:
            await loop.connect_accepted_socket(self._connection, connection)
        if not self.force_exit:
            await asyncio.sleep(limits.DRAIN_SECONDS)  # what is on its way comes
        left = self.told + self.stop_within - time.monotonic()
        self.config.timeout_graceful_shutdown = max(1, math.ceil(left))
        await super().shutdown(sockets)

    def _connection(self) -> _ServerConnection:
        return _ServerConnection(self.config, self.server_state, self.lifespan.state)


def _waiting_connections(bound: socket.socket) -> Iterator[socket.socket]:
    """Accept all connections that wait on a socket, which would else be reset as it is closed."""
    with suppress(OSError):  # none is left
        while True:
            connection, _ = bound.accept()
            connection.setblocking(False)
            yield connection


def run_server(
    answers: Answers, bound: socket.socket, listening: Callable[[], None], stop_within: float = limits.STOP_SECONDS
) -> None:
    """Serve until a signal comes; return when all that was accepted is answered."""
    Image.core.set_block_size(BLOCK)  # type: ignore[attr-defined]
    _allow_open_files(FILES)
    server, address = Server(answers, listening, stop_within), server_address(bound)
    try:
        server.run(sockets=[bound])
    except OSError as error:
        raise SteepslopeError(f"cannot listen here ({error.strerror})", address) from error
    finally:
        answers.close()  # after a second signal, all that was queued is cancelled by now
    if server.force_exit:
        raise SteepslopeError("stopped by a second signal, before all requests were answered", address)


def _allow_open_files(count: int) -> None:
    """Let the process open so many files, as far as the system allows it: each connection is one."""
    try:
        import resource
    except ImportError:  # on Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
