"""The pieces of a graph, and how they become a model.

The pieces are the preprocessing of images, the classifier and other nets, an oracle's own net, and the gate. Each net
takes prepared images and gives arrays, and the gate takes the arrays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from steepslope.errors import SteepslopeError
from steepslope.gate import ConfidenceSource, Gate
from steepslope.nets.classifiers import Classifier, OnnxNet, exported_onnx
from steepslope.nets.data import Transform
from steepslope.nets.export._file import IMAGES
from steepslope.nets.export._gate_graph import FEATURES, GROUP, OWN_NET, GateGraph, shapes_in_graph
from steepslope.nets.export._graphs import Piece, joined_graphs, with_folded_constants
from steepslope.nets.export._preprocessing import PIXELS, channels_of_decoded_images, preprocessing_graph
from steepslope.nets.extraction import noise_estimates
from steepslope.nets.predict import ImageGate
from steepslope.nets.training import ImageOracle
from steepslope.oracle import NOISE
from steepslope.outputs import VOTE
from steepslope.scores import LOGITS

_FLOAT = onnx.TensorProto.FLOAT
_EXAMPLE_ROWS = 3


def model_without_nets(source: ConfidenceSource, gate: Gate | None) -> Any:
    """Return the model from the arrays that outputs hold to decisions, or without a gate to trust logits."""
    piece = _gate_piece(source, gate)
    return joined_graphs([piece], list(piece.takes), list(piece.gives))


def model_with_nets(source: ConfidenceSource, image_gate: ImageGate) -> Any:
    """Return the model from images to decisions: each net with its preprocessing, and the gate on what they give."""
    precision = image_gate.gate.origin.precision
    if precision != "32":
        expected = "expected a gate whose calibration outputs were extracted in precision 32"
        raise SteepslopeError(f"{expected}, found {precision}: a graph runs in float32", "gate")
    shapes = shapes_in_graph(source)
    _require_exportable_images(shapes, image_gate)
    nets = {"classifier": image_gate.classifier}
    gives = {"classifier": {name: name for name in (LOGITS, FEATURES) if name in shapes}}
    places = {}  # of the classes of opinions, by the names of their arrays
    for name, other in image_gate.others.items():
        nets[name] = other.net
        if other.places is None:
            gives[name] = {FEATURES: name}
        else:
            gives[name] = {LOGITS: name}
            places[name] = other.places
    oracle = source.oracle
    transforms = [net.transform for net in nets.values()]
    if isinstance(oracle, ImageOracle):
        transforms.append(oracle.transform)
    channels = channels_of_decoded_images(transforms)
    pieces = [preparing_piece(name, net.transform, channels) for name, net in nets.items()]
    pieces += [net_piece(name, net, gives[name]) for name, net in nets.items()]
    if NOISE in shapes:
        pieces.append(_noise_piece("classifier", image_gate.classifier.transform))
    if isinstance(oracle, ImageOracle):
        pieces += [preparing_piece("oracle", oracle.transform, channels), _oracle_net_piece(oracle)]
    decides = _gate_piece(source, image_gate.gate, image_gate.options.features == "float16", places)
    inputs = [IMAGES]
    if GROUP in decides.takes:
        inputs.append(GROUP)
    return joined_graphs([*pieces, decides], inputs, list(decides.gives))


def _require_exportable_images(shapes: Mapping[str, tuple[int, ...]], image_gate: ImageGate) -> None:
    """Raise unless a graph makes all arrays from images, with as many features as the oracle takes."""
    for name in shapes:
        if name not in (LOGITS, FEATURES, NOISE, OWN_NET, *image_gate.others):
            raise SteepslopeError("no graph makes it from images: export the gate alone (--part gate)", name)
    nets = {FEATURES: image_gate.classifier}
    for name, other in image_gate.others.items():
        if other.places is None:
            nets[name] = other.net
    for name, net in nets.items():
        if name in shapes:
            features, _ = net(net.noise(2))
            found = None if features is None else features.shape[1]
            expected = shapes[name][0]
            if found != expected:
                raise SteepslopeError(f"expected {expected} {name}, as the oracle takes, found {found}", net.spec)


def _gate_piece(
    source: ConfidenceSource,
    gate: Gate | None,
    halved: bool = False,
    places: Mapping[str, tuple[int, ...]] | None = None,
) -> Piece:
    """Return the piece that takes all arrays by their names, and gives decisions."""
    module = GateGraph(source, gate, halved, places).eval()
    draw = torch.Generator().manual_seed(0)
    examples = {name: torch.randn(_EXAMPLE_ROWS, *shape, generator=draw) for name, shape in module.shapes.items()}
    for name in module.inputs:
        if name == GROUP or name.startswith(VOTE):
            examples[name] = torch.zeros(_EXAMPLE_ROWS, dtype=torch.int64)
    with torch.no_grad():
        module(examples)
    exported = exported_onnx(module, examples, module.inputs, module.outputs, "oracle", optimize=False)
    model = with_folded_constants(onnx.load_from_string(exported))
    inputs = dict(zip(module.inputs, module.inputs, strict=True))
    outputs = dict(zip(module.outputs, module.outputs, strict=True))
    return Piece("gate", model, inputs, outputs)


class _ChosenOutputs(nn.Module):
    """A net of features and logits that gives one of them, or both."""

    def __init__(self, net: nn.Module, chosen: tuple[str, ...]) -> None:
        super().__init__()
        self.net = net
        self.chosen = chosen

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        features, logits = self.net(pixels)
        return tuple({FEATURES: features, LOGITS: logits}[name] for name in self.chosen)


class _NoiseOfImages(nn.Module):
    """Estimates of the images' noise; the median is the largest of the lower half."""

    def forward(self, pixels: Tensor) -> Tensor:
        return noise_estimates(pixels, _lower_median)


def _lower_median(rows: Tensor) -> Tensor:
    return rows.topk((rows.shape[1] + 1) // 2, dim=1, largest=False).values[:, -1]


def preparing_piece(name: str, transform: Transform, channels: int) -> Piece:
    """Return the piece that prepares decoded images for a net: ``images`` to the net's own ``pixels``."""
    model = preprocessing_graph(transform, channels)
    return Piece(f"prepare_{name}", model, {IMAGES: IMAGES}, {PIXELS: f"{name}_{PIXELS}"})


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
    chosen = tuple(gives)
    with torch.inference_mode():
        features = classifier.net(classifier.noise(2))[0]
    if FEATURES in chosen and features is None:
        raise SteepslopeError("expected a net with features, found none", classifier.spec)
    net = _ChosenOutputs(classifier.net, chosen)
    return _exported_piece(name, net, classifier.noise(2), takes, gives, classifier.spec)


def _exported_piece(name: str, net: nn.Module, example: Tensor, takes: str, gives: dict[str, str], place: str) -> Piece:
    """Return the piece of a net that takes pixels; errors name the ``place``."""
    model = exported_onnx(net, example, [PIXELS], tuple(gives), place)
    return Piece(name, onnx.load_from_string(model), {PIXELS: takes}, gives)


def _piece_of_onnx_file(name: str, net: OnnxNet, takes: str, gives: dict[str, str]) -> Piece:
    """Return the piece that runs a file of the user's, which may compute in float16, and give features (n, d, 1, 1)."""
    if net.fixed[0] is not None:
        raise SteepslopeError(f"expected a file for batches of any size, found one for {net.fixed[0]}", net.source)
    model = onnx.load_from_string(net.model) if isinstance(net.model, bytes) else onnx.load(net.model)
    sources = {FEATURES: net.features, LOGITS: net.logits}
    if any(sources[chosen] is None for chosen in gives):
        raise SteepslopeError("expected an output named features, found none", net.source)
    graph = model.graph
    tensor = graph.input[0].type.tensor_type
    shape = [size.dim_value or None for size in tensor.shape.dim]
    graph.node.insert(0, helper.make_node("Cast", [PIXELS], [net.input.name], to=tensor.elem_type))
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(PIXELS, _FLOAT, shape))
    widths = {}
    for output in graph.output:
        sizes = [size.dim_value for size in output.type.tensor_type.shape.dim]
        widths[output.name] = math.prod(sizes[1:])
    del graph.output[:]
    for chosen in gives:
        graph.node.append(helper.make_node("Cast", [str(sources[chosen])], [f"{chosen}_whole"], to=_FLOAT))
        graph.node.append(helper.make_node("Flatten", [f"{chosen}_whole"], [f"{chosen}_flat"], axis=1))
        width = widths[str(sources[chosen])] or None
        graph.output.append(helper.make_tensor_value_info(f"{chosen}_flat", _FLOAT, [None, width]))
    return Piece(name, model, {PIXELS: takes}, {f"{chosen}_flat": gives[chosen] for chosen in gives})


def _noise_piece(name: str, transform: Transform) -> Piece:
    """Return the piece that estimates the noise of a net's prepared images."""
    example = torch.zeros(2, transform.channels, *transform.size)
    takes = f"{name}_{PIXELS}"
    return _exported_piece("estimate_noise", _NoiseOfImages(), example, takes, {NOISE: NOISE}, NOISE)


def _oracle_net_piece(oracle: ImageOracle) -> Piece:
    """Return the piece of an oracle on images: its prepared images to its trust logits, (N,)."""
    transform = oracle.transform
    example = torch.randn(2, transform.channels, *transform.size, generator=torch.Generator().manual_seed(0))
    place = f"oracle {oracle.backbone}"
    return _exported_piece("oracle", oracle.net, example, f"oracle_{PIXELS}", {OWN_NET: OWN_NET}, place)
