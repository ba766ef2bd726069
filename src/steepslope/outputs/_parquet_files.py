"""Parquet files: the names of their columns, some columns as arrays, batch by batch, and columns written.

Nothing else of the package knows pyarrow, which the extra ``tables`` brings.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import nan
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.files import require_memory_for
from steepslope.outputs._arrays import CLASSES
from steepslope.outputs._table_files import BATCH_ROWS, EXPECTED, FIRST_ROWS, NUMBER, TEXT, Frame

_BYTES = {"FLOAT": 4, "DOUBLE": 8, "INT32": 8, "INT64": 8, "BYTE_ARRAY": 4}  # of a value in memory, at least


@dataclass(frozen=True)
class ParquetFile:
    """A .parquet file, as any table: see :class:`steepslope.outputs._table_files.TableFile`."""

    path: Path

    @cached_property
    def _schema(self) -> Any:
        with self._explained():
            return pq.read_schema(self.path)

    @property
    def names(self) -> list[str]:
        """The names of all columns."""
        return list(self._schema.names)

    @property
    def saved_classes(self) -> tuple[str, ...] | None:
        """The names of the classes that the file keeps; None where there are none."""
        saved = (self._schema.metadata or {}).get(CLASSES.encode())
        if saved is None:
            return None
        return tuple(map(str, json.loads(saved)))

    def batches(self, kinds: Mapping[str, str], rows: int = BATCH_ROWS) -> Iterator[Frame]:
        """Yield some columns, each read as the kind that is given, so many rows at once, or fewer."""
        with self._explained():
            for needed, packed in self._sizes(kinds):  # a group of rows is unpacked as a whole
                require_memory_for(self.path, needed, packed)
            for batch in pq.ParquetFile(self.path).iter_batches(rows, columns=list(kinds)):
                yield {name: _arrow_as(kind, batch.column(name), name) for name, kind in kinds.items()}
        pa.default_memory_pool().release_unused()  # of a million rows about 90 MiB

    def first_numbers(self, columns: Collection[str]) -> Frame:
        """Return the first rows of those of some columns that hold nothing but numbers there."""
        numeric = [name for name in columns if _is_number_type(self._schema.field(name).type)]
        if not numeric:
            return {}
        return next(self.batches(dict.fromkeys(numeric, NUMBER), FIRST_ROWS), {})

    def require_room(self, columns: Collection[str]) -> None:
        """Raise if some columns are too much for memory."""
        needed = 0
        packed = 0
        for needed_by_group, packed_in_group in self._sizes(columns):
            needed += needed_by_group
            packed += packed_in_group
        require_memory_for(self.path, needed, packed)

    def _explained(self) -> Any:
        """Say with pyarrow's reason what the file is expected to be."""
        return explained("cannot be read as a Parquet file", self.path, (pa.ArrowException, OSError, UnicodeError))

    def _sizes(self, columns: Collection[str]) -> Iterator[tuple[int, int]]:
        """Yield of each group of rows the bytes of some columns in memory, at least, and in the file."""
        about = pq.ParquetFile(self.path).metadata
        for group in map(about.row_group, range(about.num_row_groups)):
            needed = 0
            packed = 0
            for chunk in map(group.column, range(group.num_columns)):
                path = chunk.path_in_schema
                if path in columns or path.partition(".")[0] in columns:
                    least = _BYTES.get(chunk.physical_type, 0) * chunk.num_values
                    needed += max(chunk.total_uncompressed_size, least)
                    packed += chunk.total_compressed_size
            yield needed, packed


def _is_number_type(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _arrow_as(kind: str, values: Any, column: str) -> NDArray[Any]:
    """Return a column as an array of a kind, (m,), or one of lists of as many numbers in each row, (m, numbers)."""
    arrow_type = values.type
    if pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type) or pa.types.is_fixed_size_list(arrow_type):
        lengths = set(compute.list_value_length(values).to_pylist())
        if len(lengths) != 1 or None in lengths:
            raise SteepslopeError(f"column {column!r}: expected lists of one length, found {sorted(map(str, lengths))}")
        return _arrow_as(kind, values.flatten(), column).reshape(len(values), -1)
    if kind == TEXT:
        return np.array(compute.fill_null(values.cast(pa.string()), "").to_pylist(), dtype=np.object_)
    is_right = _is_number_type(arrow_type) if kind == NUMBER else pa.types.is_boolean(arrow_type)
    if not is_right and not pa.types.is_null(arrow_type):
        raise SteepslopeError(f"column {column!r}: expected {EXPECTED[kind]} in each row, found {arrow_type}")
    if not pa.types.is_floating(arrow_type):
        values = values.cast(pa.float64())
    array: NDArray[Any] = compute.fill_null(values, nan).to_numpy(zero_copy_only=False)
    return array


class ParquetWriter:
    """Columns of given types, in groups of the rows that come together; texts by name are kept next to them."""

    def __init__(self, path: Path, dtypes: Mapping[str, np.dtype[Any]], texts: Mapping[str, str]) -> None:
        types = {}
        for name, dtype in dtypes.items():
            types[name] = pa.from_numpy_dtype(dtype) if dtype.kind in "fiub" else pa.string()
        self._schema = pa.schema(types, metadata=dict(texts) or None)
        self._writer = pq.ParquetWriter(path, self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, columns: Frame) -> None:
        """Write rows as a group; a masked cell is empty, and so is NaN."""
        arrays = []
        for field in self._schema:
            values = columns[field.name]
            mask = None
            if np.ma.is_masked(values):
                mask = np.ma.getmaskarray(values)
            arrays.append(pa.array(np.ma.getdata(values), field.type, mask=mask, from_pandas=True))
        self._writer.write_table(pa.table(arrays, schema=self._schema))
