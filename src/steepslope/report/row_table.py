"""A table with a line for each prediction: what it is, and every score's confidence in it.

A report holds the lines as ``rows.parquet``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

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
Column = Callable[[slice], Any]  # its values in some rows


def write_row_table(evaluation: Evaluation, path: Path) -> None:
    """Write ``rows.parquet``: a line for each prediction, compressed, in row groups of 65,536.

    ``id``; ``label`` and ``prediction``, by name where the classes have names, if more than a confidence is known;
    ``is_correct``; ``cluster``, a number, where clusters are resampled; of each score its confidence as float64, on the
    scale that ranks, and as ``…_trusted`` whether that is above the score's own threshold, if it has one. The file's
    metadata has each score's loss, scale and columns.
    """
    columns = _known_row_table_columns(evaluation)
    about = []
    taken = set(OWN)
    for row in evaluation.rows:
        confidence, trusted = _free_row_table_column(row.name, taken), None
        columns[confidence] = partial(_confidences_in_row_table, row)
        if not row.only_ranks:
            trusted = _free_row_table_column(f"{confidence}{TRUSTED}", taken)
            columns[trusted] = partial(_trusted_in_row_table, row)
        of_row = {"score": row.name, "loss": row.loss, "scale": row.scale}
        about.append({**of_row, "confidence": confidence, "trusted": trusted})
    batches = (
        pa.record_batch({name: pa.array(column(rows)) for name, column in columns.items()})
        for rows in blocks(len(evaluation.predictions))
    )
    first = next(batches)
    repeated = [name for name in ("label", "prediction") if name in columns]
    schema = first.schema.with_metadata({ABOUT: json.dumps({"scores": about})})
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeated) as writer:
        for batch in chain([first], batches):
            writer.write_batch(batch)


def _known_row_table_columns(evaluation: Evaluation) -> dict[str, Column]:
    """Return what is known of predictions, by the names of the columns."""
    predictions = evaluation.predictions
    columns: dict[str, Column] = {"id": lambda rows: evaluation.ids(np.arange(rows.start, rows.stop))}
    if isinstance(predictions, ClassifierOutputs):
        codes = {"label": predictions.require_labels(), "prediction": predictions.predictions}
        columns |= {name: partial(_classes_in_row_table, predictions, values) for name, values in codes.items()}
    columns["is_correct"] = lambda rows: predictions.is_correct[rows]
    if evaluation.clusters is not None:
        clusters = np.unique(evaluation.clusters, return_inverse=True)[1]
        columns["cluster"] = lambda rows: clusters[rows]
    return columns


def _classes_in_row_table(predictions: ClassifierOutputs, labels: NDArray[np.int64], rows: slice) -> Any:
    names = predictions.label_names  # of which −1 is the last
    codes = pa.array(labels[rows] % len(names))
    return labels[rows] if predictions.classes is None else pa.array(names).take(codes)


def _confidences_in_row_table(scored: Scored, rows: slice) -> Any:
    return scored.confidence[rows]


def _trusted_in_row_table(scored: Scored, rows: slice) -> Any:
    return scored.confidence[rows] > scored.cut()


def _free_row_table_column(name: str, taken: set[str]) -> str:
    """Return the name, with the prefix before it as often as it takes, and add it to those that are taken."""
    while name in taken:
        name = f"{SCORE}{name}"
    taken.add(name)
    return name
