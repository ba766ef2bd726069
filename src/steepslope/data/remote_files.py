"""Image files below a URL: with one folder a class, or of any depth and without classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from steepslope.data.class_names import ClassNames, in_order
from steepslope.data.images import ALL, ARRAYS, SHEET, SUFFIXES, Labels, Picture, decode_bytes, labels_at
from steepslope.data.shift_card import CARD
from steepslope.data.urls import Listed, files_below, read, with_suffix
from steepslope.errors import SteepslopeError
from steepslope.utilities.files import digest_of


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

    def fingerprint(self, rows: slice = ALL) -> str:
        """Return the SHA-256 of the names, sizes and labels; it is that of the same files in a local folder."""
        labels = labels_at(self.labels, rows)
        names, sizes = [one.name for one in self.files[rows]], [one.size for one in self.files[rows]]
        return digest_of([names, sizes, None if labels is None else labels.tolist()])

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
