"""The formats of outputs on disk, by the ending of the path: a folder, or one .npz, .csv or .parquet file.

All give and take arrays by name, and the names of the classes as an array ``classes``. Nothing that is read can run
code: pickled arrays are refused.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located, unknown_name
from steepslope.files.folders import read_json, staged_folder
from steepslope.outputs import folder, table_files as tables
from steepslope.outputs.arrays import ARRAYS, CLASSES, FORMER_NAMES, Arrays
from steepslope.outputs.columns import found_columns, listed
from steepslope.outputs.labels import read_classes
from steepslope.outputs.reading import AS_WRITTEN, TABLES, ReadingOptions


@dataclass(frozen=True)
class Format:
    """How a file is read, with or without ids, and written."""

    read: Callable[[Path, bool, ReadingOptions], Arrays]
    write: Callable[[Path, Arrays], None]


def write(path: Path, arrays: Arrays, classes: Sequence[str] | None = None) -> None:
    """Write in the format that the ending of ``path`` names; with any other ending, a folder."""
    if path.suffix.lower() not in FORMATS:
        folder.write(path, arrays, classes)
        return
    named = {} if classes is None else {CLASSES: np.array(classes)}
    with staged_folder(path.parent, last=path.name) as staging, located(path):
        FORMATS[path.suffix.lower()].write(staging / path.name, {**arrays, **named})


def read(path: Path, ids: bool = True, options: ReadingOptions = AS_WRITTEN, labelled: bool = False) -> Arrays:
    """Read what :func:`write` wrote, with ``classes`` if named; a file may hold ``confidence`` and ``is_correct``.

    Outputs in a table without labels are refused where they must be ``labelled``.
    """
    if not path.exists():
        raise SteepslopeError("no such file or folder", path)
    suffix = path.suffix.lower()
    if path.is_dir():
        arrays = folder.read(path, ids)
    elif suffix in FORMATS:
        arrays = FORMATS[suffix].read(path, ids, options)
    else:
        raise unknown_name(f"format of {path.name}:", path.suffix, FORMATS)
    if labelled and suffix in TABLES and "logits" in arrays and "labels" not in arrays:
        columns = found_columns(tables.column_names(path, options))
        expected = "expected the true class of each prediction, found none in a column label (or --label-column)"
        raise SteepslopeError(f"{expected}; {columns}", "labels")
    return arrays if options.classes is None or suffix in TABLES else _with_classes(arrays, options.classes)


def _with_classes(arrays: Arrays, path: str) -> Arrays:
    """Give the classes the names in a text file; those that they have must be the same."""
    classes = list(read_classes(Path(path)))
    if CLASSES in arrays and arrays[CLASSES].tolist() != classes:
        expected = f"expected the classes {listed(arrays[CLASSES].tolist())}, as the outputs name them"
        raise SteepslopeError(f"{expected}, found {listed(classes)}", path)
    return {**arrays, CLASSES: np.array(classes, dtype=np.str_)}


def required(found: Arrays) -> tuple[Arrays, Sequence[str] | None]:
    """Return the arrays of outputs, and the names of the classes, from what a file holds; raise without logits."""
    if "logits" not in found:
        raise SteepslopeError(f"expected logits, found only {', '.join(sorted(found)) or 'nothing'}")
    classes = found[CLASSES].tolist() if CLASSES in found else None
    return {name: found[name] for name in ARRAYS if name in found}, classes


def classifier_of(path: Path) -> str | None:
    """Return the digest of the classifier that made a folder; None where it is not known, as of all files."""
    digest = folder.extraction_of(path).get("digest")
    return None if digest is None else str(digest)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside the block into one line that names the path."""
    try:
        yield
    except SteepslopeError as error:
        raise error.within(path) from error
    except Exception as error:  # numpy, zipfile, zlib and pyarrow each have their own for a damaged file
        summary = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SteepslopeError(f"cannot be read as classifier outputs ({summary})", path) from error


def ids_of(path: Path, rows: NDArray[np.int64], options: ReadingOptions = AS_WRITTEN) -> list[str]:
    """Return the ids of some rows, or the rows' numbers where the path has no ids."""
    numbers = [str(row) for row in rows]
    with naming(path):
        if path.suffix.lower() == ".npz":
            ids = _read_npz(path, ids=True, options=options).get("ids")
            return numbers if ids is None else ids[rows].astype(str).tolist()
        if path.is_dir() and not read_json(path / folder.MANIFEST, "classifier outputs").get("ids"):
            return numbers
        if path.is_dir():
            return tables.take(path / folder.IDS, "id", rows) or numbers
        return tables.take(path, options.id_column or "id", rows, options) or numbers


def _write_npz(path: Path, arrays: Arrays) -> None:
    np.savez(path, allow_pickle=False, **arrays)


def _read_npz(path: Path, ids: bool, options: ReadingOptions) -> Arrays:
    wanted = [name for name in (*ARRAYS, CLASSES, "confidence", "is_correct") if ids or name != "ids"]
    with np.load(path, allow_pickle=False) as archive:
        former = {name: archive[old] for name, old in FORMER_NAMES.items() if old in archive}
        return {**former, **{name: archive[name] for name in wanted if name in archive}}


FORMATS: dict[str, Format] = {
    ".npz": Format(_read_npz, _write_npz),
    ".csv": Format(tables.read, tables.write),
    ".parquet": Format(tables.read, tables.write),
}
