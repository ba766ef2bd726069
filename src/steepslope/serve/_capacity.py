"""What a server can hold at once, and how long a new request would wait: what is too much is refused."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException

from steepslope.errors import SteepslopeError
from steepslope.files import free_memory
from steepslope.serve import _limits as limits

ANSWERS = 64  # the last ones, which tell how long an answer takes
AT_ONCE = 8  # answers that count as given in no time, so that the first ones of a burst are no measure of all
RUNNING = 48  # bytes a pixel with which an exported net works on one image, as measured


def memory_of_server() -> tuple[int, int]:
    """Return how many bytes all bodies and decoded images may take, and how many pixels an image may have.

    Half of the free memory, of which a container or ``ulimit -v`` may leave little, is for the model at work.

    Raises
    ------
    SteepslopeError
        If so little is free that nearly every request would be refused.
    """
    half = min(free_memory() / 2, float(limits.MAX_MEMORY + RUNNING * limits.MAX_PIXELS))
    if half < limits.LEAST_MEMORY:
        expected = f"expected at least {limits.LEAST_MEMORY >> 19} MiB of free memory to serve with"
        raise SteepslopeError(f"{expected}, found {int(half) >> 19}")
    return int(min(limits.MAX_MEMORY, half)), int(min(limits.MAX_PIXELS, half / RUNNING))


@dataclass(eq=False)
class _Pace:
    """How many requests are under way, and how long an answer takes while there are any.

    >>> seconds = iter([0.0, 0.0, 3.0, 10.0, 12.0])
    >>> pace = _Pace(clock=lambda: next(seconds))
    >>> pace.change(1), pace.change(1), pace.change(-1), pace.change(-1)  # two answers, after 3 and after 10 seconds
    (None, None, None, None)
    >>> pace.change(1)  # two idle seconds later
    >>> pace.clock = lambda: 12.0
    >>> pace.seconds_to_wait()
    1.0
    """

    clock: Callable[[], float] = time.monotonic
    under_way: int = 0
    worked: float = 0.0  # seconds in which requests were under way, until `changed`
    changed: float = 0.0
    answered: deque[float] = field(default_factory=lambda: deque([0.0], maxlen=ANSWERS))  # at so many seconds of work

    def change(self, count: int) -> None:
        """Count a request that comes, 1, or that is answered, −1."""
        now = self.clock()
        if self.under_way:
            self.worked += now - self.changed
        self.changed = now
        self.under_way += count
        if count < 0:
            self.answered.append(self.worked)

    def seconds_to_wait(self) -> float:
        """Return how long it will take to answer all requests under way."""
        worked = self.worked
        if self.under_way:
            worked += self.clock() - self.changed
        return self.under_way * (worked - self.answered[0]) / (len(self.answered) - 1 + AT_ONCE)


@dataclass(eq=False)
class Capacity:
    """How many requests may be under way, and how many bytes all that are read may hold together (``held``)."""

    max_requests: int
    max_bytes: int
    held: int = 0
    pace: _Pace = field(default_factory=_Pace)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def claim(self) -> Iterator[BodyClaim]:
        """Give a request its claim until it is answered."""
        claim = BodyClaim(self)
        try:
            yield claim
        finally:
            if claim.is_admitted:
                self.pace.change(-1)
            claim.give_back(claim.held)


@dataclass(eq=False)
class BodyClaim:
    """What one request takes of the capacity: bytes, and a place among those under way as soon as its body is there."""

    capacity: Capacity
    held: int = 0
    is_admitted: bool = False

    def take(self, count: int) -> None:
        """Hold so many bytes more, in whatever thread; 413 if they are too many at any time, 503 if they are now."""
        capacity = self.capacity
        if count > capacity.max_bytes:
            raise HTTPException(413, "it takes more memory than all requests together may")
        with capacity.lock:
            if capacity.held + count > capacity.max_bytes:
                raise _refused_for_now("the requests under way hold all memory", capacity.pace)
            capacity.held += count
            self.held += count

    def give_back(self, count: int) -> None:
        """Hold so many bytes less, in whatever thread."""
        with self.capacity.lock:
            self.capacity.held -= count
            self.held -= count

    def admit(self) -> None:
        """Take a place among the requests under way; 503 if there is none, or the answer would take too long."""
        pace = self.capacity.pace
        if pace.under_way >= self.capacity.max_requests:
            raise _refused_for_now(f"{pace.under_way} requests are under way", pace)
        wait = pace.seconds_to_wait()
        if wait > limits.MAX_WAIT:
            raise _refused_for_now(f"an answer would take about {wait:.0f} s", pace)
        pace.change(1)
        self.is_admitted = True


def _refused_for_now(reason: str, pace: _Pace) -> HTTPException:
    later = math.ceil(min(max(pace.seconds_to_wait(), 1), limits.MAX_WAIT))
    return HTTPException(503, f"{reason}: try again later", {"Retry-After": str(later)})
