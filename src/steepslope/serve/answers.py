"""What the routes answer: a request is admitted, read, queued, run with others, and answered."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import Query
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from steepslope.errors import SteepslopeError
from steepslope.gate.decisions import names_of_classes
from steepslope.nets.export.file import IMAGES, Arrays, ArraySpec
from steepslope.serve import limits, protocol
from steepslope.serve.batching import Batcher
from steepslope.serve.bodies import Capacity, pixels_of_body, read_body
from steepslope.serve.decision_log import DecisionLog
from steepslope.serve.metrics import ServerMetrics
from steepslope.serve.monitoring import ServedMonitor
from steepslope.serve.served import (
    DECIDING,
    DECISION,
    HANDED_OVER,
    TOP_LABELS,
    TOP_PROBABILITY,
    Served,
    require_servable,
    served_channels,
    served_row_count,
)

T = TypeVar("T")
Top = Annotated[int | None, Query(ge=1, le=10)]
VERSION = "1"  # of the model, in the protocol
HEADER_LENGTH = "Inference-Header-Content-Length"
JSON, BYTES = "application/json", "application/octet-stream"
LARGE = 1 << 16  # bytes of a body that is read next to the event loop
PARSED = 25  # times the size of JSON is that of its numbers as Python holds them


class Answers:
    """A model, by its ``name`` in the protocol, with all that answers requests for it.

    At most ``max_batch`` rows are run together. ``close`` ends the threads after all that is queued.
    """

    def __init__(
        self,
        served: Served,
        name: str = "gate",
        max_batch: int = 32,
        watch: ServedMonitor | None = None,
        log: DecisionLog | None = None,
    ) -> None:
        self.served = served
        self.name = name
        self.capacity = Capacity(limits.MAX_WAITING, limits.MAX_MEMORY)
        self.metrics = ServerMetrics(watch, log, served.card.coverage)
        self.readers = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="reader")
        self.stopping = False
        self.batcher = Batcher(served, max_batch, self.metrics.of_batch)

    def close(self) -> None:
        """Answer all that is queued, then end the threads."""
        self.batcher.close()
        self.readers.shutdown()

    async def infer(self, request: Request) -> Response:
        """Decide on arrays, by the Open Inference Protocol V2, as JSON."""
        _require_answered_media(request, (JSON, BYTES))
        if HEADER_LENGTH in request.headers:  # of JSON with binary tensors behind it
            raise SteepslopeError(f"expected {protocol.JSON_ALONE}, found binary data", HEADER_LENGTH)
        with self.capacity.claim() as claim:
            body = await read_body(request, claim)
            claim.admit()
            if len(body) > limits.MAX_JSON:
                raise HTTPException(413, f"expected JSON of at most {limits.MAX_JSON:,} bytes, found more")
            claim.take(PARSED * len(body))
            is_large = len(body) > LARGE
            name, arrays, wanted = await self._in_thread(self._question, body) if is_large else self._question(body)
            rows = await self._run(arrays, 1, request.state.request_id)
        head = {"model_name": self.name, "model_version": VERSION, **({} if name is None else {"id": name})}
        return Response(protocol.protocol_response(head, rows, wanted), media_type=JSON)

    async def predict(self, request: Request, top: Top = None) -> protocol.ImageDecision:
        """Decide on an image, which is the body."""
        _require_answered_media(request, (BYTES, "image/"))
        with self.capacity.claim() as claim:
            body = await read_body(request, claim)
            claim.admit()
            pixels = await self._in_thread(pixels_of_body, body, served_channels(self.served), limits.MAX_PIXELS, claim)
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
        if IMAGES in arrays and arrays[IMAGES].shape[1] * arrays[IMAGES].shape[2] > limits.MAX_PIXELS:
            raise HTTPException(413, f"expected images of at most {limits.MAX_PIXELS:,} pixels, found more")
        require_servable(arrays)
        return request.id, arrays, protocol.protocol_outputs(request, self.served.outputs)

    def _decision(self, rows: Arrays, top: int | None, request_id: str) -> protocol.ImageDecision:
        values = {name: rows[name][0].item() for name in (*DECIDING, HANDED_OVER, DECISION) if name in rows}
        values["label"] = self._name(values["label"])
        if top is not None:
            likely = zip(rows[TOP_LABELS][0, :top].tolist(), rows[TOP_PROBABILITY][0, :top].tolist(), strict=True)
            values["top"] = [protocol.LikelyClass(label=self._name(label), probability=p) for label, p in likely]
        return protocol.ImageDecision(id=request_id, **values)

    def _name(self, label: int) -> str | int:
        classes = self.served.card.classes
        return label if classes is None else str(names_of_classes(np.array([label]), classes)[0])


def _require_answered_media(request: Request, known: tuple[str, ...]) -> None:
    """Raise 415 if the type of a body is none of those known; it is application/octet-stream where none is told."""
    kind = request.headers.get("content-type", BYTES).partition(";")[0].strip().lower()
    if not any(kind == one or (one.endswith("/") and kind.startswith(one)) for one in known):
        expected = ", ".join(f"{one}*" if one.endswith("/") else one for one in known)
        raise HTTPException(415, f"expected Content-Type {expected}, found {kind[:60]!r}")
