"""Rows of files as their makers publish them: inputs that a scikit-learn classifier takes, and labels.

A new format is a function from a folder and its settings to a frame, and an entry in ``READERS``.
"""

import inspect
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from steepslope.errors import Check, SteepslopeError, explained, number, optional, require, require_known
from steepslope.files import optional_library
from steepslope_lab.benchmark.preset import NAMED

if TYPE_CHECKING:
    import pandas
else:
    pandas = optional_library("pandas", "data")

SAMPLES = 8_000  # of a sound, a second: what is longer is cut, what is shorter is followed by silence
RATE = 8_000  # hertz
LOUDEST = 2**15  # in files of 16 bits
LIST = Check("a list", lambda value: isinstance(value, list | tuple))
PAIR = Check("a list of two numbers", lambda value: isinstance(value, list | tuple) and len(value) == 2)
LABEL = "label"  # the column of labels, where none is named
MISSING = ("", "?", "NA", "NaN", "nan")  # of a label or text; in other columns, all that pandas takes for missing
LONGEST = 160  # characters of a library's reason
CHOOSING = ("label", "labels", "only", "rows", "text", "array", "without")
LEAST_CLASSES = 2  # of which a classifier is made
Settings = Mapping[str, Any]


class Rows(NamedTuple):
    """Inputs (n, …), and their labels (n,), texts."""

    X: Any
    y: NDArray[np.str_]


@contextmanager
def _reading_file_of_rows(path: Path) -> Iterator[None]:
    """Let what is wrong with a file leave the block as one line."""
    if not path.is_file():
        raise SteepslopeError("expected a file of the data set, found none", path)
    with explained("cannot be read", path, longest=LONGEST):
        yield


def read_csv(
    folder: Path, files: Sequence[str], names: Sequence[Any] | None = None, label: Any = LABEL, text: Any = None
) -> "pandas.DataFrame":
    """Read CSV files as one frame; ``names`` are those of the columns where the files have no header.

    A question mark alone is a missing value. What the columns ``label`` and ``text`` hold is taken as it is written, so
    a class may be called None, and 1 is not 1.0 because another row lacks a label.
    """
    columns = None if names is None else [*map(str, require("read.names", names, LIST))]
    read = partial(pandas.read_csv, names=columns, skipinitialspace=True)
    frames = []
    for file in files:
        with _reading_file_of_rows(folder / file):
            frames.append(read(folder / file, na_values="?"))
            as_written = [str(one) for one in (label, text) if one is not None and str(one) in frames[-1]]
            if as_written:  # read by themselves: to pandas, one list of missing words is for all columns
                texts = read(folder / file, usecols=as_written, dtype=str, keep_default_na=False, na_values=MISSING)
                frames[-1][as_written] = texts[as_written]
    return pandas.concat(frames, ignore_index=True)


def read_labelled_lines(folder: Path, files: Sequence[str]) -> "pandas.DataFrame":
    """Read lines, each a label, a blank, and a text. No other character than a line feed ends a line."""
    lines: list[tuple[str, str, str]] = []
    for file in files:
        with _reading_file_of_rows(folder / file):
            text = (folder / file).read_text("latin-1")
        lines += [line.partition(" ") for line in text.split("\n") if line]
    return pandas.DataFrame(lines, columns=["label", "blank", "text"])


def read_text_pairs(folder: Path, files: Sequence[str]) -> "pandas.DataFrame":
    """Read JSON files of lists by name, each of pairs of a text and a label."""
    pairs: list[tuple[str, str]] = []
    for file in files:
        with _reading_file_of_rows(folder / file):
            parts = json.loads((folder / file).read_text("utf-8")).values()
            pairs += [(str(text), str(label)) for part in parts for text, label in part]
    return pandas.DataFrame(pairs, columns=["text", "label"])


def read_sounds(folder: Path, files: Sequence[str]) -> "pandas.DataFrame":
    """Read WAV files called LABEL_SPEAKER_NUMBER.wav, such as those of the Free Spoken Digit Dataset, from a folder.

    They have one channel, 16 bits, and 8,000 samples a second.
    """
    place = folder / files[0]
    paths = sorted(place.glob("*_*_*.wav"))
    if not paths:
        raise SteepslopeError("expected files called LABEL_SPEAKER_NUMBER.wav, found none", place)
    waves = np.zeros((len(paths), SAMPLES), dtype=np.float32)
    for wave, path in zip(waves, paths, strict=True):
        sound = _read_sound(path)[:SAMPLES]
        wave[: len(sound)] = sound / LOUDEST
    names = [path.stem.split("_")[:2] for path in paths]
    return pandas.DataFrame(names, columns=["label", "speaker"]).assign(wave=list(waves))


def _read_sound(path: Path) -> NDArray[np.int16]:
    with _reading_file_of_rows(path):
        rate, sound = wavfile.read(path)
    if (rate, sound.dtype, sound.ndim) != (RATE, np.int16, 1):
        found = f"{rate:,} Hz, {sound.dtype}, {'one channel' if sound.ndim == 1 else f'{sound.shape[1]} channels'}"
        raise SteepslopeError(f"expected a sound of {RATE:,} Hz, int16, one channel, found {found}", path)
    return np.asarray(sound)


READERS: dict[str, Callable[..., "pandas.DataFrame"]] = {
    "csv": read_csv,
    "lines": read_labelled_lines,
    "pairs": read_text_pairs,
    "sounds": read_sounds,
}


def read_rows(folder: Path, settings: Settings, least_classes: int = LEAST_CLASSES) -> Rows:
    """Read rows by the name of a reader, ``format``, and its settings, and choose among them.

    ``rows`` are the first to keep and the one after the last, counted from 0. ``only`` keeps those of them that have
    one of some values in a column. ``label`` names a column, or is one with the number ``above`` which it is a yes.
    ``labels`` maps what the column holds to classes; rows of other labels are left out. ``text`` or ``array`` is the
    one column that classifiers see; else they see all but the label and those ``without``.

    Raises
    ------
    SteepslopeError
        If a file is missing or broken, labels are of fewer classes, or a setting or column is unknown; the message has
        the closest name.
    """
    frame = read_frame(folder, settings)
    column, above = _label_of_settings(settings)
    require_frame_columns(frame, [column], "label")
    frame = frame[frame[column].notna()]
    if above is None:
        y = np.asarray(frame[column].astype(str).to_numpy(dtype=str))
    else:
        with explained("expected a column of numbers", f"read.label.{column}", TypeError, LONGEST):
            y = np.where(frame[column] > above, "yes", "no")
    if labels := require("read.labels", settings.get("labels"), optional(NAMED)):
        classes = {str(name): str(value) for name, value in labels.items()}
        is_known = np.isin(y, [*classes])
        frame = frame[is_known]
        y = np.array([classes[name] for name in y[is_known]], dtype=str)
    if len({*y}) < least_classes:
        expected = f"expected rows of {least_classes} classes or more"
        raise SteepslopeError(f"{expected}, found {', '.join({*y}) or 'none'}", "read.label")
    return Rows(_inputs_of_rows(frame, column, settings), y)


def read_frame(folder: Path, settings: Settings) -> "pandas.DataFrame":
    """Read rows and all columns by the name of a reader, ``format``, its own settings and ``only``."""
    reader = str(settings.get("format"))
    require_known("format of rows", reader, READERS)
    read = READERS[reader]
    known = [*inspect.signature(read).parameters][1:]
    for name in settings:
        require_known(f"setting of the reader {reader}:", name, ["format", *known, *CHOOSING])
    names = files_of_rows(settings)
    if not names:
        raise SteepslopeError("expected files, found none", "read")
    frame = read(folder, **{**{name: settings[name] for name in known if name in settings}, "files": names})
    if frame.empty:
        raise SteepslopeError("expected rows, found none", f"read.files {names}")
    first, end = require("read.rows", settings.get("rows", (0, len(frame))), PAIR)
    frame = frame[first:end]
    for column, values in (require("read.only", settings.get("only"), optional(NAMED)) or {}).items():
        require_frame_columns(frame, [column], "only")
        wanted = [*require(f"read.only.{column}", values, LIST)]
        frame = frame[frame[str(column)].isin([*wanted, *map(str, wanted)])]
        if frame.empty:
            raise SteepslopeError(f"expected rows that have one of {wanted}, found none", f"read.only.{column}")
    return frame


def files_of_rows(settings: Settings) -> list[str]:
    """Return the names of the files of rows, or of their folder; none of images, which have none."""
    files = settings.get("files", ())
    return [*map(str, files)] if isinstance(files, list | tuple) else [str(files)]


def require_frame_columns(frame: "pandas.DataFrame", names: Collection[str], setting: str) -> None:
    """Raise for the first of some names that is no column, with the closest one."""
    for name in names:
        require_known(f"column in {setting}:", str(name), [*frame.columns])


def _label_of_settings(settings: Settings) -> tuple[str, float | None]:
    """Return the column of labels, and the number above which it is a yes, if there is one."""
    label = settings.get("label", LABEL)
    if not isinstance(label, Mapping):
        return str(label), None
    if {*label} != {"column", "above"}:
        found = ", ".join(map(str, label))
        raise SteepslopeError(f"expected a column, or column and above, found {found}", "read.label")
    return str(label["column"]), require("read.label.above", label["above"], number())


def _inputs_of_rows(frame: "pandas.DataFrame", label: str, settings: Settings) -> Any:
    """Return the texts, arrays or other columns that classifiers see."""
    text, array = (settings.get(name) for name in ("text", "array"))
    without = [*map(str, require("read.without", settings.get("without") or (), LIST))]
    require_frame_columns(frame, [text or array or label, *without], "read")
    if text:
        return frame[str(text)].fillna("").astype(str).tolist()
    if array:
        if not isinstance(frame[array].iloc[0], np.ndarray):
            raise SteepslopeError(f"expected a column of arrays, found {frame[array].iloc[0]}", f"read.array {array}")
        return np.stack(frame[array].to_list())
    return frame.drop(columns=[label, *without]).reset_index(drop=True)
