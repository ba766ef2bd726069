"""A folder with one subfolder of image files a class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from steepslope.data.class_names import ClassNames
from steepslope.data.images import ALL, decode_image
from steepslope.errors import SteepslopeError
from steepslope.utilities.files import digest_of

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Labelled image files; ``ids`` are their paths below the folder. A file is opened when its image is."""

    folder: Path
    ids: list[str]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, row: int) -> Image.Image:
        """Decode one file completely."""
        return decode_image(self.folder / self.ids[row])

    def fingerprint(self, rows: slice = ALL) -> str:
        """Return the SHA-256 of the names, sizes and labels."""
        sizes = [size_of(self.folder / name) for name in self.ids[rows]]
        return digest_of([self.ids[rows], sizes, self.labels[rows].tolist()])

    def subset(self, rows: NDArray[np.int64]) -> ImageFiles:
        """Return the given rows, in the given order."""
        return ImageFiles(self.folder, [self.ids[row] for row in rows], self.labels[rows])


def open_image_folder(argument: str, names: ClassNames) -> ImageFiles:
    """List the files of all class folders, in the order of their paths.

    The names given, else the classifier's own, map folders to labels; where there are neither, the folders'
    alphabetical order does, as torchvision has it.

    Raises
    ------
    SteepslopeError
        If the folder is missing or has no class folders, or a class folder has no images or maps to no label.
    """
    folder = Path(argument)
    if not argument or not folder.is_dir():
        raise SteepslopeError(f"data spec 'imagefolder:{argument}': no such folder")
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise SteepslopeError("expected one subfolder a class, found none", folder)
    if not (names.given or names.own):
        names = ClassNames(own={name: label for label, name in enumerate(folders)})
    ids: list[str] = []
    labels: list[int] = []
    for name in folders:
        label = names.label(name, folder / name)
        files = [str(path.relative_to(folder)) for path in image_files(folder / name)]
        if not files:
            raise SteepslopeError(f"expected images ({', '.join(sorted(SUFFIXES))}), found none", folder / name)
        ids += files
        labels += [label] * len(files)
    return ImageFiles(folder, ids, np.array(labels, dtype=np.int64))


def size_of(path: Path) -> int:
    """Return a file's size in bytes; −1 for a link to nothing, which is found when the image is read."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def image_files(folder: Path) -> Iterator[Path]:
    """Yield the files with an image's suffix at any depth, by path; hidden ones are left out, loops entered once."""
    seen: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        shown = [name for name in sorted(files) if not name.startswith(".")]
        yield from (Path(parent) / name for name in shown if Path(name).suffix.lower() in SUFFIXES)
