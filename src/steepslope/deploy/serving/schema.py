"""The protocol's JSON bodies: what they have to be, checked and documented from one description each."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

EXAMPLE = 8  # pixels a side, where any will do
Parameter = bool | int | float | str
Parameters = dict[str, Parameter]
Name = Annotated[str, Field(max_length=200)]
Size = Annotated[int, Field(ge=0, le=2**31)]
Data = Annotated[Any, WithJsonSchema({"type": ["array", "null"], "items": {}})]  # its numbers are NumPy's to check


class Body(BaseModel):
    """A JSON object whose fields have exactly the types that are told; unknown ones are ignored."""

    model_config = ConfigDict(strict=True)


class InputTensor(Body):
    """A tensor of a request; ``data`` is flat or nested, and absent where the tensor is binary."""

    name: Name
    shape: list[Size] = Field(min_length=1, max_length=8)
    datatype: str = Field(max_length=20)
    parameters: Parameters = Field(default_factory=dict)
    data: Data = None


class WantedTensor(Body):
    """An output that a request wants."""

    name: Name
    parameters: Parameters = Field(default_factory=dict)


class InferRequest(Body):
    """A request for inference."""

    id: str | None = Field(default=None, max_length=1000)
    parameters: Parameters = Field(default_factory=dict)
    inputs: list[InputTensor] = Field(min_length=1, max_length=64)
    outputs: list[WantedTensor] | None = Field(default=None, max_length=64)


def infer_schema(inputs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the JSON schema of a request, with the names and types of a model's inputs, and an example of zeros."""
    whole = InferRequest.model_json_schema()
    tensors = whole.pop("$defs")
    whole["properties"]["inputs"]["items"] = tensor = tensors["InputTensor"]
    whole["properties"]["outputs"]["anyOf"][0]["items"] = tensors["WantedTensor"]
    for name in ("name", "datatype"):
        tensor["properties"][name]["enum"] = list(dict.fromkeys(one[name] for one in inputs))
    shapes = [
        [1 if axis == 0 else EXAMPLE if size < 0 else size for axis, size in enumerate(one["shape"])] for one in inputs
    ]
    zeros = [
        {"name": one["name"], "datatype": one["datatype"], "shape": shape, "data": [0] * math.prod(shape)}
        for one, shape in zip(inputs, shapes, strict=True)
    ]
    return {**whole, "examples": [{"inputs": zeros}]}


class OutputTensor(Body):
    """A tensor of an answer."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters | None = None
    data: Data = None


class InferResponse(Body):
    """An answer; ``id`` is the request's own."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorMetadata(Body):
    """An array that a model takes or gives; −1 stands for any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(Body):
    """What a model takes, gives and promises."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    parameters: dict[str, Any]


class ServerMetadata(Body):
    """What the server is, and which extensions of the protocol it has."""

    name: str
    version: str
    extensions: list[str]


class Live(Body):
    """Whether the server lives."""

    live: bool


class Ready(Body):
    """Whether the server, or the model, takes requests."""

    ready: bool


class ModelReady(Ready):
    """Whether a model takes requests."""

    name: str


class Failure(Body):
    """Why a request was not answered, on one line."""

    error: str


class LikelyClass(Body):
    """One of the most probable classes."""

    label: str | int
    probability: float


class Verdict(Body):
    """What to do with the prediction of an image.

    ``label`` is the class's name, or its number where classes have none; ``probability`` is the classifier's own;
    ``p_correct`` is the estimated probability that the label is right; ``trust_logit`` is what ranks.
    """

    label: str | int
    probability: float
    p_correct: float
    trust_logit: float
    accepted: bool
    decision: Literal["accept", "review", "reject"]
    handed_over: float | None = None
    top: list[LikelyClass] | None = None


class About(Body):
    """What this server is, for who comes across it."""

    name: str
    version: str
    model: str
    promise: str
    accepts_any: bool
    routes: list[str]
