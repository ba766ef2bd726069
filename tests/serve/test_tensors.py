"""Bodies of the protocol: what a client's library writes is read, and what is written, a client's library reads."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult
from tritonclient.utils import np_to_triton_dtype

from steepslope.errors import SteepslopeError
from steepslope.nets.export._file import TYPES as TYPES_OF_FILES, ArraySpec
from steepslope.serve._protocol import (
    DATATYPES,
    parse_protocol_request,
    protocol_arrays,
    protocol_metadata,
    protocol_outputs,
    protocol_response,
)

TYPES = [*TYPES_OF_FILES.values()]
IN_JSON = [kind for kind in TYPES if kind is not np.float16]  # which the client's library does not write as JSON


def clients_name(kind: type[np.generic]) -> str:
    name: str = np_to_triton_dtype(bool if kind is np.bool_ else kind)
    return name


def drawn(kind: type[np.generic], shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[Any]]:
    """Return arrays of a type and shape, of finite numbers."""
    is_float = np.dtype(kind).kind == "f"
    return arrays(kind, shape, elements={"allow_nan": False, "allow_infinity": False} if is_float else None)


@given(data=st.data(), kind=st.sampled_from(IN_JSON), shape=array_shapes(max_dims=4, max_side=4))
def test_a_client_s_tensor_is_read(data: Any, kind: type[np.generic], shape: tuple[int, ...]) -> None:
    array: NDArray[Any] = data.draw(drawn(kind, shape))
    tensor = InferInput("x", list(shape), clients_name(kind))
    tensor.set_data_from_numpy(array, binary_data=False)
    body, length = InferenceServerClient.generate_request_body([tensor], [InferRequestedOutput("y", False)])
    assert length is None
    spec = ArraySpec("x", kind, (None,) * len(shape))
    found = protocol_arrays(parse_protocol_request(body), [spec])["x"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@given(data=st.data(), kind=st.sampled_from(IN_JSON), shape=array_shapes(max_dims=3, max_side=4))
def test_an_answer_is_read_by_a_client(data: Any, kind: type[np.generic], shape: tuple[int, ...]) -> None:
    array: NDArray[Any] = data.draw(drawn(kind, shape))
    spec = ArraySpec("y", kind, (None,) * len(shape))
    found = InferResult.from_response_body(protocol_response({"model_name": "gate"}, {"y": array}, [spec]))
    assert found.get_response()["model_name"] == "gate"
    np.testing.assert_array_equal(found.as_numpy("y"), array)


def test_every_type_has_the_client_s_name() -> None:
    assert {*TYPES, np.object_} == {*DATATYPES}  # files take no text
    for kind in DATATYPES:
        spec = ArraySpec("x", kind, (None, 3))
        assert protocol_metadata(spec) == {"name": "x", "datatype": clients_name(kind), "shape": [-1, 3]}


def test_nested_data_are_read_as_flat_ones() -> None:
    spec = ArraySpec("x", np.float32, (None, 2))
    for values in ([[1, 2.5], [3, 4]], [1, 2.5, 3, 4]):
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": values}]}
        found = protocol_arrays(parse_protocol_request(json.dumps(body).encode()), [spec])["x"]
        assert found.tolist() == [[1, 2.5], [3, 4]]


def test_text_is_read_and_null_is_none_or_nan() -> None:
    tensor = InferInput("x", [2], "BYTES")
    tensor.set_data_from_numpy(np.array(["é", ""], dtype=object), binary_data=False)
    body, _ = InferenceServerClient.generate_request_body([tensor], [InferRequestedOutput("y", False)])
    spec = ArraySpec("x", np.object_, (None,))
    assert protocol_arrays(parse_protocol_request(body), [spec])["x"].tolist() == ["é", ""]
    for kind, data in (("FP64", [0.5, None]), ("FP32", [1, None])):
        content = {"inputs": [{"name": "x", "datatype": kind, "shape": [2], "data": data}]}
        spec = ArraySpec("x", np.float64 if kind == "FP64" else np.float32, (None,))
        found = protocol_arrays(parse_protocol_request(json.dumps(content).encode()), [spec])["x"]
        assert found.dtype == spec.dtype
        np.testing.assert_array_equal(found, [data[0], np.nan])


def test_outputs_come_in_the_order_in_which_they_are_wanted() -> None:
    specs = [ArraySpec(name, np.float64, (None,)) for name in "abc"]
    tensor = InferInput("x", [1], "FP64")
    tensor.set_data_from_numpy(np.zeros(1), binary_data=False)

    def wanted(names: str) -> list[str]:
        outputs = [InferRequestedOutput(name, binary_data=False) for name in names]
        body, _ = InferenceServerClient.generate_request_body([tensor], outputs)
        return [spec.name for spec in protocol_outputs(parse_protocol_request(body), specs)]

    assert wanted("ca") == ["c", "a"]
    assert wanted("b") == ["b"]
    body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [0]}]}
    assert protocol_outputs(parse_protocol_request(json.dumps(body).encode()), specs) == specs


@pytest.mark.parametrize(
    ("names", "sent", "place"),
    [("y", True, "x: .* found binary_data_size"), ("", False, "parameters: .* found binary_data_output")],
)
def test_what_a_client_asks_for_as_binary_data_is_refused(names: str, sent: bool, place: str) -> None:
    """Without names of outputs, the client's library asks for all of them as binary data."""
    tensor = InferInput("x", [1], "FP64")
    tensor.set_data_from_numpy(np.zeros(1), binary_data=sent)
    outputs = [InferRequestedOutput(name, binary_data=False) for name in names]
    body, length = InferenceServerClient.generate_request_body([tensor], outputs)
    with pytest.raises(SteepslopeError, match=f"^{place}"):
        parse_protocol_request(body[:length])
