"""The routes of a server, what they answer, what holds for every request, and how errors are told."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import os
import re
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import numpy as np
from fastapi import APIRouter, FastAPI, Query
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from steepslope import __version__
from steepslope.errors import SteepslopeError, is_out_of_memory
from steepslope.gate import STOPPED, names_of_classes
from steepslope.nets.export import IMAGES, Arrays, ArraySpec
from steepslope.serve import _limits as limits, _protocol as protocol
from steepslope.serve._batching import Batcher
from steepslope.serve._bodies import pixels_of_body, read_body
from steepslope.serve._capacity import Capacity, memory_of_server
from steepslope.serve._decision_log import DecisionLog
from steepslope.serve._logs import LOGGER
from steepslope.serve._metrics import ServerMetrics
from steepslope.serve._monitoring import ServedMonitor
from steepslope.serve._served import (
    DECIDING,
    DECISION,
    HANDED_OVER,
    TOP_LABELS,
    TOP_PROBABILITY,
    Served,
    require_servable,
    reviewed_rows,
    served_channels,
    served_row_count,
    serves_images,
)

T = TypeVar("T")
_Top = Annotated[int | None, Query(ge=1, le=10)]
VERSION = "1"  # of the model, in the protocol
_HEADER_LENGTH = "Inference-Header-Content-Length"
JSON, BYTES = "application/json", "application/octet-stream"
LARGE = 1 << 16  # bytes of a body that is read next to the event loop
_PARSED = 25  # times the size of JSON is that of its numbers as Python holds them
_GIVEN_UP = "the server stopped before this was answered"  # the time for stopping is over
REQUEST_ID = "X-Request-Id"  # a header
_REQUEST_ID_PATTERN = re.compile(r"(?! )[ -~]{1,200}(?<! )")  # printable ASCII
LOCAL_HOST, ANY_HOST = "localhost", "*"
UNKNOWN = "unknown"  # the route of a request for which there is none
NAME = "steepslope"
LONGEST = 300  # characters of an error, which may repeat what the client sent
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": protocol.Failure} for status in (400, 403, 408, 413, 415, 422, 503)
}
_NOT_READY: dict[int | str, dict[str, Any]] = {400: {"model": protocol.Failure}}
_PLAIN_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}
_PICTURE = {"type": "string", "format": "binary"}
_PREDICT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"image/png": {"schema": _PICTURE}, "image/jpeg": {"schema": _PICTURE}},
    }
}


class Answers:
    """A model, by its ``name`` in the protocol, with all that answers requests for it.

    At most ``max_batch`` rows are run together. ``hosts`` are the names by which requests may call the server, besides
    localhost and all addresses; "*" allows any. While ``stopped`` returns a reason, all predictions go to review.
    ``close`` ends the threads after all that is queued.
    """

    def __init__(
        self,
        served: Served,
        name: str = "gate",
        max_batch: int = 32,
        watch: ServedMonitor | None = None,
        log: DecisionLog | None = None,
        hosts: Collection[str] = (),
        stopped: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.served = served
        self.name = name
        self.hosts = {LOCAL_HOST, *(host.lower() for host in hosts)}
        memory, self.max_pixels = memory_of_server()
        self.capacity = Capacity(limits.MAX_WAITING, memory)
        self.counted = ServerMetrics(watch, log, served.card.coverage, stopped)
        self.stopped = stopped
        self.readers = _started_readers(os.cpu_count() or 1)
        self.stopping, self.asked = False, -math.inf  # when the last request for decisions came
        judges = [self._judge_by_switch] if watch is None else [watch.judge, self._judge_by_switch]
        self.batcher = Batcher(served, max_batch, self.counted.of_batch, judges)

    def close(self) -> None:
        """Answer all that is queued, then end the threads."""
        self.batcher.close()
        self.readers.shutdown()

    def _judge_by_switch(self, answers: list[Arrays]) -> list[Arrays]:
        """Return the rows of several requests, all of them for review while the gate is stopped."""
        if self.stopped() is None:
            return answers
        return [reviewed_rows(rows) for rows in answers]

    async def infer(self, request: Request) -> Response:
        """Decide on arrays, by the Open Inference Protocol V2, as JSON."""
        _require_answered_media(request, (JSON, BYTES))
        if _HEADER_LENGTH in request.headers:  # of JSON with binary tensors behind it
            raise SteepslopeError(f"expected {protocol.JSON_ALONE}, found binary data", _HEADER_LENGTH)
        with self.capacity.claim() as claim:
            body = await read_body(request, claim)
            claim.admit()
            if len(body) > limits.MAX_JSON:
                raise HTTPException(413, f"expected JSON of at most {limits.MAX_JSON:,} bytes, found more")
            claim.take(_PARSED * len(body))
            if len(body) > LARGE:
                question = await self._in_thread(self._question, body)
            else:
                question = self._question(body)
            request_id, arrays, wanted = question
            if request_id and REQUEST_ID not in request.headers:
                if not _REQUEST_ID_PATTERN.fullmatch(request_id):  # its decisions could not be found by it
                    expected = "expected printable ASCII, 200 characters at most"
                    raise SteepslopeError(f"{expected}, found {request_id[:100]!r}", "id")
                request.state.request_id = request_id
            rows = await self._run(arrays, 1, request.state.request_id)
        head = {"model_name": self.name, "model_version": VERSION}
        if request_id is not None:
            head["id"] = request_id
        return Response(protocol.protocol_response(head, rows, wanted), media_type=JSON)

    async def predict(self, request: Request, top: _Top = None) -> protocol.ImageDecision:
        """Decide on an image, which is the body."""
        _require_answered_media(request, (BYTES, "image/"))
        with self.capacity.claim() as claim:
            body = await read_body(request, claim)
            claim.admit()
            pixels = await self._in_thread(pixels_of_body, body, served_channels(self.served), self.max_pixels, claim)
            rows = await self._run({IMAGES: pixels}, top or 1, request.state.request_id)
            return self._decision(rows, top, request.state.request_id)

    async def _in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run what takes long in another thread, so that the event loop goes on."""
        return await asyncio.get_running_loop().run_in_executor(self.readers, work, *arguments)

    async def _run(self, arrays: Arrays, top: int, request_id: str) -> Arrays:
        return await asyncio.wrap_future(self.batcher.submit(arrays, top, request_id))

    def _question(self, text: bytes) -> tuple[str | None, Arrays, list[ArraySpec]]:
        """Return the id of a request that was read, its arrays, and the outputs that it wants."""
        request = protocol.parse_protocol_request(text)
        arrays = protocol.protocol_arrays(request, self.served.inputs)
        rows = served_row_count(arrays)
        if rows > limits.MAX_ROWS:
            raise HTTPException(413, f"expected at most {limits.MAX_ROWS:,} rows, found {rows:,}")
        if IMAGES in arrays and arrays[IMAGES].shape[1] * arrays[IMAGES].shape[2] > self.max_pixels:
            raise HTTPException(413, f"expected images of at most {self.max_pixels:,} pixels, found more")
        require_servable(arrays)
        return request.id, arrays, protocol.protocol_outputs(request, self.served.outputs)

    def _decision(self, rows: Arrays, top: int | None, request_id: str) -> protocol.ImageDecision:
        shown = (*DECIDING, HANDED_OVER, DECISION, STOPPED)
        values = {name: rows[name][0].item() for name in shown if name in rows}
        values["label"] = self._name(values["label"])
        if top is not None:
            likely = zip(rows[TOP_LABELS][0, :top].tolist(), rows[TOP_PROBABILITY][0, :top].tolist(), strict=True)
            values["top"] = [protocol.LikelyClass(label=self._name(label), probability=p) for label, p in likely]
        return protocol.ImageDecision(id=request_id, **values)

    def _name(self, label: int) -> str | int:
        classes = self.served.card.classes
        if classes is None:
            return label
        return str(names_of_classes(np.array([label]), classes)[0])

    async def about(self, request: Request) -> dict[str, Any]:
        """Tell what this server is."""
        card = self.served.card
        return {
            "name": NAME, "version": __version__, "model": self.name, "promise": card.words,
            "accepts_any": card.accepts_any, "routes": list(request.app.openapi()["paths"]),
        }  # fmt: skip

    async def metrics(self) -> Response:
        """Give all metrics to Prometheus."""
        return Response(self.counted.text(), media_type=CONTENT_TYPE_LATEST)

    async def server_metadata(self) -> dict[str, Any]:
        """Tell the server's name and version, and which extensions of the protocol it has."""
        return {"name": NAME, "version": __version__, "extensions": []}

    async def live(self) -> dict[str, bool]:
        """Tell that the server lives."""
        return {"live": True}

    async def ready(self) -> dict[str, bool]:
        """Tell whether the server takes requests: not while it stops, or while it cannot write what it has to keep."""
        watch, log = self.counted.watch, self.counted.log
        if self.stopping:
            raise HTTPException(400, "the server is stopping")
        if watch is not None and not watch.can_write():
            raise HTTPException(400, "the monitor's state cannot be written: the log says why")
        if log is not None and not log.can_write():
            raise HTTPException(400, "decisions cannot be written: the log says why")
        return {"ready": True}

    async def model_ready(self) -> dict[str, Any]:
        """Tell whether the model takes requests."""
        return {"name": self.name, **await self.ready()}

    async def model_metadata(self) -> dict[str, Any]:
        """Tell what the model takes and gives; its parameters are class names, the threshold and the certificate."""
        served = self.served
        return {
            "name": self.name, "versions": [VERSION], "platform": served.platform,
            "inputs": [*map(protocol.protocol_metadata, served.inputs)],
            "outputs": [*map(protocol.protocol_metadata, served.outputs)], "parameters": served.card.as_json(),
        }  # fmt: skip


def _started_readers(count: int) -> ThreadPoolExecutor:
    """Return so many threads that run already: where memory is short, one that begins later could not start."""
    readers = ThreadPoolExecutor(count, thread_name_prefix="reader")
    all_run = threading.Barrier(count + 1)
    try:
        for _ in range(count):
            readers.submit(all_run.wait)
    except BaseException:  # no memory for a thread: those that run would wait for it forever
        all_run.abort()
        raise
    all_run.wait()
    return readers


def _require_answered_media(request: Request, known: tuple[str, ...]) -> None:
    """Raise 415 if the type of a body is none of those known; it is application/octet-stream where none is told."""
    kind = request.headers.get("content-type", BYTES).partition(";")[0].strip().lower()
    if not any(kind == one or (one.endswith("/") and kind.startswith(one)) for one in known):
        expected = ", ".join(f"{one}*" if one.endswith("/") else one for one in known)
        raise HTTPException(415, f"expected Content-Type {expected}, found {kind[:60]!r}")


class _AppGuard:
    """ASGI middleware around all routes.

    It refuses what a proxy or a browser could be abused for, gives each request an id, counts requests and their
    seconds, and ends connections where the server stops.
    """

    def __init__(self, app: ASGIApp, answers: Answers) -> None:
        self.app, self.answers = app, answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        headers = Headers(scope=scope)
        brought = headers.get(REQUEST_ID, "")
        state = {"request_id": brought if _REQUEST_ID_PATTERN.fullmatch(brought) else uuid.uuid4().hex}
        scope["state"] = scope.get("state", {}) | state
        if scope["method"] == "POST":
            self.answers.asked = time.monotonic()
        app = _app_refusal(headers, scope["method"], self.answers.hosts) or self.app

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = scope["state"]["request_id"]
                if self.answers.stopping:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            await self._run(app, scope, receive, answer, lambda: status > 0)
        finally:
            route = getattr(scope.get("endpoint"), "__name__", UNKNOWN)
            seconds = time.perf_counter() - started
            self.answers.counted.of_request(route, status or 500, seconds)
            facts = {**scope["state"], "route": route, "status": status or 500, "seconds": round(seconds, 6)}
            LOGGER.info("%s %s", scope["method"], scope["path"], extra=facts)

    async def _run(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, has_answered: Callable[[], bool]
    ) -> None:
        """Run an app, and answer to what goes wrong in it unless it has begun to answer itself."""
        try:
            await app(scope, receive, send)
        except (asyncio.CancelledError, Exception) as error:
            if not has_answered():
                failure = await _app_answer_to(self.answers.name, Request(scope), error)
                await failure(scope, receive, send)
            elif not isinstance(error, asyncio.CancelledError):
                raise


def _app_refusal(headers: Headers, method: str, hosts: Collection[str]) -> Response | None:
    """Return the refusal of a request that a proxy could read otherwise, or that another site makes a browser send."""
    host = headers.get("host", LOCAL_HOST)  # HTTP/1.0 needs none, and no browser speaks it
    if not _is_known_host(host, hosts):
        found = f"found {host[:100]!r}; --allow-host NAME adds a name"
        return _app_failure(403, f"expected a Host that is an address or a known name, {found}")
    if "content-length" in headers and "transfer-encoding" in headers:
        message = "expected Content-Length or Transfer-Encoding, found both"
        return _app_failure(400, message, {"Connection": "close"})  # what follows may be a second request
    origin = headers.get("origin")
    if method == "POST" and origin is not None and origin.partition("://")[2] != headers.get("host"):
        return _app_failure(403, f"expected a request of this server's own pages, found one of {origin}")
    return None


def _is_known_host(host: str, names: Collection[str]) -> bool:
    """Return whether a request's Host is an address or one of some names; "*" allows any.

    A page of another site can only lead a browser here by a name of its own (DNS rebinding), not by an address.

    >>> [_is_known_host(host, {"localhost"}) for host in ("127.0.0.1:8000", "[::1]", "LocalHost:80", "evil.example:80")]
    [True, True, True, False]
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        if ANY_HOST in names or name in names:
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def make_app(answers: Answers) -> FastAPI:
    """Return the app that answers for a model; its threads end where the app's lifespan does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        answers.close()

    about_it = f"Model {answers.name}. {answers.served.card.words}"
    app = FastAPI(
        title="steepslope serve", version=__version__, description=about_it, lifespan=lifespan,
        docs_url=None, redoc_url=None,  # their pages run scripts of other sites
    )  # fmt: skip
    app.state.answers = answers
    app.include_router(_app_routes(answers))
    app.add_middleware(_AppGuard, answers=answers)
    for kind in (HTTPException, RequestValidationError, SteepslopeError):  # AppGuard answers to all others
        app.add_exception_handler(kind, partial(_app_answer_to, answers.name))
    return app


def _app_routes(answers: Answers) -> APIRouter:
    router = APIRouter()
    router.add_api_route("/", answers.about)
    router.add_api_route("/metrics", answers.metrics, response_class=Response, responses=_PLAIN_TEXT)
    router.add_api_route("/v2", answers.server_metadata)
    router.add_api_route("/v2/health/live", answers.live)
    router.add_api_route("/v2/health/ready", answers.ready, responses=_NOT_READY)
    model = f"/v2/models/{answers.name}"
    schema = protocol.protocol_schema([protocol.protocol_metadata(spec) for spec in answers.served.inputs])
    infer_body = {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}
    for prefix in (model, f"{model}/versions/{VERSION}"):
        router.add_api_route(prefix, answers.model_metadata)
        router.add_api_route(f"{prefix}/ready", answers.model_ready, responses=_NOT_READY)
        router.add_api_route(
            f"{prefix}/infer", answers.infer, methods=["POST"], response_class=Response, responses=_REFUSALS,
            openapi_extra=infer_body,
        )  # fmt: skip
    if serves_images(answers.served):
        router.add_api_route(
            "/predict", answers.predict, methods=["POST"], response_model=protocol.ImageDecision,
            response_model_exclude_none=True, openapi_extra=_PREDICT_BODY, responses=_REFUSALS,
        )  # fmt: skip
    return router


def _app_failure(status: int, message: object, headers: Any = None) -> JSONResponse:
    return JSONResponse({"error": " ".join(str(message).split())[:LONGEST]}, status, headers)


async def _app_answer_to(model: str, request: Request, error: BaseException) -> Response:
    """Return the answer to an error. It is no plain function, which would need a thread of its own."""
    if isinstance(error, asyncio.CancelledError):
        return _app_failure(503, _GIVEN_UP)
    if isinstance(error, HTTPException):
        unknown = f"{request.url.path}: no such route; the model of this server is {model}"
        return _app_failure(error.status_code, unknown if error.status_code == 404 else error.detail, error.headers)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return _app_failure(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    if isinstance(error, SteepslopeError):
        return _app_failure(400, error)
    if is_out_of_memory(error):
        return _app_failure(503, "the server has no memory left for this: try again later", {"Retry-After": "1"})
    LOGGER.error("request %s failed", request.state.request_id, exc_info=error)
    return _app_failure(500, "the server failed; its log tells why")
