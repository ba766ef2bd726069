"""The process of a server: a socket, the app, and an end that loses no request that was accepted."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from steepslope.errors import SteepslopeError
from steepslope.serve.answers import Answers
from steepslope.serve.app import make_app

SIGNALS = (signal.SIGINT, signal.SIGTERM)
BACKLOG = 2048  # connections that wait to be accepted
LAST_TICKS = 5  # tenths of a second, at least, in which all is accepted that came before the signal


def open_socket(host: str, port: int) -> socket.socket:
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


def address_of(bound: socket.socket) -> str:
    """Return the address of a socket as a URL."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if bound.family == socket.AF_INET6 else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """Uvicorn's server with another end.

    After SIGTERM or SIGINT it is not ready any more, goes on accepting for half a second what was sent before, answers
    all of it, and ends with exit code 0. A second signal ends it at once. ``listening`` is called when it accepts.
    """

    def __init__(self, answers: Answers, listening: Callable[[], None]) -> None:
        config = uvicorn.Config(
            make_app(answers), http="h11", ws="none", lifespan="off", backlog=BACKLOG, log_level="warning",
            access_log=False, server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=answers.options.stop_seconds,
        )  # fmt: skip
        super().__init__(config)
        self.answers, self.listening, self.ticks = answers, listening, 0

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
        self.answers.stopping = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell so."""
        await super().startup(sockets)
        self.listening()

    async def on_tick(self, counter: int) -> bool:
        """Return whether to close the socket: some turns of the event loop after the signal."""
        if self.answers.stopping:
            self.ticks += 1
        self.should_exit = self.should_exit or self.ticks > LAST_TICKS
        return await super().on_tick(counter)


def run_server(answers: Answers, bound: socket.socket, listening: Callable[[], None]) -> None:
    """Serve until a signal comes; return when all that was accepted is answered."""
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # else each damaged form is a line in the log
    server, address = Server(answers, listening), address_of(bound)
    try:
        server.run(sockets=[bound])
    except OSError as error:
        raise SteepslopeError(f"cannot listen here ({error.strerror})", address) from error
    finally:
        answers.close()  # after a second signal, all that was queued is cancelled by now
    if server.force_exit:
        raise SteepslopeError("stopped by a second signal, before all requests were answered", address)
