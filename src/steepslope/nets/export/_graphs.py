"""Models put together into one: each part's inputs are taken from those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import helper, version_converter
from onnx.inliner import inline_local_functions
from onnx_ir import serde
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxscript.optimizer import fold_constants

from steepslope.errors import SteepslopeError, explained
from steepslope.nets.classifiers import OPSET

_IR_VERSION = 10
_ROWS = "N"
LARGEST = 2**31 - 1  # bytes of a single file


@dataclass(frozen=True, eq=False)
class Piece:
    """A model by its ``name``; ``takes`` and ``gives`` map its inputs and outputs to their names in the whole."""

    name: str
    model: Any
    takes: Mapping[str, str]
    gives: Mapping[str, str]


def joined_graphs(parts: Sequence[Piece], inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """Return the model of all parts, whose inputs and outputs are those of some part, by the whole's names.

    Raises
    ------
    SteepslopeError
        If the whole is larger than an ONNX file can be.
    """
    nodes: list[Any] = []
    initializers: list[Any] = []
    types: dict[str, Any] = {}
    versions = {"": OPSET}
    for part in parts:
        prefix = f"{part.name}/"
        graph = _prefixed_graph(_model_of_one_opset(part).graph, prefix)
        takes = {prefix + name: whole for name, whole in part.takes.items()}
        gives = {prefix + name: whole for name, whole in part.gives.items()}
        nodes += [helper.make_node("Identity", [whole], [name]) for name, whole in takes.items()]
        nodes += graph.node
        nodes += [helper.make_node("Identity", [name], [whole]) for name, whole in gives.items()]
        initializers += graph.initializer
        named = takes | gives
        for value in (*graph.input, *graph.output):
            if value.name in named:
                whole = named[value.name]
                types.setdefault(whole, _renamed_value(value, whole))
        versions |= {opset.domain: opset.version for opset in part.model.opset_import if opset.domain}
    taken = [types[name] for name in inputs]
    given = [types[name] for name in outputs]
    graph = helper.make_graph(nodes, "steepslope", taken, given, initializers)
    if sum(tensor.ByteSize() for tensor in initializers) > LARGEST:
        raise SteepslopeError("expected less than 2 GiB, which is what an ONNX file can hold, found more", "export")
    opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    with explained("cannot be put together as an ONNX file", "export", longest=160):
        onnx.checker.check_model(model, full_check=True)
    return model


def with_folded_constants(model: Any) -> Any:
    """Return a model without casts of constants, of which ONNX Runtime would warn; no value is changed."""
    whole = serde.deserialize_model(model)
    fold_constants(whole, onnx_shape_inference=False)
    RemoveUnusedNodesPass()(whole)
    return serde.serialize_model(whole)


def _model_of_one_opset(part: Piece) -> Any:
    """Return a part's model in the version of all, without functions of its own."""
    model = inline_local_functions(part.model)
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    version = opsets.get("", OPSET)
    if version == OPSET:
        return model
    with explained(f"cannot be turned from opset {version} into {OPSET}", part.name, longest=160):
        return version_converter.convert_version(model, OPSET)


def _prefixed_graph(graph: Any, prefix: str) -> Any:
    """Return a graph with a prefix before all names in it and in the graphs of its nodes, such as branches.

    That of ONNX itself (1.23) forgets constants that a branch takes from outside.
    """
    renamed = type(graph)()
    renamed.CopyFrom(graph)
    for value in (*renamed.input, *renamed.output, *renamed.initializer, *renamed.value_info):
        value.name = prefix + value.name
    for node in renamed.node:
        if node.name:
            node.name = prefix + node.name
        for names in (node.input, node.output):
            names[:] = [prefix + name if name else name for name in names]  # a missing input has none
        for attribute in node.attribute:
            if attribute.HasField("g"):
                attribute.g.CopyFrom(_prefixed_graph(attribute.g, prefix))
    return renamed


def _renamed_value(value: Any, name: str) -> Any:
    """Return the type of a value under another name, with any number of rows."""
    copy = type(value)()
    copy.CopyFrom(value)
    copy.name = name
    copy.type.tensor_type.shape.dim[0].dim_param = _ROWS
    return copy
