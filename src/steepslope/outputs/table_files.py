"""CSV and Parquet files of predictions, streamed in batches: numbers go straight into arrays.

Columns as ``ClassifierOutputs.save`` writes them: ``label``, ``logit_0``…, ``feature_0``…, ``noise_0``…, ``id``; or
``confidence`` and ``is_correct``. :class:`~steepslope.outputs.reading.ReadingOptions` name others. Groups are read on
request.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located, unknown_name
from steepslope.outputs.arrays import ARRAYS, CLASSES, Arrays
from steepslope.outputs.columns import CONFIDENCE, CORRECT, layout_of, listed, require_once
from steepslope.outputs.reading import AS_WRITTEN, ReadingOptions
from steepslope.outputs.texts import Texts, labels, truths

NUMBER, TEXT = pa.float64(), pa.string()
BATCH_ROWS, BATCH_ENTRIES = 2**16, 2**22  # of a .parquet file: rows at most, and rows times columns where many do harm
Columns = Mapping[str, Any]  # the names of a CSV file's columns, with their types


def read(path: Path, ids: bool, options: ReadingOptions = AS_WRITTEN) -> Arrays:
    """Return the arrays that the columns of a table make; floats are float64 in CSV, as stored in Parquet."""
    layout = layout_of(column_names(path, options), options)
    wanted = {name: column for name, column in layout.texts.items() if ids or name != "ids"}
    arrays, texts = _collect(path, layout.numbers, wanted, options)
    kept = None if options.logit_columns else _kept_classes(path)
    classes = _agreed(layout.classes, kept, options.classes)
    _require_columns_of_classes(arrays, layout.numbers, options)
    for name in arrays:
        if name == CONFIDENCE or len(ARRAYS[name].axes) == 1:
            arrays[name] = arrays[name][:, 0]
    if "labels" in texts:
        places = kept is not None and options.label_column is None  # so it was saved, even where the names are numbers
        names = None if places else classes
        arrays["labels"] = labels(Texts.of(texts["labels"]), wanted["labels"], names, layout.counts)
    if CORRECT in texts:
        arrays[CORRECT] = truths(Texts.of(texts[CORRECT]), wanted[CORRECT])
    if "ids" in texts:
        arrays["ids"] = _strings(texts["ids"])
    texts.clear()
    _release_memory()
    return arrays if classes is None else {**arrays, CLASSES: np.array(classes, dtype=np.str_)}


def _release_memory() -> None:
    """Give back what pyarrow would keep for the next file: of a million rows about 90 MiB."""
    pa.default_memory_pool().release_unused()


def _require_columns_of_classes(arrays: Arrays, numbers: Mapping[str, list[str]], options: ReadingOptions) -> None:
    """Raise if logits are one column of single numbers; one of lists has as many as these."""
    if "logits" in arrays and arrays["logits"].shape[1] == 1 and not options.probabilities:
        expected = "expected a column for each class; one alone can be the probability of class 1 (--probabilities)"
        raise SteepslopeError(f"{expected}, found {numbers['logits'][0]!r} alone", "logits")


def read_batches(
    path: Path, options: ReadingOptions = AS_WRITTEN, column: str | None = None
) -> Iterator[tuple[Arrays, NDArray[Any] | None]]:
    """Yield the arrays that the columns of a table make, but for labels, batch by batch, and a further column as text.

    Ids are the rows' numbers where the table has none.
    """
    layout = layout_of(column_names(path, options), options)
    if "logits" not in layout.numbers:
        raise SteepslopeError(f"expected logits, found only {', '.join(layout.numbers) or 'nothing'}")
    kept = None if options.logit_columns else _kept_classes(path)
    classes = _agreed(layout.classes, kept, options.classes)
    named = {} if classes is None else {CLASSES: np.array(classes, dtype=np.str_)}
    texts = [name for name in (layout.texts.get("ids"), column) if name is not None]
    numbers = [name for some in layout.numbers.values() for name in some]
    types = {**dict.fromkeys(numbers, NUMBER), **dict.fromkeys(texts, TEXT)}
    start = 0
    for batch in batches(path, types, options, _rows_of(len(types))):
        arrays = {
            name: np.column_stack([_numbers(batch.column(one), one, path) for one in some])
            for name, some in layout.numbers.items()
        }
        _require_columns_of_classes(arrays, layout.numbers, options)
        vectors = {name: array[:, 0] for name, array in arrays.items() if len(ARRAYS[name].axes) == 1}
        ids = _strings([batch.column(texts[0])]) if "ids" in layout.texts else _row_numbers(start, batch.num_rows)
        yield {**arrays, **vectors, **named, "ids": ids}, None if column is None else _strings([batch.column(column)])
        start += batch.num_rows
    if start == 0:
        raise SteepslopeError("expected rows below the header, found none")


def _row_numbers(start: int, count: int) -> NDArray[np.str_]:
    return np.arange(start, start + count).astype(np.str_)


def read_ids(path: Path) -> NDArray[Any]:
    """Return the column of ids, (n,)."""
    return _strings([batch.column("id") for batch in batches(path, {"id": TEXT})])


def column_names(path: Path, options: ReadingOptions = AS_WRITTEN) -> list[str]:
    """Return the names of a table's columns."""
    if not path.is_file():
        raise SteepslopeError("expected a table, found " + ("a folder" if path.is_dir() else "no such file"), path)
    if path.suffix.lower() == ".csv":
        with _explained(path, options), pc.open_csv(path, parse_options=_parsing(options)) as reader:
            return list(reader.schema.names)
    with explained("cannot be read as a Parquet file", path, pa.ArrowInvalid):
        return list(pq.read_schema(path).names)


def read_groups(
    path: Path, column: str, options: ReadingOptions = AS_WRITTEN, empty: str | None = None
) -> tuple[NDArray[np.int32], list[str]]:
    """Return the codes (n,) and names of a column of strings or numbers, which need not fit in memory as text.

    Empty cells are a group of the name ``empty``, or else an error.
    """
    names = column_names(path, options)
    if column not in names:
        raise unknown_name(f"column of {path}:", column, names)
    with located(path):
        require_once([column], names)
    texts = Texts.of(batch.column(column) for batch in batches(path, {column: TEXT}, options))
    _release_memory()
    empty_code = texts.distinct.index("") if "" in texts.distinct else -1
    rows = np.flatnonzero(texts.codes == empty_code)
    if not len(texts.codes) or (empty is None and len(rows)):
        found = f"an empty cell in row {rows[0]}" if len(rows) else "none"
        raise SteepslopeError(f"column {column!r}: expected a value in each row, found {found}", path)
    return texts.codes, [text or str(empty) for text in texts.distinct]


def text_column(path: Path, column: str, options: ReadingOptions = AS_WRITTEN) -> Any:
    """Return a column as text, a :class:`pyarrow.ChunkedArray` (n,)."""
    return pa.chunked_array([batch.column(column) for batch in batches(path, {column: TEXT}, options)], TEXT)


def take(path: Path, column: str, rows: NDArray[np.int64], options: ReadingOptions = AS_WRITTEN) -> list[str] | None:
    """Return a column's values in some rows as text, or None where the table has no such column."""
    if column not in column_names(path, options):
        return None
    found: dict[int, str] = {}
    start = 0
    for batch in batches(path, {column: TEXT}, options):
        inside = [int(row) for row in rows if start <= row < start + batch.num_rows]
        found |= {row: str(batch.column(column)[row - start].as_py()) for row in inside}
        start += batch.num_rows
    return [found[int(row)] for row in rows]


def batches_as_they_are(path: Path, options: ReadingOptions = AS_WRITTEN) -> Iterator[Any]:
    """Yield all columns of a table, batch by batch; those of a CSV file are the text that stands there."""
    if path.suffix.lower() == ".csv":
        return _csv_batches(
            path, pc.ConvertOptions(column_types=dict.fromkeys(column_names(path, options), TEXT)), options
        )
    return iter(pq.ParquetFile(path).iter_batches())


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
        pq.write_table(table, path, row_group_size=_rows_of(len(columns)))  # readers hold a group, however few rows


def _rows_of(columns: int) -> int:
    """Return how many rows of so many columns are read, and written, at once."""
    return min(BATCH_ROWS, BATCH_ENTRIES // columns + 1)


def _kept_classes(path: Path) -> tuple[str, ...] | None:
    """Return the names of the classes that a Parquet file keeps; a .csv file has no place for them."""
    kept = None if path.suffix.lower() == ".csv" else (pq.read_schema(path).metadata or {}).get(CLASSES.encode())
    return None if kept is None else tuple(str(name) for name in json.loads(kept))


def _agreed(
    classes: tuple[str, ...] | None, kept: tuple[str, ...] | None, named_by: str | None
) -> tuple[str, ...] | None:
    if classes is not None and kept is not None and classes != kept:
        expected = f"expected the classes {listed(kept)}, as the file names them"
        raise SteepslopeError(f"{expected}, found {listed(classes)}", named_by)
    return classes or kept


def batches(path: Path, types: Columns, options: ReadingOptions = AS_WRITTEN, rows: int = BATCH_ROWS) -> Iterator[Any]:
    """Yield some columns, batch by batch; those of a CSV file with the types that are given, others of so many rows."""
    if path.suffix.lower() == ".csv":
        # Without types, a column of 1, 2, … in the first block would refuse 2.5 in a later one, and 007 become 7.
        converting = pc.ConvertOptions(include_columns=list(types), column_types=dict(types), null_values=[""])
        return _csv_batches(path, converting, options)
    with explained("cannot be read as a Parquet file", path, pa.ArrowInvalid):
        return iter(pq.ParquetFile(path).iter_batches(rows, columns=list(types)))


def _csv_batches(path: Path, converting: Any, options: ReadingOptions) -> Iterator[Any]:
    with (
        _explained(path, options),
        pc.open_csv(path, parse_options=_parsing(options), convert_options=converting) as reader,
    ):
        yield from reader


def _parsing(options: ReadingOptions) -> Any:
    return pc.ParseOptions(delimiter=options.delimiter, newlines_in_values=True)


def _explained(path: Path, options: ReadingOptions) -> Any:
    """Say with pyarrow's reason what a CSV file is expected to be."""
    expected = f"UTF-8 text with {options.delimiter!r} between columns and '.' in decimals"
    return explained(f"cannot be read as {expected}", path, (pa.ArrowInvalid, UnicodeDecodeError))


def _collect(
    path: Path, numbers: Mapping[str, list[str]], texts: Mapping[str, str], options: ReadingOptions
) -> tuple[Arrays, dict[str, list[Any]]]:
    """Stream the columns of each array of numbers into one growing array (n, columns), and keep chunks of texts."""
    of_numbers = [column for some in numbers.values() for column in some]
    types = {**dict.fromkeys(of_numbers, NUMBER), **dict.fromkeys(texts.values(), TEXT)}
    buffers: Arrays = {}
    chunks: dict[str, list[Any]] = {name: [] for name in texts}
    used = 0
    for batch in batches(path, types, options):
        for name, some in numbers.items():
            block = np.column_stack([_numbers(batch.column(column), column, path) for column in some])
            if name not in buffers:
                buffers[name] = np.empty((0, block.shape[1]), dtype=block.dtype)
            _append(buffers[name], used, block)
        for name, column in texts.items():
            chunks[name].append(batch.column(column))
        used += batch.num_rows
    if used == 0:
        raise SteepslopeError("expected rows below the header, found none")
    for buffer in buffers.values():
        buffer.resize((used, buffer.shape[1]), refcheck=False)
    return buffers, chunks


def _append(buffer: NDArray[Any], used: int, block: NDArray[Any]) -> None:
    """Grow in place, so that no second copy of millions of rows is ever held."""
    if used + len(block) > len(buffer):
        buffer.resize((max(len(buffer) * 5 // 4, used + len(block)), buffer.shape[1]), refcheck=False)
    buffer[used : used + len(block)] = block


def _numbers(values: Any, column: str, path: Path) -> NDArray[Any]:
    """Return a column of numbers, (m,), or one of lists of as many numbers in each row, (m, numbers)."""
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type):
        return _lists(values, column, path)
    if pa.types.is_decimal(values.type):
        values = values.cast(NUMBER)
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if array.dtype.kind not in "fiu" or values.null_count:
        found = f"{values.null_count} empty" if values.null_count else str(values.type)
        raise SteepslopeError(f"column {column!r}: expected a number in each row, found {found}", path)
    return array.astype(np.float64) if array.dtype.kind in "iu" else array


def _lists(values: Any, column: str, path: Path) -> NDArray[Any]:
    lengths = set(compute.list_value_length(values).to_pylist())
    if len(lengths) != 1 or None in lengths:
        raise SteepslopeError(
            f"column {column!r}: expected lists of one length, found {sorted(map(str, lengths))}", path
        )
    return _numbers(values.flatten(), column, path).reshape(len(values), -1)


def _strings(chunks: list[Any]) -> NDArray[Any]:
    return np.concatenate([chunk.cast(TEXT).fill_null("").to_numpy(zero_copy_only=False) for chunk in chunks])
