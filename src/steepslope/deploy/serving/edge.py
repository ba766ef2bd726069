"""What holds for every request: HEAD as GET, counts and seconds, and connections that end where the server stops."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from steepslope.deploy.serving.answers import Answers

GIVEN_UP = "the server stopped before this was answered"
UNKNOWN = "unknown"  # the route of a request for which there is none


class Edge:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp, answers: Answers) -> None:
        self.app, self.answers = app, answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        is_head = scope["method"] == "HEAD"
        seen = {**scope, "method": "GET"} if is_head else scope

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if self.answers.stopping:
                    MutableHeaders(scope=message)["Connection"] = "close"
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(seen, receive, answer)
        except asyncio.CancelledError:  # the time for stopping is over
            if not status:
                await JSONResponse({"error": GIVEN_UP}, 503)(seen, receive, answer)
        finally:
            route = getattr(seen.get("endpoint"), "__name__", UNKNOWN)
            self.answers.metrics.of_request(route, status or 500, time.perf_counter() - started)
