"""`steepslope serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from steepslope.errors import SteepslopeError
from steepslope.files.extras import require_extra
from steepslope.files.progress import console
from steepslope.serve.options import ServeOptions

if TYPE_CHECKING:
    from steepslope.serve.served import Served

LIBRARIES = ("fastapi", "prometheus_client", "python_multipart", "uvicorn")


def serve(
    gate: str,
    options: ServeOptions,
    classifier: str | None = None,
    auxiliary: str | None = None,
    backbones: tuple[str, ...] = (),
    monitor: str | None = None,
) -> None:
    """Answer over HTTP which predictions may be used: Open Inference Protocol V2, and /predict for an image.

    Runs until SIGTERM or Ctrl+C; then answers all requests that it has accepted, and ends with exit code 0. The routes
    are documented at /docs; /metrics is for Prometheus.

    Parameters
    ----------
    gate
        Folder of a gate (calibrate), or an ONNX file (export), which needs no PyTorch.
    options
        Where the server listens, how it batches, and what it refuses.
    classifier
        Spec of the classifier, where it lies elsewhere than when its outputs were extracted, or is code of your own. It
        has to be the same net.
    auxiliary
        Spec of the second backbone, likewise.
    backbones
        Specs (module:…) of code of your own that an oracle on images may run; a file cannot name it.
    monitor
        JSON file of an alarm on harm, as the command monitor keeps it: it sees every decision, and is a metric. Begun
        where it is not there.
    """
    for library in LIBRARIES:
        require_extra(library, "serve", "serve")
    from steepslope.serve.answers import Answers
    from steepslope.serve.server import address_of, open_socket, run_server

    notice = console().print
    with open_socket(options.host, options.port) as bound:
        served = _served(Path(gate), options, classifier, auxiliary, backbones)
        notice(f"{gate}: {served.card.words}")
        if served.card.part != "oracle" and not served.card.accepts_any:
            notice("warning: this gate accepts nothing; see why above")
        address, watch = address_of(bound), None
        if monitor is not None:
            from steepslope.serve.monitoring import watching

            watch = watching(monitor, served, notice)
        ready = f"serving {options.name} on {address} (docs: {address}/docs)"
        try:
            run_server(Answers(served, options, watch), bound, lambda: notice(ready))
        finally:
            if watch is not None:
                watch.close()


def _served(
    gate: Path, options: ServeOptions, classifier: str | None, auxiliary: str | None, backbones: tuple[str, ...]
) -> Served:
    """Return the model in a folder, or in a file; neither brings the other's libraries."""
    if gate.is_file():
        from steepslope.export.file import ExportedGate
        from steepslope.serve.served import ServedFile

        for name, given in {"classifier": classifier, "auxiliary": auxiliary, "backbones": backbones}.items():
            if given:
                raise SteepslopeError("expected none with an ONNX file, which has its nets in it", name)
        return ServedFile(ExportedGate.open(gate), options.max_batch)
    from steepslope.serve.gate_folder import ServedGate

    return ServedGate.open(gate, classifier, auxiliary, backbones)
