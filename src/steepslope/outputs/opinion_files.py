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

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located, unknown_name
from steepslope.outputs import folder, table_files
from steepslope.outputs.arrays import CLASSES, OF_COPIES, Arrays
from steepslope.outputs.columns import class_columns
from steepslope.outputs.opinions import PLACES, Opinion, opinion_arrays, places_of
from steepslope.outputs.options import TABLES, ReadingOptions, by_name
from steepslope.outputs.table_files import NUMBER, TEXT

LABEL = "label"  # the column of votes in a file that has other columns too
ARRAYS = ("logits", "probabilities", "votes", "labels")  # of a .npz file, the first that is there


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
        with explained("cannot be read as an opinion", path, (OSError, ValueError, pa.ArrowException), longest=160):
            other = read_opinion(path, options)
        with located(path):
            arrays |= opinion_arrays(own, name, other, mapping)
            made = folder.extraction_of(path) if path.is_dir() else {}
            if "digest" in made:
                nets[name] = {**made, PLACES: list(places_of(own, other, mapping))}
    return arrays, nets


def read_mapping(path: Path) -> dict[str, str | None]:
    """Read what the classes of an opinion are called here: lines ``other=this``, or a .csv file of two columns.

    Nothing behind the sign says that this classifier lacks the class.
    """
    with explained("expected a text file with lines other=this", path, (OSError, UnicodeDecodeError)):
        text = path.read_text(encoding="utf-8-sig")
    is_csv = path.suffix.lower() == ".csv"
    lines = list(csv.reader(text.splitlines())) if is_csv else [line.split("=", 1) for line in text.splitlines()]
    found: dict[str, str | None] = {}
    for number, parts in enumerate(lines, start=1):
        names = [part.strip() for part in parts]
        if names in ([], [""]):
            continue
        if len(names) != 2 or not names[0] or names[0] in found:
            expected = f"expected {'two columns' if is_csv else 'other=this'} in each line, each class once"
            raise SteepslopeError(f"{expected}, found {', '.join(names)!r} in line {number}", path)
        found[names[0]] = names[1] or None
    if not found:
        raise SteepslopeError("expected the names of classes, found none", path)
    return found


def read_opinion(path: Path, options: ReadingOptions) -> Opinion:
    """Read an opinion; the options tell the separator of .csv files and the column of the ids."""
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
        return _of_table(path, options)


def _of_archive(path: Path) -> Opinion:
    with np.load(path, allow_pickle=False) as archive:
        name = next((name for name in ARRAYS if name in archive), None)
        if name is None:
            raise SteepslopeError(f"expected {', '.join(ARRAYS)}, found {', '.join(archive.files)}", path)
        ids, classes = (archive[one].astype(np.str_) if one in archive else None for one in ("ids", CLASSES))
        return Opinion(archive[name], ids, None if classes is None else classes.tolist())


def _of_table(path: Path, options: ReadingOptions) -> Opinion:
    """Return the columns of classes, named logit_… or all but the ids'; or the one column of votes."""
    columns = table_files.column_names(path, options.delimiter)
    id_column = options.id_column or "id"
    others = [name for name in columns if name != id_column]
    layout = class_columns(columns, ReadingOptions(), {id_column, LABEL})
    votes = None if layout is not None else LABEL if LABEL in others else others[0] if len(others) == 1 else None
    names = layout.numbers["logits"] if layout is not None else others
    wanted = dict.fromkeys(names, NUMBER) if votes is None else {votes: TEXT}
    wanted |= {id_column: TEXT} if id_column in columns else {}
    some = [*table_files.batches(path, wanted, options.delimiter)]
    schema = pa.schema(wanted) if not some else None  # a header alone
    found = pa.Table.from_batches(some, schema)
    ids = found[id_column].cast(TEXT).to_numpy(zero_copy_only=False) if id_column in columns else None
    if votes is not None:
        return Opinion(_votes(found[votes]), ids)
    classes: Sequence[str] | None = layout.classes if layout is not None else names
    values = np.column_stack([_numbers(found[name], name) for name in names])
    return Opinion(values, ids, classes or table_files.saved_classes(path))


def _votes(column: Any) -> NDArray[Any]:
    """Return a column of bare classes as it is, (m,); of fractions, which are probabilities of class 1, as numbers."""
    words: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    with suppress(SteepslopeError):  # they are names
        texts = column.cast(TEXT)
        numbers = _numbers(compute.if_else(compute.equal(texts, ""), None, texts), "votes")
        if (numbers[~np.isnan(numbers)] % 1 != 0).any():
            return numbers
    return words


def _numbers(column: Any, name: str) -> NDArray[np.float64]:
    """Return a column's numbers, (m,), NaN where there is none."""
    with explained(f"column {name!r}: expected numbers", kinds=pa.ArrowException):
        numbers: NDArray[np.float64] = column.cast(NUMBER).fill_null(np.nan).to_numpy()
    return numbers
