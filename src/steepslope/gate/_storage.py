"""A gate on disk: a folder with all that decisions need, except the classifier itself.

- ``gate.json``: the sealed card, with the certificates, P(correct), the classes, and the classifier's spec, digest and
  transform.
- ``certificate.md``: the promise in sentences.
- ``calibration_rows.safetensors``: the gate's decisions on its calibration rows. A copy without them decides, but does
  not notice when inputs change.
- ``oracle``, a folder, or ``score.safetensors``: the oracle, or what the score has learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steepslope.errors import SteepslopeError, read_fields
from steepslope.files import (
    AGAIN,
    DIGEST,
    FILES,
    Artifact,
    folder_or_hub_snapshot,
    load_arrays,
    positive,
    read_json,
    save_arrays,
)
from steepslope.gate._confidence_source import ORACLE, STATE, ConfidenceSource, LoadOracle, Origin
from steepslope.gate._decisions import PREDICTED, names_of_classes
from steepslope.gate._switch import reason_to_stop
from steepslope.numerics import Bools
from steepslope.oracle import CARD as ORACLE_CARD
from steepslope.outputs import UNKNOWN, checked_class_names
from steepslope.promise import CalibrationRows, Certificate, Objectives, ProbabilityMap

if TYPE_CHECKING:
    from steepslope.gate._gate import Gate

CARD = "gate.json"
SENTENCES = "certificate.md"
INSIDE = "gate"  # the gate of a saved TrustedClassifier
ROUNDING = 1e-9  # of a P(correct)
CALIBRATION_ROWS = "calibration_rows.safetensors"  # may be left out; where it is there, it has to be the gate's own
GATE = Artifact(
    "a calibrated gate",
    CARD,
    version=9,
    varying=(ORACLE, STATE, CALIBRATION_ROWS),
    optional=CALIBRATION_ROWS,
    inside=f"{ORACLE}/{ORACLE_CARD}",
)


def write_gate(folder: Path, gate: Gate, made: Mapping[str, Any] | None = None) -> None:
    """Write all files, or none. The card is last, and an earlier gate there is replaced."""
    source = gate.source
    with GATE.staged(folder) as staging:
        card = {
            "source": None if source is None else source.write(staging),
            "by": gate.by,
            "objectives": asdict(gate.objectives),
            "certificates": [certificate.as_json() for certificate in gate.certificates],
            "of_classes": [certificate.as_json() for certificate in gate.of_classes],
            "caution": gate.caution,
            "rejection": None if gate.rejection is None else gate.rejection.as_json(),
            "probability": asdict(gate.probability),
            "wrong": gate.wrong,
            "n": gate.n,
            "costs_of_errors": dict(gate.costs_of_errors),
            "classes": None if gate.classes is None else list(gate.classes),
            **asdict(gate.origin),
        }
        if gate.calibration_rows is not None:
            save_arrays(gate.calibration_rows.arrays(), staging / CALIBRATION_ROWS)
        (staging / SENTENCES).write_text(gate.sentences() + "\n", encoding="utf-8")
        GATE.seal(staging, card, made)


def read_gate(name: str | Path, load_oracle: LoadOracle) -> dict[str, Any]:
    """Return a gate's fields by name; raise for a changed card, or files that are not the gate's own."""
    folder = folder_or_hub_snapshot(name)
    if folder.is_file():
        raise SteepslopeError(
            "expected the folder of a gate, found a file; exported ones are for serve and show", folder
        )
    if (folder / INSIDE / CARD).exists() and not (folder / CARD).exists():
        raise SteepslopeError(f"expected the folder of a gate, found that its gate is {folder / INSIDE}", folder)
    fields: dict[str, Any] = GATE.read(folder, lambda card: _read_stored_gate(folder, card, load_oracle))
    return fields | {"stopped": reason_to_stop(name)}


@dataclass(frozen=True)
class GateCard:
    """What ``gate.json`` holds of a gate, except the fields of its :class:`Origin`, which are there too."""

    source: Mapping[str, Any] | None
    by: str | None
    objectives: Objectives
    certificates: tuple[Certificate, ...]
    of_classes: tuple[Certificate, ...]
    caution: str
    rejection: Certificate | None
    probability: ProbabilityMap
    wrong: int
    n: int
    costs_of_errors: Mapping[str, float]
    classes: tuple[str, ...] | None


def _read_stored_gate(folder: Path, content: dict[str, Any], load_oracle: LoadOracle) -> dict[str, Any]:
    path = folder / CARD
    rows = folder / CALIBRATION_ROWS
    card = read_fields(GateCard, content, path)
    if not card.certificates:
        raise SteepslopeError("expected a certificate, found none", path)
    fields = vars(card) | {"n": positive(content, "n", path), "calibration_rows": None}
    if CALIBRATION_ROWS in content[FILES] and rows.exists():
        fields["calibration_rows"] = CalibrationRows.from_arrays(load_arrays(rows), rows)
        _require_recount(card, fields["calibration_rows"], path)
    if card.source is not None:
        fields["source"] = ConfidenceSource.read(folder, card.source, path, load_oracle)
    fields["classes"] = checked_class_names(card.classes, len(card.classes)) if card.classes else None
    return fields | {"origin": read_fields(Origin, content, path)}


def _require_recount(card: GateCard, rows: CalibrationRows, path: Path) -> None:
    """Raise if a threshold would decide otherwise on the calibration rows than the gate did, by their P(correct).

    Groups other than the predicted classes are not kept with the rows, so such a gate is not counted again.
    """
    is_counted = np.ones(len(rows.p_correct), np.bool_)
    if rows.predicted is not None:
        is_counted = rows.predicted != UNKNOWN
    for certificate in card.certificates:
        if certificate.max_risk != card.certificates[0].max_risk:
            continue
        if certificate.group is None:
            _require_recount_of(certificate, card, rows, is_counted, path)
        elif card.by == PREDICTED:
            of_group = is_counted
            if rows.predicted is not None:
                names = names_of_classes(rows.predicted, card.classes).astype(np.str_)
                of_group = is_counted & (names == certificate.group)
            _require_recount_of(certificate, card, rows, of_group, path)


def _require_recount_of(
    certificate: Certificate, card: GateCard, rows: CalibrationRows, is_counted: Bools, path: Path
) -> None:
    threshold = certificate.threshold
    lowest = threshold
    if np.isfinite(threshold):
        lowest = float(card.probability(np.array([threshold]))[0])
    least = np.min(rows.p_correct[is_counted & rows.accepted], initial=np.inf)
    most = np.max(rows.p_correct[is_counted & ~rows.accepted], initial=-np.inf)
    if most > lowest + ROUNDING or least < lowest - ROUNDING:
        p_correct = rows.p_correct[is_counted]
        found = f"found {threshold:.6g}, which accepts {np.sum(p_correct >= lowest):,} of {len(p_correct):,}"
        expected = f"expected the threshold that accepted {np.sum(rows.accepted & is_counted):,} calibration rows"
        raise SteepslopeError(f"{expected}, {found}: {AGAIN}", path)


def digest_of_gate(folder: str | Path) -> str:
    """Return the digest of a gate's card, which tells the gate from others, wherever its folder is."""
    return str(read_json(folder_or_hub_snapshot(folder) / CARD, GATE.what).get(DIGEST))
