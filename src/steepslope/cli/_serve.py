"""`steepslope serve` and `steepslope monitor`: a gate at work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from json import dumps
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING

from steepslope.cli._parser import showing_first
from steepslope.errors import Check, SteepslopeError, choice, number, require, whole
from steepslope.files import Notice, require_extra, say
from steepslope.nets.predict import NetSpecs
from steepslope.outputs import options_by_name
from steepslope.promise import REVIEW_ALL, WHEN_CHANGED, WhenChanged
from steepslope.share import SignatureOptions

if TYPE_CHECKING:
    from steepslope.serve import DecisionLog, Served, ServedMonitor

LIBRARIES = ("fastapi", "PIL", "prometheus_client", "uvicorn")
_MODEL_NAME = Check(
    "letters, digits, dots, dashes", lambda name: bool(re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name))
)

_LOG_FORMAT = choice("text", "json")


@showing_first("gate", "classifier", "host", "port", "monitor", "when_changed", "decisions", "max_batch")
def serve(
    gate: str,
    nets: NetSpecs,
    signed: SignatureOptions,
    host: str = "127.0.0.1",
    port: int = 8000,
    name: str = "gate",
    max_batch: int = 32,
    monitor: str | None = None,
    when_changed: WhenChanged = REVIEW_ALL,
    decisions: str | None = None,
    opinion: tuple[str, ...] = (),
    allow_host: tuple[str, ...] = (),
    stop_within: float = 60,
    log_format: str = "text",
) -> None:
    """Serve a gate over HTTP: Open Inference Protocol V2, and /predict for an image.

    It runs until SIGTERM or Ctrl+C, then answers all requests that it has accepted, and ends with exit code 0. The
    routes are documented at /openapi.json; /metrics is for Prometheus.

    Needs: pip install 'steepslope[serve]'.

    Parameters
    ----------
    gate
        Folder of a gate (calibrate), or an ONNX file (export), which needs no PyTorch.
    nets
        Where the gate's nets are.
    signed
        Whose signature a gate must have.
    host
        Address to listen on; by default only programs on this machine can connect. There is no password.
    port
        Port to listen on; 0 takes a free one.
    name
        Name of the model in the protocol.
    max_batch
        Largest number of rows (images) that are run together.
    monitor
        State file of a monitor, as the command monitor keeps it; a missing one is made. The monitor sees every
        decision, and the gate's health is a metric. Without a file, a gate's folder is monitored in memory, and an
        exported file is not.
    when_changed
        review: from the row on with which the monitor finds a change, or harm, all go to review. warn: only the metric
        tells.
    decisions
        File, .csv, to which each decision is added as predict writes it, with the request's id (header X-Request-Id, or
        one that the answer has), so that later labels find it.
    opinion
        Spec of an opinion's net, NAME=SPEC, if it has moved since its outputs were extracted, or is your own code.
        Several can be given.
    allow_host
        Name by which clients or a proxy call this server (header Host). Addresses, localhost and this machine's own
        name are always allowed. Several can be given; * allows all.
    stop_within
        Seconds after SIGTERM within which all accepted requests are answered. In the first half, the server still
        accepts requests as long as they come.
    log_format
        text: warnings and errors. json: each line is an object, and each request is a line.
    """
    for library in LIBRARIES:
        require_extra(library, "serve", "serve")
    require("port", port, whole(0, 65535))
    require("name", name, _MODEL_NAME)
    require("max_batch", max_batch, whole(1))
    require("when_changed", when_changed, WHEN_CHANGED)
    require("stop_within", stop_within, number(1))
    require("log_format", log_format, _LOG_FORMAT)
    from steepslope.gate import reason_in_switches, switches_of_gate
    from steepslope.serve import (
        LOGGER,
        STATE_SECONDS,
        Answers,
        open_server_socket,
        run_server,
        server_address,
        start_server_log,
    )

    start_server_log(log_format)
    tell = LOGGER.info if log_format == "json" else say
    with open_server_socket(host, port) as bound:
        with signed.verified(gate) as verified:
            served = _model_to_serve(Path(verified), gate, nets, opinion, max_batch)
        tell(f"{gate}: {served.card.words}")
        if served.card.part != "oracle" and not served.card.accepts_any:
            tell("warning: this gate accepts nothing; see why above")
        address, watch = server_address(bound), _watch_to_serve(served, monitor, when_changed, tell)
        ready = f"serving {name} on {address} (routes: {address}/openapi.json)"
        hosts = (*allow_host, host, gethostname())
        stopped = partial(reason_in_switches, switches_of_gate(gate))
        with _log_to_serve(decisions, served) as log:
            answers = Answers(served, name, max_batch, watch, log, hosts, stopped)
            try:
                run_server(answers, bound, lambda: tell(ready), stop_within)
            finally:
                if watch is not None:
                    watch.write(STATE_SECONDS)


def _model_to_serve(path: Path, name: str, nets: NetSpecs, opinion: tuple[str, ...], max_batch: int) -> Served:
    """Load what lies at a path; later errors of a file call it by its name."""
    if not path.is_file():
        from steepslope.serve import served_gate_folder

        return served_gate_folder(path, **asdict(nets), opinions=options_by_name("opinion", opinion))
    from steepslope.nets.export import ExportedGate
    from steepslope.serve import served_file, taking_answers

    for option, spec in {**asdict(nets), "opinion": opinion}.items():
        if spec:
            raise SteepslopeError("expected none with an ONNX file, which contains its nets", option)
    exported = replace(ExportedGate.open(path), source=Path(name))
    return taking_answers(served_file(exported, max_batch))


@showing_first("gate", "reason")
def stop(gate: str, /, reason: str = "", undo: bool = False) -> None:
    """Send all predictions of a gate to review, from now on and until --undo.

    It makes a file next to the gate, GATE.stopped. While the file is there, servers of the gate accept nothing from
    their next batch on. Other programs, such as predict, accept nothing if they load the gate from then on; one that
    loaded it before goes on.

    Parameters
    ----------
    gate
        Folder of the gate (calibrate) or of a TrustedClassifier, or an ONNX file (export).
    reason
        Why, in one line; predict and show repeat it.
    undo
        Put the gate to work again.
    """
    from steepslope.gate import start_gate, stop_gate

    if undo:
        say(f"at work: {gate} ({start_gate(gate)} is gone)")
    else:
        say(f"stopped: {stop_gate(gate, reason)} sends all predictions of {gate} to review")


@contextmanager
def _log_to_serve(decisions: str | None, served: Served) -> Iterator[DecisionLog | None]:
    """Yield the log of a server's decisions, which no other server has; raise at the end if some were lost."""
    from steepslope.files import LOCK, locked
    from steepslope.serve import DecisionLog

    if decisions is None:
        yield None
        return
    path = Path(decisions)
    with locked(path.parent, f".{path.name}{LOCK}", stays=False):
        log = DecisionLog.open(path, served.card.classes, served.card.threshold)
        try:
            yield log
        finally:
            log.close()
    if log.lost:
        raise SteepslopeError(f"{log.lost:,} decisions could not be written, and are lost", path)


def _watch_to_serve(served: Served, state: str | None, when_changed: str, tell: Notice) -> ServedMonitor | None:
    """Return the monitor behind a server, in memory without a state; None if there is nothing to compare with."""
    from steepslope.serve import ServedMonitor

    known = None if served.gate is None else served.gate.calibration_rows
    if state is None and (known is None or not known.accepted.any()):
        if served.card.accepts_any:
            tell("warning: no change of the inputs will be noticed; the state of a monitor (--monitor) would tell")
        return None
    options = {"reviews": when_changed == REVIEW_ALL, "threshold": served.card.threshold}
    return ServedMonitor.open(state, served.card.gate, served.gate, **options)


@showing_first("gate", "predictions", "labels", "state")
def monitor(
    gate: str,
    state: str,
    signed: SignatureOptions,
    predictions: tuple[str, ...] = (),
    labels: str | None = None,
    calibration: str | None = None,
    delta: float | None = None,
    follow: bool | None = None,
    json: bool = False,
) -> int:
    """Watch a gate at work, and say whether its promise can be relied on: healthy, changed or harmful.

    Changed: predictions are not drawn as the calibration rows were. Harmful: labels show that more of the accepted are
    wrong than was promised. Either stays until a new state is begun, except that harmful is about the risk of all rows
    so far if the gate follows its audit. Exit code 0: healthy. 4: changed. 3: harmful. 2: bad input; the state is as
    before.

    Parameters
    ----------
    gate
        Folder of the gate (calibrate).
    state
        SQLite file with all counts so far; a missing one is made. Delete it to begin again, for example after a new
        calibration.
    signed
        Whose signature a gate must have.
    predictions
        Files of the gate's decisions (predict), .csv or .parquet, in the order in which they were made. Within a file,
        rows are shuffled by their ids. A prediction is counted once, by its id. Files of an audit have to be whole, and
        a file that contradicts the gate is refused.
    labels
        True labels of some predictions, late and in any order: a .csv or .parquet file with the columns id and label,
        or a column of the predictions. Best label the rows that predict --audit marks, or draw at random which of the
        accepted get a label. If complaints are labelled, or the least sure rows first, a gate is called harmful even if
        it keeps its promise.
    calibration
        Labelled outputs to compare with, for a gate that was shared without its own calibration rows.
    delta
        Upper bound, in (0, 1), of the chance of a false alarm at any time: predictions are drawn independently, as the
        calibration rows were, the gate keeps its promise, and yet it is called changed or harmful. By default 0.05;
        fixed when the state is made.
    follow
        Let the gate follow its audit from now on, or stop that (false). While it follows, predict --follow accepts
        less when labels show more errors than were promised, and more again when they allow it. This aims at the
        promised risk of all accepted predictions, but does not guarantee it.
    json
        Print the state as one JSON document, not as sentences.
    """
    from steepslope.monitor import count_files, monitor_sentences
    from steepslope.nets.training import load_oracle
    from steepslope.promise import EXIT_CODES

    files = [Path(file) for file in predictions]
    with signed.verified(gate) as verified:
        count = count_files(Path(verified), Path(state), files, labels, calibration, delta, follow, load_oracle)
    if json:
        print(dumps({**count.monitor.standing(), "caution": count.caution}, indent=1))
    else:
        print("\n".join(monitor_sentences(count)))
    say(f"state: {state}")
    return EXIT_CODES[count.monitor.health]
