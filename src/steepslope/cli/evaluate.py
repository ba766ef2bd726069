"""`steepslope evaluate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from steepslope.files.artifact import made_by
from steepslope.files.progress import console
from steepslope.outputs.reading import ReadingOptions, require_files

if TYPE_CHECKING:
    from steepslope.report.confidences import Resources


def evaluate(
    outputs: str,
    out: str,
    reading: ReadingOptions,
    scores: tuple[str, ...] = ("mcp",),
    fit: str | None = None,
    reference: str | None = None,
    data: str | None = None,
    images: bool = True,
    backbones: tuple[str, ...] = (),
    groups: str | None = None,
    cluster: str | None = None,
    rows: str | None = None,
    paper: bool = False,
    gates: tuple[str, ...] = (),
    standardise: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
    allow_fit_rows: bool = False,
    replace: bool = False,
    json: bool = False,
) -> None:
    """Evaluate scores and oracles, and write metrics.json, details.json, table.md, rows.parquet and report.html.

    Parameters
    ----------
    outputs
        Folder or file of outputs (.npz, .csv, .parquet), of rows that nothing was fitted to. A file may hold confidence
        and is_correct in place of logits and label; columns of any other names are named by the options below.
    out
        Folder for the results.
    reading
        How files of outputs are read.
    scores
        Names of scores (mcp, max_logit, margin, entropy, doctor, gen, energy, mc_dropout, and those named at fit and
        reference) and folders of oracles; mcp is always among them. Oracles are also compared with the best single
        score among those given.
    fit
        Outputs of held-out rows, to which scores that learn from errors are fitted (temperature_scaled_mcp,
        max_logit_pnorm, rel_u, knn_density_ratio).
    reference
        The classifier's training outputs, from whose features some scores learn (trust_score, knn_distance,
        mahalanobis_ratio).
    data
        Data spec of the images of the outputs, for oracles on images and for the report's gallery; by default the one
        that the outputs name.
    images
        Show images in the report's gallery, embedded in the page; without them its cards are text alone.
    backbones
        Specs (module:…) of code of your own that oracles on images may run; a file cannot name it.
    groups
        Groups whose coverage and risk are shown: label (the default where there are labels), predicted, a column of the
        outputs' file, or a .csv or .parquet file with a column named group.
    cluster
        Clusters of predictions that depend on one another, such as those of one patient; whole clusters are resampled:
        a column of the outputs' file, or a .csv or .parquet file with a column named cluster.
    rows
        File (.csv or .parquet) for a line a prediction: id, label, prediction, the confidence of each score and whether
        it trusts the prediction, beside the columns of the outputs' file. Without those columns it is rows.parquet in
        the folder for the results.
    paper
        Also show the metrics as the paper's code computes them.
    gates
        Folders of gates whose certified thresholds are marked in the report, at the score that each ranks by; what a
        gate ranks by is evaluated too.
    standardise
        Move an auxiliary backbone's features, as fused oracles see them, to the fit set's mean and deviation, by those
        of the rows that are judged. It helps where all images are shifted alike, as by another camera. It needs 64
        rows or more, with the fit set's mix of classes: where classes are lacking, it makes the ranking worse.
    bootstrap
        Number of resamples for the intervals; 0 leaves the intervals out.
    seed
        Seed of the resamples.
    allow_fit_rows
        Evaluate a score or oracle even on rows that it was fitted on, which are refused otherwise; the table warns that
        its numbers are too good.
    replace
        Replace a report that the folder holds already, made with other options or of other files, and a file of rows
        that is there.
    json
        Print one JSON document in place of the table: the folder for the results, and the rows of metrics.json.
    """
    made = made_by("evaluate", locals())
    from steepslope.cli.report_sources import report_sources
    from steepslope.cli.results import clusters_of, groups_of, print_complete, publish, require_runnable
    from steepslope.files.folders import locked
    from steepslope.outputs import load_predictions
    from steepslope.report.evaluation import evaluate_predictions
    from steepslope.report.page import REPORT
    from steepslope.report.row_table import RowNames, require_free, require_writable, write_rows
    from steepslope.report.web.shell import library

    path = Path(outputs)
    require_files(reading, outputs, fit, reference)
    if rows is not None:
        require_writable(Path(rows), path, Path(out))
    resources = _resources(path, data, fit, reference, reading, gates, backbones, standardise, allow_fit_rows)
    oracles = require_runnable(scores, backbones)
    predictions = load_predictions(path, bool(fit or reference or oracles or gates), reading)
    with locked(out):
        if REPORT.is_complete(out, made, replace) and (rows is None or Path(rows).exists()):
            print_complete(Path(out), json)
            return
        if rows is not None:
            require_free(Path(rows), replace)
        grouped = groups_of(groups, predictions, path, reading)
        clusters = clusters_of(cluster, predictions, path, reading)
        sources = report_sources(
            predictions, path, data=data, images=images, reading=reading, reference=resources.reference,
            reference_path=reference, oracles=oracles,
        )  # fmt: skip
        library()  # is ready when the page is
        evaluation = evaluate_predictions(
            predictions, scores, resources, groups=grouped, paper=paper, bootstrap=bootstrap, seed=seed,
            clusters=clusters, title=f"Trust in {as_title(path)}", ids=RowNames(path, reading),
        )  # fmt: skip
        publish(evaluation, Path(out), made, sources, json)
        if rows is not None:
            write_rows(evaluation, Path(rows), path, reading)
            console().print(f"rows: {rows}")


def _resources(
    path: Path,
    data: str | None,
    fit: str | None,
    reference: str | None,
    reading: ReadingOptions,
    gates: tuple[str, ...],
    backbones: tuple[str, ...],
    standardise: bool,
    allow_fit_rows: bool,
) -> Resources:
    """Load what scores and oracles need beside the predictions."""
    from steepslope.finetuning.images import open_images
    from steepslope.gate import Gate
    from steepslope.outputs import ClassifierOutputs
    from steepslope.outputs.folder import require_one_classifier
    from steepslope.report.confidences import Resources

    require_one_classifier(path, fit, reference)
    held_out, known = (None if given is None else ClassifierOutputs.load(given, reading) for given in (fit, reference))
    opened = partial(open_images, path=path, data=data)
    loaded = {one: Gate.load(one, backbones=backbones) for one in gates}
    return Resources(held_out, known, opened, backbones, standardise, allow_fit_rows, loaded)


def as_title(path: Path) -> str:
    """Return the last two names of a path: reports are shown to others, and whole paths tell too much.

    >>> as_title(Path("/home/me/runs/june/test.parquet"))
    'june/test.parquet'
    """
    return Path(*path.absolute().parts[-2:]).as_posix()
