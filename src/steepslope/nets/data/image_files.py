"""Image files: below a folder or a URL, with one subfolder a class or without classes, or listed in a table of paths.

A table of paths is a Parquet or CSV file that names an image a row, by path or URL. ``shift.json`` tells whoever reads
a folder of shifted images their size, and the classes of its folders.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
from numpy.typing import NDArray

from steepslope.checks import read_fields
from steepslope.errors import SteepslopeError, unknown_name, without_secrets
from steepslope.files.extras import parse_query
from steepslope.files.folders import digest_of, fingerprint, read_json
from steepslope.nets.data.class_names import ClassNames, class_names_in_order, labels_by_name
from steepslope.nets.data.images import ALL, ARRAYS, SHEET, SUFFIXES, Labels, Picture, decode_image_file, labels_at
from steepslope.nets.data.urls import Listed, files_below_url, filesystem_of_url, is_url, path_without_scheme, read_url
from steepslope.outputs.labels import UNKNOWN, UNKNOWN_NAME, Texts
from steepslope.outputs.table import read_table_columns

CARD = "shift.json"
SPLITS = ("train", "val", "test")  # folders of class folders


@dataclass(frozen=True)
class ShiftCard:
    """Shifted images on disk.

    ``size`` is the height and width to which all of them are brought, None where they have sizes of their own.
    ``folders`` are the labels of the folders by name, empty for images without. ``classes`` are the names of the
    classes by label, None where they have none: folders may be named in another way, since not every name can be a
    folder's.
    """

    size: tuple[int, int] | None
    folders: Mapping[str, int]
    classes: tuple[str, ...] | None

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """Read the card of a folder; None where it has none, as if it were any folder of images."""
        path = folder / CARD
        if not path.is_file():
            return None
        card = read_fields(cls, read_json(path, "shifted images"), path)
        labels = [*card.folders.values()]
        if min(labels, default=UNKNOWN) < UNKNOWN:
            raise SteepslopeError(f"field 'folders': expected labels >= {UNKNOWN}, found {labels}", path)
        return card

    def name_of(self, folder: str) -> str:
        """Return the name of the class whose images lie in a folder: its own where the classes have no names."""
        label = self.folders.get(folder, UNKNOWN)
        return folder if self.classes is None or label == UNKNOWN else self.classes[label]

    @property
    def names(self) -> dict[str, int]:
        """The labels of the shifted images' classes, by name."""
        return dict(self.folders) if self.classes is None else labels_by_name(self.classes)


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files with their ids. One is opened, or read by its URL, when its image is.

    ``places`` are paths, relative to ``root``, or URLs; or paths in the file system of ``store``, a URL, whose listing
    tells their ``versions``. ``brought_to`` is the height and width of all images, where a shift has brought them to
    such.
    """

    places: Sequence[str]
    ids: Sequence[str]
    labels: Labels | None = None
    classes: tuple[str, ...] | None = None
    brought_to: tuple[int, int] | None = None
    root: Path = Path()
    store: str | None = None
    versions: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.places)

    def image(self, row: int) -> Picture:
        """Read and decode one file completely."""
        place = self.places[row]
        return decode_image_file(self.root / place if self._is_local(place) else BytesIO(self._bytes_of(place)), place)

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return a hash of the ids, the labels and the files' fingerprints.

        Of a single URL only ``verify`` notices that another image lies there: it would take a request of its own.
        """
        seen = [self._fingerprint_of_file(row, verify) for row in range(*rows.indices(len(self)))]
        brought_to = [] if self.brought_to is None else [self.brought_to]
        return digest_of([self.ids[rows], seen, labels_at(self.labels, rows), *brought_to])

    def subset(self, rows: NDArray[np.int64]) -> Self:
        """Return the given rows, in the given order."""
        places, ids = ([some[row] for row in rows] for some in (self.places, self.ids))
        versions = [self.versions[row] for row in rows] if self.versions else ()
        return replace(self, places=places, ids=ids, versions=versions, labels=labels_at(self.labels, rows))

    def _is_local(self, place: str) -> bool:
        return self.store is None and not is_url(place)

    def _bytes_of(self, place: str) -> bytes:
        return read_url(place) if self.store is None else read_url(self.store, place)

    def _fingerprint_of_file(self, row: int, verify: bool) -> str:
        place = self.places[row]
        if self._is_local(place):
            with suppress(SteepslopeError):  # a link to nothing is found when the image is read
                return fingerprint(self.root / place, contents=verify)
            return ""
        if verify:
            return sha256(self._bytes_of(place)).hexdigest()
        return self.versions[row] if self.versions else place


def open_image_folder(argument: str, split: str, names: ClassNames) -> ImageFiles:
    """List the files of all class folders of a local folder or a URL, or of one of its splits, by their paths.

    The names given, else the classifier's own, map folders to labels; where there are neither, the folders'
    alphabetical order does, as torchvision has it, if they are as many as the classifier's classes; one more may be
    named ``unknown``. Folders of shifted images have the labels that their card tells. What lies in a folder
    ``unknown``, or in one whose name is no class, is out-of-class.

    Raises
    ------
    SteepslopeError
        If the folder is missing or has no class folders, or not as many as classes where these have no names, or a
        class folder has no images, or none of the folders is a class.
    """
    place = f"{path_without_scheme(argument)}/{split}" if split else path_without_scheme(argument)
    by_folder: dict[str, list[Listed]] = {name: [] for name in look_at_image_folder(place)}
    for file in _listed_files_below(place, by_folder):
        folder, below, _ = file.name.partition("/")
        if below and not folder.startswith("."):
            by_folder.setdefault(folder, []).append(file)
    folders = sorted(by_folder)
    if not folders:
        raise SteepslopeError("expected one subfolder a class, found none", place)
    card = None if is_url(place) else ShiftCard.of(Path(place))
    if card is not None and (card.classes is None or not names.known):
        names = ClassNames(own=card.names)
    elif not names.known:
        one_more = names.num_classes == len(folders) - 1
        of_classes = [name for name in folders if not (one_more and name == UNKNOWN_NAME)]
        names.require_as_many(len(of_classes), "class folders", place)
        names = ClassNames.by_label(of_classes)
    images = [_image_files_among(by_folder[name], f"{place}/{name}") for name in folders]
    files = [file for some in images for file in some]
    codes = np.repeat(np.arange(len(folders), dtype=np.int32), [len(some) for some in images])
    texts = Texts(codes, [name if card is None else card.name_of(name) for name in folders])
    labels = names.by_name(texts, str(place), lambda row: f"{place}/{folders[codes[row]]}")[codes]
    classes = class_names_in_order(names.known) if card is None or card.classes is not None else None
    return replace(_opened_image_files(place, files, card), labels=labels, classes=classes)


def look_at_image_folder(argument: str, split: str = "") -> list[str]:
    """Return the names of the class folders, in alphabetical order; raise if there are none. URLs are listed later."""
    if is_url(argument):
        filesystem_of_url(argument)
        return []
    folder = folder_of_data_spec("imagefolder", f"{argument}/{split}" if split else argument)
    folders = _folders_of_images_in(folder)
    if not folders:
        loose = any(_is_image_file(name, SUFFIXES) for name in _file_names_below(folder))
        found = f"images alone: images:{argument} reads images without classes" if loose else "none"
        raise SteepslopeError(f"expected one subfolder a class, found {found}", folder)
    return folders


def splits_of_image_folder(argument: str) -> tuple[str, ...]:
    """Return the splits that a local folder has in place of classes; none where it has other folders as well.

    They are ``train`` and ``val``, ``test`` or both, each with class folders and no image next to them.
    """
    root = Path(path_without_scheme(argument)) if argument and not is_url(argument) else None
    if root is None or not root.is_dir():
        return ()
    folders = _folders_of_images_in(root)
    splits = tuple(name for name in SPLITS if name in folders)
    alone = len(splits) == len(folders) > 1 and SPLITS[0] in splits
    return splits if alone and all(_has_class_folders(root / name) for name in splits) else ()


def _folders_of_images_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _has_class_folders(folder: Path) -> bool:
    return bool(_folders_of_images_in(folder)) and not any(
        _is_image_file(path.name, SUFFIXES | ARRAYS) for path in folder.iterdir()
    )


def open_image_files(argument: str, split: str, names: ClassNames) -> ImageFiles:
    """List all image files of a folder or URL, at any depth, in the order of their paths; they have no labels."""
    place = path_without_scheme(argument)
    card = None if is_url(place) else ShiftCard.of(folder_of_data_spec("images", argument))
    return _opened_image_files(place, _image_files_among(_listed_files_below(place), place), card)


def look_at_image_files(argument: str, split: str = "") -> None:
    """Raise unless there is a folder with an image. What lies below a URL is listed later, once."""
    if is_url(argument):
        filesystem_of_url(argument)
        return
    folder = folder_of_data_spec("images", argument)
    if not any(_is_image_file(name, SUFFIXES | ARRAYS) for name in _file_names_below(folder)):
        raise _no_image_files_error(folder)


def folder_of_data_spec(scheme: str, argument: str) -> Path:
    """Return the folder of a spec; raise if there is none."""
    folder = Path(path_without_scheme(argument))
    if not argument or not folder.is_dir():
        found = "it is a file" if argument and folder.exists() else "no such folder"
        raise SteepslopeError(f"data spec '{scheme}:{argument}': {found}")
    return folder


def _listed_files_below(place: str, folders: Iterable[str] = ("",)) -> list[Listed]:
    """Return all files below a URL, or of some folders of a local one."""
    if not is_url(place):
        return [Listed(name, name) for folder in folders for name in _file_names_below(Path(place), folder)]
    files = files_below_url(place)
    if any(file.name == CARD for file in files):
        raise SteepslopeError(f"expected images as they come, found shifted ones ({CARD}): copy the folder here", place)
    return files


def _file_names_below(root: Path, folder: str = "") -> Iterator[str]:
    """Yield the paths from a root of the files in one of its folders, at any depth; a loop of links ends."""
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(root / folder, followlinks=True):
        status = Path(parent).stat()
        below = Path(parent).relative_to(root)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        yield from (str(below / name) for name in sorted(files))


def _image_files_among(files: Sequence[Listed], place: str) -> list[Listed]:
    """Return the images among some files, or else the arrays."""
    for suffixes in (SUFFIXES, ARRAYS):
        images = [file for file in files if _is_image_file(file.name, suffixes)]
        if images:
            return images
    raise _no_image_files_error(place)


def _is_image_file(name: str, suffixes: frozenset[str]) -> bool:
    """Return whether a file has one of some suffixes, and is neither hidden nor a contact sheet."""
    file = PurePosixPath(name)
    return file.suffix.lower() in suffixes and not file.name.startswith(".") and file.name != SHEET


def _no_image_files_error(place: str | Path) -> SteepslopeError:
    return SteepslopeError(f"expected images ({', '.join(sorted(SUFFIXES | ARRAYS))}), found none", place)


def _opened_image_files(place: str, files: Sequence[Listed], card: ShiftCard | None) -> ImageFiles:
    ids = [file.name for file in files]
    if not is_url(place):
        return ImageFiles(ids, ids, brought_to=None if card is None else card.size, root=Path(place))
    paths, versions = [file.path for file in files], [file.version for file in files]
    return ImageFiles(paths, ids, store=place, versions=versions)


COLUMNS = ("path", "id", "label")
ENDINGS = (".parquet", ".csv")


def open_path_table(argument: str, split: str, names: ClassNames) -> ImageFiles:
    """Open ``paths:FILE[?path=COLUMN&id=COLUMN&label=COLUMN]``; FILE may be a URL.

    A relative path is one from the folder of the file. Where there is no column of ids, these are the paths, and URLs
    without passwords and signatures. Labels are numbers, or names of classes; −1 and ``unknown`` are none of the
    classes. Without such a column there are none.

    Raises
    ------
    SteepslopeError
        If there is no such file or column, a cell is empty, or an id is there twice.
    """
    file, options = look_at_path_table(argument)
    table = _read_path_table(file, [options.get(name, name) for name in COLUMNS])
    there = {*table, *options}  # a column that is named has to be there
    paths = _path_table_texts(table, options.get("path", "path"), file)
    ids = _path_table_texts(table, options.get("id", "id"), file) if "id" in there else [*map(without_secrets, paths)]
    name, count = Counter(ids).most_common(1)[0]
    if count > 1:
        hint = "" if "id" in there else " (where a path may be there twice, give a column of ids)"
        raise SteepslopeError(f"expected each id once, found {name!r} {count} times{hint}", file)
    places = [_place_of_image_file(path, file) for path in paths]
    if "label" not in there:
        return ImageFiles(places, ids)
    texts = Texts.of_rows(_path_table_texts(table, options.get("label", "label"), file))
    labels = names.by_name(texts, file, numbers=True)[texts.codes]
    return ImageFiles(places, ids, labels, class_names_in_order(names.known))


def look_at_path_table(argument: str, split: str = "") -> tuple[str, dict[str, str]]:
    """Return the file of a spec and the columns that it names; raise unless there is such a file."""
    name, options = parse_query(argument, COLUMNS)
    file = path_without_scheme(name)
    if not file.lower().endswith(ENDINGS):
        raise SteepslopeError(f"data spec 'paths:{argument}': expected a .parquet or .csv file of paths")
    if is_url(file):
        filesystem_of_url(file)
    elif not Path(file).is_file():
        raise SteepslopeError(f"data spec 'paths:{argument}': no such file")
    return file, options


def _read_path_table(file: str, wanted: Collection[str]) -> dict[str, list[str]]:
    """Return the texts of the columns that are wanted, as far as they are there, and nothing of the others, by name."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / PurePosixPath(file).name if is_url(file) else Path(file)
        if is_url(file):
            path.write_bytes(read_url(file))
        table = read_table_columns(path, wanted)
    columns = {name: np.array(texts.distinct, dtype=np.object_)[texts.codes] for name, texts in table.texts.items()}
    return {name: columns[name].tolist() if name in columns else [] for name in table.columns}


def _path_table_texts(table: Mapping[str, list[str]], column: str, file: str) -> list[str]:
    if column not in table:
        raise unknown_name(f"column of {file}:", column, table)
    texts = table[column]
    if "" in texts:
        raise SteepslopeError(f"expected text in column {column!r}, found none in row {texts.index('')}", file)
    if not texts:
        raise SteepslopeError("expected a row an image, found none", file)
    return texts


def _place_of_image_file(path: str, file: str) -> str:
    """Return where an image lies; a relative path begins in the folder of the file, of a URL too."""
    if is_url(path):
        return path
    path = path_without_scheme(path)
    if is_url(file):
        return path if path.startswith("/") else f"{file.rpartition('/')[0]}/{path}"
    return str(Path(file).parent / path)
