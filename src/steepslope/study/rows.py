"""Rows of files as their makers publish them: inputs that a scikit-learn classifier takes, and labels.

A new format is a function from a folder and its settings to a frame, and an entry in ``READERS``.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile

from steepslope.errors import SteepslopeError, require_known
from steepslope.files.extras import require_extra

if TYPE_CHECKING:
    import pandas

SAMPLES = 8_000  # of a sound, a second; what is longer is cut, what is shorter is followed by silence
LOUDEST = 2**15  # in files of 16 bits
Settings = Mapping[str, Any]


class Rows(NamedTuple):
    """Inputs (n, …), and their labels (n,), texts."""

    X: Any
    y: NDArray[np.str_]


def comma_separated(folder: Path, files: Sequence[str], names: Sequence[str] | None = None) -> "pandas.DataFrame":
    """Read CSV files as one frame; ``names`` are those of the columns where the files have no header.

    A question mark alone is a missing value.
    """
    pandas = require_extra("pandas", "paper", "tables")
    frames = [pandas.read_csv(folder / file, names=names, skipinitialspace=True, na_values="?") for file in files]
    return pandas.concat(frames, ignore_index=True)


def labelled_lines(folder: Path, files: Sequence[str], encoding: str = "latin-1") -> "pandas.DataFrame":
    """Read lines, each a label, a blank, and a text."""
    pandas = require_extra("pandas", "paper", "tables")
    texts = [(folder / file).read_text(encoding) for file in files]
    lines = [line.partition(" ") for text in texts for line in text.split("\n") if line]
    return pandas.DataFrame({"label": [one[0] for one in lines], "text": [one[2] for one in lines]})


def sounds(folder: Path, files: str) -> "pandas.DataFrame":
    """Read WAV files called LABEL_SPEAKER_NUMBER.wav, such as those of the Free Spoken Digit Dataset."""
    pandas = require_extra("pandas", "paper", "tables")
    paths = sorted((folder / files).glob("*_*_*.wav"))
    if not paths:
        raise SteepslopeError("expected files called LABEL_SPEAKER_NUMBER.wav, found none", folder / files)
    waves = np.zeros((len(paths), SAMPLES), dtype=np.float32)
    for wave, path in zip(waves, paths, strict=True):
        sound = wavfile.read(path)[1][:SAMPLES]
        wave[: len(sound)] = sound / LOUDEST
    names = [path.stem.split("_") for path in paths]
    about = pandas.DataFrame({"label": [one[0] for one in names], "speaker": [one[1] for one in names]})
    return about.assign(wave=list(waves))


READERS: dict[str, Callable[..., "pandas.DataFrame"]] = {"csv": comma_separated, "lines": labelled_lines,
                                                         "sounds": sounds}  # fmt: skip


def read_rows(folder: Path, settings: Settings) -> Rows:
    """Read rows by the name of a reader, ``format``, and its settings, and choose among them.

    ``label`` names a column, or is one with the number ``above`` which it is a yes. ``labels`` maps what the column
    holds to classes; rows of other labels are left out. ``only`` keeps rows that have one of some values in a column.
    ``text`` or ``array`` is the one column that classifiers see; else they see all but the label and those ``without``.
    """
    given = dict(settings)
    own = ("format", "label", "labels", "only", "text", "array", "without")
    chosen = {name: given.pop(name, None) for name in own}
    require_known("format of rows", chosen["format"], READERS)
    try:
        frame = READERS[chosen["format"]](folder, **given)
    except FileNotFoundError as error:
        raise SteepslopeError("expected the files of the data set, found none", error.filename) from error
    except TypeError as error:  # a setting that the reader does not have
        raise SteepslopeError(f"cannot be used by the reader {chosen['format']} ({error})", "read") from error
    for column, values in (chosen["only"] or {}).items():
        frame = frame[frame[column].isin(values)]
    return _chosen(frame, chosen)


def _chosen(frame: "pandas.DataFrame", chosen: Settings) -> Rows:
    label = chosen["label"] or "label"
    column = label["column"] if isinstance(label, Mapping) else label
    if column not in frame:
        require_known("column of labels", column, list(frame.columns))
    frame = frame[frame[column].notna()]
    if isinstance(label, Mapping):
        y = np.where(frame[column] > label["above"], "yes", "no")
    else:
        y = frame[column].astype(str).to_numpy(dtype=str)
    if chosen["labels"]:
        known = {str(name): str(value) for name, value in chosen["labels"].items()}
        kept = np.isin(y, [*known])
        frame, y = frame[kept], np.array([known[name] for name in y[kept]])
    if chosen["text"]:
        return Rows(frame[chosen["text"]].astype(str).tolist(), y)
    if chosen["array"]:
        return Rows(np.stack(frame[chosen["array"]].to_list()), y)
    return Rows(frame.drop(columns=[column, *(chosen["without"] or ())]).reset_index(drop=True), y)
