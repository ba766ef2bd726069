"""What `evaluate`, `demo` and `compare` have in common: groups by name, and results that are written and printed.

It imports torch and plots plainly, so commands import it inside their functions.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.files.artifact import MADE
from steepslope.files.folders import read_json
from steepslope.files.progress import console
from steepslope.metrics import Groups
from steepslope.oracle.storage import is_image_oracle, names_oracle, require_allowed
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.formats import ids_of
from steepslope.outputs.reading import AS_WRITTEN, ReadingOptions
from steepslope.outputs.table_files import column_names, read_groups
from steepslope.outputs.texts import EMPTY
from steepslope.report.comparison import Comparison, headline, sentences
from steepslope.report.comparison_page import headings, terminal_grid, terminal_styles, write_comparison
from steepslope.report.confidences import Predictions
from steepslope.report.evaluation import Evaluation
from steepslope.report.page import write_report
from steepslope.report.runs import read_metrics
from steepslope.report.screen import screen_of, show_evaluation, show_grid, show_legend, show_lines
from steepslope.report.tables import LABEL, terminal_titles
from steepslope.report.web.gallery import NO_SOURCES, Sources


def publish(
    evaluation: Evaluation, out: Path, made: Mapping[str, Any], sources: Sources = NO_SOURCES, as_json: bool = False
) -> None:
    """Write the report, and print the table with what it means in words, or the rows as JSON."""
    write_report(evaluation, out, made, sources)
    if as_json:
        print_report(out)
        return
    screen = screen_of()
    show_evaluation(evaluation.rows, screen)
    screen.print(f"report: {out / 'report.html'}", soft_wrap=True)


def print_complete(out: Path, as_json: bool) -> None:
    """Tell that a report is there already, and print its rows where JSON is wanted."""
    if as_json:
        print_report(out)
    console().print(f"{out}: already complete")


def print_report(out: Path) -> None:
    """Print the rows of a report's metrics.json as one JSON document on standard output, with nothing beside it."""
    print(json.dumps({"out": str(out), "rows": read_metrics(out)}))


def publish_comparison(comparison: Comparison, out: Path, made: Mapping[str, Any], as_json: bool = False) -> None:
    """Write the comparison, and print the table with what it means in words, or all of it as JSON."""
    write_comparison(comparison, out, made)
    if as_json:
        print_comparison(out)
        return
    screen = screen_of()
    show_lines([headline(comparison), *headings(comparison)], screen)
    show_grid(terminal_grid(comparison), terminal_titles(), screen, terminal_styles(comparison))
    show_legend(f"Green: clearly better than the same score of {comparison.baseline.name}. Red: clearly worse.", screen)
    show_lines(sentences(comparison), screen)
    screen.print(f"page: {out / 'compare.html'}", soft_wrap=True)


def print_comparison(out: Path) -> None:
    """Print what compare.json holds as one JSON document on standard output, with nothing beside it."""
    content = read_json(out / "compare.json", "a comparison")
    print(json.dumps({"out": str(out), **{name: value for name, value in content.items() if name != MADE}}))


def require_runnable(scores: Sequence[str], backbones: Sequence[str]) -> list[Path]:
    """Return the folders of oracles among some scores; raise for one on images whose code may not be run."""
    oracles = [Path(name) for name in scores if names_oracle(name)]
    for folder in filter(is_image_oracle, oracles):
        require_allowed(folder, backbones)
    return oracles


def groups_of(
    named: str | None, predictions: Predictions, path: Path, reading: ReadingOptions = AS_WRITTEN
) -> Groups | None:
    """Return the groups that ``--groups`` names; the labels if it names none and there are labels.

    Empty cells of a column are a group of their own.
    """
    if isinstance(predictions, ClassifierOutputs) and named in (None, LABEL, "predicted"):
        labels = predictions.predictions if named == "predicted" else predictions.require_labels()
        return Groups(labels, predictions.classes, named or LABEL)
    return None if named is None else _column("groups", named, "group", predictions, path, reading, EMPTY)


def clusters_of(
    named: str | None, predictions: Predictions, path: Path, reading: ReadingOptions = AS_WRITTEN
) -> NDArray[np.int32] | None:
    """Return the cluster of each prediction, (n,), from the column or file that ``--cluster`` names."""
    return None if named is None else _column("cluster", named, "cluster", predictions, path, reading).codes


def _column(
    option: str,
    named: str,
    usual: str,
    predictions: Predictions,
    path: Path,
    reading: ReadingOptions,
    empty: str | None = None,
) -> Groups:
    """Read a column of the outputs' file, or the usual column of another file; it has a value a prediction.

    Rows of another file go by their ids where it and the outputs have such, else by their places.
    """
    source, column = (Path(named), usual) if named.endswith((".csv", ".parquet")) else (path, named)
    if source.suffix not in (".csv", ".parquet"):
        expected = f"give a .csv or .parquet file with a column named {usual}"
        raise SteepslopeError(f"{option} {named!r}: {path} has no columns; {expected}")
    found = Groups(*read_groups(source, column, reading, empty), by=column)
    rows = None if source == path else _rows_by_id(source, predictions, path, reading)
    if rows is not None:
        return found._replace(codes=found.codes[rows])
    if len(found.codes) != len(predictions):
        raise SteepslopeError(
            f"expected {len(predictions)} {usual}s, one a prediction, found {len(found.codes)}", source
        )
    return found


def _rows_by_id(
    source: Path, predictions: Predictions, path: Path, reading: ReadingOptions
) -> NDArray[np.int64] | None:
    """Return the row of a table for each prediction, (n,), by their ids; None where either side has none."""
    n, column = len(predictions), reading.id_column or "id"
    ids = ids_of(path, np.arange(n), reading)
    if column not in column_names(source, reading) or ids == [str(row) for row in range(n)]:
        return None
    codes, names = read_groups(source, column, reading)
    known = [names[code] for code in codes]
    rows = {key: row for row, key in enumerate(known)}
    missing = [name for name in ids if name not in rows]
    if missing:
        found = f"expected a row for each prediction by column {column!r}, found none for {missing[0]!r}"
        raise SteepslopeError(f"{found} ({len(missing):,} such); without that column rows go by their places", source)
    if len(rows) < len(known):
        twice = next(key for row, key in enumerate(known) if rows[key] != row)
        raise SteepslopeError(f"column {column!r}: expected each id once, found {twice!r} twice", source)
    return np.array([rows[name] for name in ids], dtype=np.int64)
