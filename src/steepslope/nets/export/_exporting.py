"""A gate, with all nets that it needs or without, as one ONNX file that runs without this package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx

from steepslope.errors import SteepslopeError
from steepslope.files import SIGNATURE, staged_folder
from steepslope.gate import ConfidenceSource, Gate, digest_of_gate
from steepslope.nets.export._file import KEY, GateCard, Part, sealed_onnx
from steepslope.nets.export._gate_graph import OWN_NET, groups_in_graph, shapes_in_graph
from steepslope.nets.export._nets import model_with_nets, model_without_nets
from steepslope.nets.predict import ImageGate, NetSpecs
from steepslope.nets.training import load_oracle
from steepslope.oracle import FusedOracle, Oracle, is_image_oracle, is_oracle


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
    nets = None
    if isinstance(gate, ImageGate):
        nets = gate
        gate = nets.gate
    source = gate.source
    if source is None:
        found = "found one of confidences alone: what it decides is confidence >= its threshold"
        raise SteepslopeError(f"expected a gate with an oracle or a score, {found}", "gate")
    if part == "all":
        nets = nets or ImageGate.of(gate)
        exported = Exported(model_with_nets(source, nets), source, gate, nets)
    elif OWN_NET in shapes_in_graph(source):
        raise SteepslopeError("an oracle on images can only be exported with its nets: --part all", "part")
    elif part == "gate":
        exported = Exported(model_without_nets(source, gate), source, gate, None)
    else:
        exported = Exported(model_without_nets(source, None), source, None, None)
    return _with_export_metadata(exported, part, digest or "")


def _export_oracle(source: ConfidenceSource) -> Exported:
    """Return an oracle, or a score, alone: from the arrays that outputs hold to trust logits."""
    return _with_export_metadata(Exported(model_without_nets(source, None), source, None, None), "oracle", "")


def _with_export_metadata(exported: Exported, part: Part, digest: str) -> Exported:
    """Put into the model's metadata what somebody needs to know who has the file alone."""
    gate = exported.gate
    card = GateCard(part, digest) if gate is None else GateCard.of(gate, digest, part)
    about = {**card.as_json(), "source": exported.source.name}
    if gate is not None:
        about["by"] = gate.by
        about["groups"] = groups_in_graph(gate) if gate.has_groups else []
        about["rejection"] = None if gate.rejection is None else gate.rejection.as_json()
    onnx.helper.set_model_props(exported.model, {KEY: json.dumps(about, allow_nan=False)})
    exported.model.producer_name = "steepslope"
    exported.model.doc_string = card.words
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
        gate = Gate.load(folder, partial(load_oracle, backbones=nets.backbones))
        digest = digest_of_gate(folder)
        if part != "all" or gate.source is None:
            return export_gate(gate, part, digest)
        return export_gate(ImageGate.of(gate, nets.classifier, nets.auxiliary, opinions), part, digest)
    if is_image_oracle(folder):
        raise SteepslopeError("an oracle on images can only be exported with its nets: give a gate of it", folder)
    model = Oracle.load(folder)
    assert isinstance(model, Oracle | FusedOracle)
    assert model.fitted_ is not None
    return _export_oracle(ConfidenceSource.from_model(model, model.fitted_.num_classes))
