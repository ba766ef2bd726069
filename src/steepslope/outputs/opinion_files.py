"""Files of opinions: what another classifier, or people, think of the rows of some outputs, read as it comes.

A folder or .npz file of outputs; or a .csv or .parquet file with a column of numbers for each class, or with one column
of bare classes. Which rows they are about, and which classes, is told in :mod:`steepslope.outputs.opinions`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located, unknown_name
from steepslope.files.memory import arrays_in
from steepslope.outputs import folder, table_files
from steepslope.outputs.arrays import CLASSES, OF_COPIES, Arrays
from steepslope.outputs.columns import class_columns
from steepslope.outputs.labels import NOTHING_THERE
from steepslope.outputs.opinions import PLACES, Opinion, opinion_arrays, places_of, require_columns_of_classes
from steepslope.outputs.options import TABLES, ReadingOptions, by_name
from steepslope.outputs.probabilities import are_probabilities
from steepslope.outputs.table_files import NUMBER, TEXT

LABEL = "label"  # votes where it stands alone; files of outputs hold the true classes there
ARRAYS = ("logits", "probabilities", "votes", "labels")  # of a .npz file, the first that is there; labels stand alone
NEARLY_ALL = 0.9  # of a column's values are ids, where these are not called so
Mapped = dict[str, str | None]


def opinions_on(own: Opinion, options: ReadingOptions) -> tuple[Arrays, dict[str, dict[str, Any]]]:
    """Return the arrays of the opinions that are given for some rows, by name, and what is known of their nets.

    That is what the extraction of a folder recorded, and the places of the net's classes; nothing of other files.
    """
    arrays: Arrays = {}
    nets: dict[str, dict[str, Any]] = {}
    files = by_name("opinion", options.opinion)
    mappings = {name: read_mapping(Path(file)) for name, file in by_name("opinion", options.opinion_classes).items()}
    for name, file in files.items():
        path, mapping = Path(file), mappings.get(name)
        with explained("cannot be read as an opinion", path, (OSError, pa.ArrowException), longest=160):
            other = read_opinion(path, options, own, mapping)
        with located(path):
            arrays |= opinion_arrays(own, name, other, mapping)
            made = folder.extraction_of(path) if path.is_dir() else {}
            if "digest" in made:
                nets[name] = {**made, PLACES: list(places_of(own, other, mapping))}
    return arrays, nets


def read_mapping(path: Path, form: str = "other=this") -> Mapped:
    """Read what the classes of an opinion are called here: lines ``other=this``, or a .csv file of two columns.

    Nothing behind the sign says that this classifier lacks the class. Of anything else that each class has, ``form``
    tells how a line looks.
    """
    with explained(f"expected a text file with lines {form}", path, (OSError, UnicodeDecodeError)):
        text = path.read_text(encoding="utf-8-sig")
    is_csv = path.suffix.lower() == ".csv"
    lines = list(csv.reader(text.splitlines())) if is_csv else [line.split("=", 1) for line in text.splitlines()]
    found: Mapped = {}
    for number, parts in enumerate(lines, start=1):
        names = [part.strip() for part in parts]
        if names in ([], [""]):
            continue
        if len(names) != 2 or not names[0] or names[0] in found:
            expected = f"expected {'two columns' if is_csv else form} in each line, each class once"
            raise SteepslopeError(f"{expected}, found {', '.join(names)!r} in line {number}", path)
        found[names[0]] = names[1] or None
    if not found:
        raise SteepslopeError("expected the names of classes, found none", path)
    return found


def read_opinion(path: Path, options: ReadingOptions, own: Opinion, mapping: Mapped | None = None) -> Opinion:
    """Read an opinion; the options tell the separator of .csv files and the column of the ids.

    The ``own`` ids and classes, and the mapping, tell which columns of a table are which.
    """
    if not path.exists():
        raise SteepslopeError("no such file or folder", path)
    if path.is_dir():
        arrays, classes, ids = folder.read(path)
        names = None if ids is None else ids.to_numpy(zero_copy_only=False)
        copies, recipe = arrays.get(f"{OF_COPIES}logits"), folder.recipe_of(path)
        return Opinion(arrays["logits"], names, classes, copies, as_logits=True, recipe=recipe)
    if path.suffix.lower() == ".npz":
        return _of_archive(path)
    if path.suffix.lower() not in TABLES:
        raise unknown_name(f"format of {path.name}:", path.suffix, (".npz", *TABLES))
    with located(path):
        return _of_table(path, options, own, mapping)


def _of_archive(path: Path) -> Opinion:
    unreadable = explained("cannot be read as an opinion", path, (ValueError, EOFError, BadZipFile), longest=160)
    with unreadable, np.load(path, allow_pickle=False) as archive:
        names = list(archive.files)
        arrays = arrays_in(archive, (*ARRAYS, "ids", CLASSES), path)
    name = next((name for name in ARRAYS if name in arrays), None)
    beside = set(names) - {"ids", "labels", CLASSES}
    if name is None or (name == "labels" and beside):  # which are the true classes in files of outputs
        raise SteepslopeError(f"expected {', '.join(ARRAYS)}, found {', '.join(names)}", path)
    ids, classes = (arrays[one].astype(np.str_) if one in arrays else None for one in ("ids", CLASSES))
    return Opinion(arrays[name], ids, None if classes is None else classes.tolist())


def _of_table(path: Path, options: ReadingOptions, own: Opinion, mapping: Mapped | None) -> Opinion:
    """Return the columns of classes, named logit_… or all but the ids' and the labels'; or the one column of votes."""
    columns = table_files.column_names(path, options.delimiter)
    usual = options.id_column or "id"
    layout = class_columns(columns, ReadingOptions(), {usual, LABEL})
    names = [] if layout is None else layout.numbers["logits"]
    beside = [name for name in columns if name not in names and len(columns) > 1]
    id_column = usual if usual in columns else _column_of_ids(path, options, own, beside)
    of_ids = {} if id_column is None else {id_column: TEXT}
    others = [name for name in columns if name != id_column]
    if layout is None and len(others) == 1:
        _require_no_class(own, others[0])
        found = _read(path, {others[0]: TEXT, **of_ids}, options)
        return Opinion(_votes(found[others[0]]), _ids(found, id_column))
    if layout is None:
        names = [name for name in others if name != LABEL]
        require_columns_of_classes(own, names, mapping)
    found = _read(path, {**dict.fromkeys(names, NUMBER), **of_ids}, options)
    values = np.column_stack([_numbers(found[name], name) for name in names])
    classes: Sequence[str] | None = names if layout is None else layout.classes or table_files.saved_classes(path)
    as_logits = layout is not None and not are_probabilities(values)
    return Opinion(values, _ids(found, id_column), classes, as_logits=as_logits)


def _read(path: Path, wanted: dict[str, Any], options: ReadingOptions) -> Any:
    table_files.require_room_for(path, wanted)
    some = [*table_files.batches(path, wanted, options.delimiter)]
    return pa.Table.from_batches(some, None if some else pa.schema(wanted))  # of a header alone


def _ids(found: Any, column: str | None) -> NDArray[Any] | None:
    return None if column is None else found[column].cast(TEXT).to_numpy(zero_copy_only=False)


def _column_of_ids(path: Path, options: ReadingOptions, own: Opinion, columns: Sequence[str]) -> str | None:
    """Return the first column whose values are nearly all own ids, each once.

    The first batch of rows tells.
    """
    if own.ids is None or not columns:
        return None
    known = set(own.ids.tolist())
    some: Any = next(iter(table_files.batches(path, dict.fromkeys(columns, TEXT), options.delimiter)), None)
    for column in columns if some else ():  # with a header alone, there are no rows to go by them
        with suppress(pa.ArrowException, KeyError):  # neither lists nor columns of the same name are ids
            values = some.column(column).cast(TEXT).to_pylist()
            if len(set(values)) == len(values) and np.mean([one in known for one in values]) >= NEARLY_ALL:
                return column
    return None


def _require_no_class(own: Opinion, column: str) -> None:
    """Raise if the one column beside the ids is called as a class, unless that is class 1 of two."""
    names = list(own.classes or ())
    if column in names and column != (names[1] if len(names) == 2 else None):
        raise SteepslopeError(f"expected a column for each class, or one of votes, found {column!r} alone", "columns")


def _votes(column: Any) -> NDArray[Any]:
    """Return a column of bare classes as it is, (m,); of fractions, which are probabilities of class 1, as numbers."""
    words: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    with suppress(SteepslopeError):  # they are names
        texts = column.cast(TEXT)
        nothing = compute.is_in(
            compute.utf8_lower(compute.utf8_trim_whitespace(texts)), pa.array(sorted(NOTHING_THERE))
        )
        numbers = _numbers(compute.if_else(nothing, None, texts), "votes")
        if (numbers[~np.isnan(numbers)] % 1 != 0).any():
            return numbers
    return words


def _numbers(column: Any, name: str) -> NDArray[np.float64]:
    """Return a column's numbers, (m,), NaN where there is none."""
    with explained(f"column {name!r}: expected numbers", kinds=pa.ArrowException):
        numbers: NDArray[np.float64] = column.cast(NUMBER).fill_null(np.nan).to_numpy()
    return numbers
