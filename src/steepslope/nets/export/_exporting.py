"""A gate, with all nets that it needs or without, as one ONNX file that runs without this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import torch

from steepslope.errors import SteepslopeError
from steepslope.files import SIGNATURE, staged_folder
from steepslope.gate import ConfidenceSource, Gate, digest_of_gate
from steepslope.nets.classifiers import Classifier, exported_onnx
from steepslope.nets.export._file import IMAGES, KEY, GateCard, Part, sealed_onnx
from steepslope.nets.export._gate_graph import FEATURES, GROUP, OWN_NET, GateGraph, groups_in_graph, shapes_in_graph
from steepslope.nets.export._graphs import Piece, joined_graphs, with_folded_constants
from steepslope.nets.export._nets import net_piece, noise_piece, oracle_net_piece, preparing_piece
from steepslope.nets.export._preprocessing import channels_of_decoded_images
from steepslope.nets.predict import ImageGate, NetSpecs
from steepslope.nets.training import ImageOracle, load_oracle
from steepslope.oracle import NOISE, FusedOracle, Oracle, is_image_oracle, is_oracle
from steepslope.outputs import AUXILIARY, VOTE
from steepslope.scores import LOGITS

EXAMPLE_ROWS = 3


@dataclass(frozen=True, eq=False)
class Exported:
    """A model as ONNX has it, with what it was made from: a gate, or a source alone, and its nets, if any."""

    model: Any
    source: ConfidenceSource
    gate: Gate | None
    nets: ImageGate | None

    def save(self, path: Path) -> None:
        """Write the file, with its SHA-256 in it, or nothing. The signature of an earlier file is removed."""
        with staged_folder(path.parent, last=path.name, replaced=[path.name + SIGNATURE]) as staging:
            (staging / path.name).write_bytes(sealed_onnx(self.model.SerializeToString()))


def export_gate(gate: Gate | ImageGate, part: Part = "all", digest: str | None = None) -> Exported:
    """Return a gate as an ONNX model.

    Parameters
    ----------
    gate
        A gate with an oracle or a score of its own, with its nets or without; for ``all``, those that are not given are
        loaded by their recorded specs.
    part
        ``all``: from decoded images, uint8 (N, H, W, C), to decisions, with the classifier and the nets that the oracle
        needs. ``gate``: from the arrays that outputs hold, such as logits float32 (N, K) and
        features float32 (N, d), to decisions. ``oracle``: from these to trust logits.
    digest
        What tells the gate from others, for the file's metadata.

    Raises
    ------
    SteepslopeError
        If the gate is one of confidences alone, or needs what a graph cannot hold; the reason is given.
    """
    nets = gate if isinstance(gate, ImageGate) else None
    gate = gate.gate if isinstance(gate, ImageGate) else gate
    source = gate.source
    if source is None:
        found = "found one of confidences alone: what it decides is confidence >= its threshold"
        raise SteepslopeError(f"expected a gate with an oracle or a score, {found}", "gate")
    inside = None if part == "oracle" else gate
    if part != "all":
        if OWN_NET in shapes_in_graph(source):
            raise SteepslopeError("an oracle on images can only be exported with its nets: --part all", "part")
        return _with_export_metadata(Exported(_model_without_nets(source, inside), source, inside, None), part, digest)
    nets = nets or ImageGate.of(gate)
    return _with_export_metadata(Exported(_model_with_nets(source, nets), source, gate, nets), part, digest)


def export_oracle(source: ConfidenceSource) -> Exported:
    """Return an oracle, or a score, alone: from the arrays that outputs hold to trust logits."""
    return _with_export_metadata(Exported(_model_without_nets(source, None), source, None, None), "oracle", None)


def _model_without_nets(source: ConfidenceSource, gate: Gate | None) -> Any:
    names, part = _gate_piece(source, gate)
    return joined_graphs([part], list(part.takes), names)


def _gate_piece(
    source: ConfidenceSource,
    gate: Gate | None,
    halved: bool = False,
    places: Mapping[str, tuple[int, ...]] | None = None,
) -> tuple[list[str], Piece]:
    """Return the names of the outputs, and the piece that takes all arrays by their names."""
    module = GateGraph(source, gate, halved, places).eval()
    draw = torch.Generator().manual_seed(0)
    examples = {name: torch.randn(EXAMPLE_ROWS, *shape, generator=draw) for name, shape in module.shapes.items()}
    whole = [name for name in module.inputs if name == GROUP or name.startswith(VOTE)]
    examples |= {name: torch.zeros(EXAMPLE_ROWS, dtype=torch.int64) for name in whole}
    with torch.no_grad():
        module(examples)
    names = list(module.outputs)
    model = onnx.load_from_string(exported_onnx(module, examples, module.inputs, names, "oracle", optimize=False))
    model = with_folded_constants(model)
    return names, Piece("gate", model, {name: name for name in module.inputs}, {name: name for name in names})


def _model_with_nets(source: ConfidenceSource, image_gate: ImageGate) -> Any:
    """Return the model from images to decisions: each net with its preprocessing, and the gate on what they give."""
    gate = image_gate.gate
    if gate.origin.precision != "32":
        expected = "expected a gate whose calibration outputs were extracted in precision 32"
        raise SteepslopeError(f"{expected}, found {gate.origin.precision}: a graph runs in float32", "gate")
    shapes = shapes_in_graph(source)
    _require_exportable_images(shapes, image_gate)
    nets: dict[str, Classifier] = {
        "classifier": image_gate.classifier,
        **{name: one.net for name, one in image_gate.others.items()},
    }
    places = {name: one.places for name, one in image_gate.others.items() if one.places is not None}
    oracle = source.oracle
    transforms = [one.transform for one in nets.values()]
    if isinstance(oracle, ImageOracle):
        transforms.append(oracle.transform)
    channels = channels_of_decoded_images(transforms)
    pieces = [preparing_piece(name, one.transform, channels) for name, one in nets.items()]
    kept = {LOGITS: LOGITS, **({FEATURES: FEATURES} if FEATURES in shapes else {})}
    gives = {"classifier": kept, AUXILIARY: {FEATURES: AUXILIARY}, **{name: {LOGITS: name} for name in places}}
    pieces += [net_piece(name, one, gives[name]) for name, one in nets.items()]
    if NOISE in shapes:
        pieces.append(noise_piece("classifier", image_gate.classifier.transform))
    if isinstance(oracle, ImageOracle):
        pieces += [preparing_piece("oracle", oracle.transform, channels), oracle_net_piece(oracle, OWN_NET)]
    names, decides = _gate_piece(source, gate, image_gate.options.features == "float16", places)
    inputs = [IMAGES, *([GROUP] if GROUP in decides.takes else [])]
    return joined_graphs([*pieces, decides], inputs, names)


def _require_exportable_images(shapes: Mapping[str, tuple[int, ...]], image_gate: ImageGate) -> None:
    """Raise unless a graph makes all arrays from images, with as many features as the oracle takes."""
    for name in shapes:
        if name not in (LOGITS, FEATURES, NOISE, OWN_NET, *image_gate.others):
            raise SteepslopeError("no graph makes it from images: export the gate alone (--part gate)", name)
    others = {name: one.net for name, one in image_gate.others.items() if one.places is None}
    for name, net in {FEATURES: image_gate.classifier, **others}.items():
        if name in shapes:
            features, _ = net(net.noise(2))
            found, (expected,) = None if features is None else features.shape[1], shapes[name]
            if found != expected:
                raise SteepslopeError(f"expected {expected} {name}, as the oracle takes, found {found}", net.spec)


def _with_export_metadata(exported: Exported, part: Part, digest: str | None) -> Exported:
    """Put into the model's metadata what somebody needs to know who has the file alone."""
    model, gate = exported.model, exported.gate
    card = GateCard(part, digest or "") if gate is None else GateCard.of(gate, digest or "", part)
    about = {**card.as_json(), "source": exported.source.name}
    if gate is not None:
        about |= {"by": gate.by, "groups": groups_in_graph(gate) if gate.has_groups else []}
        about["rejection"] = None if gate.rejection is None else gate.rejection.as_json()
    onnx.helper.set_model_props(model, {KEY: json.dumps(about, allow_nan=False)})
    model.producer_name = "steepslope"
    model.doc_string = card.words
    return exported


def exported_from_folder(
    folder: str, part: Part, nets: NetSpecs, opinions: Mapping[str, str] | None = None
) -> Exported:
    """Return the model of the gate, or of the oracle, in a folder; ``opinions`` are specs of nets by name."""
    if part != "all" or is_oracle(folder):
        for name, spec in {"classifier": nets.classifier, "auxiliary": nets.auxiliary, "opinion": opinions}.items():
            if spec:
                raise SteepslopeError("expected none, since this file holds no nets", name)
    if not is_oracle(folder):
        loaded = Gate.load(folder, partial(load_oracle, backbones=nets.backbones))
        whole = part == "all" and loaded.source is not None
        asked = ImageGate.of(loaded, nets.classifier, nets.auxiliary, opinions) if whole else loaded
        return export_gate(asked, part, digest_of_gate(folder))
    if is_image_oracle(folder):
        raise SteepslopeError("an oracle on images can only be exported with its nets: give a gate of it", folder)
    model = Oracle.load(folder)
    assert isinstance(model, Oracle | FusedOracle)
    assert model.fitted_ is not None
    return export_oracle(ConfidenceSource.from_model(model, model.fitted_.num_classes))
