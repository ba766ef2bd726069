"""Outputs of any length, block by block: nothing that grows with the rows is held, but the ids of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.numerics.blocks import read_rows
from steepslope.outputs import folder, formats, table_files as tables
from steepslope.outputs.arrays import CLASSES, Arrays
from steepslope.outputs.classifier_outputs import ClassifierOutputs
from steepslope.outputs.reading import AS_WRITTEN, TABLES, ReadingOptions

BLOCK_ROWS = 16_384


class Block(NamedTuple):
    """Neighbouring rows: their outputs with ids, without labels; and a further column as text (m,), if one is read."""

    outputs: ClassifierOutputs
    column: NDArray[Any] | None = None


def stream(
    path: Path, options: ReadingOptions = AS_WRITTEN, column: str | None = None, size: int = BLOCK_ROWS
) -> Iterator[Block]:
    """Yield the outputs in a folder or file in blocks that are the same each time; a file's labels are not read.

    A further ``column`` of a .csv or .parquet file comes as text. A .npz file is read as a whole.

    Raises
    ------
    SteepslopeError
        As :meth:`ClassifierOutputs.load` does, or if there is no such column.
    """
    classifier = formats.classifier_of(path)
    with formats.naming(path):
        for arrays, texts in _parts(path, options, column, size):
            found = ClassifierOutputs.from_file(
                arrays, AS_WRITTEN if path.is_dir() else options, as_logits=path.is_dir()
            )
            yield Block(found.of_classifier(classifier), texts)


def _parts(
    path: Path, options: ReadingOptions, column: str | None, size: int
) -> Iterator[tuple[Arrays, NDArray[Any] | None]]:
    if path.exists() and path.suffix.lower() in TABLES and not path.is_dir():
        names = tables.column_names(path, options)
        if column is not None and column not in names:
            raise unknown_name(f"column of {path}:", column, names)
        yield from tables.read_batches(path, options, column)
        return
    if column is not None:
        raise SteepslopeError(f"expected a .csv or .parquet file with a column {column!r}, found {path}")
    arrays = formats.read(path, ids=not path.is_dir(), options=options)
    n = len(arrays["logits"])
    named = _ids_of_folder(path) if path.is_dir() else None
    arrays.pop("labels", None)
    classes = {name: arrays.pop(name) for name in (CLASSES,) if name in arrays}
    for start in range(0, n, size):
        rows = slice(start, min(n, start + size))
        block = {name: read_rows(array, rows) for name, array in arrays.items()}
        if "ids" not in block:
            numbers = np.arange(rows.start, rows.stop).astype(np.str_)
            block["ids"] = numbers if named is None else named[rows].to_numpy(zero_copy_only=False)
        yield {**block, **classes}, None


def _ids_of_folder(path: Path) -> Any:
    """Return the ids of a folder as Arrow's, which are compact; None where it has none."""
    table = path / folder.IDS
    return pq.read_table(table, columns=["id"])["id"].combine_chunks() if table.exists() else None
