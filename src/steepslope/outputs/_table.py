"""A file or folder of predictions, opened once, as a :class:`Table`: outputs, ids, groups and clusters come out of it.

The ending of a path names its format: a folder, or one .npz, .csv or .parquet file. Nothing that is read can run code:
pickled arrays are refused. Numbers go straight into arrays, and text into codes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located, unknown_name
from steepslope.files import arrays_that_fit_memory, fingerprint, staged_folder
from steepslope.numerics import read_rows
from steepslope.outputs import _folder as folder, _table_files as table_files
from steepslope.outputs._answers import ANSWERED_BY, are_numbers_from_zero, maker_of_answers
from steepslope.outputs._arrays import CLASSES, OF_COPIES, Arrays, arrays_in_order
from steepslope.outputs._columns import Columns, Layout, found_columns, layout_of_file, require_columns_once
from steepslope.outputs._labels import Texts, coded_labels, listed_names, read_classes
from steepslope.outputs._opinion_files import read_opinions
from steepslope.outputs._opinions import Opinion, is_array_of_opinion
from steepslope.outputs._options import AS_WRITTEN, TABLES, ReadingOptions, options_by_name
from steepslope.outputs._probabilities import NAME as PROBABILITIES, probability_logits, require_no_probabilities
from steepslope.outputs._table_files import TableFile, table_file

NPZ, LOGITS = ".npz", "logits.npy"
BLOCK_ROWS = 16_384  # of a folder or .npz file


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of a file or folder of predictions, with what its columns hold by name.

    Parameters
    ----------
    path
        The file or folder.
    arrays
        Arrays (n, …) by their names in :data:`~steepslope.outputs.ARRAYS`, but for the ids, with finished logits.
    classes
        The names of the classes; None where they have none.
    ids
        The names of the rows (n,), as objects; None where there are none.
    texts
        Further columns that were asked for, by name, as text.
    columns
        The names of all columns of a .csv or .parquet file.
    classifier
        The digest of the classifier that made a folder, or the model that gave answers; None where it is not known.
    options
        How the file was read; ``numbered``: whether the ids are but the rows' numbers.
    nets
        What is known of the nets whose opinions are among the arrays, by their names.
    """

    path: Path
    arrays: Arrays
    classes: tuple[str, ...] | None = None
    ids: NDArray[np.object_] | None = None
    texts: Mapping[str, Texts] = field(default_factory=dict)
    columns: Sequence[str] = ()
    classifier: str | None = None
    options: ReadingOptions = AS_WRITTEN
    numbered: bool = False
    nets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def ids_of(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the ids of some rows, or the rows' numbers where there are no ids."""
        if self.ids is None:
            return [str(row) for row in rows]
        names: list[str] = self.ids[rows].tolist()
        return names

    def with_ids(self) -> Arrays:
        """Return the arrays with the ids, if there are any, as an array of text."""
        return self.arrays if self.ids is None else {**self.arrays, "ids": self.ids}

    def groups(self, column: str, empty: str | None = None) -> tuple[NDArray[np.int32], list[str]]:
        """Return the codes (n,) and names of a further column; empty cells have the name ``empty``, or are an error."""
        if not self.columns:
            raise SteepslopeError(f"expected a .csv or .parquet file with a column {column!r}, found {self.path}")
        if column not in self.texts:
            raise unknown_name(f"column of {self.path}:", column, self.columns)
        with located(self.path):
            return self.texts[column].groups(column, empty)

    def require_labels(self) -> Table:
        """Return the table itself; raise unless it has labels."""
        if "logits" in self.arrays and "labels" not in self.arrays:
            expected = "expected the true class of each prediction, found none"
            if self.columns:
                expected += f" in a column label (or --label-column); {found_columns(self.columns)}"
            raise SteepslopeError(expected, "labels").within(self.path)
        return self

    def rows(self, rows: slice) -> Table:
        """Return some of the rows, with their ids, or else their numbers. Mapped arrays are copied."""
        arrays = {name: read_rows(array, rows) for name, array in self.arrays.items()}
        ids = row_numbers_as_ids(rows.start, rows.stop) if self.ids is None else self.ids[rows]
        return replace(self, arrays=arrays, ids=ids, numbered=self.ids is None)


@dataclass(frozen=True)
class TableBlocks:
    """The rows of a file or folder, block by block, the same each time. Of all rows only ids are held at once.

    Labels are not read. A .npz file is read as a whole, and so is a file that comes with opinions. ``further``
    are columns of text to read as well. ``known`` are the classes of answers, as a gate has them.
    """

    path: Path
    options: ReadingOptions = AS_WRITTEN
    further: tuple[str, ...] = ()
    size: int = BLOCK_ROWS
    known: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what decides the rows, with the file."""
        named = (*self.options.opinion, *self.options.opinion_classes)
        opinions = {word: fingerprint(Path(word.partition("=")[2])) for word in named}
        return {"reading": asdict(self.options), "columns": list(self.further), **opinions}

    def require_ids(self) -> None:
        """Raise if rows have ids and one is empty or repeated."""
        with naming_table(self.path):
            if self._is_table:
                column = self._layout().texts.get("ids")
                ids = None if column is None else Layout({}, {"ids": column}).read(self._file).ids
            else:
                ids = read_table(self.path, self.options.without_opinions, self.further).ids
            if ids is not None:
                require_ids_once(ids)

    @property
    def _is_table(self) -> bool:
        return self.path.is_file() and self.path.suffix.lower() in TABLES

    @property
    def _file(self) -> TableFile:
        return table_file(self.path, self.options.delimiter)

    def _layout(self) -> Layout:
        return layout_of_file(self._file, self.options, self.further, labels=False, known=self.known)

    @property
    def digest(self) -> str:
        """The SHA-256 of the file, or of a folder's logits, in hex. It tells rows without ids from those of others."""
        path = self.path / LOGITS if self.path.is_dir() else self.path
        with naming_table(path), path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def __iter__(self) -> Iterator[Table]:
        with naming_table(self.path):
            if self._is_table and not self.options.opinion:
                yield from self._batches(self._layout())
                return
            table = read_table(self.path, self.options, self.further, self.known, labels=False)
            table.arrays.pop("labels", None)
            for start in range(0, len(table), self.size):
                yield table.rows(slice(start, min(len(table), start + self.size)))

    def _batches(self, layout: Layout) -> Iterator[Table]:
        start = 0
        for batch in layout.batches(self._file):
            table = _table_of_columns(self._file, layout, self.options, layout.joined([batch]))
            stop = start + len(next(iter(batch.values())))
            yield table if table.ids is not None else replace(table, ids=row_numbers_as_ids(start, stop), numbered=True)
            start = stop
        _require_table_rows(start)


def read_table(
    path: Path,
    options: ReadingOptions = AS_WRITTEN,
    further: Iterable[str | None] = (),
    known: Sequence[str] | None = None,
    labels: bool = True,
) -> Table:
    """Read a file or folder of predictions; its errors name the path.

    ``further`` are columns of text to read as well, such as those of groups, if the file has them. ``known`` are the
    classes of answers, as an oracle has them. ``labels`` says whether the labels of a .csv or .parquet file are read.
    """
    with naming_table(path):
        if not path.exists():
            raise SteepslopeError("no such file or folder", path)
        is_folder = path.is_dir()
        table = _table_of_folder(path, options) if is_folder else _table_of_file(path, options, further, known, labels)
    return _table_with_opinions(table) if options.opinion else table


def _table_of_folder(path: Path, options: ReadingOptions) -> Table:
    arrays, classes, ids = folder.read_outputs_folder(path)
    made = folder.extraction_of_folder(path)
    maker = maker_of_answers(made.get(ANSWERED_BY)) or made.get("digest")
    table = Table(
        path, arrays, classes, ids, classifier=None if maker is None else str(maker), options=options,
        nets=folder.opinions_in_folder(path),
    )  # fmt: skip
    return table if options.classes is None else replace(table, classes=_agreed_classes(options.classes, classes))


def _table_of_file(
    path: Path, options: ReadingOptions, further: Iterable[str | None], known: Sequence[str] | None, labels: bool
) -> Table:
    suffix = path.suffix.lower()
    if suffix == NPZ:
        return _table_of_archive(path, options)
    if suffix not in TABLES:
        raise unknown_name(f"format of {path.name}:", path.suffix, (NPZ, *TABLES))
    file = table_file(path, options.delimiter)
    layout = layout_of_file(file, options, further, labels, known)
    columns = layout.read(file)
    first = next(iter([*columns.numbers.values(), *(text.codes for text in columns.texts.values())]))
    _require_table_rows(len(first))
    return _table_of_columns(file, layout, options, columns)


def _table_of_columns(file: TableFile, layout: Layout, options: ReadingOptions, columns: Columns) -> Table:
    arrays, answered = layout.arrays(columns), layout.is_of_answers
    arrays = arrays if answered else _arrays_with_logits(arrays, layout.probabilities, options)
    classes = None if answered and are_numbers_from_zero(layout.classes or ()) else layout.classes
    answered_by = options.answered_by or columns.texts.get(layout.texts.get(ANSWERED_BY, ""))
    maker = maker_of_answers(answered_by)
    return Table(file.path, arrays, classes, columns.ids, columns.texts, file.names, maker, options)


def _require_table_rows(count: int) -> None:
    if count == 0:
        raise SteepslopeError("expected rows below the header, found none")


def _table_with_opinions(table: Table) -> Table:
    """Return the table with the opinions that its options name; those of the same names are replaced."""
    arrays = table.with_ids()
    if "logits" not in arrays:
        raise SteepslopeError("expected logits to go with it, found none", "opinion").within(table.path)
    recipe = folder.recipe_of_folder(table.path) if table.path.is_dir() else None
    copies = arrays.get(f"{OF_COPIES}logits")
    own = Opinion(arrays["logits"], arrays.get("ids"), table.classes, copies, recipe=recipe)
    added, nets = read_opinions(own, table.options, table.path)
    names = options_by_name("opinion", table.options.opinion)
    others_kept = {
        name: one for name, one in table.arrays.items() if not any(is_array_of_opinion(name, other) for other in names)
    }
    others = {name: net for name, net in table.nets.items() if name not in names}
    return replace(table, arrays={**others_kept, **added}, nets={**others, **nets})


def read_table_columns(path: Path, columns: Iterable[str], options: ReadingOptions = AS_WRITTEN) -> Table:
    """Read some columns of text of a .csv or .parquet file, in one pass; those that it lacks are left out."""
    file = table_file(path, options.delimiter)
    wanted = [column for column in dict.fromkeys(columns) if column in file.names]
    with located(path):
        require_columns_once(wanted, file.names)
    texts = Layout({}, further=tuple(wanted)).read(file).texts
    return Table(path, {}, texts=texts, columns=file.names, options=options)


def write_outputs_table(
    path: Path, arrays: Arrays, classes: Sequence[str] | None = None, answered_by: str | None = None
) -> None:
    """Write in the format that the ending of ``path`` names; with any other ending, a folder."""
    suffix = path.suffix.lower()
    if suffix not in (NPZ, *TABLES):
        folder.write_outputs_folder(path, arrays, classes, answered_by)
        return
    named = arrays if classes is None else {**arrays, CLASSES: np.array(classes)}
    if answered_by is not None:
        named = {**named, ANSWERED_BY: np.full(len(arrays["logits"]), answered_by)}
    with staged_folder(path.parent, last=path.name) as staging, located(path):
        if suffix == NPZ:
            np.savez(staging / path.name, allow_pickle=False, **named)
        else:
            table_files.write_table_file(staging / path.name, named)


@contextmanager
def naming_table(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside the block into one line that names the path."""
    try:
        yield
    except SteepslopeError as error:
        raise error.within(path) from error
    except MemoryError:
        raise
    except Exception as error:  # numpy, zipfile and zlib each have their own for a damaged file
        summary = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SteepslopeError(f"cannot be read as classifier outputs ({summary})", path) from error


def _table_of_archive(path: Path, options: ReadingOptions) -> Table:
    """Return the arrays of a .npz file; its labels may be names of classes, and its logits ``probabilities``."""
    with np.load(path, allow_pickle=False) as archive:
        wanted = [*arrays_in_order(archive), CLASSES, ANSWERED_BY]
        arrays = arrays_that_fit_memory(archive, wanted if "logits" in archive else [*wanted, PROBABILITIES], path)
    are_named = PROBABILITIES in arrays
    if are_named:
        arrays["logits"] = arrays.pop(PROBABILITIES)
    names = arrays.pop(CLASSES, None)
    classes = None if names is None else tuple(names.astype(np.str_).tolist())
    if options.classes is not None:
        classes = _agreed_classes(options.classes, classes)
    if "labels" in arrays and arrays["labels"].dtype.kind in "US":
        arrays["labels"] = coded_labels(arrays["labels"], classes)
    answered_by = arrays.pop(ANSWERED_BY, None)
    maker = maker_of_answers(None if answered_by is None else Texts.of_rows(answered_by.astype(np.str_).tolist()))
    ids = arrays.pop("ids", None)
    ids = None if ids is None else ids.astype(np.str_).astype(np.object_)
    arrays = _arrays_with_logits(arrays, are_named or options.probabilities, options)
    return Table(path, arrays, classes, ids, classifier=maker, options=options)


def _agreed_classes(named_by: str, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of classes in a text file; those that the outputs have must be the same."""
    names = tuple(read_classes(Path(named_by)))
    if classes is not None and tuple(classes) != names:
        expected = f"expected the classes {listed_names(list(classes))}, as the outputs name them"
        raise SteepslopeError(f"{expected}, found {listed_names(names)}", named_by)
    return names


def _arrays_with_logits(arrays: Arrays, probabilities: bool, options: ReadingOptions) -> Arrays:
    """Return the arrays with logits in place of probabilities; raise where it is not said which of them they are."""
    logits = arrays.get("logits")
    if logits is not None and probabilities:
        return {**arrays, "logits": probability_logits(logits)}
    if logits is not None and not options.as_logits:
        require_no_probabilities(logits)
    return arrays


def require_ids_once(ids: Iterable[str], place: str = "id") -> None:
    """Raise at a place unless ids (n,) are unique and none is empty."""
    wrong = {name: times for name, times in Counter(map(str, ids)).items() if times > 1 or not name}
    if wrong:
        first = next(iter(wrong))
        found = f"{first!r} in {wrong[first]:,} rows, {len(wrong):,} such ids"
        expected = "unique ids without empty ones, or none at all"
        raise SteepslopeError(f"expected {expected}, found {found} in all", place)


def row_numbers_as_ids(start: int, stop: int) -> NDArray[np.object_]:
    """Return the numbers of rows as text, (m,), which stand for their ids."""
    return np.array([*map(str, range(start, stop))], dtype=np.object_)
