"""CSV and Parquet files as they are: the names of their columns, some columns as arrays and text, arrays as columns.

Every table that a user brings is opened here. What its columns hold is told in :mod:`steepslope.outputs.columns`.
``ClassifierOutputs.save`` writes ``label``, ``logit_0``…, ``feature_0``…, ``noise_0``… and ``id``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.files.memory import require_memory_for
from steepslope.outputs.arrays import CLASSES, Arrays, array_of

NUMBER, TEXT = pa.float64(), pa.string()
BYTES = {"FLOAT": 4, "DOUBLE": 8, "INT32": 8, "INT64": 8, "BYTE_ARRAY": 4}  # of a value in memory, at least
BATCH_ROWS, BATCH_ENTRIES = 2**16, 2**22  # of a .parquet file: rows at most, and rows times columns where many do harm


@dataclass(frozen=True)
class TableFile:
    """A .csv or .parquet file, and the character between the columns of a .csv file.

    Errors of what is read name the path where the file itself cannot be read, else the column.
    """

    path: Path
    delimiter: str = ","

    @cached_property
    def is_csv(self) -> bool:
        """Whether it is text, whose size in memory and classes are not known before it is read."""
        return self.path.suffix.lower() == ".csv"

    @cached_property
    def names(self) -> list[str]:
        """The names of all columns."""
        if not self.path.is_file():
            found = "a folder" if self.path.is_dir() else "no such file"
            raise SteepslopeError(f"expected a table, found {found}", self.path)
        with self._explained():
            if self.is_csv:
                with pc.open_csv(self.path, parse_options=self._parsing) as reader:
                    return list(reader.schema.names)
            return list(pq.read_schema(self.path).names)

    @property
    def saved_classes(self) -> tuple[str, ...] | None:
        """The names of the classes that a Parquet file keeps; None where there are none."""
        saved = None if self.is_csv else (pq.read_schema(self.path).metadata or {}).get(CLASSES.encode())
        return None if saved is None else tuple(str(name) for name in json.loads(saved))

    def batches(self, types: Mapping[str, Any], rows: int = BATCH_ROWS) -> Iterator[Any]:
        """Yield some columns, batch by batch: of a CSV file with the types that are given, else of so many rows."""
        if self.is_csv:
            # Without types, a column of 1, 2, … in the first block would refuse 2.5 in a later one, and 007 become 7.
            return self._csv_batches(include_columns=list(types), column_types=dict(types), null_values=[""])
        with self._explained():
            for needed, packed in self._sizes(types):  # a group of rows is unpacked as a whole
                require_memory_for(self.path, needed, packed)
            return iter(pq.ParquetFile(self.path).iter_batches(rows, columns=list(types)))

    def first_batch(self) -> Any:
        """Return the first rows of all columns, each of the type that it seems to have; None where there are none."""
        if self.is_csv:
            return next(self._csv_batches(), None)
        return next(pq.ParquetFile(self.path).iter_batches(), None)

    def require_room(self, columns: Collection[str]) -> None:
        """Raise if some columns are too much for memory; of a CSV file, that is not known before."""
        sizes = [] if self.is_csv else [*self._sizes(columns)]
        require_memory_for(self.path, sum(needed for needed, _ in sizes), sum(packed for _, packed in sizes))

    @property
    def _parsing(self) -> Any:
        return pc.ParseOptions(delimiter=self.delimiter, newlines_in_values=True)

    def _explained(self) -> Any:
        """Say with pyarrow's reason what the file is expected to be."""
        written = f"UTF-8 text with {self.delimiter!r} between columns and '.' in decimals"
        expected = f"cannot be read as {written if self.is_csv else 'a Parquet file'}"
        return explained(expected, self.path, (pa.ArrowInvalid, UnicodeDecodeError))

    def _csv_batches(self, **converting: Any) -> Iterator[Any]:
        options = pc.ConvertOptions(**converting)
        with self._explained(), pc.open_csv(self.path, parse_options=self._parsing, convert_options=options) as reader:
            yield from reader

    def _sizes(self, columns: Collection[str]) -> Iterator[tuple[int, int]]:
        """Yield of each group of rows of a Parquet file the bytes of some columns in memory, at least, and there."""
        about = pq.ParquetFile(self.path).metadata
        for number in range(about.num_row_groups):
            group = about.row_group(number)
            chunks = [group.column(place) for place in range(group.num_columns)]
            some = [one for one in chunks if {one.path_in_schema, one.path_in_schema.partition(".")[0]} & set(columns)]
            needed = (
                max(one.total_uncompressed_size, BYTES.get(one.physical_type, 0) * one.num_values) for one in some
            )
            yield sum(needed), sum(one.total_compressed_size for one in some)


def is_number_type(kind: Any) -> bool:
    """Return whether a type of Arrow's is one of numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def table_rows_at_once(columns: int) -> int:
    """Return how many rows of so many columns are read, and written, at once."""
    return min(BATCH_ROWS, BATCH_ENTRIES // columns + 1)


def column_numbers(batch: Any, column: str, gaps: bool = False) -> NDArray[Any]:
    """Return a batch's column of numbers, (m,), or one of lists of as many numbers in each row, (m, numbers)."""
    return _numbers_of_arrow(batch.column(column), column, gaps)


def _numbers_of_arrow(values: Any, column: str, gaps: bool) -> NDArray[Any]:
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type):
        lengths = set(compute.list_value_length(values).to_pylist())
        if len(lengths) != 1 or None in lengths:
            found = f"expected lists of one length, found {sorted(map(str, lengths))}"
            raise SteepslopeError(f"column {column!r}: {found}")
        return _numbers_of_arrow(values.flatten(), column, gaps).reshape(len(values), -1)
    if gaps:
        with explained(f"column {column!r}: expected numbers", kinds=pa.ArrowException):
            values = values.cast(NUMBER).fill_null(np.nan)
    elif pa.types.is_decimal(values.type):
        values = values.cast(NUMBER)
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if array.dtype.kind not in "fiu" or values.null_count:
        found = f"{values.null_count} empty" if values.null_count else str(values.type)
        raise SteepslopeError(f"column {column!r}: expected a number in each row, found {found}")
    return array.astype(np.float64) if array.dtype.kind in "iu" else array


def write_table_file(path: Path, arrays: Arrays) -> None:
    """Write the arrays as columns, in their order; one that has no columns there is refused."""
    columns: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        if name == CLASSES:  # which are not rows; Parquet keeps them next to its columns
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
        pq.write_table(
            table, path, row_group_size=table_rows_at_once(len(columns))
        )  # readers hold a group, however few rows
