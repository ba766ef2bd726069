"""Tables as they are: the names of their columns, some columns as arrays, batch by batch, and columns as a file again.

Every table that a user brings is opened here; :mod:`steepslope.outputs._columns` tells what its columns hold. CSV files
are here, Parquet files in :mod:`steepslope.outputs._parquet_files`, which needs the extra ``tables``.
``ClassifierOutputs.save`` writes ``label``, ``logit_0``…, ``feature_0``…, ``noise_0``… and ``id``.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from math import nan
from pathlib import Path
from typing import Any, Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained
from steepslope.files import require_extra
from steepslope.outputs._answers import ANSWERED_BY
from steepslope.outputs._arrays import CLASSES, Arrays, array_of, is_signal_array
from steepslope.outputs._labels import TRUTH_OF_TEXT, number_in_text

NUMBER, TEXT, TRUTH = "number", "text", "truth"  # what a column is read as
EXPECTED = {NUMBER: "a number", TEXT: "a value", TRUTH: "true or false"}
BATCH_ROWS = 2**16  # that are read at once, at most
_BATCH_ENTRIES = 2**22  # rows times columns that are read at once
_CSV_ENTRIES = 2**19  # cells of text that are held at once
FIRST_ROWS = 1_000  # by which a column's kind is told
_COMMA = ","
_DELIMITERS = ",;\t|"  # the line of names tells which of them stands between columns
_QUOTED = re.compile('"[^"]*"')
_TRUTH_OF_CELL = {**TRUTH_OF_TEXT, "": nan}
_APOSTROPHE = "'"  # before a text that a spreadsheet would run as a formula, as OWASP advises on CSV injection
_FORMULA = re.compile(r"'*([=+\-@\t\r\n＝＋－＠].*)", re.DOTALL)  # after apostrophes, which are doubled likewise  # noqa: RUF001

Frame = dict[str, NDArray[Any]]
"""Columns by name. Read: numbers (m,) or (m, k) as floats, NaN where a cell is empty; text (m,) as objects, "" where a
cell is empty; truths (m,) as 1.0, 0.0 or NaN. To be written: any arrays (m,), masked where a cell shall be empty."""


class TableFile(Protocol):
    """A file of columns. Errors of what is read name the path where the file itself cannot be read, else the column."""

    @property
    def path(self) -> Path: ...

    @property
    def names(self) -> list[str]:
        """The names of all columns."""

    @property
    def saved_classes(self) -> tuple[str, ...] | None:
        """The names of the classes that the file keeps; None where there are none."""

    def batches(self, kinds: Mapping[str, str], rows: int = BATCH_ROWS) -> Iterator[Frame]:
        """Yield some columns, each read as the kind that is given, so many rows at once, or fewer."""

    def first_numbers(self, columns: Collection[str]) -> Frame:
        """Return the first rows of those of some columns that hold nothing but numbers there."""

    def require_room(self, columns: Collection[str]) -> None:
        """Raise if some columns are too much for memory, as far as that is known before they are read."""


def table_file(path: Path, delimiter: str | None = None) -> TableFile:
    """Return a .csv file, perhaps with a known character between columns, or a .parquet file; raise for no file."""
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        raise SteepslopeError(f"expected a table, found {found}", path)
    if path.suffix.lower() == ".csv":
        return _CsvFile(path, delimiter)
    file: TableFile = _parquet_files(path).ParquetFile(path)
    return file


def _parquet_files(path: Path) -> Any:
    require_extra("pyarrow", "tables", str(path))
    from steepslope.outputs import _parquet_files as parquet_files

    return parquet_files


@dataclass(frozen=True)
class _CsvFile:
    """A text file with a line of names, and a line for each row.

    Columns are told by the ``delimiter`` where the line of names has that character, else by that of ``_DELIMITERS``
    which it has most often. Where this is no comma, numbers may have decimal commas.
    """

    path: Path
    delimiter: str | None = None
    saved_classes = None

    @cached_property
    def names(self) -> list[str]:
        """The names of all columns."""
        header = next(self._lines(), None)
        if header is None:
            raise SteepslopeError("expected a line with the names of columns, found an empty file", self.path)
        return list(map(_text_of_cell, header))

    def batches(self, kinds: Mapping[str, str], rows: int = BATCH_ROWS) -> Iterator[Frame]:
        """Yield some columns, each read as the kind that is given, so many rows at once, or fewer."""
        places = {name: self.names.index(name) for name in kinds}
        lines = islice(self._lines(), 1, None)
        size = min(rows, _CSV_ENTRIES // len(self.names) + 1)
        start = 0
        while some := list(islice(lines, size)):
            frame = {}
            for name, kind in kinds.items():
                cells = [line[places[name]] for line in some]
                if kind == NUMBER:
                    cells = self._with_points(cells)
                frame[name] = _READERS[kind](cells, name, start)
            yield frame
            start += len(some)

    def first_numbers(self, columns: Collection[str]) -> Frame:
        """Return the first rows of those of some columns that hold nothing but numbers there."""
        texts = next(self.batches(dict.fromkeys(columns, TEXT), FIRST_ROWS), {})
        numbers = {}
        for name, values in texts.items():
            cells = self._with_points(values.tolist())
            if not any(map(_is_no_number, cells)):
                numbers[name] = _numbers_in_cells(cells, name)
        return numbers

    def require_room(self, columns: Collection[str]) -> None:
        """Do nothing: the size of text in memory is not known before it is read."""

    def _with_points(self, cells: list[str]) -> list[str]:
        """Return cells of numbers with a point in decimals."""
        if self._mark == _COMMA:
            return cells
        return [cell.replace(_COMMA, ".") for cell in cells]

    @cached_property
    def _mark(self) -> str:
        """The character between columns."""
        unreadable = explained("cannot be read as UTF-8 text", self.path, UnicodeDecodeError)
        with unreadable, self.path.open(encoding="utf-8-sig") as file:
            header = _QUOTED.sub("", file.readline())
        if self.delimiter is not None and self.delimiter in header:
            return self.delimiter
        return max(_DELIMITERS, key=header.count)

    def _lines(self) -> Iterator[list[str]]:
        """Yield the cells of each line, the names first; raise where a line has more of them, or fewer."""
        expected = f"cannot be read as UTF-8 text with {self._mark!r} between columns"
        with (
            explained(expected, self.path, (csv.Error, UnicodeDecodeError)),
            self.path.open(encoding="utf-8-sig", newline="") as file,
        ):
            reader = csv.reader(file, delimiter=self._mark, strict=True)
            width = 0
            for line in filter(None, reader):
                width = width or len(line)
                if len(line) != width:
                    message = (
                        f"expected {width} columns, as in the first line, found {len(line)} in line {reader.line_num}"
                    )
                    if width == 1:
                        message += ": name the character between columns (--separator)"
                    raise SteepslopeError(message, self.path)
                yield line


def _cell_of_text(text: str) -> str:
    """Return a text as a cell of a CSV file, in which no spreadsheet takes it for a formula; numbers stay.

    An apostrophe stands before it then, also before those that the text itself has there.

    >>> [_cell_of_text(text) for text in ("=1+1", "'=1+1", "'tis", "-5", "@home")]
    ["'=1+1", "''=1+1", "'tis", '-5', "'@home"]
    """
    if _is_like_formula(text):
        return _APOSTROPHE + text
    return text


def _text_of_cell(cell: str) -> str:
    """Return the text of a cell: the inverse of :func:`_cell_of_text`.

    >>> [_text_of_cell(cell) for cell in ("'=1+1", "''=1+1", "'tis", "-5", "=1+1")]
    ['=1+1', "'=1+1", "'tis", '-5', '=1+1']
    """
    if cell.startswith(_APOSTROPHE) and _is_like_formula(cell):
        return cell[1:]
    return cell


def _is_like_formula(text: str) -> bool:
    formula = _FORMULA.fullmatch(text)
    return formula is not None and _is_no_number(formula[1])


def _is_no_number(cell: str) -> bool:
    return cell != "" and number_in_text(cell) is None


def _numbers_in_cells(cells: Sequence[str], column: str, start: int = 0) -> NDArray[np.float64]:
    try:
        return np.array([float(cell) if cell else nan for cell in cells], dtype=np.float64)
    except ValueError:
        row = list(map(_is_no_number, cells)).index(True)
        raise SteepslopeError(
            f"column {column!r}: "
            f"expected a number in each row, with '.' in decimals, found {cells[row]!r} in row {start + row}"
        ) from None


def _truths_in_cells(cells: Sequence[str], column: str, start: int) -> NDArray[np.float64]:
    truths = [_TRUTH_OF_CELL.get(cell.lower()) for cell in cells]
    if None in truths:
        row = truths.index(None)
        raise SteepslopeError(f"column {column!r}: expected true or false, found {cells[row]!r} in row {start + row}")
    return np.array(truths, dtype=np.float64)


def _texts_in_cells(cells: Sequence[str], *_: object) -> NDArray[np.object_]:
    return np.array(list(map(_text_of_cell, cells)), dtype=np.object_)


_READERS: dict[str, Callable[[Sequence[str], str, int], NDArray[Any]]] = {
    NUMBER: _numbers_in_cells,
    TEXT: _texts_in_cells,
    TRUTH: _truths_in_cells,
}


def require_filled(values: NDArray[Any], column: str, kind: str = NUMBER) -> NDArray[Any]:
    """Return a column that was read as a kind; raise if a cell is empty. Truths become booleans."""
    is_empty = values == "" if kind == TEXT else np.isnan(values)
    if is_empty.any():
        empty = "empty or nan" if kind == NUMBER else "empty"
        raise SteepslopeError(
            f"column {column!r}: expected {EXPECTED[kind]} in each row, found {int(is_empty.sum())} {empty}"
        )
    if kind == TRUTH:
        return values.astype(np.bool_)
    return values


def table_rows_at_once(columns: int) -> int:
    """Return how many rows of so many columns are read, and written, at once."""
    return min(BATCH_ROWS, _BATCH_ENTRIES // columns + 1)


class CsvWriter:
    """Columns as text: true and false, numbers with all their digits, nothing where a cell is empty.

    A text that begins like a formula gets an apostrophe (:func:`_cell_of_text`).
    """

    def __init__(self, file: TextIO, begun: bool = False) -> None:
        self._begun = begun
        self._writer = csv.writer(file, lineterminator="\n")
        self._quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write(self, columns: Frame) -> None:
        """Write rows; before the first ones, the names of the columns."""
        if not self._begun:
            self._writer.writerow(map(_cell_of_text, columns))
        self._begun = True
        has_returns = any(map(_has_return, columns.values()))
        writer = self._quoting if has_returns else self._writer  # which would end a row at a return
        writer.writerows(zip(*map(_cells_of_column, columns.values()), strict=True))


def _has_return(values: NDArray[Any]) -> bool:
    if values.dtype.kind not in "OUT":
        return False
    return any(isinstance(text, str) and "\r" in text for text in values.tolist())


def _cells_of_column(values: NDArray[Any]) -> list[Any]:
    if values.dtype.kind == "b":
        return [None if value is None else str(value).lower() for value in values.tolist()]
    if values.dtype.kind == "f":  # as many digits as its own precision needs
        return ["" if text in ("nan", "--") else text for text in values.astype(np.str_).tolist()]
    return [_cell_of_text(value) if isinstance(value, str) else value for value in values.tolist()]


@contextmanager
def table_writer(path: Path, dtypes: Mapping[str, np.dtype[Any]], **texts: str) -> Iterator[Any]:
    """Open a .csv or .parquet file of columns of these types; what it yields has ``write(columns)``.

    A Parquet file also keeps the ``texts``, by name.
    """
    if path.suffix.lower() == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            yield CsvWriter(file)
    else:
        with _parquet_files(path).ParquetWriter(path, dtypes, texts) as writer:
            yield writer


def write_table_file(path: Path, arrays: Arrays) -> None:
    """Write the arrays as columns, in their order; one that has no columns there is refused."""
    columns: Frame = {}
    texts = {}
    for name, array in arrays.items():
        if name == CLASSES:  # which are not rows; Parquet keeps them next to its columns
            texts[CLASSES] = json.dumps(array.tolist())
        elif array.ndim == 1:
            columns[_column_of_array(name)] = array
        else:
            column = _column_of_array(name)
            columns |= {f"{column}_{k}": array[:, k] for k in range(array.shape[1])}
    rows = table_rows_at_once(len(columns))  # readers hold a group of rows, however few they need
    count = len(next(iter(columns.values())))
    dtypes = {name: column.dtype for name, column in columns.items()}
    with table_writer(path, dtypes, **texts) as writer:
        for start in range(0, max(1, count), rows):
            writer.write({name: column[start : start + rows] for name, column in columns.items()})


def _column_of_array(name: str) -> str:
    if is_signal_array(name) or name == ANSWERED_BY:
        return name
    column = array_of(name).column
    if column is None:
        raise SteepslopeError(f"a table cannot hold {name}: save to a folder or .npz")
    return column
