"""Requests that are wrong, one a kind: each has to be answered with 4xx."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from tests.serve.models import encoded

INFER, PREDICT = "/v2/models/gate/infer", "/predict"
MAX_BODY = 100_000  # bytes, of the servers that get these requests
LIMITS = "--max-json 0.09 --max-body 0.095367431640625 --max-rows 64 --max-megapixels 0.01 --body-seconds 2"
OPTIONS: dict[str, Any] = {
    "max_json": 0.09, "max_body": MAX_BODY / 2**20, "max_rows": 64, "max_megapixels": 0.01, "body_seconds": 2
}  # fmt: skip
LENGTH = "Inference-Header-Content-Length"
PIXELS = [1, 2, 3] * 4


@dataclass(frozen=True)
class Wrong:
    """A wrong request, and the status that it is answered with."""

    status: int
    body: bytes = b""
    path: str = INFER
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


def tensor(**changes: Any) -> dict[str, Any]:
    """Return a tensor of one image of 2×2 pixels, with changes; None takes a field away."""
    given = {"name": "images", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": PIXELS, **changes}
    return {name: value for name, value in given.items() if value is not None}


def asked(*tensors: Any, **fields: Any) -> bytes:
    """Return a request as JSON; NaN stays NaN."""
    return json.dumps({"inputs": list(tensors), **fields}).encode()


def of_json(status: int, *tensors: Any, **fields: Any) -> Wrong:
    return Wrong(status, asked(*tensors, **fields))


def picture(status: int, body: bytes, kind: str = "image/png", query: str = "") -> Wrong:
    return Wrong(status, body, PREDICT + query, {"Content-Type": kind})


def png(width: int, height: int) -> bytes:
    """Return a PNG file of zeros, whose bytes are few however large it is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


DOT = encoded(np.zeros((4, 4, 3), np.uint8))
DRAWING, PHOTO = (
    encoded(np.random.default_rng(0).integers(256, size=(40, 40, 3), dtype=np.uint8), kind) for kind in ("PNG", "JPEG")
)
TWO = [0.5] * 3 + [1.5] * 9

WRONG: dict[str, Wrong] = {
    "no body": Wrong(400),
    "no JSON": Wrong(400, b"hello"),
    "half of JSON": Wrong(400, asked(tensor())[:-9]),
    "no UTF-8": Wrong(400, b'{"inputs": "\xff\xfe"}'),
    "JSON of a list": Wrong(400, b"[]"),
    "an empty object": Wrong(400, b"{}"),
    "deep brackets": Wrong(400, b'{"inputs":' + b"[" * 40_000 + b"]" * 40_000 + b"}"),
    "deep data": Wrong(400, asked(tensor(data="@")).replace(b'"@"', b"[" * 900 + b"1" + b"]" * 900)),
    "a number of 5,000 digits": Wrong(400, asked(tensor(data="@")).replace(b'"@"', b"[" + b"9" * 5000 + b"]")),
    "no inputs": of_json(400),
    "inputs that are no list": Wrong(400, b'{"inputs": 3}'),
    "an input without name": of_json(400, tensor(name=None)),
    "an input without shape": of_json(400, tensor(shape=None)),
    "an input without datatype": of_json(400, tensor(datatype=None)),
    "an input without data": of_json(400, tensor(data=None)),
    "an unknown input": of_json(400, tensor(name="image")),
    "a datatype of 90,000 letters": of_json(400, tensor(datatype="x" * 90_000)),
    "a flag of 90,000 letters": of_json(400, tensor(), parameters={"binary_data_output": "x" * 90_000}),
    "an input twice": of_json(400, tensor(), tensor()),
    "100 inputs": of_json(400, *[tensor()] * 100),
    "an unknown datatype": of_json(400, tensor(datatype="INT7")),
    "another datatype": of_json(400, tensor(datatype="FP32")),
    "a datatype in small letters": of_json(400, tensor(datatype="uint8")),
    "an empty shape": of_json(400, tensor(shape=[])),
    "a negative size": of_json(400, tensor(shape=[-1, 2, 2, 3])),
    "a size of a half": of_json(400, tensor(shape=[1, 2, 2, 1.5])),
    "a huge size": of_json(400, tensor(shape=[10**30, 2, 2, 3])),
    "sizes whose product is huge": of_json(400, tensor(shape=[2**31, 2**31, 2**31, 3])),
    "one channel": of_json(400, tensor(shape=[3, 2, 2, 1])),
    "no rows": of_json(400, tensor(shape=[0, 2, 2, 3], data=[])),
    "images of no pixels": of_json(400, tensor(shape=[1, 0, 2, 3], data=[])),
    "more data than the shape": of_json(400, tensor(data=[*PIXELS, 1])),
    "data nested otherwise": of_json(400, tensor(data=[PIXELS[:6], PIXELS[6:]])),
    "ragged data": of_json(400, tensor(data=[[1, 2, 3], [4]])),
    "text among data": of_json(400, tensor(data=[*PIXELS[1:], "a"])),
    "data of text": of_json(400, tensor(data="abc")),
    "data of booleans": of_json(400, tensor(data=[True] * 12)),
    "a pixel of 256": of_json(400, tensor(data=[*PIXELS[1:], 256])),
    "a pixel of 2 to the power of 70": of_json(400, tensor(data=[*PIXELS[1:], 2**70])),
    "pixels of halves": of_json(400, tensor(data=TWO)),
    "Infinity": of_json(400, tensor(data=[*PIXELS[1:], float("inf")])),
    "65 rows": of_json(413, tensor(shape=[65, 1, 1, 3], data=[0] * 195)),
    "an image of too many pixels": of_json(413, tensor(shape=[1, 1, 10_001, 3], data=[0] * 30_003)),
    "an id that is a number": of_json(400, tensor(), id=7),
    "parameters that are a list": of_json(400, tensor(), parameters=[1]),
    "a parameter that is an object": of_json(400, tensor(), parameters={"a": {}}),
    "an unknown output": of_json(400, tensor(), outputs=[{"name": "logits"}]),
    "an output twice": of_json(400, tensor(), outputs=[{"name": "label"}] * 2),
    "an output without name": of_json(400, tensor(), outputs=[{}]),
    "binary_data of text": of_json(400, tensor(), outputs=[{"name": "label", "parameters": {"binary_data": "yes"}}]),
    "a classification": of_json(400, tensor(), outputs=[{"name": "label", "parameters": {"classification": 2}}]),
    "shared memory": of_json(400, tensor(parameters={"shared_memory_region": "a"})),
    "binary data": Wrong(400, asked(tensor()) + bytes(12), headers={LENGTH: str(len(asked(tensor())))}),
    "a binary size": of_json(400, tensor(parameters={"binary_data_size": 12}, data=None)),
    "a body that is too large": Wrong(413, bytes(MAX_BODY + 1)),
    "JSON that is too large": of_json(413, tensor(), id="x" * 95_000),
    "a compressed body": Wrong(415, zlib.compress(asked(tensor())), headers={"Content-Encoding": "gzip"}),
    "a body of a form": Wrong(415, b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    "a body of XML": Wrong(415, b"<a/>", headers={"Content-Type": "application/xml"}),
    "GET for infer": Wrong(405, method="GET"),
    "DELETE of the model": Wrong(405, path="/v2/models/gate", method="DELETE"),
    "POST for health": Wrong(405, path="/v2/health/live"),
    "another model": Wrong(404, asked(tensor()), "/v2/models/other/infer"),
    "another version": Wrong(404, asked(tensor()), "/v2/models/gate/versions/2/infer"),
    "a path upwards": Wrong(404, path="/v2/../../etc/passwd", method="GET"),
    "no image": picture(415, b""),
    "text as an image": picture(415, b"hello"),
    "EPS, which would be run": picture(415, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    "SVG": picture(415, b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    "half of a PNG": picture(422, DRAWING[: len(DRAWING) // 2]),
    "a PNG with a wrong checksum": picture(415, DRAWING[:30] + bytes([DRAWING[30] ^ 255]) + DRAWING[31:]),
    "a bomb of 40,000 × 40,000": picture(413, png(40_000, 40_000)),
    "an image of 101 × 100": picture(413, png(101, 100)),
    "an image of floats": picture(422, encoded(Image.new("F", (4, 4)), "TIFF"), "image/tiff"),
    "an image as JSON": picture(415, b"{}", "application/json"),
    "an image from another site": Wrong(403, DOT, PREDICT, {"Origin": "https://evil.example"}),
    "an image from a damaged site": Wrong(403, DOT, PREDICT, {"Origin": "http://["}),
    "an image that is too large a body": picture(413, DOT + bytes(MAX_BODY)),
    "top of 0": picture(422, DOT, query="?top=0"),
    "top of text": picture(422, DOT, query="?top=many"),
    "an image in a form": picture(415, DOT, "multipart/form-data; boundary=a"),
}  # fmt: skip
RAW: dict[str, bytes] = {
    "no HTTP": b"hello\r\n\r\n",
    "bytes": bytes(range(256)),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a length of text": b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: abc\r\n\r\n",
    "a negative length": b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    "two lengths": b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a chunk of no length": b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n",
    "two ways to tell its length": b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n",
    "a header without colon": b"GET / HTTP/1.1\r\nHost a\r\n\r\n",
    "chunks over the limit": b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"8000\r\n" + bytes(0x8000) + b"\r\n" + b"8000\r\n" + bytes(0x8000) + b"\r\n"
    + b"8000\r\n" + bytes(0x8000) + b"\r\n" + b"8000\r\n" + bytes(0x8000) + b"\r\n0\r\n\r\n",
    "a length over the limit, and no body": b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
}  # fmt: skip
