"""The routes of a server, what holds for every request, and how what goes wrong is told."""

from __future__ import annotations

import asyncio
import time
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
from steepslope.serve.answers import FORM, JSON, VERSION, Answers
from steepslope.serve.bodies import FIELD
from steepslope.serve.protocol import (
    About,
    Failure,
    ImageDecision,
    InferResponse,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    ServerMetadata,
    described,
    infer_schema,
)
from steepslope.serve.served import takes_images

GIVEN_UP = "the server stopped before this was answered"
UNKNOWN = "unknown"  # the route of a request for which there is none


class Guard:
    """ASGI middleware around all routes.

    It refuses what a proxy or a browser could be abused for, answers HEAD as GET, counts requests and their seconds,
    and ends connections where the server stops.
    """

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
        app = _refusal(Headers(scope=scope), scope["method"]) or self.app

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
            await app(seen, receive, answer)
        except asyncio.CancelledError:  # the time for stopping is over
            if not status:
                await JSONResponse({"error": GIVEN_UP}, 503)(seen, receive, answer)
        finally:
            route = getattr(seen.get("endpoint"), "__name__", UNKNOWN)
            self.answers.metrics.of_request(route, status or 500, time.perf_counter() - started)


def _refusal(headers: Headers, method: str) -> Response | None:
    """Return the answer to a request that a proxy could read otherwise, or that another site makes a browser send."""
    if "content-length" in headers and "transfer-encoding" in headers:
        message = "expected Content-Length or Transfer-Encoding, found both"
        return _failure(400, message, {"Connection": "close"})  # what follows may be a second request
    origin = headers.get("origin")
    if method == "POST" and origin is not None and origin.partition("://")[2] != headers.get("host"):
        return _failure(403, f"expected a request of this server's own pages, found one of {origin}")
    return None


NAME = "steepslope"
LONGEST = 300  # characters of an error, which may repeat what the client sent
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request is not as it has to be.", "model": Failure},
    408: {"description": "The body did not come in time.", "model": Failure},
    413: {"description": "The body, image or number of rows is too large.", "model": Failure},
    415: {"description": "The body is of a type that is not known.", "model": Failure},
    403: {"description": "The page of another site sent the request.", "model": Failure},
    422: {"description": "The body cannot be used.", "model": Failure},
    503: {"description": "Too many requests are under way.", "model": Failure},
}
NOT_READY: dict[int | str, dict[str, Any]] = {
    400: {"description": "Stopping, or the monitor's state cannot be written.", "model": Failure}
}


def make_app(answers: Answers) -> FastAPI:
    """Return the app that answers for a model; its threads end where the app's lifespan does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        answers.close()

    about_it = f"Model {answers.options.name}. {answers.served.card.words}"
    app = FastAPI(
        title="steepslope serve", version=__version__, description=about_it, lifespan=lifespan,
        docs_url=None, redoc_url=None,  # their pages run scripts of other sites
    )  # fmt: skip
    app.state.answers = answers
    app.include_router(_routes(answers))
    app.add_middleware(Guard, answers=answers)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(SteepslopeError, _bad_input)
    app.add_exception_handler(Exception, _failed)
    return app


def _routes(answers: Answers) -> APIRouter:
    router = APIRouter()
    router.add_api_route("/", about, response_model=About)
    router.add_api_route("/metrics", metrics, response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    router.add_api_route("/v2", server_metadata, response_model=ServerMetadata)
    router.add_api_route("/v2/health/live", live, response_model=Live)
    router.add_api_route("/v2/health/ready", ready, response_model=Ready, responses=NOT_READY)
    model = f"/v2/models/{answers.options.name}"
    for prefix in (model, f"{model}/versions/{VERSION}"):
        router.add_api_route(prefix, model_metadata, response_model=ModelMetadata)
        router.add_api_route(f"{prefix}/ready", model_ready, response_model=ModelReady, responses=NOT_READY)
        router.add_api_route(
            f"{prefix}/infer", answers.infer, methods=["POST"], response_class=Response,
            openapi_extra=_infer_body(answers),
            responses={**REFUSALS, 200: {"model": InferResponse}},
        )  # fmt: skip
    if takes_images(answers.served):
        router.add_api_route(
            "/predict", answers.predict, methods=["POST"], response_model=ImageDecision,
            response_model_exclude_none=True, openapi_extra=PREDICT_BODY, responses=REFUSALS,
        )  # fmt: skip
    return router


def _answers(request: Request) -> Answers:
    answers: Answers = request.app.state.answers
    return answers


async def about(request: Request) -> About:
    """Tell what this server is."""
    answers = _answers(request)
    card, routes = answers.served.card, list(request.app.openapi()["paths"])
    return About(
        name=NAME, version=__version__, model=answers.options.name, promise=card.words, accepts_any=card.accepts_any,
        routes=routes,
    )  # fmt: skip


async def metrics(request: Request) -> Response:
    """Give all metrics to Prometheus."""
    return Response(_answers(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def server_metadata() -> ServerMetadata:
    """Tell the server's name, version and extensions."""
    return ServerMetadata(name=NAME, version=__version__, extensions=[])


async def live() -> Live:
    """Tell that the server lives."""
    return Live(live=True)


async def ready(request: Request) -> Ready:
    """Tell whether the server takes requests: not while it stops, or while its monitor cannot write its state."""
    watch = _answers(request).metrics.watch
    if _answers(request).stopping:
        raise HTTPException(400, "the server is stopping")
    if watch is not None and not watch.can_write():
        raise HTTPException(400, "the monitor's state cannot be written: the log says why")
    return Ready(ready=True)


async def model_ready(request: Request) -> ModelReady:
    """Tell whether the model takes requests."""
    await ready(request)
    return ModelReady(name=_answers(request).options.name, ready=True)


async def model_metadata(request: Request) -> ModelMetadata:
    """Tell what the model takes and gives; its parameters are the class names, the threshold and the certificate."""
    answers = _answers(request)
    served = answers.served
    return ModelMetadata.model_validate({
        "name": answers.options.name, "versions": [VERSION], "platform": served.platform,
        "inputs": [described(one) for one in served.inputs], "outputs": [described(one) for one in served.outputs],
        "parameters": served.card.as_json(),
    })  # fmt: skip


PICTURE = {"type": "string", "format": "binary"}
PREDICT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "image/png": {"schema": PICTURE},
            "image/jpeg": {"schema": PICTURE},
            FORM: {"schema": {"type": "object", "properties": {FIELD: PICTURE}, "required": [FIELD]}},
        },
    }
}


def _infer_body(answers: Answers) -> dict[str, Any]:
    schema = infer_schema([described(one) for one in answers.served.inputs])
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}


def _failure(status: int, message: object, headers: Any = None) -> JSONResponse:
    return JSONResponse({"error": " ".join(str(message).split())[:LONGEST]}, status, headers)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = error.detail
    if error.status_code == 404:
        message = f"{request.url.path}: no such route; the model of this server is {_answers(request).options.name}"
    return _failure(error.status_code, message, error.headers)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _failure(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def _bad_input(request: Request, error: Exception) -> Response:
    return _failure(400, error)


def _failed(request: Request, error: Exception) -> Response:
    return _failure(500, "the server failed; its log tells why")
