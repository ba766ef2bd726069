"""Shifted images on disk: a folder a class, with what was done, and a contact sheet, beside them.

Each image is written by an atomic rename, so a killed run goes on after those that are there, and ends in the same
bytes. ``shift.json`` comes last: its presence means that all images are there.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.data import DataLoader, Dataset as TorchDataset

from steepslope.data.decoding import decoded, unreadable
from steepslope.data.imagefolder import SUFFIXES
from steepslope.data.images import Dataset, Picture
from steepslope.data.shifted import Shifted
from steepslope.errors import SteepslopeError, reason_of
from steepslope.shifts.contact_sheet import SHEET, contact_sheet
from steepslope.shifts.options import WritingOptions
from steepslope.shifts.pixels import as_bytes, as_picture, cropped
from steepslope.utilities.files import read_json, require_same, staged_folder, write_json
from steepslope.utilities.locks import locked
from steepslope.utilities.progress import Notice, bar, silent

CARD = "shift.json"
KEY = ".shifting.json"  # of an unfinished run
UNLABELLED = ""  # images without labels lie in no folder of a class
SHOWN = 8  # images on a contact sheet
OTHERS = "images of another shift"
FREE = ("data", "skipped")  # what does not decide the images


def write_shifted(
    shifted: Shifted, source: str, out: Path, options: WritingOptions | None = None, notice: Notice = silent
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
        Format, processes, and what to do with unreadable images.
    notice
        Takes one line on what is there.

    Raises
    ------
    SteepslopeError
        If the folder holds images of another shift or data set; if two images would have one name; or, unless errors
        are skipped, if an image cannot be read, which is named.
    """
    options = options or WritingOptions()
    with locked(out):
        key = {**shifted.shift.recipe, "data": source, "fingerprint": shifted.data.fingerprint(),
               "images": len(shifted), "format": options.format, "on_error": options.on_error}  # fmt: skip
        if _is_complete(out, key):
            notice(f"{out}: already complete")
            return
        paths = [out / path for path in file_names(shifted, options.format)]
        with staged_folder(out, last=KEY) as staging:
            write_json(staging / KEY, key)
        failed = _write_all(shifted, paths, options)
        for row, reason in failed.items() if options.on_error == "stop" else ():
            raise unreadable(shifted, row, reason)
        skipped = {str(shifted.ids[row]): reason for row, reason in sorted(failed.items())}
        if len(skipped) == len(shifted):
            raise SteepslopeError(f"expected images, found none that can be read ({next(iter(failed.values()))})", out)
        _finish(shifted, paths, out, {**key, "skipped": skipped})
    lost = f", {len(skipped):,} of which could not be read and are listed in {CARD}" if skipped else ""
    notice(f"{out}: {len(shifted):,} images{lost}")


def _is_complete(out: Path, key: dict[str, Any]) -> bool:
    """Return whether the folder holds these images; refuse one that holds others, whole or in part."""
    for name in (CARD, KEY):
        if (out / name).exists():
            require_same(out, OTHERS, read_json(out / name, "shifted images"), key, FREE)
            return name == CARD
    return False


def _write_all(shifted: Shifted, paths: list[Path], options: WritingOptions) -> dict[int, str]:
    """Write what is missing; return why images could not be read, by row."""
    block = shifted.shift.block
    numbers = [start // block for start in range(0, len(paths), block)
               if not all(map(_is_written, paths[start : start + block]))]  # fmt: skip
    workers = options.workers if options.workers is not None else _cores() if block == 1 else 0
    loader = DataLoader(
        _Blocks(shifted, paths, numbers), batch_size=None, num_workers=min(workers, len(numbers)),
        worker_init_fn=_on_one_thread,
    )  # fmt: skip
    failed: dict[int, str] = {}
    with bar() as progress:
        task = progress.add_task("shifting", total=len(paths), completed=len(paths) - len(numbers) * block)
        for outcome in loader:
            if isinstance(outcome, str):  # raised here, since a worker would wrap it in its own traceback
                raise SteepslopeError(outcome)
            failed |= outcome
            if failed and options.on_error == "stop":
                break
            progress.update(task, advance=block)
    return failed


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _on_one_thread(worker: int) -> None:
    """Keep OpenCV, which corruptions run, from starting a thread a core in each process."""
    import cv2

    cv2.setNumThreads(0)


@dataclass(frozen=True, eq=False)
class _Blocks(TorchDataset[dict[int, str] | str]):
    """Blocks of a shifted data set; one that is fetched is written, and what could not be read is returned by row."""

    shifted: Shifted
    paths: list[Path]
    numbers: list[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, place: int) -> dict[int, str] | str:
        block, failed = self.shifted.shift.block, {}
        start = self.numbers[place] * block
        for row in range(start, min(start + block, len(self.paths))):
            picture: Picture | str = decoded(self.shifted, row, _itself)
            if isinstance(picture, str):
                failed[row] = picture
                continue
            try:
                _save(picture, self.paths[row])
            except OSError as error:
                return f"{self.paths[row]}: writing failed ({error.strerror or reason_of(error)})"
        return failed


def _itself(picture: Picture) -> Picture:
    return picture


def _is_written(path: Path) -> bool:
    return path.exists() or path.with_suffix(".npy").exists()


def _save(picture: Picture, path: Path) -> None:
    """Write an image by an atomic rename; what is no grey or colour is an array whatever the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = picture if isinstance(picture, Image.Image) or path.suffix == ".npy" else as_picture(as_bytes(picture))
    staging = path.with_name(f".partial-{path.name}")
    if isinstance(plain, Image.Image) and path.suffix != ".npy":
        plain.save(staging, "PNG", compress_level=1)  # a third larger than by default, and many times faster
        staging.replace(path)
        return
    with staging.open("wb") as file:
        np.save(file, np.asarray(as_bytes(plain) if isinstance(plain, Image.Image) else plain))
    staging.replace(path.with_suffix(".npy"))


def file_names(data: Dataset, ending: str) -> list[Path]:
    """Return a path below the data set's folder for each image: its class, then its id with another ending.

    Classes without names have their numbers, with zeros before them, so that their alphabetical order is theirs. An id
    that begins with its class has it once. What would lead out of the folder, or hide a file, is replaced by ``_``.

    Raises
    ------
    SteepslopeError
        If two images would have one name.
    """
    folders = list(_folders(data))
    ids = [str(name) for name in data.ids]
    names = [PurePosixPath(_inside(name)) for name in ids]
    within = [path.relative_to(folder) if path.parts[:1] == (folder,) and len(path.parts) > 1 else path
              for path, folder in zip(names, folders, strict=True)]  # fmt: skip
    bare = [path.with_suffix("") if path.suffix.lower() in SUFFIXES else path for path in within]
    for kept in (bare, within):  # a.jpg and a.png beside it keep their endings
        paths = [Path(folder) / f"{path}.{ending}" for path, folder in zip(kept, folders, strict=True)]
        if len(set(paths)) == len(paths):
            return paths
    seen: set[Path] = set()
    twice = next(name for name, path in zip(ids, paths, strict=True) if path in seen or seen.add(path))  # type: ignore[func-returns-value]
    raise SteepslopeError(f"expected ids that differ, found two images that would be named as {twice!r} is")


def _folders(data: Dataset) -> Iterator[str]:
    """Yield the folder of each image."""
    if data.labels is None:
        yield from [UNLABELLED] * len(data)
        return
    digits = len(str(max(int(data.labels.max(initial=0)), len(data.classes or ()) - 1)))
    for label in data.labels.tolist():
        yield f"{label:0{digits}d}" if data.classes is None else _inside(data.classes[label]).replace("/", "_")


def _inside(name: str) -> str:
    """Return a name as a path below a folder, without hidden parts."""
    parts = [
        part if not part.startswith(".") else f"_{part[1:]}" for part in name.replace("\\", "/").split("/") if part
    ]
    return "/".join(parts) or "_"


def _finish(shifted: Shifted, paths: list[Path], out: Path, card: dict[str, Any]) -> None:
    """Draw the contact sheet, clear away what killed processes left, and write what was done, last."""
    sheet = contact_sheet(_shown(shifted, paths))
    for left in out.rglob(".partial-*"):
        if left.is_file():
            left.unlink()
    with staged_folder(out, last=CARD) as staging:
        sheet.save(staging / SHEET, optimize=True)
        write_json(staging / CARD, card)
    (out / KEY).unlink(missing_ok=True)


def _shown(shifted: Shifted, paths: Sequence[Path]) -> dict[str, list[Picture]]:
    """Return some originals, from the first to the last row, and what they became, each under its title."""
    written = [row for row, path in enumerate(paths) if _is_written(path)]
    rows = [written[place] for place in np.linspace(0, len(written) - 1, min(SHOWN, len(written))).astype(int)]
    size = shifted.shift.size
    originals = [cropped(shifted.data.image(row), None if size is None else min(size)) for row in rows]
    return {"originals": originals, shifted.shift.title: [read_written(paths[row]) for row in rows]}


def write_sheet_of_all(shifts: Mapping[Path, Shifted], out: Path, ending: str) -> None:
    """Draw one contact sheet of several shifts of the same images, which the folders hold."""
    rows: dict[str, list[Picture]] = {}
    for folder, shifted in shifts.items():
        rows |= _shown(shifted, [folder / path for path in file_names(shifted, ending)])
    with staged_folder(out, last=SHEET) as staging:
        contact_sheet(rows).save(staging / SHEET, optimize=True)


def read_written(path: Path) -> Picture:
    """Read an image that was written."""
    if not path.exists() or path.suffix == ".npy":
        array: Picture = np.load(path.with_suffix(".npy"), allow_pickle=False)
        return array
    with Image.open(path) as image:
        return image.copy()
