"""What can be chosen about a server; free of torch and FastAPI, so that the command line can read it."""

import re
from dataclasses import dataclass

from steepslope.checks import Check, number, require_all, whole

MEGA = 1_000_000
MEBI = 1 << 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

CHECKS: dict[str, Check] = {
    "host": Check("a name or address", lambda value: isinstance(value, str) and bool(value.strip())),
    "port": whole(0, 65535),
    "name": Check(
        "letters, digits, dots, dashes", lambda value: isinstance(value, str) and bool(NAME.fullmatch(value))
    ),
    "max_batch": whole(1),
    "max_rows": whole(1),
    "max_body": number(0.001, 1024),
    "max_json": number(0.001, 1024),
    "max_megapixels": number(0.001, 89),  # more is a decompression bomb to PIL
    "max_waiting": whole(1),
    "max_memory": whole(1),
    "max_connections": whole(1),
    "body_seconds": number(0.1, 3600),
    "drain_seconds": number(0, 3600),
    "stop_seconds": whole(1),
}


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Where the server listens, how it batches, and what it refuses.

    Parameters
    ----------
    host
        Address to listen on; by default only programs on this machine can connect. There is no password.
    port
        Port to listen on; 0 takes one that is free.
    name
        Name of the model in the protocol.
    max_batch
        Most rows (images) that are run together.
    max_rows
        Most rows of one request.
    max_body
        Largest body of a request, in MiB.
    max_json
        Largest JSON in a body, in MiB; reading it holds up all other requests.
    max_megapixels
        Largest image, in millions of pixels; larger ones are refused before they are decoded.
    max_waiting
        Most requests that are under way at once; further ones are answered with 503.
    max_memory
        Most memory, in MiB, for the bodies and decoded images of all requests together; further ones are answered with
        503. The model takes more: as much as for one image of the largest size, or for a batch.
    max_connections
        Most connections at once; requests on further ones are answered with 503.
    body_seconds
        Seconds within which a request's headers, and then its body, have to arrive.
    drain_seconds
        Seconds for which a server that was told to stop, and is not ready any more, goes on accepting connections.
    stop_seconds
        Seconds that a server that was told to stop gives the requests that it has accepted.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    name: str = "gate"
    max_batch: int = 32
    max_rows: int = 1024
    max_body: float = 32
    max_json: float = 8
    max_megapixels: float = 32
    max_waiting: int = 256
    max_memory: int = 2048
    max_connections: int = 1024
    body_seconds: float = 30
    drain_seconds: float = 0.5
    stop_seconds: int = 60

    def __post_init__(self) -> None:
        require_all(self, CHECKS)

    @property
    def body_bytes(self) -> int:
        """The largest body, in bytes."""
        return int(self.max_body * MEBI)

    @property
    def json_bytes(self) -> int:
        """The largest JSON, in bytes."""
        return int(self.max_json * MEBI)

    @property
    def pixels(self) -> int:
        """The largest image, in pixels."""
        return int(self.max_megapixels * MEGA)
