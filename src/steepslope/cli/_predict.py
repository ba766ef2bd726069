"""`steepslope predict`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from steepslope.cli._parser import showing_first
from steepslope.errors import SteepslopeError
from steepslope.files import say
from steepslope.nets.predict import ClusterOptions, NetSpecs
from steepslope.outputs import ReadingOptions, options_by_name, require_files_for_options
from steepslope.predict import STDOUT, PredictOptions
from steepslope.share import SignatureOptions

if TYPE_CHECKING:
    from steepslope.gate import Gate
    from steepslope.nets.predict import FromImages
    from steepslope.predict import Source


@showing_first("gate", "data", "outputs", "classifier", "opinion", "audit", "reviews", "out")
def predict(
    gate: str,
    out: str,
    options: PredictOptions,
    reading: ReadingOptions,
    cluster: ClusterOptions,
    nets: NetSpecs,
    signed: SignatureOptions,
    data: str | None = None,
    outputs: str | None = None,
    groups: str | None = None,
    follow: str | None = None,
    replace: bool = False,
) -> int:
    """Decide for each new image, or row of outputs, whether its prediction may be used.

    Writes a row for each: id, label, probability, p_correct, trust_logit, accepted, decision, stopped (to review only
    for a change, or by the command stop), then distance, handed_over, lacks_opinion and group, if known, and what
    options add. A killed run goes on when it is started again. All rows are judged together before any is accepted: if
    they are clearly not drawn as the gate's calibration rows were, all go to review. Exit code 0: no change was found,
    which does not mean that any prediction was accepted. 4: changed. 2: bad input.

    Parameters
    ----------
    gate
        Folder of a gate (calibrate).
    out
        File for the decisions, .parquet or .csv, with a summary next to it; - writes CSV to standard output at the end.
    options
        The columns of each row, and how images are run.
    reading
        How files of outputs are read.
    cluster
        Where images are run.
    nets
        Where the gate's nets are.
    signed
        Whose signature a gate must have.
    data
        Data spec of the images, such as images:DIR; labels are ignored.
    outputs
        Folder or file of outputs, with or without labels, in place of images.
    groups
        Group of each row, if the gate has groups other than the predicted classes: a column of the outputs' file (by
        default the one that the gate was calibrated by), several with commas for a gate by several, or a .csv or
        .parquet file with columns id and group.
    follow
        SQLite state of a monitor that follows the audit (monitor --follow). Predictions that the gate accepts, but
        whose P(correct) is below the limit in the state, go to review. Needs --audit, which draws from these too.
    replace
        Replace a file of other decisions, or an unfinished one.
    """
    from steepslope.outputs import TableBlocks
    from steepslope.predict import (
        LIMIT,
        file_or_stdout,
        key_of_source,
        require_prediction_file,
        source_of_outputs,
        write_source_decisions,
    )
    from steepslope.promise import EXIT_CODES

    require_prediction_file(out, outputs, groups, reading.classes, follow)
    if follow is not None and options.audit is None:
        raise SteepslopeError("expected a number of labels with --follow, found none", "audit")
    if (data is None) == (outputs is None):
        raise SteepslopeError(f"expected --data or --outputs, found {'neither' if data is None else 'both'}")
    require_files_for_options(reading, outputs)
    cluster.require_use(outputs, out)
    with signed.verified(gate) as verified:
        following: dict[str, float] = {"follows": follow is not None}
        if follow is not None:
            from steepslope.monitor import limit_counted_in

            following[LIMIT] = limit_counted_in(Path(follow), Path(verified))
        source: Source
        if outputs is None:
            source = _images_to_predict(verified, str(data), groups, reading, options, cluster, nets)
        else:
            for name in ("classifier", "auxiliary"):
                if getattr(nets, name) is not None:
                    raise SteepslopeError("expected none with --outputs, which need no net", name)
            model = _gate_to_predict(verified, nets.backbones, options.explain)
            source = source_of_outputs(model, TableBlocks(Path(outputs), reading), groups, reading, options)
        with file_or_stdout(out) as file:
            key = key_of_source(source, Path(verified)) | following
            summary = write_source_decisions(source, key, file, replace)
            if out != STDOUT:
                say(f"decisions: {out}")
    return EXIT_CODES[summary.health]


def _gate_to_predict(folder: str, backbones: tuple[str, ...], explain: bool) -> Gate:
    """Load a gate; raise if it is asked to explain, but cannot."""
    from steepslope.gate import Gate
    from steepslope.nets.training import load_oracle

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
    """Return the source of decisions on the images of a data spec, on the chosen engine."""
    from steepslope.nets.data import parse_data
    from steepslope.nets.predict import FromCluster, FromImages, ImageGate, images_to_judge
    from steepslope.outputs import FOLDER, folders_of_images
    from steepslope.predict import groups_of_source, things_by_id

    if reading.opinion_classes:
        raise SteepslopeError("expected none with --data: the gate knows the classes of its nets", "opinion-classes")
    opinions = options_by_name("opinion", reading.opinion)
    model = _gate_to_predict(gate, nets.backbones, options.explain)
    _, by_id = groups_of_source(model, groups, False, reading)
    together = things_by_id(options, reading)
    if together is None and options.together not in (None, FOLDER):
        expected = "expected folder, or a .csv or .parquet file with columns id and group"
        raise SteepslopeError(f"{expected}, found {options.together!r}", "together")
    spec = parse_data(data).look()
    image_gate = ImageGate.of(model, nets.classifier, nets.auxiliary, opinions)
    images = images_to_judge(image_gate, spec)
    if options.together == FOLDER:
        folders_of_images([*map(str, images.ids)], model.classes)
    source = FromImages(image_gate, images, str(spec), options, by_id, together=together)
    if cluster.engine == "ray":
        return FromCluster(**vars(source), cluster=cluster)
    return source
