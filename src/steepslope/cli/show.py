"""`steepslope show`: a gate in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steepslope.gate import Gate
    from steepslope.gate.confidence_source import ConfidenceSource
    from steepslope.nets.export.file import ExportedGate

MOST_SHOWN = 20  # classes, or groups with their thresholds
SHORT = 12  # characters of a digest


def show(gate: str, /) -> None:
    """Show what a gate is, promises and needs: inputs, opinions, classes, thresholds, certificate, cautions, versions.

    Parameters
    ----------
    gate
        Folder of a gate (calibrate), its name on the Hub, or an ONNX file (export).
    """
    print("\n".join(gate_lines_to_show(gate)))


def gate_lines_to_show(gate: str) -> list[str]:
    """Return what a gate is, in a folder or a file, a line each."""
    from steepslope.gate import Gate
    from steepslope.nets.export.file import ExportedGate
    from steepslope.nets.training.loading import load_oracle

    if Path(gate).is_file():
        return _file_lines_to_show(ExportedGate.open(gate))
    return _folder_lines_to_show(Gate.load(gate, load_oracle), gate)


def _folder_lines_to_show(gate: Gate, name: str) -> list[str]:
    from steepslope.gate.storage import GATE, digest_of_gate

    nets = {"classifier": gate.origin.classifier, "auxiliary": gate.origin.auxiliary, **gate.origin.opinions}
    facts = {
        "gate": f"{name}, format {GATE.version}, digest {digest_of_gate(name)[:SHORT]}",
        **({} if gate.source is None else _source_facts_to_show(gate.source)),
        "nets": ", ".join(f"{role} {net.spec}" for role, net in nets.items() if net is not None),
        "classes": _some_to_show(gate.class_names or ()),
        "groups": gate.by or "",
        "threshold": _thresholds_to_show(gate.thresholds),
        "accepted": f"{100 * gate.coverage:.1f} % of {gate.n:,} calibration rows",
        "monitor": "" if gate.calibration_rows else "needs --calibration, since the calibration rows were left out",
    }
    return [*_facts_to_show(facts), "", gate.sentences()]


def _source_facts_to_show(source: ConfidenceSource) -> dict[str, str]:
    model, oracle = source.model, source.oracle
    kind = f"the score {source.name}" if oracle is None else f"an oracle ({type(model).__name__}, loss {oracle.loss})"
    sizes = {name: ", ".join(["N", *map(str, source.shapes.get(name, ["?"]))]) for name in source.arrays}
    return {"ranks by": kind, "inputs": ", ".join(f"{name} ({size})" for name, size in sizes.items())}


def _file_lines_to_show(exported: ExportedGate) -> list[str]:
    from steepslope.nets.export.file import VERSION

    card = exported.card
    thresholds: Mapping[str | None, float | None] = {**(card.thresholds or {None: card.threshold})}
    has_promise = card.part != "oracle"
    facts = {
        "gate": f"{exported.source}, format {VERSION}, part {card.part}, digest {card.gate[:SHORT]}",
        "inputs": ", ".join(map(str, exported.inputs)),
        "outputs": ", ".join(map(str, exported.outputs)),
        "classes": _some_to_show(card.classes or ()),
        "threshold": _thresholds_to_show(thresholds) if has_promise else "",
        "accepted": f"{100 * card.coverage:.1f} % of the calibration rows" if has_promise else "",
    }
    return [*_facts_to_show(facts), "", card.words]


def _facts_to_show(facts: Mapping[str, str]) -> list[str]:
    return [f"{name + ':':11} {text}" for name, text in facts.items() if text]


def _thresholds_to_show(thresholds: Mapping[str | None, float | None]) -> str:
    """Return thresholds by group as words.

    >>> _thresholds_to_show({"ant": 1.25, "bee": None}), _thresholds_to_show({None: float("inf")})
    ('ant 1.25, bee none: nothing is accepted', 'none: nothing is accepted')
    """
    finite = {
        group: "none: nothing is accepted" if value in (None, float("inf")) else f"{value:.6g}"
        for group, value in thresholds.items()
    }
    return _some_to_show(text if group is None else f"{group} {text}" for group, text in finite.items())


def _some_to_show(words: Iterable[str]) -> str:
    """Return words with commas between them, the first of many.

    >>> _some_to_show(map(str, range(22)))[-24:]
    '17, 18, 19 and 2 others'
    """
    given = [*words]
    others = len(given) - MOST_SHOWN
    return ", ".join(given[:MOST_SHOWN]) + (f" and {others:,} others" if others > 0 else "")
