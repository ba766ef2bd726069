"""A gate on disk: a folder with all that decisions need, but for the classifier itself.

``gate.json``, written last, with the certificates, P(correct), the classes, the classifier's spec, digest and
transform, the digests of all other files, and a digest of all of these; ``certificate.md`` with the promise in words;
``errors.safetensors`` with the confidences of the wrong calibration rows; ``judged.safetensors`` with what the gate
thinks of all of them, which earlier versions did not write, and which a copy may leave out: it serves monitoring alone;
the oracle in a folder of its own, or what the score has learnt.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steepslope.errors import SteepslopeError, located
from steepslope.files.artifact import MADE, Artifact
from steepslope.files.folders import digest_of, field, positive, read_json, write_json
from steepslope.files.hub import as_folder
from steepslope.files.weights import load_arrays, save_arrays
from steepslope.gate.aims import Aims
from steepslope.gate.certificate import Certificate
from steepslope.gate.judge import CONFIDENCE, ORACLE, STATE, Judge
from steepslope.gate.judged_rows import JudgedRows
from steepslope.gate.origin import Origin
from steepslope.gate.probability import ProbabilityMap
from steepslope.outputs.arrays import checked_classes

if TYPE_CHECKING:
    from steepslope.gate.gate import Gate

CARD, WORDS, ERRORS, JUDGED = "gate.json", "certificate.md", "errors.safetensors", "judged.safetensors"
GATE = Artifact("a gate", CARD)
VERSION = 1
DIGEST = "digest"
EXPECTED = "a calibrated gate"
AGAIN = "calibrate it again, or copy the folder as a whole"
OPTIONAL = (JUDGED,)  # files that may be left out; where one is, it has to be the gate's own


def write_gate(folder: Path, gate: Gate, made: Mapping[str, Any] | None = None) -> None:
    """Write all files, or none, the card last; an earlier gate there is replaced."""
    with GATE.staged(folder) as staging:
        judged = {"kind": CONFIDENCE} if gate.judge is None else gate.judge.write(staging)
        save_arrays({"of_errors": gate.of_errors}, staging / ERRORS)
        if gate.judged is not None:
            save_arrays(gate.judged.arrays(), staging / JUDGED)
        (staging / WORDS).write_text(gate.words() + "\n", encoding="utf-8")
        files = [path for path in sorted(staging.rglob("*")) if path.is_file()]
        card = _card(gate, judged, {path.relative_to(staging).as_posix(): _digest_of_file(path) for path in files})
        write_json(staging / CARD, {**card, DIGEST: digest_of(card), MADE: dict(made or {})})
    if judged["kind"] != ORACLE:  # of an earlier gate, as the next
        shutil.rmtree(folder / ORACLE, ignore_errors=True)
    for name in (STATE, JUDGED):
        if name not in card["files"]:
            (folder / name).unlink(missing_ok=True)


def _card(gate: Gate, judged: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    return {
        "version": VERSION,
        "judge": judged,
        "by": gate.by,
        "aims": asdict(gate.aims),
        "certificates": [one.as_json() for one in gate.certificates],
        "rejection": None if gate.rejection is None else gate.rejection.as_json(),
        "probability": gate.probability.as_json(),
        "rows": gate.n,
        "classes": None if gate.classes is None else list(gate.classes),
        **gate.origin.as_json(),
        "files": digests,
    }


def gate_folder(name: str | Path) -> Path:
    """Return the folder of a gate by its name: as it is, packed, or on the Hub; see :func:`as_folder`."""
    return as_folder(name, CARD)


def read_gate(name: str | Path, backbones: Collection[str] = ()) -> dict[str, Any]:
    """Return what a gate holds, by name; raise for a card that was changed, or files that are not its own."""
    folder = gate_folder(name)
    path = folder / CARD
    card = read_json(path, EXPECTED)
    kept = {name: value for name, value in card.items() if name not in (DIGEST, MADE)}
    if card.get("version") != VERSION:
        raise SteepslopeError(f"expected version {VERSION} of the format, found {card.get('version')!r}", path)
    if card.get(DIGEST) != digest_of(kept):
        raise SteepslopeError(f"was changed after it was written: expected the digest of its content: {AGAIN}", path)
    certificates = tuple(Certificate.of(one, path) for one in field(card, "certificates", list, path))
    if not certificates:
        raise SteepslopeError("expected a certificate, found none", path)
    files = field(card, "files", dict, path)
    _require_own_files(folder, files)
    rejection, classes = field(card, "rejection", (dict, type(None)), path), field(card, "classes", _NAMES, path)
    judge, of_errors = _read_judge(folder, card, backbones), load_arrays(folder / ERRORS).get("of_errors", _NONE)
    if of_errors.ndim != 1 or of_errors.dtype != np.float64 or (np.diff(of_errors) < 0).any():
        raise SteepslopeError("expected rising confidences (e,), found others", folder / ERRORS)
    with located(path):
        aims = Aims.read(field(card, "aims", dict, path))
    return {
        "certificates": certificates,
        "rejection": None if rejection is None else Certificate.of(rejection, path),
        "probability": ProbabilityMap.read(field(card, "probability", dict, path), path),
        "of_errors": of_errors, "n": positive(card, "rows", path), "aims": aims, "judge": judge,
        "by": field(card, "by", (str, type(None)), path),
        "classes": checked_classes(classes, len(classes)) if classes else None, "origin": Origin.read(card, path),
        "judged": _read_judged(folder / JUDGED) if JUDGED in files else None,
    }  # fmt: skip


_NAMES = (list, type(None))
_NONE = np.zeros(0)


def _read_judge(folder: Path, card: Mapping[str, Any], backbones: Collection[str]) -> Judge | None:
    path = folder / CARD
    judged = field(card, "judge", dict, path)
    if field(judged, "kind", str, path) == CONFIDENCE:
        return None
    return Judge.read(folder, judged, path, backbones)


def _read_judged(path: Path) -> JudgedRows | None:
    return JudgedRows.read(load_arrays(path), path) if path.exists() else None


def _require_own_files(folder: Path, digests: Mapping[str, str]) -> None:
    for name, digest in digests.items():
        if name in OPTIONAL and not (folder / name).exists():
            continue
        if _digest_of_file(folder / name) != digest:
            raise SteepslopeError(f"expected the gate's own file, found another: {AGAIN}", folder / name)


def _digest_of_file(path: Path) -> str:
    if not path.is_file():
        raise SteepslopeError(f"expected the gate's own file, found none: {AGAIN}", path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_gate(folder: str | Path) -> str:
    """Return the digest of a gate's card, which tells it from others, wherever it lies."""
    return str(read_json(gate_folder(folder) / CARD, EXPECTED).get(DIGEST))
