"""Nets in a graph: the classifier, the auxiliary backbone and an oracle's own net, from prepared images to arrays."""

from __future__ import annotations

import math
from typing import Any

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from steepslope.errors import SteepslopeError
from steepslope.nets.classifiers import Classifier, OnnxNet, exported_onnx
from steepslope.nets.data import Transform
from steepslope.nets.export._file import IMAGES
from steepslope.nets.export._graphs import Piece
from steepslope.nets.export._preprocessing import PIXELS, preprocessing_graph
from steepslope.nets.extraction import noise_estimates
from steepslope.nets.training import ImageOracle

FEATURES, LOGITS, NOISE = "features", "logits", "noise"
FLOAT = onnx.TensorProto.FLOAT


class _KeptOutputs(nn.Module):
    """A net of features and logits that gives one of them, or both."""

    def __init__(self, net: nn.Module, kept: tuple[str, ...]) -> None:
        super().__init__()
        self.net, self.kept = net, kept

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        features, logits = self.net(pixels)
        return tuple({FEATURES: features, LOGITS: logits}[name] for name in self.kept)


class _NoiseOfImages(nn.Module):
    """Estimates of the images' noise; the median is the largest of the lower half."""

    def forward(self, pixels: Tensor) -> Tensor:
        return noise_estimates(
            pixels, lambda rows: rows.topk((rows.shape[1] + 1) // 2, dim=1, largest=False).values[:, -1]
        )


def preparing_piece(name: str, transform: Transform, channels: int) -> Piece:
    """Return the piece that prepares decoded images for a net: ``images`` to the net's own ``pixels``."""
    return Piece(
        f"prepare_{name}", preprocessing_graph(transform, channels), {IMAGES: IMAGES}, {PIXELS: f"{name}_{PIXELS}"}
    )


def net_piece(name: str, classifier: Classifier, gives: dict[str, str]) -> Piece:
    """Return the piece that runs a net; ``gives`` are the names that its features, or logits, have in the whole.

    Raises
    ------
    SteepslopeError
        If it has no features where these are wanted, cannot be exported, or is a file for batches of one size.
    """
    takes = f"{name}_{PIXELS}"
    if isinstance(classifier.net, OnnxNet):
        return _piece_of_onnx_file(name, classifier.net, takes, gives)
    kept = tuple(gives)
    with torch.inference_mode():
        features = classifier.net(classifier.noise(2))[0]
    if FEATURES in kept and features is None:
        raise SteepslopeError("expected a net with features, found none", classifier.spec)
    model = exported_onnx(_KeptOutputs(classifier.net, kept), classifier.noise(2), [PIXELS], kept, classifier.spec)
    return Piece(name, onnx.load_from_string(model), {PIXELS: takes}, gives)


def _piece_of_onnx_file(name: str, net: OnnxNet, takes: str, gives: dict[str, str]) -> Piece:
    """Return the piece that runs a file of the user's, which may compute in float16, and give features (n, d, 1, 1)."""
    if net.fixed[0] is not None:
        raise SteepslopeError(f"expected a file for batches of any size, found one for {net.fixed[0]}", net.source)
    model = onnx.load_from_string(net.model) if isinstance(net.model, bytes) else onnx.load(net.model)
    outputs = {FEATURES: net.features, LOGITS: net.logits}
    if any(outputs[kept] is None for kept in gives):
        raise SteepslopeError("expected an output named features, found none", net.source)
    graph = model.graph
    shape = [one.dim_value or None for one in _shape_of_graph_value(model.graph.input[0])]
    kind = graph.input[0].type.tensor_type.elem_type
    graph.node.insert(0, helper.make_node("Cast", [PIXELS], [net.input.name], to=kind))
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(PIXELS, FLOAT, shape))
    widths = {one.name: math.prod(size.dim_value for size in [*_shape_of_graph_value(one)][1:]) for one in graph.output}
    del graph.output[:]
    for kept in gives:
        graph.node.append(helper.make_node("Cast", [str(outputs[kept])], [f"{kept}_whole"], to=FLOAT))
        graph.node.append(helper.make_node("Flatten", [f"{kept}_whole"], [f"{kept}_flat"], axis=1))
        width = widths[str(outputs[kept])] or None
        graph.output.append(helper.make_tensor_value_info(f"{kept}_flat", FLOAT, [None, width]))
    return Piece(name, model, {PIXELS: takes}, {f"{kept}_flat": mine for kept, mine in gives.items()})


def _shape_of_graph_value(value: Any) -> Any:
    return value.type.tensor_type.shape.dim


def noise_piece(name: str, transform: Transform) -> Piece:
    """Return the piece that estimates the noise of a net's prepared images."""
    example = torch.zeros(2, transform.channels, *transform.size)
    model: Any = onnx.load_from_string(exported_onnx(_NoiseOfImages(), example, [PIXELS], [NOISE], NOISE))
    return Piece("estimate_noise", model, {PIXELS: f"{name}_{PIXELS}"}, {NOISE: NOISE})


def oracle_net_piece(oracle: ImageOracle, gives: str) -> Piece:
    """Return the piece of an oracle on images: its prepared images to its trust logits, (N,)."""
    transform = oracle.transform
    example = torch.randn(2, transform.channels, *transform.size, generator=torch.Generator().manual_seed(0))
    model: Any = exported_onnx(oracle.net, example, [PIXELS], [gives], f"oracle {oracle.backbone}")
    return Piece("oracle", onnx.load_from_string(model), {PIXELS: f"oracle_{PIXELS}"}, {gives: gives})
