"""`steepslope show`: a gate in words."""

from __future__ import annotations

import json as json_format
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steepslope.share import ANYBODY, SignatureOptions

if TYPE_CHECKING:
    from steepslope.gate import Gate
    from steepslope.nets.export import ExportedGate

_MOST_SHOWN = 20  # classes, or groups with their thresholds
SHORT = 12  # characters of a digest


def show(gate: str, /, json: bool = False, backbones: tuple[str, ...] = (), signed: SignatureOptions = ANYBODY) -> None:
    """Show what a gate is, promises and needs: inputs, opinions, classes, thresholds, certificate and cautions.

    Parameters
    ----------
    gate
        Folder of a gate (calibrate), its name on the Hub, or an ONNX file (export).
    json
        Print JSON with the threshold of each group (null: nothing is accepted) and the certificates, to apply the
        thresholds elsewhere.
    backbones
        Specs (module:…) of your own code that an oracle on images may run; a file cannot name it.
    signed
        Whose signature a gate must have.
    """
    from steepslope.gate import Gate, digest_of_gate, reason_to_stop, stopped_sentence
    from steepslope.nets.export import ExportedGate
    from steepslope.nets.training import load_oracle

    with signed.verified(gate) as verified:
        if Path(verified).is_file():
            exported = replace(ExportedGate.open(verified), source=Path(gate))
            facts, promise, content = _file_facts_to_show(exported), exported.card.words, exported.card.as_json()
        else:
            loaded = Gate.load(verified, partial(load_oracle, backbones=backbones))
            facts, promise = _folder_facts_to_show(loaded, gate, digest_of_gate(verified)), loaded.sentences()
            content = _promises_as_json(loaded)
    if json:
        print(json_format.dumps(content, indent=2, ensure_ascii=False))
        return
    stopped = reason_to_stop(gate)
    if stopped is not None:
        print(f"{stopped_sentence(stopped)}\n")
    for name, text in facts.items():
        if text:
            print(f"{f'{name}:':11} {text}")
    print(f"\n{promise}")


def _promises_as_json(gate: Gate) -> dict[str, Any]:
    """Return the thresholds, by group if there are groups, and all that is promised, as JSON."""
    thresholds = {group: value if math.isfinite(value) else None for group, value in gate.thresholds.items()}
    return {
        "thresholds": thresholds if gate.has_groups else thresholds[None],
        "certificates": [certificate.as_json() for certificate in gate.certificates],
        "sentences": gate.sentences().splitlines(),
    }


def _folder_facts_to_show(gate: Gate, name: str, digest: str) -> dict[str, str]:
    from steepslope.gate import GATE

    source, shapes = gate.source, {} if gate.source is None else gate.source.shapes
    oracle = None if source is None else source.oracle
    ranks = "confidences that you pass" if source is None else f"the score {source.name}"
    inputs = [
        f"{name} ({', '.join(['N', *map(str, shapes.get(name, '?'))])})"
        for name in (() if source is None else source.arrays)
    ]
    nets = {"classifier": gate.origin.classifier, "auxiliary": gate.origin.auxiliary, **gate.origin.opinions}
    return {
        "gate": f"{name}, format {GATE.version}, digest {digest[:SHORT]}",
        "ranks by": ranks if oracle is None else f"an oracle ({type(oracle).__name__}, loss {oracle.loss})",
        "inputs": ", ".join(inputs),
        "nets": ", ".join(f"{role} {net.spec}" for role, net in nets.items() if net is not None),
        "made by": gate.origin.maker or "",
        "logits of": _some_to_show(gate.class_names or ()),
        "groups": gate.by or "",
        "threshold": _thresholds_to_show(gate.thresholds),
        "accepted": f"{100 * gate.coverage:.1f} % of {gate.n:,} calibration rows",
        "monitor": "" if gate.calibration_rows else "needs --calibration: the calibration rows were left out",
    }


def _file_facts_to_show(exported: ExportedGate) -> dict[str, str]:
    card = exported.card
    promised = {
        "threshold": _thresholds_to_show(card.thresholds or {None: card.threshold}),
        "accepted": f"{100 * card.coverage:.1f} % of the calibration rows",
    }
    return {
        "gate": f"{exported.source}, format {card.as_json()['version']}, part {card.part}, digest {card.gate[:SHORT]}",
        "inputs": ", ".join(map(str, exported.inputs)),
        "outputs": ", ".join(map(str, exported.outputs)),
        "logits of": _some_to_show(card.classes or ()),
        **({} if card.part == "oracle" else promised),
    }


def _thresholds_to_show(thresholds: Mapping[Any, float | None]) -> str:
    """Return thresholds by group in words.

    >>> _thresholds_to_show({"ant": 1.25, "bee": None}), _thresholds_to_show({None: float("inf")})
    ('ant 1.25, bee none: nothing is accepted', 'none: nothing is accepted')
    """
    words = {
        group: "none: nothing is accepted" if value in (None, float("inf")) else f"{value:.6g}"
        for group, value in thresholds.items()
    }
    return _some_to_show(text if group is None else f"{group} {text}" for group, text in words.items())


def _some_to_show(words: Iterable[str]) -> str:
    """Return words with commas between them, only the first of many.

    >>> _some_to_show(map(str, range(22)))[-23:]
    '17, 18, 19 and 2 others'
    """
    listed = [*words]
    others = len(listed) - _MOST_SHOWN
    return ", ".join(listed[:_MOST_SHOWN]) + (f" and {others:,} others" if others > 0 else "")
