"""A file or folder of predictions, opened once, as a :class:`Table`: outputs, ids, groups and clusters come out of it.

The ending of a path names its format: a folder, or one .npz, .csv or .parquet file. Nothing that is read can run code:
pickled arrays are refused. Numbers go straight into arrays; text is kept packed, as Arrow or as codes has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located, unknown_name
from steepslope.files.folders import fingerprint, staged_folder
from steepslope.files.memory import arrays_in
from steepslope.numerics.blocks import read_rows
from steepslope.outputs import folder, table_files
from steepslope.outputs.arrays import CLASSES, OF_COPIES, Arrays, array_of, in_order
from steepslope.outputs.columns import CONFIDENCE, CORRECT, Layout, found_columns, layout_of, require_once
from steepslope.outputs.labels import Texts, coded, labels_of, listed, read_classes, truths
from steepslope.outputs.opinion_files import opinions_on
from steepslope.outputs.opinions import Opinion, of_opinion
from steepslope.outputs.options import AS_WRITTEN, TABLES, ReadingOptions, by_name
from steepslope.outputs.probabilities import NAME as PROBABILITIES, logits_of, require_no_probabilities
from steepslope.outputs.table_files import NUMBER, TEXT, batches, batches_as_they_are, column_names, numbers_in

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
        Arrays (n, …) by their names in :data:`~steepslope.outputs.ARRAYS`, but for the ids, with finished logits; or
        ``confidence`` and ``is_correct`` without logits.
    classes
        The names of the classes; None where they have none.
    ids
        The names of the rows, a column of text of Arrow's; None where there are none.
    texts
        Further columns that were asked for, by name, as text.
    columns
        The names of all columns of a .csv or .parquet file; ``source``: those that became ids, labels and confidences.
    classifier
        The digest of the classifier that made a folder; None where it is not known.
    options
        How the file was read; ``numbered``: whether the ids are but the rows' numbers.
    nets
        What is known of the nets whose opinions are among the arrays, by their names.
    """

    path: Path
    arrays: Arrays
    classes: tuple[str, ...] | None = None
    ids: Any = None
    texts: Mapping[str, Texts] = field(default_factory=dict)
    columns: Sequence[str] = ()
    source: Mapping[str, str] = field(default_factory=dict)
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
        with naming(self.path):
            names: list[str] = self.ids.take(pa.array(rows)).to_pylist()
        return names

    def with_ids(self) -> Arrays:
        """Return the arrays with the ids, if there are any, as an array of text."""
        return self.arrays if self.ids is None else {**self.arrays, "ids": self.ids.to_numpy(zero_copy_only=False)}

    def groups(self, column: str, empty: str | None = None) -> tuple[NDArray[np.int32], list[str]]:
        """Return the codes (n,) and names of a further column; empty cells have the name ``empty``, or are an error."""
        if not self.columns:
            raise SteepslopeError(f"expected a .csv or .parquet file with a column {column!r}, found {self.path}")
        if column not in self.texts:
            raise unknown_name(f"column of {self.path}:", column, self.columns)
        with located(self.path):
            return self.texts[column].groups(column, empty)

    def require_labels(self) -> Table:
        """Return the table itself; raise unless it has labels, or a confidence and whether it is correct."""
        if "logits" in self.arrays and "labels" not in self.arrays:
            expected = "expected the true class of each prediction, found none"
            if self.columns:
                expected += f" in a column label (or --label-column); {found_columns(self.columns)}"
            raise SteepslopeError(expected, "labels").within(self.path)
        return self

    def beside(self, path: Path, columns: Iterable[str]) -> Table:
        """Return further columns of another .csv or .parquet file, read alike; those that it lacks are left out."""
        return read_columns(path, columns, self.options)

    @property
    def id_column(self) -> str:
        """The name of the column of ids, in this file and those beside it."""
        return self.options.id_column or "id"

    @property
    def delimiter(self) -> str:
        """The character between the columns of a .csv file."""
        return self.options.delimiter

    def as_it_is(self) -> Iterator[Any]:
        """Yield all columns as they stand in the file, batch by batch."""
        return batches_as_they_are(self.path, self.delimiter)

    def rows(self, rows: slice) -> Table:
        """Return some of the rows, with ids or else the rows' numbers; of mapped arrays a copy."""
        arrays = {name: read_rows(array, rows) for name, array in self.arrays.items()}
        ids = (
            row_numbers(rows.start, rows.stop)
            if self.ids is None
            else self.ids.slice(rows.start, rows.stop - rows.start)
        )
        return replace(self, arrays=arrays, ids=ids, numbered=self.ids is None)


@dataclass(frozen=True)
class TableBlocks:
    """The rows of a file or folder, block by block, the same each time: nothing that grows with them is held but ids.

    Labels are not read. A .npz file is read as a whole, and so is a file beside which opinions are given. ``further``
    are columns of text to read as well.
    """

    path: Path
    options: ReadingOptions = AS_WRITTEN
    further: tuple[str, ...] = ()
    size: int = BLOCK_ROWS

    def as_json(self) -> dict[str, Any]:
        """Return what decides the rows, beside the file."""
        named = (*self.options.opinion, *self.options.opinion_classes)
        opinions = {word: fingerprint(Path(word.partition("=")[2])) for word in named}
        return {"reading": asdict(self.options), "columns": list(self.further), **opinions}

    def require_ids(self) -> None:
        """Raise if rows have ids and one is empty or repeated."""
        with naming(self.path):
            if self.path.is_file() and self.path.suffix.lower() in TABLES:
                column = _Columns.of(self.path, self.options, self.further, labels=False).layout.texts.get("ids")
                found = None if column is None else _column_of(self.path, column, self.options)
            else:
                found = read_table(self.path, self.options.without_opinions, self.further).ids
            if found is not None:
                require_ids_once(found)

    @property
    def digest(self) -> str:
        """The SHA-256 of the file, or of a folder's logits, in hex: rows without ids are told from others' by it."""
        path = self.path / LOGITS if self.path.is_dir() else self.path
        with naming(path), path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def __iter__(self) -> Iterator[Table]:
        with naming(self.path):
            if self.path.is_file() and self.path.suffix.lower() in TABLES and not self.options.opinion:
                yield from _batches_of(_Columns.of(self.path, self.options, self.further, labels=False))
                return
            table = read_table(self.path, self.options, self.further)
            table.arrays.pop("labels", None)
            for start in range(0, len(table), self.size):
                yield table.rows(slice(start, min(len(table), start + self.size)))


def read_table(path: Path, options: ReadingOptions = AS_WRITTEN, further: Iterable[str | None] = ()) -> Table:
    """Read a file or folder of predictions; its errors name the path.

    ``further`` are columns of text to read as well, such as those of groups, where they are there.
    """
    with naming(path):
        if not path.exists():
            raise SteepslopeError("no such file or folder", path)
        table = _of_folder(path, options) if path.is_dir() else _of_file(path, options, further)
    return _with_opinions(table) if options.opinion else table


def _of_folder(path: Path, options: ReadingOptions) -> Table:
    arrays, classes, ids = folder.read(path)
    made = folder.extraction_of(path).get("digest")
    table = Table(
        path, arrays, classes, ids, classifier=None if made is None else str(made), options=options,
        nets=folder.opinions_in(path),
    )  # fmt: skip
    return table if options.classes is None else replace(table, classes=_agreed(options.classes, classes))


def _of_file(path: Path, options: ReadingOptions, further: Iterable[str | None]) -> Table:
    suffix = path.suffix.lower()
    if suffix == NPZ:
        table = _of_archive(path, options)
    elif suffix in TABLES:
        columns = _Columns.of(path, options, further)
        table_files.require_room_for(path, columns.types)
        table = columns.table(columns.batches())
    else:
        raise unknown_name(f"format of {path.name}:", path.suffix, (NPZ, *TABLES))
    return _with_logits(table)


def _with_opinions(table: Table) -> Table:
    """Return the table with the opinions that its options name; those of the same names are replaced."""
    arrays = table.with_ids()
    if "logits" not in arrays:
        raise SteepslopeError("expected logits to go with it, found a confidence alone", "opinion").within(table.path)
    recipe = folder.recipe_of(table.path) if table.path.is_dir() else None
    copies = arrays.get(f"{OF_COPIES}logits")
    own = Opinion(arrays["logits"], arrays.get("ids"), table.classes, copies, recipe=recipe)
    (added, nets), names = opinions_on(own, table.options), by_name("opinion", table.options.opinion)
    kept = {name: one for name, one in table.arrays.items() if not any(of_opinion(name, other) for other in names)}
    others = {name: net for name, net in table.nets.items() if name not in names}
    return replace(table, arrays={**kept, **added}, nets={**others, **nets})


def read_columns(path: Path, columns: Iterable[str], options: ReadingOptions = AS_WRITTEN) -> Table:
    """Read some columns of text of a .csv or .parquet file, in one pass; those that it lacks are left out."""
    names = column_names(path, options.delimiter)
    wanted = [column for column in dict.fromkeys(columns) if column in names]
    with located(path):
        require_once(wanted, names)
    some = batches(path, dict.fromkeys(wanted, TEXT), options.delimiter) if wanted else ()
    return _Columns(path, options, names, Layout({}), tuple(wanted), by_number=False).table(some)


def write(path: Path, arrays: Arrays, classes: Sequence[str] | None = None) -> None:
    """Write in the format that the ending of ``path`` names; with any other ending, a folder."""
    suffix = path.suffix.lower()
    if suffix not in (NPZ, *TABLES):
        folder.write(path, arrays, classes)
        return
    named = arrays if classes is None else {**arrays, CLASSES: np.array(classes)}
    with staged_folder(path.parent, last=path.name) as staging, located(path):
        if suffix == NPZ:
            np.savez(staging / path.name, allow_pickle=False, **named)
        else:
            table_files.write(staging / path.name, named)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside the block into one line that names the path."""
    try:
        yield
    except SteepslopeError as error:
        raise error.within(path) from error
    except MemoryError:
        raise
    except Exception as error:  # numpy, zipfile, zlib and pyarrow each have their own for a damaged file
        summary = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SteepslopeError(f"cannot be read as classifier outputs ({summary})", path) from error


def _of_archive(path: Path, options: ReadingOptions) -> Table:
    """Return the arrays of a .npz file; its labels may be names of classes, and its logits ``probabilities``."""
    with np.load(path, allow_pickle=False) as archive:
        wanted = [*in_order(archive), CONFIDENCE, CORRECT, CLASSES]
        arrays = arrays_in(archive, wanted if "logits" in archive else [*wanted, PROBABILITIES], path)
    if PROBABILITIES in arrays:
        arrays["logits"] = arrays.pop(PROBABILITIES)
        options = replace(options, probabilities=True, as_logits=False)
    names = arrays.pop(CLASSES, None)
    classes = None if names is None else tuple(names.astype(np.str_).tolist())
    if options.classes is not None:
        classes = _agreed(options.classes, classes)
    if "labels" in arrays and arrays["labels"].dtype.kind in "US":
        arrays["labels"] = coded(arrays["labels"], classes)
    ids = arrays.pop("ids", None)
    return Table(path, arrays, classes, None if ids is None else pa.array(ids.astype(np.str_), TEXT), options=options)


def _agreed(named_by: str, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of classes in a text file; those that the outputs have must be the same."""
    names = tuple(read_classes(Path(named_by)))
    if classes is not None and tuple(classes) != names:
        expected = f"expected the classes {listed(list(classes))}, as the outputs name them"
        raise SteepslopeError(f"{expected}, found {listed(names)}", named_by)
    return names


def _with_logits(table: Table) -> Table:
    """Return the table with logits in place of probabilities; raise where it is not said which of them they are."""
    logits = table.arrays.get("logits")
    if logits is not None and table.options.probabilities:
        table.arrays["logits"] = logits_of(logits)
    elif logits is not None and not table.options.as_logits:
        require_no_probabilities(logits)
    return table


def _column_of(path: Path, column: str, options: ReadingOptions) -> Any:
    columns = [one.column(column).cast(TEXT) for one in batches(path, {column: TEXT}, options.delimiter)]
    return pa.chunked_array(columns, TEXT)


def require_ids_once(ids: Any, place: str = "id") -> None:
    """Raise at a place unless ids (n,), in an array of NumPy's or Arrow's, are unique and none is empty."""
    counts = compute.value_counts(ids)
    names, times = counts.field("values"), counts.field("counts")
    wrong = counts.filter(compute.or_(compute.equal(compute.fill_null(names, ""), ""), compute.greater(times, 1)))
    if len(wrong):
        found = f"{wrong[0]['values'].as_py() or ''!r} in {wrong[0]['counts'].as_py():,} rows, {len(wrong):,} such ids"
        expected = "unique ids without empty ones, or none at all"
        raise SteepslopeError(f"expected {expected}, found {found} in all", place)


def row_numbers(start: int, stop: int) -> Any:
    """Return the numbers of rows as text, which stand for their ids."""
    return pa.array(map(str, range(start, stop)), TEXT)


@dataclass(frozen=True)
class _Columns:
    """The columns of a .csv or .parquet file that are read, and what they are read as.

    ``by_number`` is whether labels are numbers though the classes have names: so they were saved.
    """

    path: Path
    options: ReadingOptions
    names: list[str]
    layout: Layout
    further: tuple[str, ...]
    by_number: bool

    @classmethod
    def of(cls, path: Path, options: ReadingOptions, further: Iterable[str | None], labels: bool = True) -> _Columns:
        names = column_names(path, options.delimiter)
        options = table_files.with_columns(options, path, names, further)
        layout = layout_of(names, options)
        wanted = tuple(name for name in dict.fromkeys(further) if name is not None and name in names)
        require_once(wanted, names)
        saved = None if options.logit_columns else table_files.saved_classes(path)
        if None not in (saved, layout.classes) and saved != layout.classes:
            expected = f"expected the classes {listed(saved or ())}, as the file names them"
            raise SteepslopeError(f"{expected}, found {listed(layout.classes or ())}", options.classes)
        texts = {name: column for name, column in layout.texts.items() if labels or name != "labels"}
        by_number = saved is not None and options.label_column is None
        layout = replace(layout, texts=texts, classes=layout.classes or saved)
        return cls(path, options, names, layout, wanted, by_number)

    @property
    def types(self) -> dict[str, Any]:
        """The columns that are read, with the type that each is read as."""
        types = {column: NUMBER for columns in self.layout.numbers.values() for column in columns}
        return types | dict.fromkeys([*self.layout.texts.values(), *self.further], TEXT)

    def batches(self) -> Iterator[Any]:
        """Yield the columns, batch by batch; raise if there is no row."""
        rows, types = 0, self.types
        for batch in batches(self.path, types, self.options.delimiter, table_files.rows_at_once(len(types))):
            rows += batch.num_rows
            yield batch
        if rows == 0:
            raise SteepslopeError("expected rows below the header, found none")

    def table(self, some: Iterable[Any]) -> Table:
        """Return the table of some batches: each array of numbers grows in place, and text is kept packed."""
        buffers: Arrays = {}
        ids: list[Any] = []
        id_column = self.layout.texts.get("ids")
        read = [column for column in self.layout.texts.values() if column != id_column]
        chunks: dict[str, list[Any]] = {column: [] for column in (*read, *self.further)}
        used = 0
        for batch in some:
            for name, columns in self.layout.numbers.items():
                block = np.column_stack([numbers_in(batch, column) for column in columns])
                _append(buffers, name, used, block)
            for column, encoded in chunks.items():
                encoded.append(Texts.encoded(batch.column(column)))
            if id_column is not None:
                ids.append(batch.column(id_column).cast(TEXT).fill_null(""))
            used += batch.num_rows
        for buffer in buffers.values():
            buffer.resize((used, buffer.shape[1]), refcheck=False)
        pa.default_memory_pool().release_unused()  # of a million rows about 90 MiB
        texts = {column: Texts.of(encoded) for column, encoded in chunks.items()}
        confidences = {name: columns[0] for name, columns in self.layout.numbers.items() if name == CONFIDENCE}
        return Table(
            self.path, self._arrays(buffers, texts), self.layout.classes,
            pa.chunked_array(ids, TEXT) if ids else None, texts, self.names, self.layout.texts | confidences,
            options=self.options,
        )  # fmt: skip

    def _arrays(self, buffers: Arrays, texts: Mapping[str, Texts]) -> Arrays:
        """Return the arrays of all columns, those of one column as vectors."""
        if "logits" in buffers and buffers["logits"].shape[1] == 1 and not self.options.probabilities:
            expected = "expected a column for each class; one alone can be the probability of class 1 (--probabilities)"
            raise SteepslopeError(f"{expected}, found {self.layout.numbers['logits'][0]!r} alone", "logits")
        vectors = {name for name in buffers if name == CONFIDENCE or len(array_of(name).axes) == 1}
        arrays = {name: array[:, 0] if name in vectors else array for name, array in buffers.items()}
        labels, correct = (self.layout.texts.get(name) for name in ("labels", CORRECT))
        if labels is not None:
            names = None if self.by_number else self.layout.classes
            arrays["labels"] = labels_of(texts[labels], labels, names, self.layout.counts)
        if correct is not None:
            arrays[CORRECT] = truths(texts[correct], correct)
        return arrays


def _append(buffers: Arrays, name: str, used: int, block: NDArray[Any]) -> None:
    """Grow in place, so that no second copy of millions of rows is ever held."""
    buffer = buffers.setdefault(name, np.empty((0, block.shape[1]), dtype=block.dtype))
    if used + len(block) > len(buffer):
        buffer.resize((max(len(buffer) * 5 // 4, used + len(block)), buffer.shape[1]), refcheck=False)
    buffer[used : used + len(block)] = block


def _batches_of(columns: _Columns) -> Iterator[Table]:
    start = 0
    for batch in columns.batches():
        table, stop = columns.table([batch]), start + batch.num_rows
        named = table.ids is not None
        yield _with_logits(table if named else replace(table, ids=row_numbers(start, stop), numbered=True))
        start = stop
