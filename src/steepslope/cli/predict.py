"""`steepslope predict`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steepslope.cli.parser import showing_first
from steepslope.errors import SteepslopeError
from steepslope.files.progress import say
from steepslope.nets.predict.options import ClusterOptions, NetSpecs
from steepslope.outputs.options import ReadingOptions, options_by_name, require_files_for_options
from steepslope.predict.options import STDOUT, PredictOptions

if TYPE_CHECKING:
    from steepslope.gate import Gate
    from steepslope.monitor.predictions import Batch
    from steepslope.nets.predict.from_images import FromImages
    from steepslope.predict.chunks import Source


@showing_first("gate", "data", "outputs", "opinion", "audit", "out")
def predict(
    gate: str,
    out: str,
    options: PredictOptions,
    reading: ReadingOptions,
    cluster: ClusterOptions,
    nets: NetSpecs,
    data: str | None = None,
    outputs: str | None = None,
    groups: str | None = None,
    follow: str | None = None,
    replace: bool = False,
) -> int:
    """Decide of each new image, or row of outputs, whether its prediction may be used.

    Writes a row each: id, label, probability, p_correct, trust_logit, accepted, decision, and what options add. Killed
    and run again, it goes on. Then it says whether the gate is healthy or changed, as monitor does, if the gate has its
    calibration rows. Exit code 0: no change was found, which does not mean that any was accepted. 4: changed, so the
    promise cannot be relied on. 2: bad input.

    Parameters
    ----------
    gate
        Folder of a gate (calibrate).
    out
        File for the decisions, .parquet or .csv, with a summary next to it; - writes CSV to standard output.
    options
        What stands in each row, and how images are run.
    reading
        How files of outputs are read.
    cluster
        On what images are run.
    nets
        Where the gate's nets are.
    data
        Data spec of the images, such as images:DIR; labels are not looked at.
    outputs
        Folder or file of outputs, with or without labels, in place of images.
    groups
        Group of each row, where the gate has groups other than the predicted classes: a column of the outputs' file
        (by default the one that the gate was calibrated by), or a .csv or .parquet file with columns id and group.
    follow
        SQLite state of a monitor that follows (monitor --follow). Predictions that the gate accepts, but whose
        P(correct) is below the limit in the state, are left to review. Needs --audit, which draws from these too.
    replace
        Replace a file of other decisions, and parts of an unfinished one.
    """
    from steepslope.outputs.table import TableBlocks
    from steepslope.predict.audit import LIMIT
    from steepslope.predict.prediction_file import require_prediction_file
    from steepslope.predict.source import key_of_source, source_of_outputs, write_source_decisions

    require_prediction_file(out, outputs, groups, reading.classes, follow, audit=options.audit)
    if follow is not None and options.audit is None:
        raise SteepslopeError("expected a number of labels with --follow, found none", "audit")
    if (data is None) == (outputs is None):
        raise SteepslopeError(f"expected --data or --outputs, found {'neither' if data is None else 'both'}")
    require_files_for_options(reading, outputs)
    cluster.require_use(outputs, out)
    following: dict[str, float] = {"follows": follow is not None}
    if follow is not None:
        from steepslope.monitor.counting import limit_counted_in

        following[LIMIT] = limit_counted_in(Path(follow), Path(gate))
    source: Source
    if outputs is None:
        source = _images_to_predict(gate, str(data), groups, reading, options, cluster, nets)
    else:
        for name in ("classifier", "auxiliary"):
            if getattr(nets, name) is not None:
                raise SteepslopeError("expected none with --outputs, which need no net", name)
        model = _gate_to_predict(gate, nets.backbones, options.explain)
        source = source_of_outputs(model, TableBlocks(Path(outputs), reading), groups, reading, options)
    seen: list[Batch] = []
    see = partial(_keep_predicted, seen, source.gate.classes)
    summary = write_source_decisions(source, {**key_of_source(source, Path(gate)), **following}, out, replace, see)
    return _predicted_health(source.gate, out, seen) if summary.rows > summary.failed else 0


def _gate_to_predict(folder: str, backbones: tuple[str, ...], explain: bool) -> Gate:
    """Load a gate; raise where it is to explain what it cannot."""
    from steepslope.gate import Gate
    from steepslope.nets.training.loading import load_oracle

    gate = Gate.load(folder, partial(load_oracle, backbones=backbones))
    if explain:
        gate.require_source().require_explainable()
    return gate


def _images_to_predict(
    gate: str,
    data: str,
    groups: str | None,
    reading: ReadingOptions,
    options: PredictOptions,
    cluster: ClusterOptions,
    nets: NetSpecs,
) -> FromImages:
    """Return what a gate decides on the images of a data spec, on the engine that was chosen."""
    from steepslope.nets.data.specs import parse_data
    from steepslope.nets.predict.cluster import FromCluster
    from steepslope.nets.predict.from_images import FromImages, images_to_judge
    from steepslope.nets.predict.image_gate import ImageGate
    from steepslope.predict.source import groups_of_source

    if reading.opinion_classes:
        raise SteepslopeError("expected none with --data: the gate knows the classes of its nets", "opinion-classes")
    opinions = options_by_name("opinion", reading.opinion)
    model = _gate_to_predict(gate, nets.backbones, options.explain)
    _, by_id = groups_of_source(model, groups, False, reading)
    spec = parse_data(data).look()
    image_gate = ImageGate.of(model, nets.classifier, nets.auxiliary, opinions)
    source = FromImages(image_gate, images_to_judge(image_gate, spec), str(spec), options, by_id)
    return FromCluster(**vars(source), cluster=cluster) if cluster.engine == "ray" else source


def _keep_predicted(batches: list[Batch], classes: tuple[str, ...] | None, table: Any) -> None:
    """Keep what is needed of a table that goes to standard output; of unreadable images alone there is nothing."""
    from steepslope.monitor.predictions import PREDICTED, predictions_in_table
    from steepslope.outputs.table_files import column_as

    if "p_correct" in table:
        read = {name: column_as(table[name], kind) for name, kind in PREDICTED.items() if name in table}
        batches.append(predictions_in_table(read, None, classes))


def _predicted_health(gate: Gate, out: str, seen: list[Batch]) -> int:
    """Say what the predictions tell of the gate's health, and return the exit code for it."""
    from steepslope.monitor.health import watch_health_of_file
    from steepslope.monitor.monitor import EXIT_CODES
    from steepslope.monitor.predictions import read_predictions
    from steepslope.monitor.sentences import class_mix_sentences, health_sentences

    found = watch_health_of_file(gate, seen if out == STDOUT else read_predictions(Path(out), None, gate.classes))
    lines = [] if found is None else [*health_sentences(found, alone=True), *class_mix_sentences(found)]
    if gate.calibration_rows is None:
        lines = ["Health unknown: this gate has no calibration rows to compare with."]
    for line in lines:
        say(line)
    return 0 if found is None else EXIT_CODES[found.health]
