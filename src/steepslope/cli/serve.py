"""`steepslope serve` and `steepslope monitor`: a gate at work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from steepslope.errors import SteepslopeError
from steepslope.files.extras import require_extra
from steepslope.files.progress import console
from steepslope.nets.predict.options import NetSpecs
from steepslope.outputs.options import options_by_name
from steepslope.serve.options import ServeOptions

if TYPE_CHECKING:
    from steepslope.serve.served import Served

LIBRARIES = ("fastapi", "prometheus_client", "uvicorn")


def serve(
    gate: str, options: ServeOptions, nets: NetSpecs, monitor: str | None = None, opinion: tuple[str, ...] = ()
) -> None:
    """Answer over HTTP which predictions may be used: Open Inference Protocol V2, and /predict for an image.

    Runs until SIGTERM or Ctrl+C; then answers all requests that it has accepted, and ends with exit code 0. The routes
    are documented at /openapi.json; /metrics is for Prometheus.

    Needs: pip install 'steepslope[serve]'.

    Parameters
    ----------
    gate
        Folder of a gate (calibrate), or an ONNX file (export), which needs no PyTorch.
    options
        Where the server listens, how it batches, and what it refuses.
    nets
        Where the gate's nets are.
    monitor
        State of a monitor, as the command monitor keeps it: it sees every decision, and the gate's health is a metric.
        Begun where it is not there.
    opinion
        Spec of the net of an opinion, NAME=SPEC, where it lies elsewhere than when its outputs were extracted, or is
        code of your own. Several can be given.
    """
    for library in LIBRARIES:
        require_extra(library, "serve", "serve")
    from steepslope.serve.answers import Answers
    from steepslope.serve.server import address_of, open_socket, run_server

    notice = console().print
    with open_socket(options.host, options.port) as bound:
        served = _served(Path(gate), options, nets, options_by_name("opinion", opinion))
        notice(f"{gate}: {served.card.words}")
        if served.card.part != "oracle" and not served.card.accepts_any:
            notice("warning: this gate accepts nothing; see why above")
        address, watch = address_of(bound), None
        if monitor is not None:
            from steepslope.serve.monitoring import ServedMonitor

            watch = ServedMonitor.open(monitor, served.card.gate, served.gate)
        ready = f"serving {options.name} on {address} (routes: {address}/openapi.json)"
        try:
            run_server(Answers(served, options, watch), bound, lambda: notice(ready))
        finally:
            if watch is not None:
                watch.write()


def _served(gate: Path, options: ServeOptions, nets: NetSpecs, opinions: Mapping[str, str]) -> Served:
    """Return the model in a folder, or in a file; neither brings the other's libraries."""
    if gate.is_file():
        from steepslope.nets.export.file import ExportedGate
        from steepslope.serve.served import served_file

        for name, spec in {**asdict(nets), "opinion": opinions}.items():
            if spec:
                raise SteepslopeError("expected none with an ONNX file, which has its nets in it", name)
        return served_file(ExportedGate.open(gate), options.max_batch)
    from steepslope.serve.gate_folder import served_gate

    return served_gate(gate, **asdict(nets), opinions=opinions)


def monitor(
    gate: str,
    state: str,
    predictions: tuple[str, ...] = (),
    labels: str | None = None,
    calibration: str | None = None,
    delta: float | None = None,
    follow: bool | None = None,
    json: bool = False,
) -> int:
    """Watch a gate at work, and say whether its promise can be relied on: healthy, changed or harmful.

    Changed: predictions are not drawn as the calibration rows were. Harmful: by their labels, more of the accepted are
    wrong than was promised. Either stays until a new state is begun; but where a gate follows its audit, harmful is
    about the risk of all so far. Exit code 0: healthy. 4: changed. 3: harmful. 2: bad input; the state is as before.

    Parameters
    ----------
    gate
        Folder of the gate (calibrate).
    state
        SQLite file of what is known so far, made where it is not there. Delete it to begin again, as after a
        calibration.
    predictions
        Files of its decisions (predict), .csv or .parquet, in the order in which they were made; within a file, they
        are shuffled by their ids. A prediction that was counted before, by its id, is not counted again. Files of an
        audit have to be whole, and a file that contradicts the gate is refused.
    labels
        True labels as they come, late, in any order, of some predictions: a .csv or .parquet file with the columns id
        and label, or a column of the predictions. Best label the rows that predict --audit marks, or draw at random
        which of the accepted get a label: where complaints are labelled, or the least sure first, a gate is called
        harmful although it keeps its promise.
    calibration
        Labelled outputs to compare with, which the gate judges, where it was shared without its own calibration rows.
    delta
        Upper bound, in (0, 1), of the probability that the gate is ever called anything but healthy although
        predictions are drawn independently, as the calibration rows were, and it keeps its promise; by default 0.05,
        fixed when the state is made.
    follow
        Let the gate follow its audit from now on, or stop that (false). While it follows, predict --follow accepts
        less when labels show more errors than were promised, and more again when they allow it. This aims at the
        promised risk of all that was accepted, but does not guarantee it.
    json
        Print the state as one JSON document in place of sentences.
    """
    from steepslope.monitor.counting import count_files
    from steepslope.monitor.monitor import EXIT_CODES
    from steepslope.monitor.sentences import sentences
    from steepslope.nets.training.loading import load_oracle

    files = [Path(file) for file in predictions]
    count = count_files(Path(gate), Path(state), files, labels, calibration, delta, follow, load_oracle)
    if json:
        print(dumps({**count.monitor.standing(), "caution": count.caution}, indent=1))
    else:
        print("\n".join(sentences(count)))
    console().print(f"state: {state}")
    return EXIT_CODES[count.monitor.health]
