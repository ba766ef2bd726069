"""Groups and clusters of predictions, from a column or a file."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located
from steepslope.metrics import Groups
from steepslope.outputs._classifier_outputs import ClassifierOutputs
from steepslope.outputs._labels import EMPTY
from steepslope.outputs._options import AS_WRITTEN, TABLES, ReadingOptions
from steepslope.outputs._table import Table, read_table_columns

LABEL = "label"
_PREDICTED = "predicted"
FOLDER = "folder"  # the folder of an image names what it shows


def groups_of_predictions(named: str | None, predictions: ClassifierOutputs, table: Table) -> Groups:
    """Return the groups that ``--groups`` names; the labels, with ``unknown``, if it names none.

    Empty cells of a column are a group of their own.
    """
    if named == _PREDICTED:
        return Groups(predictions.predictions, predictions.label_names, _PREDICTED)
    if named in (None, LABEL):
        return Groups(predictions.require_labels(), predictions.label_names, LABEL)
    return _groups_from_column(named, "group", table, EMPTY)


def clusters_of_predictions(named: str | None, table: Table) -> NDArray[np.int32] | None:
    """Return the cluster of each prediction, (n,), from the column or file that ``--cluster`` names."""
    if named is None:
        return None
    return _groups_from_column(named, "cluster", table).codes


def rows_that_belong_together(named: str | None, table: Table) -> NDArray[np.generic] | None:
    """Return a number or name for each row, (n,), the same one for rows that belong together; None if none is named.

    ``named`` is a column, a file, or the word folder for the folder in which each image lies, by its id.
    """
    if named is None:
        return None
    if named == FOLDER:
        return folders_of_images(table.ids_of(np.arange(len(table))), table.classes)
    return _groups_from_column(named, "group", table).codes


def folders_of_images(ids: Sequence[str], classes: Sequence[str] | None) -> NDArray[np.str_]:
    """Return the name of the folder that holds each image, (n,); raise if it is none of its own, or a class's."""
    folders = np.array([PurePosixPath(name).parent.name for name in ids])
    wrong = np.flatnonzero(np.isin(folders, ["", *(classes or ())]))
    if len(wrong):
        expected = "expected each image in a folder below that of its class, such as cat/patient7/3.png"
        raise SteepslopeError(f"{expected}, found {ids[wrong[0]]!r}", "together")
    return folders


def _groups_from_column(named: str, usual: str, table: Table, empty: str | None = None) -> Groups:
    """Return a column of the table, or the usual column of another file, which has a value a prediction.

    Rows of another file go by their ids where it and the predictions have such, else by their places.
    """
    if not named.endswith(TABLES):
        return Groups(*table.groups(named, empty), by=named)
    source = Path(named)
    id_column = table.options.ids
    other = read_table_columns(source, (usual, id_column), table.options)
    codes, names = other.groups(usual, empty)
    if table.ids is not None and id_column in other.texts:
        with located(source):
            codes = codes[_rows_by_id(other, id_column, table.ids.tolist())]
    elif len(codes) != len(table):
        raise SteepslopeError(f"expected {len(table)} {usual}s, one a prediction, found {len(codes)}", source)
    return Groups(codes, names, by=usual)


def _rows_by_id(other: Table, column: str, wanted: Sequence[str]) -> NDArray[np.int64]:
    """Return the row of another table, whose ids are in a column, for each id that is wanted, (n,)."""
    rows = _rows_by_unique_id(other, column)
    missing = [name for name in wanted if name not in rows]
    if missing:
        found = f"expected a row for each prediction by column {column!r}, found none for {missing[0]!r}"
        raise SteepslopeError(f"{found} ({len(missing):,} such); without that column rows go by their places")
    return np.array([rows[name] for name in wanted], dtype=np.int64)


def _rows_by_unique_id(table: Table, column: str) -> dict[str, int]:
    """Return the row of each id in a column; raise unless each is there once."""
    codes, names = table.groups(column)
    if len(names) < len(codes):
        twice = names[int(np.bincount(codes).argmax())]
        raise SteepslopeError(f"column {column!r}: expected each id once, found {twice!r} twice", table.path)
    return {names[code]: row for row, code in enumerate(codes)}


def read_groups_by_id(path: Path, options: ReadingOptions = AS_WRITTEN) -> dict[str, str]:
    """Return the group of each id, from the columns of ids and of groups of a file; an empty cell is a group."""
    table = read_table_columns(path, (options.ids, "group"), options)
    codes, names = table.groups("group", EMPTY)
    return {name: names[codes[row]] for name, row in _rows_by_unique_id(table, options.ids).items()}
