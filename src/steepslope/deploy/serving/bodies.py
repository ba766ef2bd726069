"""How requests are admitted, and how their bodies are read: never more at once than the server can hold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from steepslope.deploy.serving.options import MEBI, ServeOptions

LATER = {"Retry-After": "1"}


@dataclass(eq=False)
class Room:
    """How many requests may be under way, and how many bytes they may hold together.

    ``requests`` and ``taken`` are what there is now; ``coming`` are the requests that are not queued yet.
    """

    max_requests: int
    max_bytes: int
    requests: int = 0
    taken: int = 0
    coming: int = 0

    @classmethod
    def of(cls, options: ServeOptions) -> Room:
        """Return the room that the options give."""
        return cls(options.max_waiting, options.max_memory * MEBI)

    @contextmanager
    def seat(self) -> Iterator[Seat]:
        """Give a request a seat until it is answered; 503 if there is none."""
        if self.requests >= self.max_requests:
            raise HTTPException(503, f"{self.requests} requests are under way: try again later", LATER)
        self.requests += 1
        self.coming += 1
        seat = Seat(self)
        try:
            yield seat
        finally:
            seat.arrived()
            self.requests -= 1
            self.taken -= seat.taken


@dataclass(eq=False)
class Seat:
    """A request that was admitted, and the bytes that it holds."""

    room: Room
    taken: int = 0
    is_coming: bool = True

    def take(self, count: int) -> None:
        """Hold so many bytes more; 503 if there are not as many left."""
        if self.room.taken + count > self.room.max_bytes:
            raise HTTPException(503, "the requests under way hold all memory: try again later", LATER)
        self.room.taken += count
        self.taken += count

    def arrived(self) -> None:
        """Tell that the request was read, and is about to be queued, or will not be."""
        if self.is_coming:
            self.is_coming = False
            self.room.coming -= 1


async def read_body(request: Request, seat: Seat, options: ServeOptions) -> bytes:
    """Return the body of a request.

    Raises
    ------
    HTTPException
        413 if it is too large, as soon as that is known; 408 if it does not come in time; 415 if it is compressed; 503
        if there is no memory left for it.
    """
    coding = request.headers.get("content-encoding", "identity")
    if coding != "identity":
        raise HTTPException(415, f"expected a body without Content-Encoding, found {coding[:20]!r}")
    too_large = HTTPException(413, f"expected a body of at most {options.body_bytes:,} bytes, found more")
    told = request.headers.get("content-length", "0")
    if told.isdigit() and int(told[:20]) > options.body_bytes:
        raise too_large
    parts, size = [], 0
    try:
        async with asyncio.timeout(options.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > options.body_bytes:
                    raise too_large
                seat.take(len(part))
                parts.append(part)
    except TimeoutError:
        raise HTTPException(408, f"expected the whole body within {options.body_seconds:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection was closed before the body was there") from None
    return b"".join(parts)
