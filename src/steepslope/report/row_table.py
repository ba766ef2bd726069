"""A table with a line for each prediction: what it is, and every score's confidence in it.

A page holds the lines, or the metrics, as comma-separated values too. A report always holds them as
``rows.parquet``; ``evaluate --rows`` writes them beside the columns of the user's own table.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located
from steepslope.files.folders import staged_folder
from steepslope.numerics.blocks import blocks
from steepslope.outputs import ClassifierOutputs
from steepslope.outputs.options import TABLES
from steepslope.outputs.table import Table
from steepslope.report.confidences import Scored
from steepslope.report.evaluation import Evaluation

ROWS = "rows.parquet"  # of a report
ABOUT = b"steepslope"  # the key of the metadata, as JSON: of each score its columns, its loss and its scale
OWN = ("id", "label", "prediction", "is_correct", "cluster")  # names that no score's column has
TRUSTED = "_trusted"
SCORE = "score_"  # before the name of a score that has the name of another column
GIVEN = "given_"  # before the name of a column of the user's that has the name of one of these


class ScoreColumns(NamedTuple):
    """The columns of one score: of its confidence, and of whether that is above its threshold (None without one)."""

    confidence: str
    trusted: str | None


def score_columns(scored: Iterable[Scored]) -> dict[str, ScoreColumns]:
    """Return the columns of each score, by its name; what is taken already, as by an oracle named label, is avoided."""
    taken = set(OWN)
    found = {}
    for one in scored:
        confidence = _free(one.name, taken)
        trusted = None if one.only_ranks else _free(f"{confidence}{TRUSTED}", taken)
        found[one.name] = ScoreColumns(confidence, trusted)
    return found


def _free(name: str, taken: set[str], prefix: str = SCORE) -> str:
    """Return the name, with the prefix before it as often as it takes, and add it to those that are taken."""
    while name in taken:
        name = f"{prefix}{name}"
    taken.add(name)
    return name


def write_report_rows(evaluation: Evaluation, path: Path) -> None:
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
        known = {"id": ids, **_classes(evaluation, rows), "is_correct": pa.array(predictions.is_correct[rows])}
        grouped = {} if clusters is None else {"cluster": pa.array(clusters[rows])}
        return pa.record_batch({**known, **grouped, **_confidences(evaluation, rows)})

    batches = map(batch, blocks(n))
    first = next(batches)
    repeated = [name for name in ("label", "prediction") if name in first.schema.names]
    columns = score_columns(evaluation.rows)
    about = [{"score": one.name, "loss": one.loss, "scale": one.scale, **columns[one.name]._asdict()}
             for one in evaluation.rows]  # fmt: skip
    schema = first.schema.with_metadata({ABOUT: json.dumps({"scores": about})})
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=repeated) as writer:
        for one in chain([first], batches):
            writer.write_batch(one)


def require_writable(path: Path, inputs: Path, out: Path) -> None:
    """Raise unless rows can go to this file, beside a report in the folder ``out``."""
    if path.suffix.lower() not in TABLES:
        raise SteepslopeError(f"expected a file that ends in .csv or .parquet, found {path}", "rows")
    if path.is_dir():
        raise SteepslopeError("expected a file to write to, found a folder", path)
    if path.exists() and inputs.exists() and path.samefile(inputs):
        raise SteepslopeError(f"expected another file than the outputs themselves, found {path}", "rows")
    if path.resolve() == (out / ROWS).resolve():
        raise SteepslopeError(f"expected another file than the report's own {ROWS}, found {path}", "rows")


def write_rows(evaluation: Evaluation, path: Path, source: Table, places: NDArray[np.int64] | None = None) -> None:
    """Write a line for each prediction to a .csv or .parquet file, all or nothing.

    ``id``; ``label`` and ``prediction``, by name where the classes have names; of each score its confidence, on the
    scale that ranks, and as ``…_trusted`` whether that is above the score's own threshold, if it has one. Then the
    columns of the ``source`` of the predictions, if it has columns, as they are; a name that is taken gets ``given_``
    before it. ``places`` (n,) are those of the predictions in the source, ascending, where some were left out.
    """
    with staged_folder(path.parent, last=path.name) as staging, located(path):
        batches = _batches(evaluation, source, np.arange(len(source)) if places is None else places)
        first = next(batches)
        with (
            explained(
                "a .csv file cannot hold a column of the outputs' file: give a .parquet file", kinds=pa.ArrowInvalid
            ),
            _writer(staging / path.name, first.schema, source.file.delimiter) as writer,
        ):
            for batch in chain([first], batches):
                writer.write_batch(batch)


def _writer(path: Path, schema: Any, delimiter: str) -> Any:
    if path.suffix.lower() == ".parquet":
        return pq.ParquetWriter(path, schema)
    return pc.CSVWriter(path, schema, write_options=pc.WriteOptions(delimiter=delimiter))


def _batches(evaluation: Evaluation, source: Table, places: NDArray[np.int64]) -> Iterator[Any]:
    """Yield the lines, batch by batch, as a table has them."""
    if not source.columns:
        for rows in blocks(len(places)):
            yield pa.record_batch(_with_ids(evaluation, rows))
        return
    start = 0
    for user in source.file.as_it_is():
        first, last = np.searchsorted(places, (start, start + user.num_rows))
        rows = pa.array(places[first:last] - start)
        yield _beside(_with_ids(evaluation, slice(int(first), int(last))), user.take(rows), source)
        start += user.num_rows


def _with_ids(evaluation: Evaluation, rows: slice) -> dict[str, Any]:
    ids = evaluation.ids(np.arange(rows.start, rows.stop))
    return {"id": pa.array(ids, pa.string()), **_classes(evaluation, rows), **_confidences(evaluation, rows)}


def _classes(evaluation: Evaluation, rows: slice) -> dict[str, Any]:
    """Return the labels and predictions of some rows, where more than a confidence is known."""
    predictions = evaluation.predictions
    if not isinstance(predictions, ClassifierOutputs):
        return {}
    codes = {"label": predictions.require_labels(), "prediction": predictions.predictions}
    return {name: _named(values[rows], predictions) for name, values in codes.items()}


def _confidences(evaluation: Evaluation, rows: slice) -> dict[str, Any]:
    """Return every score's confidences in some rows, and whether it trusts them."""
    columns: dict[str, Any] = {}
    names = score_columns(evaluation.rows)
    for one in evaluation.rows:
        confidence, trusted = names[one.name]
        columns[confidence] = pa.array(one.confidence[rows])
        if trusted is not None:
            columns[trusted] = pa.array(one.confidence[rows] > one.cut())
    return columns


def _named(labels: NDArray[np.int64], predictions: ClassifierOutputs) -> Any:
    names = predictions.label_names  # of which −1 is the last
    return pa.array(labels) if predictions.classes is None else pa.array(names).take(pa.array(labels % len(names)))


def _beside(columns: dict[str, Any], user: Any, source: Table) -> Any:
    """Return the columns and then the user's own, but for those that were read as the id, label or confidence."""
    read = {"id": "ids", "label": "labels", "confidence": "confidence"}
    repeated = {
        column
        for column, name in read.items()
        if column in (source.layout.texts.get(name), *source.layout.numbers.get(name, ())) and column in columns
    }
    names, values, taken = list(columns), list(columns.values()), set(columns)
    for user_name, value in zip(user.schema.names, user.columns, strict=True):
        if user_name not in repeated:
            names.append(_free(user_name, taken, GIVEN))
            values.append(value)
    return pa.RecordBatch.from_arrays(values, names=names)


ROWS_ROOM = 2**20  # bytes of the rows in a page, compressed
MOST_ROWS = 50_000  # of which the size is tried


def packed_rows(evaluation: Evaluation) -> str | None:
    """Return all rows as comma-separated values, gzipped, in base64; None where they are too many for a page.

    Where there is no room for all digits of the confidences, they have seven, which float32 has.
    """
    n = len(evaluation.predictions)
    if n > MOST_ROWS:
        return None
    table = pa.table(_with_ids(evaluation, slice(0, n)))
    fewer = [pa.float32() if field.type == pa.float64() else field.type for field in table.schema]
    for digits in (table, table.cast(pa.schema(zip(table.column_names, fewer, strict=True)), safe=False)):
        packed = gzip.compress(_csv(digits), 6, mtime=0)
        if len(packed) <= ROWS_ROOM:
            return base64.b64encode(packed).decode()
    return None


def as_csv(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return lines of the same names as comma-separated values, None empty."""
    return _csv(pa.Table.from_pylist(list(lines))).decode()


def _csv(table: Any) -> bytes:
    buffer = io.BytesIO()
    pc.write_csv(table, buffer)
    return buffer.getvalue()
