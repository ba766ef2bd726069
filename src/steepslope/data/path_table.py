"""Tables of paths: a Parquet or CSV file that names an image a row, by path or URL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.data.class_names import ClassNames, in_order
from steepslope.data.imagefolder import size_of
from steepslope.data.images import ALL, Labels, Picture, decode_bytes, decode_file, labels_at
from steepslope.data.urls import as_path, filesystem, is_url, read
from steepslope.errors import SteepslopeError, explained, unknown_name, without_secrets
from steepslope.files.folders import digest_of
from steepslope.files.queries import parse_query

COLUMNS = ("path", "id", "label")
ENDINGS = (".parquet", ".csv")


@dataclass(frozen=True, eq=False)
class ListedImages:
    """Images at ``places``, paths and URLs, with ids of their own. A file is opened when its image is."""

    places: Sequence[str]
    ids: Sequence[str]
    labels: Labels | None = None
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.places)

    def image(self, row: int) -> Picture:
        """Read and decode one file completely."""
        place = self.places[row]
        return decode_bytes(read(place, filesystem(place)[1]), place) if is_url(place) else decode_file(Path(place))

    def fingerprint(self, rows: slice = ALL) -> str:
        """Return the SHA-256 of the ids, labels, and sizes; of a URL in place of the size, which would take a request.

        So it does not notice that another image lies at a URL.
        """
        sizes = [place if is_url(place) else size_of(Path(place)) for place in self.places[rows]]
        labels = labels_at(self.labels, rows)
        return digest_of([list(self.ids[rows]), sizes, None if labels is None else labels.tolist()])

    def subset(self, rows: NDArray[np.int64]) -> ListedImages:
        """Return the given rows, in the given order."""
        places, ids = ([some[row] for row in rows] for some in (self.places, self.ids))
        return replace(self, places=places, ids=ids, labels=labels_at(self.labels, rows))


def open_path_table(argument: str, names: ClassNames) -> ListedImages:
    """Open ``paths:FILE[?path=COLUMN&id=COLUMN&label=COLUMN]``; FILE may be a URL.

    A relative path is one from the folder of the file. Where there is no column of ids, these are the paths, and URLs
    without passwords and signatures. Labels are numbers, or names of classes; without such a column there are none.

    Raises
    ------
    SteepslopeError
        If there is no such file or column, a cell is empty, or an id is there twice.
    """
    file, options = look_at_path_table(argument)
    table = _read(file)
    paths = _texts(table, options.get("path", "path"), file)
    by_path = _lacks(table, "id", options)
    ids = [*map(without_secrets, paths)] if by_path else _texts(table, options.get("id", "id"), file)
    name, count = Counter(ids).most_common(1)[0]
    if count > 1:
        hint = " (where a path may be there twice, give a column of ids)" if by_path else ""
        raise SteepslopeError(f"expected each id once, found {name!r} {count} times{hint}", file)
    places = [_place(path, file) for path in paths]
    if _lacks(table, "label", options):
        return ListedImages(places, ids)
    labels = [_label(text, names, file) for text in _texts(table, options.get("label", "label"), file)]
    return ListedImages(places, ids, np.array(labels, dtype=np.int64), in_order(names.known))


def look_at_path_table(argument: str, split: str = "") -> tuple[str, dict[str, str]]:
    """Return the file of a spec and the columns that it names; raise unless there is such a file."""
    name, options = parse_query(argument, COLUMNS)
    file = as_path(name)
    if not file.lower().endswith(ENDINGS):
        raise SteepslopeError(f"data spec 'paths:{argument}': expected a .parquet or .csv file of paths")
    if is_url(file):
        filesystem(file)
    elif not Path(file).is_file():
        raise SteepslopeError(f"data spec 'paths:{argument}': no such file")
    return file, options


def _read(file: str) -> Any:
    """Return the table; of CSV, all columns as text, so that an id such as 007 stays one."""
    with explained("cannot be read as a table", file, longest=200):
        content = read(file, filesystem(file)[1]) if is_url(file) else Path(file).read_bytes()
        if file.lower().endswith(ENDINGS[0]):
            return pq.read_table(BytesIO(content))
        columns = pc.open_csv(BytesIO(content)).schema.names
        as_text = pc.ConvertOptions(column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=True)
        return pc.read_csv(BytesIO(content), convert_options=as_text)


def _lacks(table: Any, name: str, options: dict[str, str]) -> bool:
    """Return whether a column that need not be there is not, and is not named either."""
    return name not in options and name not in table.column_names


def _texts(table: Any, column: str, file: str) -> list[str]:
    if column not in table.column_names:
        raise unknown_name(f"column of {file}:", column, table.column_names)
    found = [None if value is None else str(value) for value in table[column].to_pylist()]
    empty = next((row for row, value in enumerate(found) if not value), None)
    if empty is not None:
        raise SteepslopeError(f"expected text in column {column!r}, found none in row {empty}", file)
    if not found:
        raise SteepslopeError("expected a row an image, found none", file)
    return [value for value in found if value is not None]


def _place(path: str, file: str) -> str:
    """Return where an image lies; a relative path begins in the folder of the file, of a URL too."""
    if is_url(path):
        return path
    path = as_path(path)
    if is_url(file):
        return path if path.startswith("/") else f"{file.rpartition('/')[0]}/{path}"
    return str(Path(file).parent / path)


def _label(text: str, names: ClassNames, file: str) -> int:
    if text in names.known:
        return names.known[text]
    with suppress(ValueError):
        if abs(label := int(text)) < 2**31:
            return label
    raise SteepslopeError(f"expected a whole number or a class's name (see --classes), found {text!r}", file)
