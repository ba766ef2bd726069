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
from steepslope.numerics import Counts, read_rows
from steepslope.outputs import _folder as folder, _table_files as table_files
from steepslope.outputs._answers import ANSWERED_BY, are_numbers_from_zero, maker_of_answers
from steepslope.outputs._arrays import CLASSES, OF_COPIES, Arrays, arrays_in_order
from steepslope.outputs._columns import Columns, Layout, columns_that_are_there, found_columns, layout_of_file
from steepslope.outputs._labels import Texts, coded_labels, listed_names
from steepslope.outputs._opinion_files import read_opinions
from steepslope.outputs._opinions import Opinion, is_array_of_opinion
from steepslope.outputs._options import AS_WRITTEN, TABLES, ReadingOptions, options_by_name
from steepslope.outputs._probabilities import NAME as PROBABILITIES, probability_logits, require_no_probabilities
from steepslope.outputs._table_files import TableFile, table_file

_NPZ = ".npz"
_LOGITS = "logits.npy"
_BLOCK_ROWS = 16_384  # of a folder or .npz file


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

    def ids_of(self, rows: Counts) -> list[str]:
        """Return the ids of some rows, or the rows' numbers where there are no ids."""
        if self.ids is None:
            return list(map(str, rows))
        names: list[str] = self.ids[rows].tolist()
        return names

    def with_ids(self) -> Arrays:
        """Return the arrays with the ids, if there are any, as an array of text."""
        if self.ids is None:
            return self.arrays
        return {**self.arrays, "ids": self.ids}

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
        if self.ids is None:
            return replace(self, arrays=arrays)._numbered_from(rows.start)
        return replace(self, arrays=arrays, ids=self.ids[rows])

    def _numbered_from(self, start: int) -> Table:
        """Return the table with the numbers of its rows as ids."""
        ids = np.array(list(map(str, range(start, start + len(self)))), dtype=np.object_)
        return replace(self, ids=ids, numbered=True)


@dataclass(frozen=True)
class TableBlocks:
    """The rows of a file or folder, block by block, the same each time. Of all rows only ids are held at once.

    Labels are not read. A .npz file is read as a whole, and so is a file that comes with opinions. ``further``
    are columns of text to read as well. ``known`` are the classes of answers, as a gate has them.
    """

    path: Path
    options: ReadingOptions = AS_WRITTEN
    further: tuple[str, ...] = ()
    size: int = _BLOCK_ROWS
    known: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what decides the rows, with the file."""
        content: dict[str, Any] = {"reading": asdict(self.options), "columns": list(self.further)}
        for word in (*self.options.opinion, *self.options.opinion_classes):
            content[word] = fingerprint(Path(word.partition("=")[2]))
        return content

    def require_ids(self) -> None:
        """Raise if rows have ids and one is empty or repeated."""
        with naming_table(self.path):
            ids = None
            if not self._is_table:
                ids = read_table(self.path, self.options.without_opinions, self.further).ids
            else:
                columns = self._layout().texts
                if "ids" in columns:
                    ids = Layout({}, {"ids": columns["ids"]}).read(self._file).ids
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
        path = self.path / _LOGITS if self.path.is_dir() else self.path
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
            if table.ids is None:
                table = table._numbered_from(start)
            yield table
            start += len(table)
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
        if path.is_dir():
            table = _table_of_folder(path, options)
        else:
            table = _table_of_file(path, options, further, known, labels)
    if options.opinion:
        return _table_with_opinions(table)
    return table


def _table_of_folder(path: Path, options: ReadingOptions) -> Table:
    arrays, classes, ids = folder.read_outputs_folder(path)
    made = folder.extraction_of_folder(path)
    maker = maker_of_answers(made.get(ANSWERED_BY)) or made.get("digest")
    if maker is not None:
        maker = str(maker)
    nets = folder.opinions_in_folder(path)
    classes = _agreed_classes(options, classes)
    return Table(path, arrays, classes, ids, classifier=maker, options=options, nets=nets)


def _table_of_file(
    path: Path, options: ReadingOptions, further: Iterable[str | None], known: Sequence[str] | None, labels: bool
) -> Table:
    suffix = path.suffix.lower()
    if suffix == _NPZ:
        return _table_of_archive(path, options)
    if suffix not in TABLES:
        raise unknown_name(f"format of {path.name}:", path.suffix, (_NPZ, *TABLES))
    file = table_file(path, options.delimiter)
    layout = layout_of_file(file, options, further, labels, known)
    columns = layout.read(file)
    arrays = [*columns.numbers.values(), *(texts.codes for texts in columns.texts.values())]
    _require_table_rows(len(arrays[0]))
    return _table_of_columns(file, layout, options, columns)


def _table_of_columns(file: TableFile, layout: Layout, options: ReadingOptions, columns: Columns) -> Table:
    arrays = layout.arrays(columns)
    classes = layout.classes
    if not layout.is_of_answers:
        arrays = _arrays_with_logits(arrays, layout.probabilities, options)
    elif are_numbers_from_zero(classes or ()):
        classes = None
    column = layout.texts.get(ANSWERED_BY, "")
    maker = maker_of_answers(options.answered_by or columns.texts.get(column))
    return Table(file.path, arrays, classes, columns.ids, columns.texts, file.names, maker, options)


def _require_table_rows(count: int) -> None:
    if count == 0:
        raise SteepslopeError("expected rows below the header, found none")


def _table_with_opinions(table: Table) -> Table:
    """Return the table with the opinions that its options name; those of the same names are replaced."""
    arrays = table.with_ids()
    if "logits" not in arrays:
        raise SteepslopeError("expected logits to go with it, found none", "opinion").within(table.path)
    recipe = folder.recipe_of_folder(table.path)
    copies = arrays.get(f"{OF_COPIES}logits")
    own = Opinion(arrays["logits"], arrays.get("ids"), table.classes, copies, recipe=recipe)
    added, added_nets = read_opinions(own, table.options, table.path)
    arrays = dict(table.arrays)
    nets = dict(table.nets)
    for name in options_by_name("opinion", table.options.opinion):
        nets.pop(name, None)
        for array in table.arrays:
            if is_array_of_opinion(array, name):
                arrays.pop(array, None)
    return replace(table, arrays={**arrays, **added}, nets={**nets, **added_nets})


def read_table_columns(path: Path, columns: Iterable[str], options: ReadingOptions = AS_WRITTEN) -> Table:
    """Read some columns of text of a .csv or .parquet file, in one pass; those that it lacks are left out."""
    file = table_file(path, options.delimiter)
    with located(path):
        wanted = columns_that_are_there(columns, file.names)
    texts = Layout({}, further=wanted).read(file).texts
    return Table(path, {}, texts=texts, columns=file.names, options=options)


def write_outputs_table(
    path: Path, arrays: Arrays, classes: Sequence[str] | None = None, answered_by: str | None = None
) -> None:
    """Write in the format that the ending of ``path`` names; with any other ending, a folder."""
    suffix = path.suffix.lower()
    if suffix not in (_NPZ, *TABLES):
        folder.write_outputs_folder(path, arrays, classes, answered_by)
        return
    named = dict(arrays)
    if classes is not None:
        named[CLASSES] = np.array(classes)
    if answered_by is not None:
        named[ANSWERED_BY] = np.full(len(arrays["logits"]), answered_by)
    with staged_folder(path.parent, last=path.name) as staging, located(path):
        if suffix == _NPZ:
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
        summary = [*str(error).splitlines(), type(error).__name__]
        raise SteepslopeError(f"cannot be read as classifier outputs ({summary[0]})", path) from error


def _table_of_archive(path: Path, options: ReadingOptions) -> Table:
    """Return the arrays of a .npz file; its labels may be names of classes, and its logits ``probabilities``."""
    with np.load(path, allow_pickle=False) as archive:
        wanted = [*arrays_in_order(archive), CLASSES, ANSWERED_BY]
        if "logits" not in archive:
            wanted.append(PROBABILITIES)
        arrays = arrays_that_fit_memory(archive, wanted, path)
    are_probabilities = PROBABILITIES in arrays or options.probabilities
    if PROBABILITIES in arrays:
        arrays["logits"] = arrays.pop(PROBABILITIES)
    texts = {name: arrays.pop(name).astype(np.str_) for name in (CLASSES, ANSWERED_BY, "ids") if name in arrays}
    classes = _agreed_classes(options, texts[CLASSES].tolist() if CLASSES in texts else None)
    if "labels" in arrays and arrays["labels"].dtype.kind in "US":
        arrays["labels"] = coded_labels(arrays["labels"], classes)
    maker = None
    if ANSWERED_BY in texts:
        maker = maker_of_answers(Texts.of_rows(texts[ANSWERED_BY].tolist()))
    ids = None
    if "ids" in texts:
        ids = texts["ids"].astype(np.object_)
    arrays = _arrays_with_logits(arrays, are_probabilities, options)
    return Table(path, arrays, classes, ids, classifier=maker, options=options)


def _agreed_classes(options: ReadingOptions, classes: Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the names of classes that the outputs have, or a text file; if both have names, they must be the same."""
    if classes is not None:
        classes = tuple(classes)
    names = options.class_names
    if names is None:
        return classes
    if classes is not None and classes != names:
        raise SteepslopeError(
            f"expected the classes {listed_names(classes)}, as the outputs name them, found {listed_names(names)}",
            options.classes,
        )
    return names


def _arrays_with_logits(arrays: Arrays, probabilities: bool, options: ReadingOptions) -> Arrays:
    """Return the arrays with logits in place of probabilities; raise where it is not said which of them they are."""
    if "logits" not in arrays:
        return arrays
    if probabilities:
        return {**arrays, "logits": probability_logits(arrays["logits"])}
    if not options.as_logits:
        require_no_probabilities(arrays["logits"])
    return arrays


def require_ids_once(ids: Iterable[str], place: str = "id") -> None:
    """Raise at a place unless ids (n,) are unique and none is empty."""
    counts = Counter(map(str, ids))
    wrong = [name for name, count in counts.items() if count > 1 or not name]
    if wrong:
        raise SteepslopeError(
            "expected unique ids without empty ones, or none at all, "
            f"found {wrong[0]!r} in {counts[wrong[0]]:,} rows, {len(wrong):,} such ids in all",
            place,
        )
