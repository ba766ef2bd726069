"""What stands behind `steepslope monitor`: its state, anew or from its file. It imports torch plainly."""

import json
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

from steepslope.errors import SteepslopeError, located
from steepslope.files.folders import read_json
from steepslope.gate import Gate
from steepslope.gate.judged_rows import JudgedRows
from steepslope.gate.storage import digest_of_gate
from steepslope.monitor.ledger import Ledger
from steepslope.monitor.monitor import Monitor
from steepslope.monitor.storage import locked_state, read_state, write_state
from steepslope.monitor.watch import Watch
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.reading import TABLES

DELTA = 0.05


def watched(
    gate: Path,
    state: Path,
    predictions: Sequence[Path],
    labels: str | None,
    calibration: str | None,
    delta: float | None,
    signal: str | None,
) -> Watch:
    """Count predictions and labels, write the state, and return what is known; if something is wrong, write nothing."""
    is_file = labels is not None and Path(labels).suffix.lower() in TABLES
    if labels is not None and not is_file and not predictions:
        expected = f"expected a file that ends in {' or '.join(TABLES)}, or a column of predictions that are given too"
        raise SteepslopeError(f"{expected}, found {labels!r}", "labels")
    for file in predictions:
        require_own(file, gate)
    if state.exists() and not predictions and labels is None:
        return opened(gate, state, calibration, delta, signal)  # which a server may be writing
    with locked_state(state):
        watch = opened(gate, state, calibration, delta, signal)
        if watch.monitor.rows and not len(watch.ledger) and (predictions or labels):
            raise SteepslopeError(
                "expected a state of files, found one without ids, such as a server's: name another", state
            )
        watch.predictions(predictions, None if is_file else labels)
        if labels is not None and is_file:
            watch.true_labels(Path(labels))
        write_state(state, watch.monitor.as_json(), watch.ledger.as_json() if watch.monitor.rows else None)
    return watch


def opened(folder: Path, state: Path, calibration: str | None, delta: float | None, signal: str | None) -> Watch:
    """Return the monitor of a gate with what it has counted, from its file if that is there.

    Raises
    ------
    SteepslopeError
        If the state is another gate's, or was made with other settings.
    """
    gate, digest = Gate.load(folder), digest_of_gate(folder)
    if not state.exists():
        with located(folder):
            monitor = Monitor.of(
                gate, DELTA if delta is None else delta, rows=_rows(gate, calibration), on=signal, digest=digest
            )
        return Watch(monitor, classes=gate.classes)
    content, counted = read_state(state)
    monitor = Monitor.read(content)
    if monitor.gate != digest:
        raise SteepslopeError(f"expected the state of the gate {folder}, found another gate's: begin another", state)
    settings = {"delta": (monitor.delta, delta), "signal": (monitor.on, signal)}
    for name, (found, given) in settings.items():
        if given not in (None, found):
            raise SteepslopeError(f"made with {name} {found}, found {given}: begin another state", state)
    rows = _rows(gate, calibration)
    if rows is not None and not _agree(monitor, Monitor.of(gate, monitor.delta, rows=rows, on=monitor.on)):
        raise SteepslopeError(f"made with other calibration rows than {calibration}: begin another state", state)
    return Watch(monitor, Ledger.read(counted), gate.classes)


def _agree(one: Monitor, other: Monitor) -> bool:
    """Return whether two monitors were made with the same calibration rows, but for an oracle's own rounding."""
    both = one.signals.keys() & other.signals.keys()
    return all(np.allclose(astuple(one.signals[name]), astuple(other.signals[name]), 1e-4, 1e-6) for name in both)


def _rows(gate: Gate, calibration: str | None) -> JudgedRows | None:
    """Return labelled outputs as a gate judges them; None where none are given."""
    if calibration is None:
        return None
    outputs = ClassifierOutputs.load(calibration, labelled=True)
    decisions = gate.decide(outputs)
    return JudgedRows(decisions.p_correct, outputs.is_correct, decisions.accepted, decisions.probability)


def require_own(file: Path, gate: Path) -> None:
    """Raise if, by the summary beside a file of predictions, another gate made them."""
    card = file.with_name(f"{file.name}.json")
    made = (read_json(card, "a summary of predictions").get("key") or {}).get("gate") if card.exists() else None
    if made is not None and made != digest_of_gate(gate):
        raise SteepslopeError(f"expected predictions of the gate {gate}, found another gate's", file)


def print_json(monitor: Monitor) -> None:
    """Print all that is known as one JSON document: the state, and what follows from it."""
    follows = {
        "alarm": monitor.alarm, "alarms": monitor.alarms, "accuracy": monitor.accuracy,
        "coverage_interval": list(monitor.coverage_interval),
        "means": {name: monitor.mean(name) for name in monitor.signals},
        "intervals": {name: list(monitor.interval(name)) for name in monitor.signals},
        "latest": {name: monitor.latest(name) for name in monitor.signals}, "silent": monitor.silent,
        "labelled_risk": monitor.labelled.mean, "labelled_interval": list(monitor.labelled.interval(monitor.delta)),
    }  # fmt: skip
    print(json.dumps({**follows, "state": monitor.as_json()}, indent=1))
