"""The routes of a server, what holds for every request, and how what goes wrong is told."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from steepslope import __version__
from steepslope.errors import SteepslopeError
from steepslope.serve.answers import JSON, VERSION, Answers
from steepslope.serve.protocol import Failure, ImageDecision, protocol_metadata, protocol_schema
from steepslope.serve.served import serves_images

GIVEN_UP = "the server stopped before this was answered"
REQUEST_ID, REQUEST_IDS = "X-Request-Id", re.compile(r"[!-~]{1,200}")  # printable ASCII
UNKNOWN = "unknown"  # the route of a request for which there is none


class AppGuard:
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
        request_id = brought if REQUEST_IDS.fullmatch(brought) else uuid.uuid4().hex
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        app = _app_refusal(headers, scope["method"]) or self.app

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
                if self.answers.stopping:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            await app(scope, receive, answer)
        except asyncio.CancelledError:  # the time for stopping is over
            if not status:
                await JSONResponse({"error": GIVEN_UP}, 503)(scope, receive, answer)
        finally:
            route = getattr(scope.get("endpoint"), "__name__", UNKNOWN)
            self.answers.metrics.of_request(route, status or 500, time.perf_counter() - started)


def _app_refusal(headers: Headers, method: str) -> Response | None:
    """Return the answer to a request that a proxy could read otherwise, or that another site makes a browser send."""
    if "content-length" in headers and "transfer-encoding" in headers:
        message = "expected Content-Length or Transfer-Encoding, found both"
        return _app_failure(400, message, {"Connection": "close"})  # what follows may be a second request
    origin = headers.get("origin")
    if method == "POST" and origin is not None and origin.partition("://")[2] != headers.get("host"):
        return _app_failure(403, f"expected a request of this server's own pages, found one of {origin}")
    return None


NAME = "steepslope"
LONGEST = 300  # characters of an error, which may repeat what the client sent
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure} for status in (400, 403, 408, 413, 415, 422, 503)
}
NOT_READY: dict[int | str, dict[str, Any]] = {400: {"model": Failure}}


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
    app.add_middleware(AppGuard, answers=answers)
    for kind in (HTTPException, RequestValidationError, SteepslopeError, Exception):
        app.add_exception_handler(kind, _app_answer_to)
    return app


def _app_routes(answers: Answers) -> APIRouter:
    router = APIRouter()
    router.add_api_route("/", about)
    router.add_api_route("/metrics", metrics, response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    router.add_api_route("/v2", server_metadata)
    router.add_api_route("/v2/health/live", live)
    router.add_api_route("/v2/health/ready", ready, responses=NOT_READY)
    model = f"/v2/models/{answers.name}"
    schema = protocol_schema([protocol_metadata(spec) for spec in answers.served.inputs])
    infer_body = {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}
    for prefix in (model, f"{model}/versions/{VERSION}"):
        router.add_api_route(prefix, model_metadata)
        router.add_api_route(f"{prefix}/ready", model_ready, responses=NOT_READY)
        router.add_api_route(
            f"{prefix}/infer", answers.infer, methods=["POST"], response_class=Response, responses=REFUSALS,
            openapi_extra=infer_body,
        )  # fmt: skip
    if serves_images(answers.served):
        router.add_api_route(
            "/predict", answers.predict, methods=["POST"], response_model=ImageDecision,
            response_model_exclude_none=True, openapi_extra=PREDICT_BODY, responses=REFUSALS,
        )  # fmt: skip
    return router


def _answers_of_app(request: Request) -> Answers:
    answers: Answers = request.app.state.answers
    return answers


async def about(request: Request) -> dict[str, Any]:
    """Tell what this server is."""
    answers = _answers_of_app(request)
    card = answers.served.card
    return {
        "name": NAME, "version": __version__, "model": answers.name, "promise": card.words,
        "accepts_any": card.accepts_any, "routes": list(request.app.openapi()["paths"]),
    }  # fmt: skip


async def metrics(request: Request) -> Response:
    """Give all metrics to Prometheus."""
    return Response(_answers_of_app(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def server_metadata() -> dict[str, Any]:
    """Tell the server's name and version, and which extensions of the protocol it has."""
    return {"name": NAME, "version": __version__, "extensions": []}


async def live() -> dict[str, bool]:
    """Tell that the server lives."""
    return {"live": True}


async def ready(request: Request) -> dict[str, bool]:
    """Tell whether the server takes requests: not while it stops, or while its monitor cannot write its state."""
    watch = _answers_of_app(request).metrics.watch
    if _answers_of_app(request).stopping:
        raise HTTPException(400, "the server is stopping")
    if watch is not None and not watch.can_write():
        raise HTTPException(400, "the monitor's state cannot be written: the log says why")
    return {"ready": True}


async def model_ready(request: Request) -> dict[str, Any]:
    """Tell whether the model takes requests."""
    return {"name": _answers_of_app(request).name, **await ready(request)}


async def model_metadata(request: Request) -> dict[str, Any]:
    """Tell what the model takes and gives; its parameters are the class names, the threshold and the certificate."""
    answers = _answers_of_app(request)
    served = answers.served
    return {
        "name": answers.name, "versions": [VERSION], "platform": served.platform,
        "inputs": [*map(protocol_metadata, served.inputs)], "outputs": [*map(protocol_metadata, served.outputs)],
        "parameters": served.card.as_json(),
    }  # fmt: skip


PICTURE = {"type": "string", "format": "binary"}
PREDICT_BODY: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"image/png": {"schema": PICTURE}, "image/jpeg": {"schema": PICTURE}}}
}


def _app_failure(status: int, message: object, headers: Any = None) -> JSONResponse:
    return JSONResponse({"error": " ".join(str(message).split())[:LONGEST]}, status, headers)


def _app_answer_to(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        unknown = f"{request.url.path}: no such route; the model of this server is {_answers_of_app(request).name}"
        return _app_failure(error.status_code, unknown if error.status_code == 404 else error.detail, error.headers)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return _app_failure(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    if isinstance(error, SteepslopeError):
        return _app_failure(400, error)
    return _app_failure(500, "the server failed; its log tells why")
