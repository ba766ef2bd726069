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

from steepslope.checks import Check, number, optional, require
from steepslope.errors import SteepslopeError, explained, require_known
from steepslope.files.extras import optional_library
from steepslope.lab.benchmark.preset import NAMED

if TYPE_CHECKING:
    import pandas
else:
    pandas = optional_library("pandas", "data")

SAMPLES = 8_000  # of a sound, a second: what is longer is cut, what is shorter is followed by silence
RATE = 8_000  # hertz
LOUDEST = 2**15  # in files of 16 bits
LIST = Check("a list", lambda value: isinstance(value, list | tuple))
FILES = Check(
    "a list of names of files",
    lambda value: isinstance(value, list | tuple) and bool(value) and all(isinstance(one, str) for one in value),
)
LABEL = "label"  # the column of labels, where none is named
MISSING = ("", "?", "NA", "NaN", "nan")  # of a label or text; in other columns, all that pandas takes for missing
PAIR = Check(
    "a first row and one before which to end, from 0 on",
    lambda value: isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(one, int) for one in value)
    and 0 <= value[0] < value[1],
)  # fmt: skip
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
    for file in require("read.files", files, FILES):
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
    for file in require("read.files", files, FILES):
        with _reading_file_of_rows(folder / file):
            text = (folder / file).read_text("latin-1")
        lines += [line.partition(" ") for line in text.split("\n") if line]
    return pandas.DataFrame({"label": [one[0] for one in lines], "text": [one[2] for one in lines]})


def read_text_pairs(folder: Path, files: Sequence[str]) -> "pandas.DataFrame":
    """Read JSON files of lists by name, each of pairs of a text and a label."""
    pairs: list[tuple[str, str]] = []
    for file in require("read.files", files, FILES):
        with _reading_file_of_rows(folder / file):
            parts = json.loads((folder / file).read_text("utf-8")).values()
            pairs += [(str(text), str(label)) for part in parts for text, label in part]
    return pandas.DataFrame(pairs, columns=["text", "label"])


def read_sounds(folder: Path, files: str) -> "pandas.DataFrame":
    """Read WAV files called LABEL_SPEAKER_NUMBER.wav, such as those of the Free Spoken Digit Dataset.

    They have one channel, 16 bits, and 8,000 samples a second.
    """
    paths = sorted((folder / str(files)).glob("*_*_*.wav"))
    if not paths:
        raise SteepslopeError("expected files called LABEL_SPEAKER_NUMBER.wav, found none", folder / str(files))
    waves = np.zeros((len(paths), SAMPLES), dtype=np.float32)
    for wave, path in zip(waves, paths, strict=True):
        sound = _read_sound(path)[:SAMPLES]
        wave[: len(sound)] = sound / LOUDEST
    names = [path.stem.split("_") for path in paths]
    about = pandas.DataFrame({"label": [one[0] for one in names], "speaker": [one[1] for one in names]})
    return about.assign(wave=list(waves))


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

    ``rows`` are the first row, from 0 on, and the one before which to end; ``only`` keeps rows that have one of some
    values in a column. ``label`` names a column, or is one with the number ``above`` which it is a yes. ``labels`` maps
    what the column holds to classes; rows of other labels are left out. ``text`` or ``array`` is the one column that
    classifiers see; else they see all but the label and those ``without``.

    Raises
    ------
    SteepslopeError
        If a file is missing or broken, labels are of fewer classes, or a setting or column is unknown; the message has
        the closest name.
    """
    return _chosen_rows(read_frame(folder, settings), settings, least_classes)


def read_frame(folder: Path, settings: Settings) -> "pandas.DataFrame":
    """Read rows and all columns by the name of a reader, ``format``, and its own settings, ``rows`` and ``only``."""
    reader = settings.get("format")
    require_known("format of rows", reader, READERS)
    known = [*inspect.signature(READERS[str(reader)]).parameters][1:]
    for name in settings:
        require_known(f"setting of the reader {reader}:", name, ["format", *known, *CHOOSING])
    if "files" not in settings:
        raise SteepslopeError("expected files, found none", "read")
    frame = READERS[str(reader)](folder, **{name: settings[name] for name in known if name in settings})
    if frame.empty:
        raise SteepslopeError("expected rows, found none", f"read.files {settings['files']}")
    first, end = require("read.rows", settings.get("rows", (0, len(frame))), PAIR)
    return _only_wanted_rows(frame.iloc[first:end], settings)


def _only_wanted_rows(frame: "pandas.DataFrame", settings: Settings) -> "pandas.DataFrame":
    """Return the rows that have one of some values in each column that ``only`` names."""
    only = require("read.only", settings.get("only"), optional(NAMED)) or {}
    for column, values in only.items():
        require_frame_columns(frame, [column], "only")
        wanted = [*require(f"read.only.{column}", values, LIST)]
        frame = frame[frame[str(column)].isin([*wanted, *map(str, wanted)])]
        if frame.empty:
            raise SteepslopeError(f"expected rows that have one of {list(values)}, found none", f"read.only.{column}")
    return frame


def require_frame_columns(frame: "pandas.DataFrame", names: Collection[str], setting: str) -> None:
    """Raise for the first of some names that is no column, with the closest one."""
    for name in names:
        require_known(f"column in {setting}:", str(name), [*frame.columns])


def _chosen_rows(frame: "pandas.DataFrame", settings: Settings, least_classes: int) -> Rows:
    """Return the labels of rows that have one, and what classifiers see of these."""
    column = _label_column(settings)
    require_frame_columns(frame, [column], "label")
    frame = frame[frame[column].notna()]
    y = _labels_of_rows(frame[column], settings)
    if labels := require("read.labels", settings.get("labels"), optional(NAMED)):
        classes = {str(name): str(value) for name, value in labels.items()}
        is_known = np.isin(y, [*classes])
        frame = frame[is_known]
        y = np.array([classes[name] for name in y[is_known]], dtype=str)
    if len({*y}) < least_classes:
        expected = f"expected rows of {least_classes} classes or more"
        raise SteepslopeError(f"{expected}, found {', '.join({*y}) or 'none'}", "read.label")
    return Rows(_inputs_of_rows(frame, column, settings), y)


def _label_column(settings: Settings) -> str:
    label = LABEL if settings.get("label") is None else settings["label"]
    if isinstance(label, Mapping) and {*label} != {"column", "above"}:
        raise SteepslopeError(
            f"expected a column, or column and above, found {', '.join(map(str, label))}", "read.label"
        )
    return str(label["column"] if isinstance(label, Mapping) else label)


def _labels_of_rows(values: Any, settings: Settings) -> NDArray[np.str_]:
    """Return what a column holds as texts, or whether it lies above a number."""
    label = settings.get("label")
    if not isinstance(label, Mapping):
        return np.asarray(values.astype(str).to_numpy(dtype=str))
    above = require("read.label.above", label["above"], number())
    if values.dtype.kind not in "biuf":
        raise SteepslopeError(
            f"expected a column of numbers, found {values.iloc[0]!r}", f"read.label.{label['column']}"
        )
    return np.where(values > above, "yes", "no")


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
