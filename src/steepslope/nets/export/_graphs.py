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

IR_VERSION = 10
ROWS = "N"
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
    for part in parts:
        graph = _prefixed_graph(_model_of_one_opset(part).graph, f"{part.name}/")
        for one, mine in part.takes.items():
            nodes.append(helper.make_node("Identity", [mine], [f"{part.name}/{one}"]))
        nodes += graph.node
        initializers += graph.initializer
        for one, mine in part.gives.items():
            nodes.append(helper.make_node("Identity", [f"{part.name}/{one}"], [mine]))
        named = {f"{part.name}/{one}": mine for one, mine in (*part.takes.items(), *part.gives.items())}
        for value in (*graph.input, *graph.output):
            if value.name in named:
                types.setdefault(named[value.name], _renamed_value(value, named[value.name]))
    graph = helper.make_graph(
        nodes, "steepslope", [types[name] for name in inputs], [types[name] for name in outputs], initializers
    )
    if sum(one.ByteSize() for one in initializers) > LARGEST:
        raise SteepslopeError("expected less than 2 GiB, which is what an ONNX file can hold, found more", "export")
    domains = {one.domain: one.version for part in parts for one in part.model.opset_import if one.domain}
    versions = [helper.make_opsetid(domain, version) for domain, version in {"": OPSET, **domains}.items()]
    model = helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION)
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
    opsets = {one.domain: one.version for one in model.opset_import}
    if opsets.get("", OPSET) == OPSET:
        return model
    with explained(f"cannot be turned from opset {opsets['']} into {OPSET}", part.name, longest=160):
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
        node.name = prefix + node.name if node.name else ""
        for names in (node.input, node.output):
            names[:] = [prefix + name if name else name for name in names]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                attribute.g.CopyFrom(_prefixed_graph(attribute.g, prefix))
    return renamed


def _renamed_value(value: Any, name: str) -> Any:
    """Return the type of a value under another name, with any number of rows."""
    copy = type(value)()
    copy.CopyFrom(value)
    copy.name = name
    copy.type.tensor_type.shape.dim[0].dim_param = ROWS
    return copy
