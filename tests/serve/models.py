"""Tiny exported gates, as the export's contract has them, the same computation in NumPy, and ways to serve them."""

from __future__ import annotations

import errno
import io
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from numpy.typing import NDArray
from onnx import TensorProto as T, helper
from PIL import Image

from steepslope.nets.export._file import ExportedGate, sealed_onnx
from steepslope.serve import _limits as limits
from steepslope.serve._app import Answers, make_app
from steepslope.serve._served import Served, served_file

INFER, PREDICT = "/v2/models/gate/infer", "/predict"
PIXELS = [1, 2, 3] * 4
DATATYPES = {"uint8": "UINT8", "float32": "FP32", "float64": "FP64", "int64": "INT64"}
SIDE = 600  # of the matrices of a slow model
CLASSES, THRESHOLD, SCALE, SHARP, FURTHER = ("red", "green", "blue"), 1.0, 4.0, 8.0, 5
CERTIFICATE = {"aim": "risk", "threshold": THRESHOLD, "accepts_all": False, "max_risk": 0.05, "delta": 0.05}
CARD = {
    "version": 2, "part": "all", "threshold": THRESHOLD, "thresholds": None, "classes": list(CLASSES),
    "certificates": [CERTIFICATE], "words": "Of these, at most 5 % are wrong.", "coverage": 0.5, "gate": "0" * 64,
    "answers": {},
}  # fmt: skip
GIVEN = {
    "label": T.INT64, "probability": T.DOUBLE, "p_correct": T.DOUBLE, "trust_logit": T.DOUBLE, "accepted": T.BOOL
}  # fmt: skip


def _constant(name: str, value: object, kind: int) -> Any:
    array = np.asarray(value)
    return helper.make_tensor(name, kind, array.shape, array.ravel())


def write_model(path: Path, takes: list[Any], nodes: list[Any], metadata: Mapping[str, str], hands_over: bool) -> Path:
    """Write a file that takes what makes ``logits`` (N, K) by some nodes, and gives what a gate gives."""
    constants = [
        _constant("scale", SCALE, T.DOUBLE), _constant("cut", THRESHOLD, T.DOUBLE), _constant("half", 0.5, T.DOUBLE),
        _constant("last", [1], T.INT64), _constant("sizes", [SIDE, SIDE], T.INT64), _constant("zero", 0.0, T.FLOAT),
        _constant("full", 255.0, T.FLOAT), _constant("sharp", SHARP, T.FLOAT),
    ]  # fmt: skip
    steps = [
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
        helper.make_node("Cast", ["logits"], ["wide"], to=T.DOUBLE),
        helper.make_node("Softmax", ["wide"], ["softmax"], axis=1),
        helper.make_node("ReduceMax", ["softmax", "last"], ["probability"], keepdims=0),
        helper.make_node("Mul", ["probability", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "cut"], ["trust_logit"]),
        helper.make_node("Sigmoid", ["trust_logit"], ["p_correct"]),
        helper.make_node("GreaterOrEqual", ["trust_logit", "cut"], ["accepted"]),
        helper.make_node("Mul", ["probability", "half"], ["handed_over"]),
    ]
    given = GIVEN | ({"handed_over": T.DOUBLE} if hands_over else {})
    outputs = [helper.make_tensor_value_info(name, kind, ["N"]) for name, kind in given.items()]
    graph = helper.make_graph([*nodes, *steps[: len(steps) - (not hands_over)]], "gate", takes, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, dict(metadata))
    path.write_bytes(sealed_onnx(model.SerializeToString()))
    return path


def _slowly(steps: int) -> list[Any]:
    """Return nodes that add 0 to the logits after some products of matrices of zeros, which start with the input."""
    nodes = [
        helper.make_node("ReduceMin", ["sharpened"], ["least"], keepdims=0),
        helper.make_node("Mul", ["least", "zero"], ["nothing"]),
        helper.make_node("Expand", ["nothing", "sizes"], ["product0"]),
    ]
    for step in range(steps):
        nodes.append(helper.make_node("MatMul", [f"product{step}"] * 2, [f"product{step + 1}"]))
    nodes.append(helper.make_node("ReduceMax", [f"product{steps}"], ["zeros"], keepdims=0))
    return [*nodes, helper.make_node("Add", ["sharpened", "zeros"], ["logits"])]


def image_gate(folder: Path, card: Mapping[str, Any] = CARD, hands_over: bool = False, steps: int = 0) -> Path:
    """Write a gate that takes images (N, H, W, 3): the logits of red, green and blue are eight times their means.

    ``steps`` are products of large matrices that change nothing, and take some milliseconds each.
    """
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=T.FLOAT),
        helper.make_node("Div", ["pixels", "full"], ["shares"]),
        helper.make_node("Transpose", ["shares"], ["channels_first"], perm=[0, 3, 1, 2]),
        helper.make_node("GlobalAveragePool", ["channels_first"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
        helper.make_node("Mul", ["means", "sharp"], ["logits" if steps == 0 else "sharpened"]),
    ]
    nodes += _slowly(steps) if steps else []
    takes = [helper.make_tensor_value_info("images", T.UINT8, ["N", "H", "W", 3])]
    return write_model(folder / "images.onnx", takes, nodes, {"steepslope": json.dumps(card)}, hands_over)


def array_gate(folder: Path) -> Path:
    """Write a gate that takes features (N, 3), its logits, and auxiliary (N, 5), whose largest is added to each."""
    nodes = [
        helper.make_node("ReduceMax", ["auxiliary", "last"], ["most"], keepdims=1),
        helper.make_node("Add", ["features", "most"], ["logits"]),
    ]
    takes = [
        helper.make_tensor_value_info("features", T.FLOAT, ["N", 3]),
        helper.make_tensor_value_info("auxiliary", T.FLOAT, ["N", FURTHER]),
    ]
    card = {**CARD, "part": "gate"}
    return write_model(folder / "arrays.onnx", takes, nodes, {"steepslope": json.dumps(card)}, False)


def decided(logits: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return what a tiny gate gives of some logits (N, 3)."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probability = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
    trust_logit = SCALE * probability - THRESHOLD
    return {
        "label": logits.argmax(axis=1), "probability": probability, "p_correct": 1 / (1 + np.exp(-trust_logit)),
        "trust_logit": trust_logit, "accepted": trust_logit >= THRESHOLD,
    }  # fmt: skip


def of_images(images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Return what the gate of :func:`image_gate` gives of images (N, H, W, 3)."""
    return decided(images.astype(np.float32).mean(axis=(1, 2)) / 255 * SHARP)


def drawn(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return random pixels, each image mostly of one colour."""
    rng = np.random.default_rng(seed)
    tint = rng.integers(256, size=(shape[0], 1, 1, 3))
    return (rng.integers(256, size=(*shape, 3)) * 0.3 + tint * 0.7).astype(np.uint8)


def encoded(image: Image.Image | NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    """Return an image as the bytes of a file."""
    file = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int) -> bytes:
    """Return a PNG file of zeros, whose bytes are few however large it is."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def file_served(path: Path, max_batch: int = 32) -> Served:
    """Return an exported gate as a server has it."""
    return served_file(ExportedGate.open(path, threads=1), max_batch)


@contextmanager
def limited(**changed: float) -> Iterator[None]:
    """Change limits of servers in this process, by their names."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changed.items():
            patch.setattr(limits, name, value)
        yield


@contextmanager
def client_of(served: Served, watch: Any = None, log: Any = None, **changed: float) -> Iterator[TestClient]:
    """Serve a model in this process, within limits of which some are changed."""
    with limited(**changed):
        app = make_app(Answers(served, watch=watch, log=log))
        with TestClient(app, "http://localhost", raise_server_exceptions=False) as client:
            yield client


def tensor(**changes: Any) -> dict[str, Any]:
    """Return a tensor of one image of 2×2 pixels, with changes; None takes a field away."""
    given = {"name": "images", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": PIXELS, **changes}
    return {name: value for name, value in given.items() if value is not None}


def asked(*tensors: Any, **fields: Any) -> bytes:
    """Return a request as JSON; NaN stays NaN."""
    return json.dumps({"inputs": list(tensors), **fields}).encode()


def posted(client: TestClient, **arrays: NDArray[Any]) -> Any:
    """Ask for what is inferred of arrays, and return the response."""
    tensors = [
        {"name": name, "datatype": DATATYPES[one.dtype.name], "shape": one.shape, "data": one.ravel().tolist()}
        for name, one in arrays.items()
    ]
    return client.post(INFER, content=asked(*tensors))


def inferred(client: TestClient, **arrays: NDArray[Any]) -> dict[str, list[Any]]:
    """Return the outputs by name, of arrays that are not refused."""
    found = posted(client, **arrays)
    assert found.status_code == 200, found.text
    return {one["name"]: one["data"] for one in found.json()["outputs"]}


class FullDisk:
    """A disk on which only so many bytes have room."""

    def __init__(self, room: int) -> None:
        self.room, self.write = room, os.write

    def __call__(self, descriptor: int, data: bytearray) -> int:
        """Write as much as there is room for; raise if there is none."""
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = self.write(descriptor, data[: self.room])
        self.room -= count
        return count
