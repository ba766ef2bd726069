"""CSV and Parquet files of predictions, streamed in batches: numbers go straight into arrays.

Columns: ``label``, ``logit_0``…, ``feature_0``…, ``noise_0``…, ``id``; or ``confidence`` and ``is_correct``. Strings
(ids, groups) are read only on request, groups as codes.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.outputs.arrays import ARRAYS, CLASSES, FLOATS, INTEGERS, STRINGS, Array, Arrays

CONFIDENCES: dict[str, Array] = {
    "confidence": Array(("n",), column="confidence"),
    "is_correct": Array(("n",), INTEGERS, column="is_correct"),
}  # which tables without logits hold
CSV_TYPES = {FLOATS: pa.float64(), STRINGS: pa.string()}  # integers are told from text by what they look like


def read(path: Path, ids: bool) -> Arrays:
    """Return the arrays that the columns of a table make; floats are float64 in CSV, as stored in Parquet."""
    names = column_names(path)
    numbers = {name: array for name, array in {**ARRAYS, **CONFIDENCES}.items() if array.kind != STRINGS}
    wanted = {name: columns for name, array in numbers.items() if (columns := _columns_of(array, names))}
    arrays = _collect(path, wanted) if wanted else {}
    arrays |= {name: array[:, 0] for name, array in arrays.items() if len(numbers[name].axes) == 1}
    if ids and "id" in names:
        batches = [batch.column(0).to_numpy(zero_copy_only=False) for batch in _batches(path, ["id"])]
        arrays["ids"] = np.concatenate(batches)
    return arrays | _named_classes(path)


def _named_classes(path: Path) -> Arrays:
    """Return the names of the classes that a Parquet file keeps; a .csv file has no place for them."""
    kept = None if path.suffix.lower() == ".csv" else (pq.read_schema(path).metadata or {}).get(CLASSES.encode())
    return {} if kept is None else {CLASSES: np.array(json.loads(kept), dtype=np.str_)}


def column_names(path: Path) -> list[str]:
    """Return the names of a table's columns."""
    if path.suffix.lower() == ".csv":
        with pc.open_csv(path) as reader:
            return list(reader.schema.names)
    return list(pq.read_schema(path).names)


def read_groups(path: Path, column: str) -> tuple[NDArray[np.int32], list[str]]:
    """Return the codes (n,) and names of a column of strings or numbers, which need not fit in memory as text."""
    if column not in column_names(path):
        raise unknown_name(f"column of {path}:", column, column_names(path))
    chunks = [batch.column(0).cast(pa.string()).dictionary_encode() for batch in _batches(path, [column])]
    encoded = pa.chunked_array(chunks, pa.dictionary(pa.int32(), pa.string())).unify_dictionaries()
    names = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
    if encoded.null_count or "" in names or not names:
        raise SteepslopeError(f"column {column!r}: expected a group in each row, found empty ones", path)
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    return codes, names


def take(path: Path, column: str, rows: NDArray[np.int64]) -> list[str] | None:
    """Return a column's values in some rows as text, or None where the table has no such column."""
    if column not in column_names(path):
        return None
    found: dict[int, str] = {}
    start = 0
    for batch in _batches(path, [column]):
        inside = [int(row) for row in rows if start <= row < start + batch.num_rows]
        found |= {row: str(batch.column(0)[row - start].as_py()) for row in inside}
        start += batch.num_rows
    return [found[int(row)] for row in rows]


def write(path: Path, arrays: Arrays) -> None:
    """Write the arrays as columns, in the order of :data:`ARRAYS`; one that has no columns there is refused."""
    columns: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if name == CLASSES:  # which are not rows; Parquet keeps them beside its columns
            continue
        column = ARRAYS[name].column
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
        pq.write_table(table, path)


def _columns_of(array: Array, names: Iterable[str]) -> list[str]:
    """Return those of the columns that make an array; none where it is not in the table."""
    if array.column is None:
        return []
    if len(array.axes) == 1:
        return [array.column] if array.column in names else []
    return _numbered(names, array.column)


def _kind(column: str) -> str:
    """Return the kind of the array that has a column of this name; strings where none has."""
    for array in (*ARRAYS.values(), *CONFIDENCES.values()):
        if array.column and re.fullmatch(array.column + ("" if len(array.axes) == 1 else r"_\d+"), column):
            return array.kind
    return STRINGS


def _numbered(names: Iterable[str], prefix: str) -> list[str]:
    """Return the columns prefix_0, prefix_1, … in that order; a gap is an error."""
    found = sorted(int(match[1]) for name in names if (match := re.fullmatch(rf"{prefix}_(\d+)", name)))
    if found != list(range(len(found))):
        missing = min(set(range(len(found))) - set(found))
        raise SteepslopeError(f"columns {prefix}_0, {prefix}_1, …: {prefix}_{missing} is missing")
    return [f"{prefix}_{k}" for k in found]


def _batches(path: Path, columns: list[str]) -> Iterator[Any]:
    if path.suffix.lower() == ".csv":
        # Without types, a column of 1, 2, … in the first block would refuse 2.5 in a later one, and 007 become 7.
        kinds = {name: _kind(name) for name in columns}
        types = {name: CSV_TYPES[kind] for name, kind in kinds.items() if kind in CSV_TYPES}
        options = pc.ConvertOptions(include_columns=columns, column_types=types, null_values=[""])
        with pc.open_csv(path, convert_options=options) as reader:
            yield from reader
    else:
        yield from pq.ParquetFile(path).iter_batches(columns=columns)


def _collect(path: Path, wanted: dict[str, list[str]]) -> dict[str, NDArray[Any]]:
    """Stream the wanted columns into one growing array (n, columns) each."""
    columns = [column for some in wanted.values() for column in some]
    buffers: dict[str, NDArray[Any]] = {}
    used = 0
    for batch in _batches(path, columns):
        for name, some in wanted.items():
            block = np.column_stack([_numbers(batch, column, path) for column in some])
            if name not in buffers:
                buffers[name] = np.empty((0, len(some)), dtype=block.dtype)
            _append(buffers[name], used, block)
        used += batch.num_rows
    if used == 0:
        raise SteepslopeError("expected rows below the header, found none")
    for buffer in buffers.values():
        buffer.resize((used, buffer.shape[1]), refcheck=False)
    return buffers


def _append(buffer: NDArray[Any], used: int, block: NDArray[Any]) -> None:
    """Grow in place, so that no second copy of millions of rows is ever held."""
    if used + len(block) > len(buffer):
        buffer.resize((max(len(buffer) * 5 // 4, used + len(block)), buffer.shape[1]), refcheck=False)
    buffer[used : used + len(block)] = block


def _numbers(batch: Any, column: str, path: Path) -> NDArray[Any]:
    values = batch.column(column)
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if array.dtype.kind not in "fiub" or values.null_count:
        found = f"{values.null_count} empty" if values.null_count else str(values.type)
        raise SteepslopeError(f"column {column!r}: expected a number in each row, found {found}", path)
    return array.astype(np.float64) if array.dtype.kind in "iu" and _kind(column) != INTEGERS else array
