"""CSV and Parquet files: the names of their columns, some columns batch by batch, and arrays as columns.

``ClassifierOutputs.save`` writes ``label``, ``logit_0``…, ``feature_0``…, ``noise_0``… and ``id``.
"""

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.files.memory import require_room
from steepslope.outputs.arrays import CLASSES, Arrays, array_of
from steepslope.outputs.columns import has_no_usual, own_columns
from steepslope.outputs.options import ReadingOptions
from steepslope.outputs.probabilities import TOLERANCE, are_probabilities

NUMBER, TEXT = pa.float64(), pa.string()
FIRST, MOST_RIGHT = 1_000, 0.9  # rows by which columns are told, and the part of them that is right in most files
BYTES = {"FLOAT": 4, "DOUBLE": 8, "INT32": 8, "INT64": 8, "BYTE_ARRAY": 4}  # of a value in memory, at least
BATCH_ROWS, BATCH_ENTRIES = 2**16, 2**22  # of a .parquet file: rows at most, and rows times columns where many do harm


def column_names(path: Path, delimiter: str = ",") -> list[str]:
    """Return the names of a table's columns."""
    if not path.is_file():
        raise SteepslopeError("expected a table, found " + ("a folder" if path.is_dir() else "no such file"), path)
    if path.suffix.lower() == ".csv":
        with _explained(path, delimiter), pc.open_csv(path, parse_options=_parsing(delimiter)) as reader:
            return list(reader.schema.names)
    with explained("cannot be read as a Parquet file", path, pa.ArrowInvalid):
        return list(pq.read_schema(path).names)


def batches(path: Path, types: Mapping[str, Any], delimiter: str = ",", rows: int = BATCH_ROWS) -> Iterator[Any]:
    """Yield some columns, batch by batch; those of a CSV file with the types that are given, others of so many rows."""
    if path.suffix.lower() == ".csv":
        # Without types, a column of 1, 2, … in the first block would refuse 2.5 in a later one, and 007 become 7.
        converting = pc.ConvertOptions(include_columns=list(types), column_types=dict(types), null_values=[""])
        return _csv_batches(path, converting, delimiter)
    with explained("cannot be read as a Parquet file", path, pa.ArrowInvalid):
        for needed, packed in _sizes(path, types):  # a group of rows is unpacked as a whole
            require_room(path, needed, packed)
        return iter(pq.ParquetFile(path).iter_batches(rows, columns=list(types)))


def require_room_for(path: Path, columns: Collection[str]) -> None:
    """Raise if some columns of a table are too much for memory; of a CSV file, that is not known before."""
    sizes = [] if path.suffix.lower() == ".csv" else [*_sizes(path, columns)]
    require_room(path, sum(needed for needed, _ in sizes), sum(packed for _, packed in sizes))


def _sizes(path: Path, columns: Collection[str]) -> Iterator[tuple[int, int]]:
    """Yield of each group of rows of a Parquet file how many bytes some columns take in memory at least, and there."""
    about = pq.ParquetFile(path).metadata
    for number in range(about.num_row_groups):
        group = about.row_group(number)
        chunks = [group.column(place) for place in range(group.num_columns)]
        some = [one for one in chunks if {one.path_in_schema, one.path_in_schema.partition(".")[0]} & set(columns)]
        needed = (max(one.total_uncompressed_size, BYTES.get(one.physical_type, 0) * one.num_values) for one in some)
        yield sum(needed), sum(one.total_compressed_size for one in some)


def batches_as_they_are(path: Path, delimiter: str = ",") -> Iterator[Any]:
    """Yield all columns of a table, batch by batch; those of a CSV file are the text that stands there."""
    if path.suffix.lower() == ".csv":
        types = dict.fromkeys(column_names(path, delimiter), TEXT)
        return _csv_batches(path, pc.ConvertOptions(column_types=types), delimiter)
    return iter(pq.ParquetFile(path).iter_batches())


def with_columns(
    options: ReadingOptions, path: Path, names: Sequence[str], further: Iterable[str | None]
) -> ReadingOptions:
    """Return options that name the columns of the classes where neither these nor the columns' names tell them.

    They are those of numbers from 0 to 1, if two or more of them sum to 1: probabilities. That has to be so in nine of
    ten of the first rows, so that a wrong number is told where it is read. The columns of labels, ids and ``further``
    ones are none of them.
    """
    own = own_columns(options, further)
    if not has_no_usual(names, options):
        return options
    first: Any = next(batches_as_they_are(path, options.delimiter), None)
    columns: dict[str, NDArray[np.float64]] = {}
    for name in [one for one in names if one not in own] if first is not None else ():
        with suppress(KeyError):  # twice there
            values = _loosely(first.column(name).slice(0, FIRST))
            if np.mean((values >= 0) & (values <= 1)) > MOST_RIGHT:
                columns[name] = values
    if len(columns) < 2:
        return options
    rows = np.column_stack([*columns.values()])
    is_right = np.abs(rows.sum(axis=1) - 1) <= TOLERANCE
    if np.mean(is_right) <= MOST_RIGHT or not are_probabilities(rows[is_right]):
        return options
    return replace(options, logit_columns=tuple(columns), probabilities=True)


def _loosely(column: Any) -> NDArray[np.float64]:
    """Return the numbers in a column, (m,); NaN where there is none."""

    def number(value: Any) -> float:
        with suppress(TypeError, ValueError):
            return float(value)
        return math.nan

    return np.array([number(value) for value in column.to_pylist()])


def rows_at_once(columns: int) -> int:
    """Return how many rows of so many columns are read, and written, at once."""
    return min(BATCH_ROWS, BATCH_ENTRIES // columns + 1)


def write(path: Path, arrays: Arrays) -> None:
    """Write the arrays as columns, in their order; one that has no columns there is refused."""
    columns: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if name == CLASSES:  # which are not rows; Parquet keeps them beside its columns
            continue
        column = array_of(name).column
        if column is None:
            raise SteepslopeError(f"a table cannot hold {name}: save to a folder or .npz")
        if array.ndim == 1:
            columns[column] = array
        else:
            columns |= {f"{column}_{k}": np.ascontiguousarray(array[:, k]) for k in range(array.shape[1])}
    named = {CLASSES: json.dumps(arrays[CLASSES].tolist())} if CLASSES in arrays else None
    table = pa.table(columns, metadata=named)
    if path.suffix.lower() == ".csv":
        pc.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=rows_at_once(len(columns)))  # readers hold a group, however few rows


def saved_classes(path: Path) -> tuple[str, ...] | None:
    """Return the names of the classes that a Parquet file keeps; a .csv file has no place for them."""
    saved = None if path.suffix.lower() == ".csv" else (pq.read_schema(path).metadata or {}).get(CLASSES.encode())
    return None if saved is None else tuple(str(name) for name in json.loads(saved))


def numbers_in(batch: Any, column: str) -> NDArray[Any]:
    """Return a batch's column of numbers, (m,), or one of lists of as many numbers in each row, (m, numbers)."""
    return _numbers(batch.column(column), column)


def _numbers(values: Any, column: str) -> NDArray[Any]:
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type):
        lengths = set(compute.list_value_length(values).to_pylist())
        if len(lengths) != 1 or None in lengths:
            found = f"expected lists of one length, found {sorted(map(str, lengths))}"
            raise SteepslopeError(f"column {column!r}: {found}")
        return _numbers(values.flatten(), column).reshape(len(values), -1)
    if pa.types.is_decimal(values.type):
        values = values.cast(NUMBER)
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if array.dtype.kind not in "fiu" or values.null_count:
        found = f"{values.null_count} empty" if values.null_count else str(values.type)
        raise SteepslopeError(f"column {column!r}: expected a number in each row, found {found}")
    return array.astype(np.float64) if array.dtype.kind in "iu" else array


def _csv_batches(path: Path, converting: Any, delimiter: str) -> Iterator[Any]:
    with (
        _explained(path, delimiter),
        pc.open_csv(path, parse_options=_parsing(delimiter), convert_options=converting) as reader,
    ):
        yield from reader


def _parsing(delimiter: str) -> Any:
    return pc.ParseOptions(delimiter=delimiter, newlines_in_values=True)


def _explained(path: Path, delimiter: str) -> Any:
    """Say with pyarrow's reason what a CSV file is expected to be."""
    expected = f"UTF-8 text with {delimiter!r} between columns and '.' in decimals"
    return explained(f"cannot be read as {expected}", path, (pa.ArrowInvalid, UnicodeDecodeError))
