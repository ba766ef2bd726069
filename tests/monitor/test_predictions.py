"""Predictions and labels from files: what predict writes is read, and what does not fit is named in one line."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from steepslope.errors import SteepslopeError
from steepslope.monitor.predictions import TRUTHS, read_labels, read_predictions, strange_labels

TABLE = pa.table(
    {
        "id": ["a", "b", "c"], "label": ["cat", "dog", None], "probability": [0.9, 0.8, None],
        "p_correct": [0.7, 0.4, None], "accepted": [True, False, False], "error": [None, None, "truncated"],
        "truth": ["cat", None, "dog"],
    }
)  # fmt: skip


def write(table: Any, path: Path) -> Path:
    (pc.write_csv if path.suffix == ".csv" else pq.write_table)(table, path)
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_predict_writes_is_read_without_what_could_not_be_judged(ending: str, tmp_path: Path) -> None:
    (batch,) = read_predictions(write(TABLE, tmp_path / f"found.{ending}"), "truth")
    assert batch.ids.tolist() == ["a", "b"]
    assert batch.labels.tolist() == ["cat", "dog"]
    assert batch.rows.p_correct.tolist() == [0.7, 0.4]
    assert batch.rows.accepted.tolist() == [True, False]
    assert batch.rows.probability is not None
    assert batch.rows.probability.tolist() == [0.9, 0.8]
    assert batch.columns[TRUTHS].tolist() == ["cat", ""]


def test_classes_by_number_and_no_probability(tmp_path: Path) -> None:
    table = TABLE.slice(0, 2).drop_columns(["probability"]).set_column(1, "label", pa.array([7, 12]))
    (batch,) = read_predictions(write(table, tmp_path / "found.parquet"))
    assert (batch.labels.tolist(), batch.rows.probability, batch.columns) == (["7", "12"], None, {})


def test_labels_that_are_no_numbers_of_classes_tell_of_no_mix(tmp_path: Path) -> None:
    for labels in (["9" * 20, "1"], ["cat", "dog"]):
        table = TABLE.slice(0, 2).set_column(1, "label", pa.array(labels))
        (batch,) = read_predictions(write(table, tmp_path / "found.parquet"))
        assert batch.rows.predicted is None
    (batch,) = read_predictions(tmp_path / "found.parquet", None, ("cat", "dog"))
    assert batch.rows.predicted is not None
    assert batch.rows.predicted.tolist() == [0, 1]
    with pytest.raises(
        SteepslopeError, match="column 'label': expected one of the classes, such as 'cow', found 'dog'"
    ):
        list(read_predictions(tmp_path / "found.parquet", None, ("cow", "cat")))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"p_correct": [0.7, 1.4]}, "p_correct: expected probabilities, found 1.4 in row 1"),
        ({"p_correct": ["x", "y"]}, "column 'p_correct': expected a number in each row, found string"),
        ({"accepted": [1, 0]}, "column 'accepted': expected true or false in each row, found int64"),
        ({"id": ["a", None]}, "column 'id': expected a value in each row, found an empty cell"),
        ({"probability": [0.7, None]}, "column 'probability': expected a number in each row, found 1 empty"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, list[Any]], expected: str, tmp_path: Path) -> None:
    table = TABLE.slice(0, 2)
    for name, values in change.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    path = write(table, tmp_path / "found.parquet")
    with pytest.raises(SteepslopeError, match=f"^{path}: {expected}"):
        list(read_predictions(path))


def test_files_without_the_columns_are_refused(tmp_path: Path) -> None:
    path = write(TABLE.select(["id", "label"]), tmp_path / "found.csv")
    with pytest.raises(SteepslopeError, match="expected predictions with id, label, p_correct, accepted, found no p_c"):
        list(read_predictions(path))
    with pytest.raises(SteepslopeError, match="found no truths among"):
        list(read_predictions(write(TABLE, path), "truths"))
    with pytest.raises(SteepslopeError, match="expected the columns id and label, found id"):
        list(read_labels(write(TABLE.select(["id"]), path)))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_by_number_or_name_and_empty(ending: str, tmp_path: Path) -> None:
    table = pa.table({"label": pa.array([3, None]), "id": ["a", "b"]})
    ((ids, truths),) = read_labels(write(table, tmp_path / f"labels.{ending}"))
    assert (ids.tolist(), truths.tolist()) == (["a", "b"], ["3", ""])


def test_labels_have_to_be_written_as_they_are_predicted() -> None:
    path, names = Path("labels.csv"), ("cat", "dog")
    assert strange_labels(Counter(yak=2, cat=1), names, path) == {"yak": 2}  # a yak may be new to the classifier
    assert strange_labels(Counter({"3": 1, "cat": 1}), None, path) == {"cat": 1}
    assert strange_labels(Counter(), names, path) == {}
    for unknown in ({"unknown": 2}, {"-1": 1, "unknown": 1}):  # a file may be of nothing else
        assert strange_labels(Counter(unknown), names, path) == strange_labels(Counter(unknown), None, path) == unknown
    with pytest.raises(SteepslopeError, match=r"expected labels as they are predicted, .* found 'yak'"):
        strange_labels(Counter(unknown=2, yak=1), names, path)
    with pytest.raises(SteepslopeError, match=r"^labels.csv: expected labels .* such as 'cat', found '0'"):
        strange_labels(Counter({"0": 1, "1": 2}), names, path)
    with pytest.raises(SteepslopeError, match="expected labels as they are predicted, a whole number, found 'cat'"):
        strange_labels(Counter(cat=1), None, path)
