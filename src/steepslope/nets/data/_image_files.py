"""Image files: below a folder, with one subfolder a class or without classes, or listed in a table of paths.

A table of paths is a Parquet or CSV file that names an image a row. ``shift.json`` tells whoever reads a folder of
shifted images their size, and the classes of its folders.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Self

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, located, read_fields, require_known
from steepslope.files import digest_of, fingerprint, parse_query, read_json
from steepslope.nets.data._class_names import ClassNames, class_names_in_order, labels_by_name
from steepslope.nets.data._images import ALL, ARRAYS, SHEET, SUFFIXES, Labels, Picture, decode_image_file, labels_at
from steepslope.outputs import UNKNOWN, UNKNOWN_NAME, Table, Texts, read_table_columns

CARD = "shift.json"
_SPLITS = ("train", "val", "test")  # folders of class folders
_COLUMNS = ("path", "id", "label")
_ENDINGS = (".parquet", ".csv")


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
        labels = list(card.folders.values())
        if min(labels, default=UNKNOWN) < UNKNOWN:
            raise SteepslopeError(f"field 'folders': expected labels >= {UNKNOWN}, found {labels}", path)
        return card

    def name_of(self, folder: str) -> str:
        """Return the name of the class whose images lie in a folder: its own where the classes have no names."""
        label = self.folders.get(folder, UNKNOWN)
        if self.classes is None or label == UNKNOWN:
            return folder
        return self.classes[label]

    @property
    def names(self) -> dict[str, int]:
        """The labels of the shifted images' classes, by name."""
        if self.classes is None:
            return dict(self.folders)
        return labels_by_name(self.classes)


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files with their ids. One is opened when its image is read.

    ``places`` are paths, absolute or relative to ``root``. ``brought_to`` is the height and width of all images, where
    a shift has brought them to such.
    """

    places: Sequence[str]
    ids: Sequence[str]
    labels: Labels | None = None
    classes: tuple[str, ...] | None = None
    brought_to: tuple[int, int] | None = None
    root: Path = Path()

    def __len__(self) -> int:
        return len(self.places)

    def image(self, row: int) -> Picture:
        """Read and decode one file completely."""
        return decode_image_file(self.root / self.places[row])

    def fingerprint(self, rows: slice = ALL, verify: bool = False) -> str:
        """Return a hash of the ids, the labels and the files' fingerprints."""
        files = [self._fingerprint_of_file(place, verify) for place in self.places[rows]]
        parts = (self.ids[rows], files, labels_at(self.labels, rows))
        return digest_of(parts if self.brought_to is None else (*parts, self.brought_to))

    def subset(self, rows: NDArray[np.int64]) -> Self:
        """Return the given rows, in the given order."""
        places = [self.places[row] for row in rows]
        ids = [self.ids[row] for row in rows]
        return replace(self, places=places, ids=ids, labels=labels_at(self.labels, rows))

    def _fingerprint_of_file(self, place: str, verify: bool) -> str:
        with suppress(SteepslopeError):  # a link to nothing is found when the image is read
            return fingerprint(self.root / place, contents=verify)
        return ""


def require_no_url(text: str) -> None:
    """Raise if a data spec or a path is a URL.

    >>> require_no_url("s3://lake/a")
    Traceback (most recent call last):
    steepslope.errors.SteepslopeError: 's3://lake/a': expected files on a disk, found a URL: ...
    """
    if "://" in text:
        raise SteepslopeError(
            f"{text!r}: expected files on a disk, found a URL: "
            "copy or mount them, or load them with the library datasets (hf:NAME)"
        )


def open_image_folder(argument: str, split: str, names: ClassNames) -> ImageFiles:
    """List the files of all class folders of a folder, or of one of its splits, by their paths.

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
    folders = look_at_image_folder(argument, split)
    root = Path(argument) / split
    card = ShiftCard.of(root)
    if card is not None and (card.classes is None or not names.known):
        names = ClassNames(own=card.names)
    elif not names.known:
        class_folders = list(folders)
        if names.num_classes == len(folders) - 1 and UNKNOWN_NAME in folders:
            class_folders.remove(UNKNOWN_NAME)
        names.require_as_many(len(class_folders), "class folders", root)
        names = ClassNames.by_label(class_folders)
    files: list[str] = []
    counts = []
    for name in folders:
        images = _image_files_among(_file_names_below(root, name), root / name)
        files += images
        counts.append(len(images))
    codes = np.repeat(np.arange(len(folders), dtype=np.int32), counts)
    texts = Texts(codes, folders if card is None else [card.name_of(name) for name in folders])
    labels = names.by_name(texts, str(root), lambda row: f"{root}/{folders[codes[row]]}")[codes]
    if card is None:
        return ImageFiles(files, files, labels, class_names_in_order(names.known), root=root)
    classes = None if card.classes is None else class_names_in_order(names.known)
    return ImageFiles(files, files, labels, classes, card.size, root)


def look_at_image_folder(argument: str, split: str = "") -> list[str]:
    """Return the names of the class folders, in alphabetical order; raise if there are none."""
    folder = folder_of_data_spec("imagefolder", f"{argument}/{split}" if split else argument)
    folders = _folders_of_images_in(folder)
    if not folders:
        found = "none"
        if any(_is_image_file(name, SUFFIXES) for name in _file_names_below(folder)):
            found = f"images alone: images:{argument} reads images without classes"
        raise SteepslopeError(f"expected one subfolder a class, found {found}", folder)
    return folders


def splits_of_image_folder(argument: str) -> tuple[str, ...]:
    """Return the splits that a folder has in place of classes; none where it has other folders as well.

    They are ``train`` and ``val``, ``test`` or both, each with class folders and no image next to them.
    """
    root = Path(argument)
    if not argument or not root.is_dir():
        return ()
    folders = _folders_of_images_in(root)
    if len(folders) < 2 or "train" not in folders or not set(folders) <= set(_SPLITS):
        return ()
    if not all(_has_class_folders(root / name) for name in folders):
        return ()
    return tuple(sorted(folders, key=_SPLITS.index))


def _folders_of_images_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _has_class_folders(folder: Path) -> bool:
    has_images = any(_is_image_file(path.name, SUFFIXES | ARRAYS) for path in folder.iterdir())
    return not has_images and bool(_folders_of_images_in(folder))


def open_image_files(argument: str, split: str, names: ClassNames) -> ImageFiles:
    """List all image files of a folder, at any depth, in the order of their paths; they have no labels."""
    folder = folder_of_data_spec("images", argument)
    files = _image_files_among(_file_names_below(folder), folder)
    card = ShiftCard.of(folder)
    return ImageFiles(files, files, brought_to=None if card is None else card.size, root=folder)


def look_at_image_files(argument: str, split: str = "") -> None:
    """Raise unless there is a folder with an image."""
    folder = folder_of_data_spec("images", argument)
    if not any(_is_image_file(name, SUFFIXES | ARRAYS) for name in _file_names_below(folder)):
        raise _no_image_files_error(folder)


def folder_of_data_spec(scheme: str, argument: str) -> Path:
    """Return the folder of a spec; raise if there is none."""
    folder = Path(argument)
    if not argument or not folder.is_dir():
        found = "it is a file" if argument and folder.exists() else "no such folder"
        raise SteepslopeError(f"data spec '{scheme}:{argument}': {found}")
    return folder


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


def _image_files_among(files: Iterable[str], folder: Path) -> list[str]:
    """Return the images among some files, or else the arrays."""
    names = list(files)
    for suffixes in (SUFFIXES, ARRAYS):
        images = [name for name in names if _is_image_file(name, suffixes)]
        if images:
            return images
    raise _no_image_files_error(folder)


def _is_image_file(name: str, suffixes: frozenset[str]) -> bool:
    """Return whether a file has one of some suffixes, and is neither hidden nor a contact sheet."""
    file = PurePosixPath(name)
    return file.suffix.lower() in suffixes and not file.name.startswith(".") and file.name != SHEET


def _no_image_files_error(folder: Path) -> SteepslopeError:
    return SteepslopeError(f"expected images ({', '.join(sorted(SUFFIXES | ARRAYS))}), found none", folder)


def open_path_table(argument: str, split: str, names: ClassNames) -> ImageFiles:
    """Open ``paths:FILE[?path=COLUMN&id=COLUMN&label=COLUMN]``.

    A relative path is one from the folder of the file. Where there is no column of ids, these are the paths. Labels are
    numbers, or names of classes; −1 and ``unknown`` are none of the classes. Without such a column there are none.

    Raises
    ------
    SteepslopeError
        If there is no such file or column, a cell is empty, a path is a URL, or an id is there twice.
    """
    file, options = look_at_path_table(argument)
    names_of_columns = {role: options.get(role, role) for role in _COLUMNS}
    table = read_table_columns(Path(file), names_of_columns.values())
    there = {*table.columns, *options}  # a column that is named has to be there
    paths = _texts_in_column(table, names_of_columns["path"], file)
    with located(file):
        for path in paths:
            require_no_url(path)
    ids = paths
    hint = " (where a path may be there twice, give a column of ids)"
    if "id" in there:
        ids = _texts_in_column(table, names_of_columns["id"], file)
        hint = ""
    name, count = Counter(ids).most_common(1)[0]
    if count > 1:
        raise SteepslopeError(f"expected each id once, found {name!r} {count} times{hint}", file)
    root = Path(file).parent
    if "label" not in there:
        return ImageFiles(paths, ids, root=root)
    texts = Texts.of_rows(_texts_in_column(table, names_of_columns["label"], file))
    labels = names.by_name(texts, file, numbers=True)[texts.codes]
    return ImageFiles(paths, ids, labels, class_names_in_order(names.known), root=root)


def look_at_path_table(argument: str, split: str = "") -> tuple[str, dict[str, str]]:
    """Return the file of a spec and the columns that it names; raise unless there is such a file."""
    file, options = parse_query(argument, _COLUMNS)
    if not file.lower().endswith(_ENDINGS):
        raise SteepslopeError(f"data spec 'paths:{argument}': expected a .parquet or .csv file of paths")
    if not Path(file).is_file():
        raise SteepslopeError(f"data spec 'paths:{argument}': no such file")
    return file, options


def _texts_in_column(table: Table, column: str, file: str) -> list[str]:
    """Return the text of each row; raise where it is empty."""
    require_known(f"column of {file}:", column, table.columns)
    texts = table.texts[column]
    if not len(texts.codes):
        raise SteepslopeError("expected a row an image, found none", file)
    rows = [texts.distinct[code] for code in texts.codes.tolist()]
    if "" in texts.distinct:
        raise SteepslopeError(f"expected text in column {column!r}, found none in row {rows.index('')}", file)
    return rows
