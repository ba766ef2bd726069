"""A table with a line for each prediction: what it is, and what every score says of it, beside the columns it had."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located
from steepslope.evaluation.evaluation import Evaluation
from steepslope.outputs import ClassifierOutputs, tables
from steepslope.outputs.reading import AS_WRITTEN, TABLES, ReadingOptions
from steepslope.utilities.blocks import blocks
from steepslope.utilities.files import staged_folder

TRUSTED = "_trusted"
GIVEN = "given_"  # before the name of a column of the user's that has the name of one of these


def require_writable(path: Path, inputs: Path) -> None:
    """Raise unless rows can go to this file."""
    if path.suffix.lower() not in TABLES:
        raise SteepslopeError(f"expected a file that ends in .csv or .parquet, found {path}", "rows")
    if path.is_dir():
        raise SteepslopeError("expected a file to write to, found a folder", path)
    if path.exists() and inputs.exists() and path.samefile(inputs):
        raise SteepslopeError(f"expected another file than the outputs themselves, found {path}", "rows")


def require_free(path: Path, replace: bool) -> None:
    """Raise if a file is there that may not be replaced."""
    if path.exists() and not replace:
        raise SteepslopeError("there is such a file already: choose another, or give --replace", path)


def write_rows(evaluation: Evaluation, path: Path, source: Path, options: ReadingOptions = AS_WRITTEN) -> None:
    """Write a line for each prediction to a .csv or .parquet file, all or nothing.

    ``id``; ``label`` and ``prediction``, by name where the classes have names; of each score its confidence, on the
    scale that ranks, and as ``…_trusted`` whether that is above the score's own threshold, if it has one. Then the
    columns of ``source``, if that is a table, as they are; a name that is taken gets ``given_`` before it.
    """
    with staged_folder(path.parent, last=path.name) as staging, located(path):
        batches = _batches(evaluation, source, options)
        first = next(batches)
        with (
            explained(
                "a .csv file cannot hold a column of the outputs' file: give a .parquet file", kinds=pa.ArrowInvalid
            ),
            _writer(staging / path.name, first.schema, options) as writer,
        ):
            for batch in chain([first], batches):
                writer.write_batch(batch)


def _writer(path: Path, schema: Any, options: ReadingOptions) -> Any:
    if path.suffix.lower() == ".parquet":
        return pq.ParquetWriter(path, schema)
    return pc.CSVWriter(path, schema, write_options=pc.WriteOptions(delimiter=options.delimiter))


def _batches(evaluation: Evaluation, source: Path, options: ReadingOptions) -> Iterator[Any]:
    """Yield the lines, batch by batch, as a table has them."""
    n = len(evaluation.predictions)
    if source.suffix.lower() not in TABLES:
        ids = evaluation.ids(np.arange(n))
        yield from (
            pa.record_batch({"id": pa.array(ids[rows]), **evaluation_columns(evaluation, rows)}) for rows in blocks(n)
        )
        return
    start = 0
    for own in tables.batches_as_they_are(source, options):
        rows = slice(start, start + own.num_rows)
        columns = {"id": _ids(own, rows, options), **evaluation_columns(evaluation, rows)}
        yield _beside(columns, own, options)
        start = rows.stop


def _ids(own: Any, rows: slice, options: ReadingOptions) -> Any:
    """Return the names of some rows: their numbers where the table has no column of ids."""
    column = options.id_column or "id"
    if column in own.schema.names:
        return own.column(column)
    return pa.array([str(row) for row in range(rows.start, rows.stop)])


def evaluation_columns(evaluation: Evaluation, rows: slice) -> dict[str, Any]:
    """Return what is known of some rows, but for their names."""
    predictions = evaluation.predictions
    columns: dict[str, Any] = {}
    if isinstance(predictions, ClassifierOutputs):
        codes = {"label": predictions.require_labels(), "prediction": predictions.predictions}
        columns |= {name: _named(values[rows], predictions.classes) for name, values in codes.items()}
    for one in evaluation.scored:
        columns[one.name] = pa.array(one.confidence[rows])
        if not one.only_ranks:
            columns[f"{one.name}{TRUSTED}"] = pa.array(one.confidence[rows] > one.cut())
    return columns


def _named(labels: NDArray[np.int64], classes: tuple[str, ...] | None) -> Any:
    return pa.array(labels) if classes is None else pa.array(classes).take(pa.array(labels))


def _beside(columns: dict[str, Any], own: Any, options: ReadingOptions) -> Any:
    """Return the columns and then the user's own, but for those that were read as the id, label or confidence."""
    read = {"id": options.id_column, "label": options.label_column, "confidence": options.confidence_column}
    repeated = {name for name, column in read.items() if column in (None, name) and name in columns}
    names, values = list(columns), list(columns.values())
    for own_name, value in zip(own.schema.names, own.columns, strict=True):
        if own_name in repeated:
            continue
        name = own_name
        while name in names:
            name = f"{GIVEN}{name}"
        names.append(name)
        values.append(value)
    return pa.RecordBatch.from_arrays(values, names=names)
