"""Groups and clusters of predictions, from a column of their own file or of another."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError
from steepslope.metrics import Groups
from steepslope.outputs import ClassifierOutputs, Confidences
from steepslope.outputs.formats import ids_of
from steepslope.outputs.reading import AS_WRITTEN, ReadingOptions
from steepslope.outputs.table_files import column_names, read_groups
from steepslope.outputs.texts import EMPTY

LABEL = "label"
Predictions = ClassifierOutputs | Confidences


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
