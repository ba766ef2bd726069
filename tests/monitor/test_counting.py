"""Files into a monitor's state: what is new in them counts, and it is told what was not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from steepslope.errors import SteepslopeError
from steepslope.monitor import Monitor, _counting as counting
from steepslope.monitor._counting import FileCount
from steepslope.monitor._predictions import (
    TRUTHS,
    Batch,
    labels_of_no_class,
    read_labels_of_predictions,
    read_predictions,
)
from steepslope.monitor._sentences import _health_sentences, monitor_sentences
from steepslope.monitor._state import State, begin_state, open_state
from steepslope.predict._chunks import hash_of_text
from steepslope.promise._certificate import as_percent
from tests.monitor.problems import feed, gate, monitor_of, stream

GATE = gate()


def write(path: Path, columns: dict[str, Any]) -> Path:
    (pc.write_csv if path.suffix == ".csv" else pq.write_table)(pa.table(columns), path)
    return path


def photos(ids: Any) -> np.ndarray:
    return np.array([f"photo {one}" for one in ids], dtype=np.object_)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """Open a state in which nothing was counted."""
    begin_state(tmp_path / "state.sqlite", {})
    with open_state(tmp_path / "state.sqlite") as opened:
        yield opened


def predictions(path: Path, n: int = 1_000, rows: slice = slice(None), label: str = "") -> Path:
    """Write some of n predictions, of the label that is given, or of numbered classes."""
    judged = stream(n, 1).judged(GATE)
    order = np.argsort(judged.p_correct)  # as a table that is sorted by its confidence
    columns: dict[str, Any] = {"id": photos(range(n)), "label": judged.predicted, **judged.arrays()}
    del columns["predicted"]
    if label:
        columns["label"], order = np.full(n, label), np.arange(n)
    return write(path, {name: column[order][rows] for name, column in columns.items()})


def labels(path: Path, ids: Any, truths: Any) -> Path:
    return write(path, {"id": photos(ids), "label": [truths] * len(ids) if isinstance(truths, str) else truths})


def batch(ids: list[int], p_correct: float = 0.999, label: str = "cat") -> Batch:
    n = len(ids)
    alike = np.full(n, p_correct), np.ones(n, np.bool_)
    return Batch(*alike, ids=photos(ids), labels=np.full(n, label, dtype=np.object_))


def counted(state: State, *batches: Batch) -> FileCount:
    """Count batches that come as parts of one file."""
    count = FileCount(Monitor.of(GATE), GATE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "read_predictions", lambda path, truth, classes: iter(batches))
        count.count_predictions(state, Path("batches.csv"))
    return count


@settings(max_examples=8)
@given(parts=st.lists(st.lists(st.integers(0, 20), max_size=12), max_size=5))
def test_each_id_of_a_file_is_counted_once_in_an_order_that_ids_draw(
    parts: list[list[int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("state") / "state.sqlite"
    begin_state(path, {})
    with open_state(path) as state:
        count = counted(state, *map(batch, parts))
        expected = list(dict.fromkeys(one for ids in parts for one in ids))
        assert (count.new, count.monitor.rows) == (len(expected), len(expected))
        assert count.repeated == sum(map(len, parts)) - len(expected)
        found = state.connection.execute("SELECT id FROM predictions ORDER BY row").fetchall()
    assert [one for (one,) in found] == sorted(hash_of_text(f"photo {one}") for one in expected)


TWICE = Batch.joined([batch([2]), batch([2], p_correct=0.9999)])


@pytest.mark.parametrize("others", [[batch([7, 2], p_correct=0.9999)], [batch([8]), batch([2], label="dog")], [TWICE]])
def test_an_id_of_another_prediction_is_refused(others: list[Batch], state: State) -> None:
    words = r"batches\.csv: id: expected ids that tell predictions apart, .* found 'photo 2' with another"
    with pytest.raises(SteepslopeError, match=words):
        counted(state, batch([1, 3] if others == [TWICE] else [1, 2, 3]), *others)


@pytest.fixture
def count(state: State, tmp_path: Path) -> FileCount:
    """Count the predictions in two files that overlap."""
    found = FileCount(monitor_of(GATE), replace(GATE, classes=("cat", "dog")))
    for part in (slice(0, 600), slice(400, 1_000)):
        found.count_predictions(state, predictions(tmp_path / f"{part.start}.parquet", rows=part, label="cat"))
    return found


def test_what_overlaps_counts_once(count: FileCount) -> None:
    assert (count.new, count.repeated) == (1_000, 200)
    assert count.monitor.accepted == stream(1_000, 1).judged(GATE).accepted.sum()


def test_of_two_labels_of_a_prediction_the_first_counts(count: FileCount, state: State, tmp_path: Path) -> None:
    count.count_labels(state, labels(tmp_path / "labels.parquet", [5, 5, 3, 2_000], "cat"))
    count.count_labels(state, labels(tmp_path / "labels.parquet", [3, 4, 3], "dog"))
    assert (count.labels, count.labels_repeated, count.labels_unknown, count.contradicting) == (3, 3, 1, 2)
    assert (count.monitor.labels, count.monitor.correct) == (3, 2)


def test_labels_that_are_no_class_are_counted(count: FileCount, state: State, tmp_path: Path) -> None:
    count.contradicting = 2
    count.count_labels(state, labels(tmp_path / "labels.parquet", range(8), ["cat"] * 5 + ["Cat", "Cat", "yak"]))
    assert count.strange == {"Cat": 2, "yak": 1}
    text = "\n".join(monitor_sentences(count))
    assert "2 labels contradict the one that was counted before; the first counts." in text
    assert "3 labels are no class, and count as errors: 'Cat' (2), 'yak' (1)." in text
    with pytest.raises(SteepslopeError, match="expected labels as they are predicted"):
        count.count_labels(state, labels(tmp_path / "labels.parquet", [8, 9], ["yak", "gnu"]))


def test_labels_tell_where_in_the_stream_they_are_of(count: FileCount, state: State, tmp_path: Path) -> None:
    accepted = np.flatnonzero(stream(1_000, 1).judged(GATE).accepted)[-40:]
    count.count_labels(state, labels(tmp_path / "labels.parquet", accepted.tolist(), "dog"))
    found = state.counted(hash_of_text(f"photo {row}") for row in accepted)
    assert count.monitor.labelled.history[-1].row in {prediction.row for prediction in found.values()}
    assert count.monitor.alarms["labels"] == 1_000  # when it was raised
    assert count.monitor.labelled.alarm_count in range(1, 41)


def test_what_files_are_sorted_by_is_neither_a_change_nor_harm(state: State, tmp_path: Path) -> None:
    """Predictions by their confidence, and the labels of all that are accepted, within the promise, errors first."""
    rows, count = stream(3_000, 1), FileCount(monitor_of(GATE), GATE)
    judged = rows.judged(GATE)
    count.count_predictions(state, predictions(tmp_path / "sorted.parquet", 3_000))
    accepted = np.flatnonzero(judged.accepted)
    order = accepted[np.argsort(judged.is_correct[accepted], kind="stable")]
    truths = np.where(judged.is_correct, rows.predicted, rows.predicted + 1)
    count.count_labels(state, labels(tmp_path / "labels.parquet", order, truths[order]))
    assert count.monitor.labelled.mean == pytest.approx((~judged.is_correct[accepted]).mean(), abs=1e-6)
    assert count.monitor.means["predicted"].count == 3_000
    assert count.monitor.health == "healthy"
    bare = monitor_of(GATE)
    by_confidence = np.argsort(judged.p_correct)
    bare.update(judged.p_correct[by_confidence], judged.accepted[by_confidence], rows.probability[by_confidence])
    assert bare.health == "changed"  # in Python, the order is the caller's


def test_before_the_first_prediction() -> None:
    assert monitor_sentences(FileCount(monitor_of(GATE), GATE)) == [
        "0 predictions, 0 of them new.",
        "HEALTHY: there is not enough evidence of a change. Errors that leave no trace in what is watched cannot be "
        "seen without labels.",
    ]


def test_after_a_change_there_is_no_interval_of_what_was_before_it() -> None:
    monitor = monitor_of(GATE)
    feed(monitor, GATE, stream(2_000, 1))
    assert " to " in next(line for line in monitor_sentences(FileCount(monitor, GATE)) if line.startswith("Accepted"))
    judged = feed(monitor, GATE, stream(2_000, 2, lower=2, sure=2))
    line = next(line for line in monitor_sentences(FileCount(monitor, GATE)) if line.startswith("Accepted"))
    assert " to " not in line
    latest = monitor.means["coverage"].latest
    assert latest is not None
    assert latest[1] == pytest.approx(judged.accepted[-400:].mean(), abs=0.02)
    assert f", of the latest 400: {as_percent(latest[1])}; of the calibration rows " in line


def test_what_is_known_is_said() -> None:
    monitor = monitor_of(GATE)
    judged = feed(monitor, GATE, stream(3_000, 2))
    monitor.label(np.arange(3_000) % 4 > 0, judged.accepted)
    text = "\n".join(monitor_sentences(FileCount(monitor, GATE, new=3_000, labels=3_000, labels_unknown=7)))
    assert "3,000 labels, 3,000 of them new, 7 are of no prediction that is known." in text
    assert f"Accepted: {as_percent(judged.accepted.mean())}, of the latest " in text
    assert f"P(correct): {as_percent(judged.p_correct.mean())}, of the latest" in text
    assert f"Risk of the accepted, by {judged.accepted.sum():,} labels: " in text
    assert "promised 5 %." in text
    assert "Of the 3,000 labelled predictions, accepted or not: 75 % are right." in text
    assert monitor.accuracy is not None
    assert f"estimated without labels: {as_percent(monitor.accuracy)}." in text


def test_a_change_is_said_with_what_it_may_mean() -> None:
    monitor = monitor_of(GATE)
    judged = feed(monitor, GATE, stream(3_000, 2, lower=2, sure=2, first=0.8))
    (line,) = _health_sentences(monitor)
    row = min(monitor.alarms.values())
    told = "they are not drawn as the calibration rows were."
    assert line.startswith(f"CHANGED after {row:,} predictions: {told}")
    assert f"P(correct) (latest mean {as_percent(judged.p_correct[-304:].mean())}, on the calibration rows " in line
    assert "the mix of predicted classes;" in line or "the mix of predicted classes." in line
    for words in (
        "So the promise cannot be relied on.",
        "(`predict --audit`)",
        "`steepslope adapt`",
        "`calibrate --target`",
    ):
        assert words in line


def test_what_holds_only_without_a_change_is_not_said_after_one() -> None:
    monitor = monitor_of(GATE)
    feed(monitor, GATE, stream(3_000, 2, lower=2, sure=2, first=0.8))
    text = "\n".join(monitor_sentences(FileCount(monitor, GATE)))
    assert "CHANGED" in text
    for words in ("estimated without labels", "Risk of the accepted, by P(correct)", "are wrong; 5 % was promised"):
        assert words not in text
    assert monitor.accuracy is None
    assert "risk" not in monitor.standing()["means"]


def test_harm_comes_first() -> None:
    monitor = monitor_of(GATE)
    feed(monitor, GATE, stream(1_000, 1))
    feed(monitor, GATE, stream(2_000, 2, lower=2, sure=2))
    monitor.label(np.zeros(60, np.bool_), np.ones(60, np.bool_), np.arange(1, 61))
    first, second = _health_sentences(monitor)
    count = monitor.labelled.alarm_count
    told = "by their labels, more than the promised 5 % of the accepted are wrong"
    counted = f"{count} labels of accepted predictions, with 3,000 predictions counted"
    assert first.startswith(f"HARMFUL after {counted}: {told}")
    assert "calibrate it again" in first
    assert second.startswith("CHANGED after 1,")
    assert "Label some" not in second
    assert "`calibrate --target`" in second


TABLE: dict[str, Any] = {
    "id": ["a", "b", "c"], "label": ["cat", "dog", None], "probability": [0.9, 0.8, None],
    "p_correct": [0.7, 0.4, None], "accepted": [True, False, False], "error": [None, None, "truncated"],
    "truth": ["cat", None, "dog"],
}  # fmt: skip


def two_rows(**change: Any) -> dict[str, Any]:
    return {name: values[:2] for name, values in TABLE.items()} | change


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_predict_writes_is_read_without_what_could_not_be_judged(ending: str, tmp_path: Path) -> None:
    (batch,) = read_predictions(write(tmp_path / f"found.{ending}", TABLE), "truth")
    assert batch.ids.tolist() == ["a", "b"]
    assert batch.labels.tolist() == ["cat", "dog"]
    assert batch.p_correct.tolist() == [0.7, 0.4]
    assert batch.accepted.tolist() == [True, False]
    assert batch.probability is not None
    assert batch.probability.tolist() == [0.9, 0.8]
    assert batch.columns[TRUTHS].tolist() == ["cat", ""]


def test_classes_by_number_and_no_probability(tmp_path: Path) -> None:
    table = two_rows(label=[7, 12])
    del table["probability"]
    (batch,) = read_predictions(write(tmp_path / "found.parquet", table))
    assert (batch.labels.tolist(), batch.probability, batch.columns) == (["7", "12"], None, {})


def test_labels_that_are_no_numbers_of_classes_tell_of_no_mix(tmp_path: Path) -> None:
    for names in (["9" * 20, "1"], ["cat", "dog"]):
        (batch,) = read_predictions(write(tmp_path / "found.parquet", two_rows(label=names)))
        assert batch.predicted is None
    (batch,) = read_predictions(tmp_path / "found.parquet", None, ("cat", "dog"))
    assert batch.predicted is not None
    assert batch.predicted.tolist() == [0, 1]
    expected = "column 'label': expected one of the classes, such as 'cow', found 'dog'"
    with pytest.raises(SteepslopeError, match=expected):
        list(read_predictions(tmp_path / "found.parquet", None, ("cow", "cat")))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"p_correct": [0.7, 1.4]}, "p_correct: expected probabilities, found 1.4 in row 1"),
        ({"p_correct": ["x", "y"]}, "column 'p_correct': expected a number in each row, found string"),
        ({"accepted": [1, 0]}, "column 'accepted': expected true or false in each row, found int64"),
        ({"id": ["a", None]}, "column 'id': expected a value in each row, found 1 empty"),
        ({"probability": [0.7, None]}, "column 'probability': expected a number in each row, found 1 empty"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, list[Any]], expected: str, tmp_path: Path) -> None:
    path = write(tmp_path / "found.parquet", two_rows(**change))
    with pytest.raises(SteepslopeError, match=f"^{path}: {expected}"):
        list(read_predictions(path))


def test_files_without_the_columns_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "found.csv", {name: TABLE[name] for name in ("id", "label")})
    with pytest.raises(SteepslopeError, match="expected predictions with id, label, p_correct, accepted, found no p_c"):
        list(read_predictions(path))
    with pytest.raises(SteepslopeError, match="found no truths among"):
        list(read_predictions(write(path, TABLE), "truths"))
    with pytest.raises(SteepslopeError, match="expected the columns id and label, found id"):
        read_labels_of_predictions(write(path, {"id": TABLE["id"]}))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_by_number_or_name_and_empty(ending: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"labels.{ending}", {"label": pa.array([3, None]), "id": ["a", "b"]})
    ids, truths = read_labels_of_predictions(path)
    assert (ids.tolist(), truths.tolist()) == (["a", "b"], ["3", ""])


@pytest.mark.parametrize(
    ("truths", "classes", "expected"),
    [
        (["yak", "yak", "cat"], ("cat", "dog"), {"yak": 2}),  # a yak may be new to the classifier
        (["3", "cat", ""], None, {"cat": 1}),
        ([], ("cat", "dog"), {}),
        (["unknown", "unknown"], ("cat", "dog"), {"unknown": 2}),  # a file may be of nothing else
        (["-1", "unknown"], None, {"-1": 1, "unknown": 1}),
        (["unknown", "yak"], ("cat", "dog"), r"expected labels as they are predicted, .* found 'yak'"),
        (["0", "1"], ("cat", "dog"), r"^labels.csv: expected labels .* such as 'cat', found '0'"),
        (["cat"], None, "expected labels as they are predicted, a whole number, found 'cat'"),
    ],
)
def test_labels_have_to_be_written_as_they_are_predicted(
    truths: list[str], classes: tuple[str, ...] | None, expected: Any
) -> None:
    if isinstance(expected, dict):
        assert labels_of_no_class(truths, classes, Path("labels.csv")) == expected
        return
    with pytest.raises(SteepslopeError, match=expected):
        labels_of_no_class(truths, classes, Path("labels.csv"))
