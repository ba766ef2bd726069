"""Image files: below a folder or a URL, with one subfolder a class or without classes, or listed in a table of paths.

A table of paths is a Parquet or CSV file that names an image a row, by path or URL. ``shift.json`` tells whoever reads
a folder of shifted images their size, and the classes of its folders.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from steepslope.data.class_names import ClassNames, in_order
from steepslope.data.images import ALL, ARRAYS, SHEET, SUFFIXES, Labels, Picture, decode_bytes, decode_file, labels_at
from steepslope.data.urls import Listed, as_path, files_below, filesystem, is_url, read, with_suffix
from steepslope.errors import SteepslopeError, explained, unknown_name, without_secrets
from steepslope.files.fingerprint import fingerprint
from steepslope.files.folders import digest_of, field, read_json
from steepslope.files.queries import parse_query

CARD = "shift.json"


@dataclass(frozen=True)
class ShiftCard:
    """Shifted images on disk.

    ``brought_to`` is the height and width of all of them, None where they have sizes of their own. ``labels`` are the
    labels of the folders by name, empty for images without. ``classes`` are the names of the classes by label, None
    where they have none: folders may be named in another way, since not every name can be a folder's.
    """

    brought_to: tuple[int, int] | None
    labels: Mapping[str, int]
    classes: tuple[str, ...] | None

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """Read the card of a folder; None where it has none, as if it were any folder of images."""
        path = folder / CARD
        if not path.is_file():
            return None
        content = read_json(path, "shifted images")
        size, labels = content.get("size"), field(content, "folders", dict, path)
        classes = content.get("classes")
        if not all(type(label) is int and label >= 0 for label in labels.values()):
            raise SteepslopeError(f"field 'folders': expected labels >= 0, found {list(labels.values())}", path)
        return cls(None if size is None else tuple(size), labels, None if classes is None else tuple(classes))

    def as_json(self) -> dict[str, Any]:
        """Return the fields of the card."""
        size, classes = self.brought_to, self.classes
        return {
            "size": None if size is None else list(size),
            "folders": dict(self.labels),
            "classes": None if classes is None else list(classes),
        }

    def name_of(self, folder: str) -> str:
        """Return the name of the class whose images lie in a folder: its own where the classes have no names."""
        return folder if self.classes is None or folder not in self.labels else self.classes[self.labels[folder]]

    @property
    def names(self) -> dict[str, int]:
        """The labels of all classes by :meth:`name_of`."""
        if self.classes is not None:
            return {name: label for label, name in enumerate(self.classes)}
        return dict(self.labels)


@dataclass(frozen=True, eq=False)
class RemoteFiles:
    """Image files in the file system of a URL; ``ids`` are their paths below it. A file is read when its image is."""

    url: str
    files: Sequence[Listed]
    labels: Labels | None = None
    classes: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def ids(self) -> list[str]:
        """The paths below the URL."""
        return [one.name for one in self.files]

    def image(self, row: int) -> Picture:
        """Read and decode one file completely."""
        one = self.files[row]
        return decode_bytes(read(self.url, one.path), one.name)

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return a hash of the names, the labels, and what the listing tells of each file, or its contents."""
        files, labels = self.files[rows], labels_at(self.labels, rows)
        seen = [sha256(read(self.url, one.path)).hexdigest() if verify else [one.size, one.version] for one in files]
        return digest_of([[one.name for one in files], seen, None if labels is None else labels.tolist()])

    def subset(self, rows: NDArray[np.int64]) -> RemoteFiles:
        """Return the given rows, in the given order."""
        return replace(self, files=[self.files[row] for row in rows], labels=labels_at(self.labels, rows))


def open_remote_images(url: str) -> RemoteFiles:
    """List all image files below a URL; they have no labels."""
    files = files_below(url)
    _require_unshifted(url, files)
    return RemoteFiles(url, _images(files, url))


def open_remote_folder(url: str, names: ClassNames) -> RemoteFiles:
    """List the files of all class folders below a URL; names become labels as those of a local folder do."""
    files = [one for one in files_below(url) if not one.name.startswith(".")]
    _require_unshifted(url, files)
    by_folder: dict[str, list[Listed]] = {}
    for one in files:
        folder, below, _ = one.name.partition("/")
        if below:
            by_folder.setdefault(folder, []).append(one)
    folders = sorted(by_folder)
    if not folders:
        raise SteepslopeError("expected one subfolder a class, found none", url)
    if not names.known:
        names.require_as_many(len(folders), "class folders", url)
        names = ClassNames(own={name: label for label, name in enumerate(folders)})
    label_of = {name: names.label(name, f"{url}/{name}") for name in folders}
    found: list[Listed] = []
    for name in folders:
        found += _images(by_folder[name], f"{url}/{name}")
    labels = [label_of[one.name.partition("/")[0]] for one in found]
    return RemoteFiles(url, found, np.array(labels, dtype=np.int64), in_order(names.known))


def _images(files: Sequence[Listed], place: str) -> list[Listed]:
    """Return the images among some files, or else the arrays."""
    for suffixes in (SUFFIXES, ARRAYS):
        found = [*with_suffix(files, suffixes, left_out=SHEET)]
        if found:
            return found
    raise SteepslopeError(f"expected images ({', '.join(sorted(SUFFIXES | ARRAYS))}), found none", place)


def _require_unshifted(url: str, files: Sequence[Listed]) -> None:
    if any(one.name == CARD for one in files):
        raise SteepslopeError(f"expected images as they come, found shifted ones ({CARD}): copy the folder here", url)


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files; ``ids`` are their paths below the folder. A file is opened when its image is.

    ``brought_to`` is the height and width of all images, where a shift has brought them to such.
    """

    folder: Path
    ids: list[str]
    labels: Labels | None = None
    classes: tuple[str, ...] | None = None
    brought_to: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, row: int) -> Picture:
        """Decode one file completely."""
        return decode_file(self.folder / self.ids[row])

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return a hash of the names, the labels and the files' fingerprints."""
        seen = [fingerprint_of_image(self.folder / name, verify) for name in self.ids[rows]]
        labels, brought_to = labels_at(self.labels, rows), [] if self.brought_to is None else [self.brought_to]
        return digest_of([self.ids[rows], seen, None if labels is None else labels.tolist(), *brought_to])

    def subset(self, rows: NDArray[np.int64]) -> ImageFiles:
        """Return the given rows, in the given order."""
        return replace(self, ids=[self.ids[row] for row in rows], labels=labels_at(self.labels, rows))


def open_image_folder(argument: str, names: ClassNames) -> ImageFiles | RemoteFiles:
    """List the files of all class folders of a local folder or a URL, in the order of their paths.

    The names given, else the classifier's own, map folders to labels; where there are neither, the folders'
    alphabetical order does, as torchvision has it, if they are as many as the classifier's classes. Folders of shifted
    images have the labels that their card tells.

    Raises
    ------
    SteepslopeError
        If the folder is missing or has no class folders, or not as many as classes where these have no names, or a
        class folder has no images or maps to no label.
    """
    return open_remote_folder(argument, names) if is_url(argument) else open_local_folder(as_path(argument), names)


def open_local_folder(argument: str, names: ClassNames) -> ImageFiles:
    """Do so for a local folder."""
    folders, folder = look_at_image_folder(argument), Path(argument)
    card = ShiftCard.of(folder)
    if card is not None and (card.classes is None or not names.known):
        names = ClassNames(own=card.names)
    elif not names.known:
        names.require_as_many(len(folders), "class folders", folder)
        names = ClassNames(own={name: label for label, name in enumerate(folders)})
    ids: list[str] = []
    labels: list[int] = []
    for name in folders:
        label = names.label(name if card is None else card.name_of(name), folder / name)
        files = _ids_in(folder, folder / name)
        ids += files
        labels += [label] * len(files)
    classes = in_order(names.known) if card is None or card.classes is not None else None
    return ImageFiles(folder, ids, np.array(labels, dtype=np.int64), classes, None if card is None else card.brought_to)


def look_at_image_folder(argument: str, split: str = "") -> list[str]:
    """Return the names of the class folders, in alphabetical order; raise if there are none. URLs are listed later."""
    if is_url(argument):
        filesystem(argument)
        return []
    folder = existing_folder("imagefolder", argument)
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        loose = next(image_files(folder), None) is not None
        found = f"images alone: images:{argument} reads images without classes" if loose else "none"
        raise SteepslopeError(f"expected one subfolder a class, found {found}", folder)
    return folders


def open_images(argument: str, names: ClassNames) -> ImageFiles | RemoteFiles:
    """List all image files of a folder or URL, at any depth, in the order of their paths; they have no labels."""
    if is_url(argument):
        return open_remote_images(argument)
    folder = existing_folder("images", argument)
    card = ShiftCard.of(folder)
    return ImageFiles(folder, _ids_in(folder, folder), brought_to=None if card is None else card.brought_to)


def look_at_images(argument: str, split: str = "") -> None:
    """Raise unless there is a folder with an image. What lies below a URL is listed later, once."""
    if is_url(argument):
        filesystem(argument)
        return
    folder = existing_folder("images", argument)
    if next(image_files(folder), None) is None and next(image_files(folder, ARRAYS), None) is None:
        raise _no_images(folder)


def existing_folder(scheme: str, argument: str) -> Path:
    """Return the folder of a spec; raise if there is none."""
    folder = Path(as_path(argument))
    if not argument or not folder.is_dir():
        found = "it is a file" if argument and folder.exists() else "no such folder"
        raise SteepslopeError(f"data spec '{scheme}:{argument}': {found}")
    return folder


def _ids_in(root: Path, folder: Path) -> list[str]:
    """Return the paths below ``root`` of a folder's images, or else of its arrays."""
    for suffixes in (SUFFIXES, ARRAYS):
        files = [str(path.relative_to(root)) for path in image_files(folder, suffixes)]
        if files:
            return files
    raise _no_images(folder)


def _no_images(folder: Path) -> SteepslopeError:
    return SteepslopeError(f"expected images ({', '.join(sorted(SUFFIXES | ARRAYS))}), found none", folder)


def fingerprint_of_image(path: Path, verify: bool) -> str:
    """Return a file's fingerprint; "" for a link to nothing, which is found when the image is read."""
    with suppress(SteepslopeError):
        return fingerprint(path, contents=verify)
    return ""


def image_files(folder: Path, suffixes: Collection[str] = SUFFIXES) -> Iterator[Path]:
    """Yield the files with an image's suffix at any depth, by path: none hidden, no contact sheet, and loops once."""
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        shown = [name for name in sorted(files) if not name.startswith(".") and name != SHEET]
        yield from (Path(parent) / name for name in shown if Path(name).suffix.lower() in suffixes)


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

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return a hash of the ids, the labels and the files' fingerprints; of a URL itself, to save a request.

        So only ``verify`` notices that another image lies at a URL.
        """
        seen, labels = [_seen(place, verify) for place in self.places[rows]], labels_at(self.labels, rows)
        return digest_of([list(self.ids[rows]), seen, None if labels is None else labels.tolist()])

    def subset(self, rows: NDArray[np.int64]) -> ListedImages:
        """Return the given rows, in the given order."""
        places, ids = ([some[row] for row in rows] for some in (self.places, self.ids))
        return replace(self, places=places, ids=ids, labels=labels_at(self.labels, rows))


def _seen(place: str, verify: bool) -> str:
    if not is_url(place):
        return fingerprint_of_image(Path(place), verify)
    return sha256(read(place, filesystem(place)[1])).hexdigest() if verify else place


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
