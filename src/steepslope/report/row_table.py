"""A table with a line for each prediction: what it is, and every score's confidence in it.

A report holds the lines as ``rows.parquet``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.numerics.blocks import blocks
from steepslope.outputs import ClassifierOutputs
from steepslope.report.confidences import Scored
from steepslope.report.evaluation import Evaluation

ROWS = "rows.parquet"  # of a report
ABOUT = b"steepslope"  # the key of the metadata, as JSON: of each score its columns, its loss and its scale
OWN = ("id", "label", "prediction", "is_correct", "cluster")  # names that no score's column has
TRUSTED = "_trusted"
SCORE = "score_"  # before the name of a score that has the name of another column


class ScoreColumns(NamedTuple):
    """The columns of one score: of its confidence, and of whether that is above its threshold (None without one)."""

    confidence: str
    trusted: str | None


def row_table_columns(scored: Iterable[Scored]) -> dict[str, ScoreColumns]:
    """Return the columns of each score, by its name; what is taken already, as by an oracle named label, is avoided."""
    taken = set(OWN)
    found = {}
    for one in scored:
        confidence = _free_row_table_column(one.name, taken)
        trusted = None if one.only_ranks else _free_row_table_column(f"{confidence}{TRUSTED}", taken)
        found[one.name] = ScoreColumns(confidence, trusted)
    return found


def _free_row_table_column(name: str, taken: set[str]) -> str:
    """Return the name, with the prefix before it as often as it takes, and add it to those that are taken."""
    while name in taken:
        name = f"{SCORE}{name}"
    taken.add(name)
    return name


def write_row_table(evaluation: Evaluation, path: Path) -> None:
    """Write ``rows.parquet``: a line for each prediction, compressed, in row groups of 65,536.

    ``id``; ``label`` and ``prediction``, by name where the classes have names, if more than a confidence is known;
    ``is_correct``; ``cluster``, a number, where clusters are resampled; of each score its confidence as float64, on the
    scale that ranks, and as ``…_trusted`` whether that is above the score's own threshold, if it has one. The file's
    metadata has each score's loss, scale and columns.
    """
    predictions = evaluation.predictions
    n = len(predictions)
    clusters = None if evaluation.clusters is None else np.unique(evaluation.clusters, return_inverse=True)[1]

    def batch(rows: slice) -> Any:
        ids = pa.array(evaluation.ids(np.arange(rows.start, rows.stop)), pa.string())
        known = {
            "id": ids,
            **_row_table_classes(evaluation, rows),
            "is_correct": pa.array(predictions.is_correct[rows]),
        }
        grouped = {} if clusters is None else {"cluster": pa.array(clusters[rows])}
        return pa.record_batch({**known, **grouped, **_row_table_confidences(evaluation, rows)})

    batches = map(batch, blocks(n))
    first = next(batches)
    repeated = [name for name in ("label", "prediction") if name in first.schema.names]
    columns = row_table_columns(evaluation.rows)
    about = [{"score": one.name, "loss": one.loss, "scale": one.scale, **columns[one.name]._asdict()}
             for one in evaluation.rows]  # fmt: skip
    schema = first.schema.with_metadata({ABOUT: json.dumps({"scores": about})})
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeated) as writer:
        for one in chain([first], batches):
            writer.write_batch(one)


def _row_table_classes(evaluation: Evaluation, rows: slice) -> dict[str, Any]:
    """Return the labels and predictions of some rows, where more than a confidence is known."""
    predictions = evaluation.predictions
    if not isinstance(predictions, ClassifierOutputs):
        return {}
    codes = {"label": predictions.require_labels(), "prediction": predictions.predictions}
    return {name: _row_table_names(values[rows], predictions) for name, values in codes.items()}


def _row_table_confidences(evaluation: Evaluation, rows: slice) -> dict[str, Any]:
    """Return every score's confidences in some rows, and whether it trusts them."""
    columns: dict[str, Any] = {}
    names = row_table_columns(evaluation.rows)
    for one in evaluation.rows:
        confidence, trusted = names[one.name]
        columns[confidence] = pa.array(one.confidence[rows])
        if trusted is not None:
            columns[trusted] = pa.array(one.confidence[rows] > one.cut())
    return columns


def _row_table_names(labels: NDArray[np.int64], predictions: ClassifierOutputs) -> Any:
    names = predictions.label_names  # of which −1 is the last
    return pa.array(labels) if predictions.classes is None else pa.array(names).take(pa.array(labels % len(names)))
