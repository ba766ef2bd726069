"""The protocol's JSON bodies: what they have to be, checked and documented from one description each.

Bodies of the Open Inference Protocol V2, as JSON, to arrays and back.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from steepslope.errors import SteepslopeError, require_known
from steepslope.nets.export import Arrays, ArraySpec, require_fitting_inputs

EXAMPLE = 8  # pixels a side, where any will do
Parameter = bool | int | float | str
Parameters = dict[str, Parameter]
Name = Annotated[str, Field(max_length=200)]
Size = Annotated[int, Field(ge=0, le=2**31)]
Data = Annotated[Any, WithJsonSchema({"type": ["array", "null"], "items": {}})]  # its numbers are NumPy's to check


class _Body(BaseModel):
    """A JSON object whose fields have exactly the types that are told; unknown ones are ignored."""

    model_config = ConfigDict(strict=True)


class InputTensor(_Body):
    """A tensor of a request; ``data`` is flat or nested."""

    name: Name
    shape: list[Size] = Field(min_length=1, max_length=8)
    datatype: str = Field(max_length=20)
    parameters: Parameters = Field(default_factory=dict)
    data: Data = None


class WantedTensor(_Body):
    """An output that a request wants."""

    name: Name
    parameters: Parameters = Field(default_factory=dict)


class InferRequest(_Body):
    """A request for inference."""

    id: str | None = Field(default=None, max_length=1000)
    parameters: Parameters = Field(default_factory=dict)
    inputs: list[InputTensor] = Field(min_length=1, max_length=64)
    outputs: list[WantedTensor] | None = Field(default=None, max_length=64)


def protocol_schema(inputs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the JSON schema of a request, with an example of zeros, or empty text, for a model's inputs."""
    whole = InferRequest.model_json_schema()
    tensors = whole.pop("$defs")
    whole["properties"]["inputs"]["items"] = tensors["InputTensor"]
    whole["properties"]["outputs"]["anyOf"][0]["items"] = tensors["WantedTensor"]
    zeros = []
    for tensor in inputs:
        shape = [1, *(EXAMPLE if size < 0 else size for size in tensor["shape"][1:])]
        nothing = "" if tensor["datatype"] == DATATYPES[np.object_] else 0
        zeros.append({**tensor, "shape": shape, "data": [nothing] * math.prod(shape)})
    return {**whole, "examples": [{"inputs": zeros}]}


class Failure(_Body):
    """Why a request was not answered, on one line."""

    error: str


class LikelyClass(_Body):
    """One of the most probable classes."""

    label: str | int
    probability: float


class ImageDecision(_Body):
    """What to do with the prediction of an image.

    ``id`` is the request's; ``label`` is the class's name, or its number where classes have none; ``probability`` is
    the classifier's own; ``p_correct`` is the estimated probability that the label is right; ``trust_logit`` is what
    ranks.
    """

    id: str
    label: str | int
    probability: float
    p_correct: float
    trust_logit: float
    accepted: bool
    decision: Literal["accept", "review", "reject"]
    handed_over: float | None = None
    stopped: bool | None = None
    top: list[LikelyClass] | None = None


DATATYPES: dict[type[np.generic], str] = {
    np.bool_: "BOOL", np.uint8: "UINT8", np.uint16: "UINT16", np.int32: "INT32", np.int64: "INT64",
    np.float16: "FP16", np.float32: "FP32", np.float64: "FP64", np.object_: "BYTES",
}  # fmt: skip
_UNSUPPORTED = (  # parameters that would change the answer, unless they are false
    "binary_data", "binary_data_output", "binary_data_size", "classification", "shared_memory_region",
)  # fmt: skip
JSON_ALONE = "tensors as JSON (binary_data=False in tritonclient)"
KINDS = {"b": "b", "u": "iu", "i": "iu", "f": "iuf", "O": "O"}  # of values in JSON that each kind of array takes
NUMBERS = {int, float, bool}
VALUES: dict[str, set[type]] = {"f": {int, float, type(None)}, "O": {str, type(None)}}  # others are numbers


def protocol_metadata(spec: ArraySpec) -> dict[str, Any]:
    """Return what the protocol's metadata tell of an array.

    >>> protocol_metadata(ArraySpec("images", np.uint8, (None, None, None, 3)))
    {'name': 'images', 'datatype': 'UINT8', 'shape': [-1, -1, -1, 3]}
    """
    shape = [-1 if size is None else size for size in spec.shape]
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": shape}


def parse_protocol_request(text: bytes) -> InferRequest:
    """Return the request that some JSON holds; an error names what is wrong, and where."""
    try:
        request = InferRequest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SteepslopeError(str(first["msg"]), ".".join(map(str, first["loc"])) or "body") from None
    _require_protocol_support(request.parameters, "parameters")
    for tensor in (*request.inputs, *(request.outputs or ())):
        _require_protocol_support(tensor.parameters, tensor.name)
    return request


def _require_protocol_support(parameters: Mapping[str, object], place: str) -> None:
    """Raise where parameters tell of anything but plain tensors as JSON, or ask for it."""
    for name in _UNSUPPORTED:
        if parameters.get(name, False) is not False:
            raise SteepslopeError(f"expected {JSON_ALONE}, found {name}", place)


def protocol_arrays(request: InferRequest, specs: Sequence[ArraySpec]) -> Arrays:
    """Return the inputs of a request as arrays that fit the specs, of one number of rows >= 1."""
    known = {spec.name: spec for spec in specs}
    arrays: dict[str, NDArray[Any]] = {}
    for tensor in request.inputs:
        require_known("input", tensor.name, known)
        if tensor.name in arrays:
            raise SteepslopeError("expected each input once, found it twice", tensor.name)
        spec = known[tensor.name]
        expected = DATATYPES[spec.dtype]
        is_exact = (expected, tensor.datatype) == ("FP64", "FP32")  # as the exported file of the same gate takes them
        if tensor.datatype != expected and not is_exact:
            raise SteepslopeError(f"expected datatype {expected}, found {tensor.datatype!r}", tensor.name)
        arrays[tensor.name] = _protocol_array(tensor, spec)
    require_fitting_inputs(arrays, tuple(specs))
    if len(next(iter(arrays.values()))) == 0 or any(array.size == 0 for array in arrays.values()):
        raise SteepslopeError("expected at least one row of at least one number, found none", "inputs")
    return arrays


def _protocol_array(tensor: InputTensor, spec: ArraySpec) -> NDArray[Any]:
    """Return data that are flat, or nested as the shape is, as an array of the spec's type."""
    if not isinstance(tensor.data, list):
        found = "found none" if tensor.data is None else f"found a {type(tensor.data).__name__}"
        raise SteepslopeError(f"expected data, a list of numbers, {found}", tensor.name)
    kind = np.dtype(spec.dtype).kind
    _require_protocol_values(tensor.data, tensor.name, kind)
    try:
        array = np.array(tensor.data, np.object_ if kind == "O" else None)
    except (ValueError, OverflowError, RecursionError):
        raise SteepslopeError("expected numbers, flat or nested as the shape is, found others", tensor.name) from None
    if kind == "f" and array.dtype.kind == "O":  # null among numbers
        array = array.astype(np.float64)
    if array.size and array.dtype.kind not in KINDS[kind]:
        expected = {"b": "true and false", "f": "numbers"}.get(kind, "whole numbers")
        raise SteepslopeError(f"expected {expected}, found others", tensor.name)
    if array.shape != tuple(tensor.shape) and array.shape != (math.prod(tensor.shape),):
        found = f"found data of shape {array.shape}"
        raise SteepslopeError(f"expected data of shape {tuple(tensor.shape)}, or flat, {found}", tensor.name)
    return _protocol_array_as_type(array.reshape(tensor.shape), spec)


def _require_protocol_values(data: list[Any], name: str, kind: str) -> None:
    """Raise unless nested lists hold numbers alone, or text: next to that, NumPy would make each number as long.

    Floats and text may be null.
    """
    waiting, known = [data], {list, *VALUES.get(kind, NUMBERS)}
    expected = "text" if kind == "O" else "numbers"
    while waiting:
        some = waiting.pop()
        kinds = {*map(type, some)}
        if kinds - known:
            raise SteepslopeError(f"expected {expected}, flat or nested as the shape is, found others", name)
        if list in kinds:
            waiting += [one for one in some if isinstance(one, list)]


def _protocol_array_as_type(array: NDArray[Any], spec: ArraySpec) -> NDArray[Any]:
    if np.dtype(spec.dtype).kind in "ui" and array.size:
        limits = np.iinfo(spec.dtype)  # type: ignore[type-var]
        if array.min() < limits.min or array.max() > limits.max:
            found = f"found {array.min()} to {array.max()}"
            raise SteepslopeError(f"expected numbers from {limits.min} to {limits.max}, {found}", spec.name)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused as such
        return array.astype(spec.dtype)


def protocol_outputs(request: InferRequest, specs: Sequence[ArraySpec]) -> list[ArraySpec]:
    """Return the outputs that a request wants, in its order."""
    known = {spec.name: spec for spec in specs}
    wanted = request.outputs or [WantedTensor(name=name) for name in known]
    for tensor in wanted:
        require_known("output", tensor.name, known)
    if len({spec.name for spec in wanted}) < len(wanted):
        raise SteepslopeError("expected each output once, found one twice", "outputs")
    return [known[spec.name] for spec in wanted]


def protocol_response(head: Mapping[str, Any], outputs: Arrays, wanted: Sequence[ArraySpec]) -> bytes:
    """Return the body of an answer; ``head`` is what stands before the outputs, such as the model's name."""
    tensors = []
    for spec in wanted:
        array = np.asarray(outputs[spec.name], spec.dtype)
        tensor = {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": list(array.shape)}
        tensors.append({**tensor, "data": array.ravel().tolist()})
    return json.dumps({**head, "outputs": tensors}, allow_nan=False).encode()
