"""Shifted images on disk: a folder a class, with what was done, and a contact sheet, next to them.

Each image is written by an atomic rename, so a killed run goes on after those that are there, and ends in the same
bytes. ``shift.json`` comes last: its presence means that all images are there.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from torch.utils.data import DataLoader, Dataset as TorchDataset

from steepslope.errors import SteepslopeError, reason_of
from steepslope.files import DELETE, Artifact, Notice, bar, silent, write_json
from steepslope.nets.data import (
    ARRAYS,
    CARD,
    SHEET,
    SUFFIXES,
    Dataset,
    Picture,
    ShiftCard,
    Shifted,
    open_image,
    unreadable_image,
    why_unreadable,
)
from steepslope.outputs import UNKNOWN, UNKNOWN_NAME
from steepslope_lab.shifts.options import WritingOptions
from steepslope_lab.shifts.pixels import cropped_picture, picture_as_bytes, pixels_as_picture

CELL = 96  # pixels a side of each image
GAP = 4
TEXT_HEIGHT = 16


def contact_sheet(rows: Mapping[str, Sequence[Picture]]) -> Image.Image:
    """Return rows of images, each under its title; small images are enlarged without smoothing."""
    columns = max(map(len, rows.values()))
    height = TEXT_HEIGHT + CELL + GAP
    sheet = Image.new("RGB", (GAP + columns * (CELL + GAP), GAP + len(rows) * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for row, (title, images) in enumerate(rows.items()):
        top = GAP + row * height
        draw.text((GAP, top), title, fill="black", font=font)
        for column, image in enumerate(images):
            sheet.paste(_thumbnail(image), (GAP + column * (CELL + GAP), top + TEXT_HEIGHT))
    return sheet


def _thumbnail(image: Picture) -> Image.Image:
    """Return an image that fills its cell; of arrays with other channels than colour has, the first alone in grey."""
    pixels = picture_as_bytes(image)
    pixels = pixels if pixels.shape[2] == 3 else pixels[..., :1].repeat(3, axis=2)
    method = Image.Resampling.NEAREST if max(pixels.shape[:2]) < CELL else Image.Resampling.LANCZOS
    return ImageOps.pad(Image.fromarray(np.ascontiguousarray(pixels)), (CELL, CELL), method, color="white")


KEY = ".shifting.json"  # of an unfinished run
SHOWN = 8  # images on a contact sheet
ABOUT = ("data", "size", "folders", "classes")  # what does not decide the images, or follows from it
SHIFTED = Artifact("shifted images", CARD, made="", free=ABOUT, unfinished=(KEY,), remedy=DELETE)


def write_shifted(
    shifted: Shifted,
    source: str,
    out: Path,
    options: WritingOptions | None = None,
    notice: Notice = silent,
    names: Sequence[str] | None = None,
) -> None:
    """Write all images of a shifted data set to a folder, or find them there.

    Parameters
    ----------
    shifted
        The data set. Labelled images go to a folder a class.
    source
        Name of the data set, for ``shift.json``.
    out
        Folder for the images; it is made if it is not there.
    options
        Format and processes.
    notice
        Takes one line on what is there.
    names
        The images' :func:`shifted_file_names`, where they are known already.

    Raises
    ------
    SteepslopeError
        If the folder holds images of another shift or data set, or of no shift at all; if two images would have one
        name; or if an image cannot be read, which is named.
    """
    options = options or WritingOptions()
    names = shifted_file_names(shifted, options.format) if names is None else names
    key = {**shifted.shift.recipe, "data": source, "fingerprint": shifted.data.fingerprint(), "images": len(shifted),
           "format": options.format}  # fmt: skip
    with SHIFTED.making(out, key) as complete:
        written = [name for name in names if _is_image_written(out / name)]
        if complete and len(written) == len(names):
            notice(f"{out}: already complete")
            return
        if written and not (out / KEY).exists() and not (out / CARD).exists():
            expected = f"expected no image here without a {CARD} next to it: choose another folder"
            raise SteepslopeError(expected, out / written[0])
        SHIFTED.begin(out, key)
        try:
            _write_shifted_images(shifted, out, names, options)
        except SteepslopeError:
            if not any(_is_image_written(out / name) for name in names):
                SHIFTED.end(out)  # a folder without images is free for others
            raise
        about = asdict(ShiftCard(shifted.brought_to, class_folders_of(shifted), shifted.classes))
        _finish_shifted_folder(shifted, out, names, {**key, **about})
    notice(f"{out}: {len(shifted):,} images")


def _write_shifted_images(shifted: Shifted, out: Path, names: Sequence[str], options: WritingOptions) -> None:
    """Write what is missing; raise where an image cannot be read or written."""
    block = shifted.shift.block
    numbers = [start // block for start in range(0, len(names), block)
               if not all(_is_image_written(out / name) for name in names[start : start + block])]  # fmt: skip
    workers = options.workers
    if workers is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = cores if block == 1 else 0
    blocks = _ShiftedBlocks(shifted, out, names, numbers)
    workers = min(workers, len(numbers))
    loader = DataLoader(blocks, batch_size=None, num_workers=workers, worker_init_fn=_opencv_on_one_thread)
    with bar("shifting", len(names), max(0, len(names) - len(numbers) * block)) as progress:
        for error in loader:
            if error:  # raised here, since a worker would wrap it in its own traceback
                raise SteepslopeError(error)
            progress.update(block)


def _opencv_on_one_thread(worker: int) -> None:
    """Keep OpenCV, which corruptions run, from starting a thread a core in each process."""
    with suppress(ImportError):  # other shifts do without
        import cv2

        cv2.setNumThreads(0)


@dataclass(frozen=True, eq=False)
class _ShiftedBlocks(TorchDataset[str]):
    """Blocks of a shifted data set; one that is fetched is written, and an error is returned as text, else none."""

    shifted: Shifted
    out: Path
    names: Sequence[str]
    numbers: list[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> str:
        number = self.numbers[place]
        for row, picture in enumerate(self.shifted.shifted_block(number), number * self.shifted.shift.block):
            if isinstance(picture, Exception):
                return str(unreadable_image(self.shifted, row, why_unreadable(picture)))
            path = self.out / self.names[row]
            try:
                _save_picture(picture, path)
            except OSError as error:
                return f"{path}: writing failed ({error.strerror or reason_of(error)})"
        return ""


def _is_image_written(path: Path) -> bool:
    return path.exists() or path.with_suffix(".npy").exists()


def _save_picture(picture: Picture, path: Path) -> None:
    """Write an image by an atomic rename; what is no grey or colour is an array whatever the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".npy":
        picture = picture if isinstance(picture, Image.Image) else pixels_as_picture(picture_as_bytes(picture))
    staging = path.with_name(f".partial-{path.name}")
    if isinstance(picture, Image.Image) and path.suffix != ".npy":
        picture.save(staging, "PNG", compress_level=1)  # a third larger than by default, and many times faster
        staging.replace(path)
        return
    with staging.open("wb") as file:
        np.save(file, picture_as_bytes(picture) if isinstance(picture, Image.Image) else np.asarray(picture))
    staging.replace(path.with_suffix(".npy"))


def shifted_file_names(data: Dataset, ending: str) -> list[str]:
    """Return the name of each image's file below the data set's folder: its class, then its id with another ending.

    Classes without names have their numbers, with zeros before them, so that their alphabetical order is theirs. An id
    that begins with its class has it once. What would lead out of the folder, or hide a file, is replaced by ``_``.

    Raises
    ------
    SteepslopeError
        If two images, or two classes, would have one name.
    """
    folder_of = {label: folder for folder, label in class_folders_of(data).items()}
    places = [""] * len(data) if data.labels is None else [f"{folder_of[label]}/" for label in data.labels.tolist()]
    within = [
        _name_inside_folder(str(name)).removeprefix(place) or "_" for name, place in zip(data.ids, places, strict=True)
    ]
    whole = [place + name for place, name in zip(places, within, strict=True)]
    bare = [name.rpartition(".")[0] if PurePosixPath(name).suffix.lower() in SUFFIXES | ARRAYS else name
            for name in whole]  # fmt: skip
    often = Counter(bare)
    names = [f"{name if often[short] > 1 else short}.{ending}"  # a.jpg next to a.png keeps its ending
             for name, short in zip(whole, bare, strict=True)]  # fmt: skip
    counts = Counter(names)
    for name, path in zip(data.ids, names, strict=True):
        if counts[path] > 1:
            raise SteepslopeError(f"expected ids that differ, found two images that would be named as {str(name)!r} is")
    return names


def class_folders_of(data: Dataset) -> dict[str, int]:
    """Return the labels of the folders of a data set's classes, by name; empty without labels."""
    if data.labels is None:
        return {}
    if data.classes is None:
        labels = sorted(set(data.labels.tolist()))
        digits = len(str(labels[-1])) if labels else 1
        return {f"{label:0{digits}d}": label for label in labels}
    called = [*data.classes, *([UNKNOWN_NAME] if UNKNOWN in data.labels else [])]
    names = [_name_inside_folder(name).replace("/", "_") for name in called]
    often = Counter(name.casefold() for name in names)  # which some disks do not tell apart
    same = [repr(name) for name, folder in zip(called, names, strict=True) if often[folder.casefold()] > 1]
    if same:
        raise SteepslopeError(f"expected classes whose folders differ, found {', '.join(same)}")
    labels = [*range(len(data.classes)), UNKNOWN]
    return dict(zip(names, labels, strict=False))


def _name_inside_folder(name: str) -> str:
    """Return a name as a path below a folder, without hidden parts."""
    parts = [part for part in name.replace("\\", "/").split("/") if part]
    return "/".join(f"_{part[1:]}" if part.startswith(".") else part for part in parts) or "_"


def _finish_shifted_folder(shifted: Shifted, out: Path, names: Sequence[str], card: dict[str, Any]) -> None:
    """Draw the contact sheet, clear away what killed processes left, and write what was done, last."""
    for left in out.rglob(".partial-*"):
        if left.is_file():
            left.unlink()
    with SHIFTED.staged(out) as staging:
        contact_sheet(_shown_on_sheet(shifted, out, names)).save(staging / SHEET, optimize=True)
        write_json(staging / CARD, card)
    SHIFTED.end(out)


def _shown_on_sheet(shifted: Shifted, out: Path, names: Sequence[str]) -> dict[str, list[Picture]]:
    """Return some originals, from the first to the last row, and what they became, each under its title."""
    some = np.unique(np.linspace(0, len(names) - 1, SHOWN).astype(int)).tolist()
    size = shifted.shift.size
    originals = [cropped_picture(shifted.data.image(row), None if size is None else min(size)) for row in some]
    return {"originals": originals, shifted.shift.title: [read_written_picture(out / names[row]) for row in some]}


def read_written_picture(path: Path) -> Picture:
    """Read an image that was written."""
    if not path.exists() or path.suffix == ".npy":
        array: Picture = np.load(path.with_suffix(".npy"), allow_pickle=False)
        return array
    with open_image(path) as image:
        return image.copy()
