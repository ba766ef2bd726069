"""`steepslope evaluate` and `steepslope compare`: a report, and several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace as changed
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steepslope.cli._fit import further_outputs_to_fit, known_to_oracle
from steepslope.cli._parser import showing_first
from steepslope.files import fingerprint, made_by_command, say
from steepslope.outputs import ReadingOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from steepslope.nets.data import Dataset
    from steepslope.outputs import ClassifierOutputs
    from steepslope.report import Comparison, Evaluation, Resources
    from steepslope.report.web import FindImages, ReadImage, Sources


@showing_first("outputs", "scores", "gates", "groups", "fit", "reference", "opinion", "out")
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
    gates: tuple[str, ...] = (),
    bootstrap: int = 1000,
    replace: bool = False,
) -> None:
    """Evaluate scores and oracles, and write metrics.json, details.json, table.md, rows.npz and report.html.

    Parameters
    ----------
    outputs
        Folder or file of outputs (.npz, .csv, .parquet). Rows that an oracle was fitted on are left out. A file may
        have columns confidence and is_correct in place of logits and label. Options such as --label-column name other
        columns.
    out
        Folder for the results.
    reading
        How files of outputs are read.
    scores
        Names of scores (mcp, max_logit, margin, entropy, doctor, energy, mc_dropout, and those named at fit and
        reference) and folders of oracles; mcp is always included. Oracles are also compared with the best single score
        among these.
    fit
        Outputs of held-out rows, to which scores that learn from errors are fitted (temperature_scaled_mcp,
        max_logit_pnorm).
    reference
        The classifier's training outputs, from whose features some scores learn (trust_score, knn_distance,
        mahalanobis_ratio, sirc).
    data
        Data spec of the outputs' images, for oracles on images and for the report's gallery; by default the one that
        the outputs name.
    images
        Show images in the report's gallery, embedded in the page; otherwise its cards are text alone.
    backbones
        Specs (module:…) of your own code that oracles on images may run; a file cannot name it.
    groups
        Groups whose coverage and risk are shown: label (the default if there are labels), predicted, a column of the
        outputs' file, or a .csv or .parquet file with a column named group.
    cluster
        Clusters of predictions that depend on one another, such as those of one patient: a column of the outputs' file,
        or a .csv or .parquet file with a column named cluster. Whole clusters are resampled.
    gates
        Folders of gates. Their certified thresholds are marked in the report, and their oracles and scores are
        evaluated too.
    bootstrap
        Number of resamples for the intervals; 0 leaves the intervals out.
    replace
        Replace a report that the folder holds already, made with other options or of other files.
    """
    made = made_by_command("evaluate", locals())
    from steepslope.oracle import names_oracle
    from steepslope.outputs import ClassifierOutputs, clusters_of_predictions, groups_of_predictions, read_table
    from steepslope.report import REPORT, evaluate_predictions
    from steepslope.report.web import report_sources

    path = Path(outputs)
    oracles = [name for name in scores if names_oracle(name)]
    classes, reading = known_to_oracle(oracles, reading, outputs)
    held_out, known = further_outputs_to_fit(reading, outputs, fit, reference, known=classes)
    resources = _resources_to_evaluate(path, data, held_out, known, gates, backbones)
    of_gates = [gate.class_names for gate in resources.gates.values()]
    table = read_table(path, reading, (groups, cluster), classes or next(iter(of_gates), None))
    predictions = ClassifierOutputs.of_table(table.require_labels(), bool(fit or reference or oracles or gates))
    with REPORT.making(out, made, replace) as complete:
        if complete:
            say(f"{out}: already complete")
            return
        grouped = groups_of_predictions(groups, predictions, table)
        clusters = clusters_of_predictions(cluster, table)
        places = _rows_to_evaluate(predictions, scores, resources)
        if len(places) < len(predictions):
            predictions = predictions.subset(places)
            grouped = None if grouped is None else grouped._replace(codes=grouped.codes[places])
            clusters = None if clusters is None else clusters[places]

        def ids(rows: NDArray[np.int64]) -> list[str]:
            return table.ids_of(places[rows])

        sources = report_sources(
            images_to_evaluate if images else None, predictions, path, ids,
            data=data, reference=known, reference_path=reference,
        )  # fmt: skip
        evaluation = evaluate_predictions(
            predictions, scores, resources, groups=grouped, bootstrap=bootstrap, clusters=clusters
        )
        evaluation = changed(evaluation, title=f"Trust in {_evaluation_title(path)}", ids=ids)
        publish_evaluation(evaluation, Path(out), made, sources)


def images_to_evaluate(path: Path, data: str | None, outputs: ClassifierOutputs, first: Sequence[str]) -> FindImages:
    """Return a function that finds images of outputs; raise if there are none, or if ``data`` lacks the ``first``."""
    from steepslope.nets.training import ImageFinder, data_spec_of_outputs

    finder = ImageFinder(data_spec_of_outputs(path, data), outputs.classes)  # raises where images cannot be read
    from steepslope.nets.data import as_colour, image_in_pil

    finder.places(first) if data is None else finder(first)

    def read(data: Dataset, row: int) -> Image.Image:
        image = image_in_pil(data.image(row))
        if image.mode == "L":
            return image
        return as_colour(image)

    def find(ids: Sequence[str]) -> list[ReadImage | None]:
        return [None if place is None else partial(read, *place) for place in finder.places(ids)]

    return find


def _rows_to_evaluate(predictions: ClassifierOutputs, scores: Sequence[str], resources: Resources) -> NDArray[np.int64]:
    """Return the places of the rows that no oracle was fitted on, or of all rows if none is left; say how many are."""
    from steepslope.report import rows_confidences_fitted_on

    seen = rows_confidences_fitted_on(scores, predictions, resources.gates, resources.load_oracle)
    if seen.all():  # the evaluation refuses this
        seen[:] = False
    if seen.any():
        say(f"{int(seen.sum()):,} rows that an oracle was fitted on are left out")
    return np.flatnonzero(~seen)


def _resources_to_evaluate(
    path: Path,
    data: str | None,
    held_out: ClassifierOutputs | None,
    reference: ClassifierOutputs | None,
    gates: Sequence[str],
    backbones: Sequence[str],
) -> Resources:
    """Return what scores and oracles need besides the predictions."""
    from steepslope.gate import Gate
    from steepslope.nets.training import load_oracle, open_images_of_outputs
    from steepslope.report import Resources

    opened = partial(open_images_of_outputs, path=path, data=data)
    load = partial(load_oracle, backbones=backbones, images=opened, device="auto")
    loaded = {folder: Gate.load(folder, load) for folder in gates}
    return Resources(held_out, reference, load, loaded)


def _evaluation_title(path: Path) -> str:
    """Return the last two names of a path. Reports are shown to others, so they do not tell whole paths.

    >>> _evaluation_title(Path("/home/me/runs/june/test.parquet"))
    'june/test.parquet'
    """
    return Path(*path.absolute().parts[-2:]).as_posix()


def compare(
    dir: tuple[str, ...],
    /,
    out: str = "runs/compare",
    names: tuple[str, ...] = (),
    bootstrap: int = 1000,
    replace: bool = False,
) -> None:
    """Compare reports side by side, as of models, losses or months, and write compare.json and compare.md.

    Each report is compared with the first. If both are about the same rows, in any order, their differences are paired:
    both are resampled alike. Otherwise the differences are unpaired, and their intervals are wider. The result says
    which kind each is, and why.

    Parameters
    ----------
    dir
        Folders of two or more reports by evaluate or demo.
    out
        Folder for the results.
    names
        Names of the runs, one for each folder, with commas between them; by default the folders' names, with enough of
        their paths to tell them apart.
    bootstrap
        Number of resamples for the intervals of the differences; 0 leaves the intervals out.
    replace
        Replace a comparison that the folder holds already, made with other options or of other reports.
    """
    made = made_by_command("compare", {**locals(), "dir": ()})
    from steepslope.report import COMPARISON, compare_runs, names_of_compared_runs, read_run, require_comparable

    called = names_of_compared_runs(dir, names)
    require_comparable(called)
    runs = [read_run(Path(folder), name) for folder, name in zip(dir, called, strict=True)]
    stamps = {f"content of {name}": fingerprint(Path(folder)) for folder, name in zip(dir, called, strict=True)}
    made |= {"dir": list(called), **stamps}
    with COMPARISON.making(out, made, replace, say) as complete:
        if not complete:
            _publish_comparison(compare_runs(runs, bootstrap=bootstrap), Path(out), made)


def publish_evaluation(evaluation: Evaluation, out: Path, made: Mapping[str, Any], sources: Sources) -> None:
    """Write the report, and print the table and its meaning in words."""
    from steepslope.report import show_evaluation_on_screen, write_report

    write_report(evaluation, out, made, sources)
    show_evaluation_on_screen(evaluation.rows)
    print(f"report: {out / 'report.html'}")


def _publish_comparison(comparison: Comparison, out: Path, made: Mapping[str, Any]) -> None:
    """Write the comparison, and print the table and its meaning in words."""
    from steepslope.metrics import table_metrics
    from steepslope.report import (
        compared_runs_grid,
        comparison_headings,
        comparison_headline,
        comparison_sentences,
        grid_for_terminal,
        show_lines_on_screen,
        terminal_table_titles,
        write_comparison,
    )

    write_comparison(comparison, out, made)
    show_lines_on_screen([comparison_headline(comparison), *comparison_headings(comparison)])
    print(grid_for_terminal(compared_runs_grid(comparison, table_metrics()), ["run", *terminal_table_titles()]))
    show_lines_on_screen(comparison_sentences(comparison))
    print(f"comparison: {out / 'compare.md'}")
