"""Rows of files as their makers publish them: what is read and chosen, and what is said of files that are broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.io import wavfile

from steepslope.errors import SteepslopeError
from steepslope_lab.benchmark.rows import LOUDEST, RATE, SAMPLES, read_rows

CITIES = "city,rain,wind,late\nRome, 1.5,3,20\nBonn,?,4,15\nRome,2.5,,16\nOslo,0,1,?\n"
CSV = {"format": "csv", "files": ["a.csv"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.csv").write_text(CITIES)
    (tmp_path / "b.csv").write_text("city,rain,wind,late\nBonn,9,9,9\n")
    (tmp_path / "bare.csv").write_text("1,2,x\n3,4,y\n")
    return tmp_path


def test_a_question_mark_and_nothing_are_missing(folder: Path) -> None:
    rows = read_rows(folder, CSV | {"label": "city"})
    assert rows.y.tolist() == ["Rome", "Bonn", "Rome", "Oslo"]
    assert list(rows.X.columns) == ["rain", "wind", "late"]
    assert rows.X.dtypes.astype(str).tolist() == ["float64"] * 3
    assert_array_equal(rows.X["rain"], [1.5, np.nan, 2.5, 0.0])
    assert_array_equal(rows.X["wind"], [3.0, 4.0, np.nan, 1.0])


@pytest.mark.parametrize(
    ("settings", "y", "columns", "index"),
    [
        (
            {"files": ["a.csv", "b.csv"], "label": "city", "without": ["wind"]},
            ["Rome", "Bonn", "Rome", "Oslo", "Bonn"], ["rain", "late"], [0, 1, 2, 3, 4],
        ),
        ({"files": ["bare.csv"], "names": ["a", "b", "kind"], "label": "kind"}, ["x", "y"], ["a", "b"], [0, 1]),
        ({"files": ["bare.csv"], "names": [0, 1, 2], "label": 2, "without": [0]}, ["x", "y"], ["1"], [0, 1]),
        # strictly above; a row that lacks the number is left out, and the column is not among the inputs
        ({"label": {"column": "late", "above": 15}}, ["yes", "no", "yes"], ["city", "rain", "wind"], [0, 1, 2]),
        ({"label": "city", "rows": [1, 3]}, ["Bonn", "Rome"], ["rain", "wind", "late"], [0, 1]),
        (
            {"label": "city", "only": {"wind": [3, 1], "rain": [1.5, 0.0, 2.5]}},
            ["Rome", "Oslo"], ["rain", "wind", "late"], [0, 1],
        ),
        (
            {"label": "city", "labels": {"Rome": "south", "Oslo": "north"}},
            ["south", "south", "north"], ["rain", "wind", "late"], [0, 1, 2],
        ),
    ],
)  # fmt: skip
def test_rows_and_columns_are_chosen(
    settings: dict[str, Any], y: list[str], columns: list[str], index: list[int], folder: Path
) -> None:
    rows = read_rows(folder, CSV | settings)
    assert rows.y.tolist() == y
    assert [str(name) for name in rows.X.columns] == columns
    assert rows.X.index.tolist() == index


def test_one_column_of_texts(folder: Path) -> None:
    rows = read_rows(folder, CSV | {"label": "late", "text": "city"})
    assert rows.X == ["Rome", "Bonn", "Rome"]
    assert len(rows.y) == 3


def test_only_a_line_feed_cuts_a_line(tmp_path: Path) -> None:
    """In latin-1, the byte 0x85 is a character that ``str.splitlines`` cuts at, and so is a form feed."""
    (tmp_path / "said.all").write_bytes(b"1 good \x85 very\n0 bad\x0cfilm \x1c\n\n1 fine\n")
    rows = read_rows(tmp_path, {"format": "lines", "files": ["said.all"], "text": "text"})
    assert rows.y.tolist() == ["1", "0", "1"]
    assert rows.X == ["good \x85 very", "bad\x0cfilm \x1c", "fine"]


def write_sounds(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, length in (("one_ann_0", 3), ("two_ann_0", SAMPLES + 5), ("two_bob_1", SAMPLES)):
        wavfile.write(folder / f"{name}.wav", RATE, (np.arange(length) % 100 * 300).astype(np.int16))


def test_sounds_are_a_second_long(tmp_path: Path) -> None:
    write_sounds(tmp_path / "said")
    rows = read_rows(tmp_path, {"format": "sounds", "files": "said", "array": "wave"})
    assert rows.y.tolist() == ["one", "two", "two"]
    assert rows.X.shape == (3, SAMPLES)
    assert rows.X.dtype == np.float32
    assert_array_equal(rows.X[0, :4], np.array([0, 300, 600, 0], np.float32) / LOUDEST)
    assert not rows.X[0, 3:].any()
    assert_array_equal(rows.X[1], np.float32(np.arange(SAMPLES) % 100 * 300 / LOUDEST))


@pytest.mark.parametrize(
    ("rate", "sound", "found"),
    [
        (16_000, np.zeros(9, np.int16), "16,000 Hz, int16, one channel"),
        (RATE, np.zeros(9, np.uint8), "8,000 Hz, uint8, one channel"),
        (RATE, np.zeros((9, 2), np.int16), "8,000 Hz, int16, 2 channels"),
    ],
)
def test_other_sounds_are_refused(rate: int, sound: Any, found: str, tmp_path: Path) -> None:
    wavfile.write(tmp_path / "one_ann_0.wav", rate, sound)
    with pytest.raises(SteepslopeError, match=f"one_ann_0.wav: expected a sound of 8,000 Hz.*found {found}"):
        read_rows(tmp_path, {"format": "sounds", "files": "", "array": "wave"})


def test_broken_sounds_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one_ann_0.wav").write_bytes(b"RIFF")
    with pytest.raises(SteepslopeError, match=r"one_ann_0.wav: cannot be read \("):
        read_rows(tmp_path, {"format": "sounds", "files": "", "array": "wave"})
    with pytest.raises(SteepslopeError, match=r"nowhere: expected files called LABEL_SPEAKER_NUMBER.wav, found none"):
        read_rows(tmp_path, {"format": "sounds", "files": "nowhere", "array": "wave"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "cvs"}, "unknown format of rows 'cvs': did you mean 'csv'?"),
        ({"fiels": ["a.csv"]}, "unknown setting of the reader csv: 'fiels': did you mean 'files'?"),
        ({"files": ["z.csv"]}, "z.csv: expected a file of the data set, found none"),
        ({"files": ["empty.csv"]}, "empty.csv: cannot be read (No columns to parse from file)"),
        ({"label": "citty"}, "unknown column in label: 'citty': did you mean 'city'?"),
        ({"label": {"column": "late"}}, "read.label: expected a column, or column and above, found column"),
        ({"label": {"column": "late", "above": "x"}}, "read.label.above: expected a number, found 'x'"),
        ({"label": {"column": "city", "above": 3}}, "read.label.city: expected a column of numbers ("),
        ({"labels": {"Rome": "a"}}, "read.label: expected rows of 2 classes or more, found a"),
        ({"only": {"winnd": [1]}}, "unknown column in only: 'winnd': did you mean 'wind'?"),
        ({"only": {"wind": [7]}}, "read.only.wind: expected rows that have one of [7], found none"),
        ({"without": ["winnd"]}, "unknown column in read: 'winnd': did you mean 'wind'?"),
    ],
)
def test_what_cannot_be_read(settings: dict[str, Any], message: str, folder: Path) -> None:
    (folder / "empty.csv").write_text("")
    with pytest.raises(SteepslopeError) as error:
        read_rows(folder, {**CSV, "label": "city", **settings})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_labels_and_texts_hold_is_taken_as_it_is_written(tmp_path: Path) -> None:
    """Pandas would take None, N/A and null for missing, and make 0.0 of 0 where one label is missing."""
    (tmp_path / "a.csv").write_text("level,said\nNone,null\nN/A,\n,lost\nNA,lost\n?,lost\n07, NA\n0,two\n")
    rows = read_rows(tmp_path, CSV | {"label": "level", "text": "said"})
    assert rows.y.tolist() == ["None", "N/A", "07", "0"]
    assert rows.X == ["null", "", "", "two"]
    rows = read_rows(tmp_path, CSV | {"label": "level", "only": {"level": [0, "None"]}})
    assert rows.y.tolist() == ["None", "0"]


def test_no_files_are_named(folder: Path) -> None:
    with pytest.raises(SteepslopeError, match="read: expected files, found none"):
        read_rows(folder, {"format": "csv"})
