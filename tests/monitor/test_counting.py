"""Files into a monitor's state: what is new in them counts, and it is told what was not."""

from __future__ import annotations

from collections import Counter
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
from steepslope.monitor import Monitor, counting
from steepslope.monitor.counting import FileCount
from steepslope.monitor.predictions import (
    TRUTHS,
    Batch,
    Predicted,
    labels_never_predicted,
    read_labels_of_predictions,
    read_predictions,
)
from steepslope.monitor.sentences import class_mix_sentences, health_sentences, monitor_sentences
from steepslope.monitor.state import State, begin_state, hash_in_state, open_state
from steepslope.promise.certificate import as_percent
from tests.monitor.problems import feed, gate, monitor_of, stream

GATE = gate()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """Open a state in which nothing was counted."""
    begin_state(tmp_path / "state.sqlite", {})
    with open_state(tmp_path / "state.sqlite") as opened:
        yield opened


def predictions(path: Path, rows: slice) -> Path:
    """Write some of 1,000 predictions, all of class cat."""
    judged = stream(1_000, 1).judged(GATE)
    names = [f"photo {row}" for row in range(1_000)]
    columns = {"id": names, "label": ["cat"] * 1_000, **judged.arrays()}
    pq.write_table(pa.table(columns).slice(rows.start, rows.stop - rows.start), path)
    return path


def labels(path: Path, ids: list[int], truth: str) -> Path:
    pq.write_table(pa.table({"id": [f"photo {one}" for one in ids], "label": [truth] * len(ids)}), path)
    return path


def batch(ids: list[int], p_correct: float = 0.5, label: str = "cat") -> Batch:
    rows = Predicted(np.full(len(ids), p_correct), np.ones(len(ids), np.bool_))
    names = np.array([f"photo {one}" for one in ids], dtype=np.object_)
    return Batch(names, np.full(len(ids), label, dtype=np.object_), rows)


def counted(state: State, *batches: Batch) -> FileCount:
    """Count batches that come as parts of one file."""
    count = FileCount(Monitor.of(GATE))
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
    assert [one for (one,) in found] == sorted(hash_in_state(f"photo {one}") for one in expected)


TWICE = Batch(
    np.array(["photo 2", "photo 2"], np.object_),
    np.array(["cat", "cat"], np.object_),
    Predicted(np.array([0.5, 0.9]), np.ones(2, np.bool_)),
)


@pytest.mark.parametrize("others", [[batch([7, 2], p_correct=0.6)], [batch([8]), batch([2], label="dog")], [TWICE]])
def test_an_id_of_another_prediction_is_refused(others: list[Batch], state: State) -> None:
    words = r"batches\.csv: id: expected ids that tell predictions apart, .* found 'photo 2' with another"
    with pytest.raises(SteepslopeError, match=words):
        counted(state, batch([1, 3] if others == [TWICE] else [1, 2, 3]), *others)


@pytest.fixture
def count(state: State, tmp_path: Path) -> FileCount:
    """Count the predictions in two files that overlap."""
    found = FileCount(monitor_of(GATE), replace(GATE, classes=("cat", "dog")))
    for part in (slice(0, 600), slice(400, 1_000)):
        found.count_predictions(state, predictions(tmp_path / f"{part.start}.parquet", part))
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
    table = pa.table({"id": [f"photo {row}" for row in range(8)], "label": ["cat"] * 5 + ["Cat", "Cat", "yak"]})
    pq.write_table(table, tmp_path / "labels.parquet")
    count.count_labels(state, tmp_path / "labels.parquet")
    assert count.strange == {"Cat": 2, "yak": 1}
    text = "\n".join(monitor_sentences(count))
    assert "2 labels contradict the one that was counted before; the first counts." in text
    assert "3 labels are no class, and count as errors: 'Cat' (2), 'yak' (1)." in text


def test_whether_labels_are_classes_is_judged_by_the_whole_file(
    count: FileCount, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a file in which all are new classes does not make the file wrong."""
    monkeypatch.setattr(counting, "read_labels_of_predictions", in_parts([("photo 1", "yak"), ("photo 2", "cat")]))
    count.count_labels(state, Path("labels.csv"))
    assert count.labels == 2
    monkeypatch.setattr(counting, "read_labels_of_predictions", in_parts([("photo 1", "yak"), ("photo 2", "gnu")]))
    with pytest.raises(SteepslopeError, match="expected labels as they are predicted"):
        count.count_labels(state, Path("labels.csv"))


def in_parts(rows: list[tuple[str, str]]) -> Any:
    """Return a reader that yields each label alone."""
    return lambda path: (
        (np.array([one], dtype=np.object_), np.array([label], dtype=np.object_)) for one, label in rows
    )


def test_labels_tell_where_in_the_stream_they_are_of(count: FileCount, state: State, tmp_path: Path) -> None:
    accepted = np.flatnonzero(stream(1_000, 1).judged(GATE).accepted)[-40:]
    count.count_labels(state, labels(tmp_path / "labels.parquet", accepted.tolist(), "dog"))
    found = state.counted(hash_in_state(f"photo {row}") for row in accepted)
    assert count.monitor.labelled.history[-1].row in {prediction.row for prediction in found.values()}
    assert count.monitor.alarms["labels"] == 1_000  # when it was raised
    assert count.monitor.labelled.alarm_count in range(1, 41)


def test_a_file_that_is_sorted_is_no_change(state: State, tmp_path: Path) -> None:
    """As a folder of images that is sorted by class is, or a table that is sorted by its confidence."""
    judged, count = stream(3_000, 1).judged(GATE), FileCount(monitor_of(GATE))
    columns = {"id": [f"photo {row}" for row in range(3_000)], "label": judged.predicted, **judged.arrays()}
    table = pa.table(columns).drop_columns(["predicted"]).sort_by("p_correct")
    pq.write_table(table, tmp_path / "sorted.parquet")
    count.count_predictions(state, tmp_path / "sorted.parquet")
    assert count.monitor.health == "healthy"
    assert count.monitor.means["predicted"].count == 3_000
    bare = monitor_of(GATE)
    order = np.argsort(judged.p_correct)
    bare.update(judged.p_correct[order], judged.accepted[order], stream(3_000, 1).probability[order])
    assert bare.health == "changed"  # in Python, the order is the caller's


def test_labels_that_are_sorted_are_no_harm(state: State, tmp_path: Path) -> None:
    """All of the accepted are labelled, and within the promise; a worksheet has the least sure first."""
    judged, count = stream(3_000, 1).judged(GATE), FileCount(monitor_of(GATE))
    ids = np.array([f"photo {row}" for row in range(3_000)])
    columns = {"id": ids, "label": judged.predicted, **judged.arrays()}
    pq.write_table(pa.table(columns).drop_columns(["predicted"]), tmp_path / "found.parquet")
    count.count_predictions(state, tmp_path / "found.parquet")
    accepted = np.flatnonzero(judged.accepted)
    order = accepted[np.argsort(judged.is_correct[accepted], kind="stable")]
    predicted = stream(3_000, 1).predicted
    truths = np.where(judged.is_correct, predicted, predicted + 1)
    pq.write_table(pa.table({"id": ids[order], "label": truths[order]}), tmp_path / "labels.parquet")
    count.count_labels(state, tmp_path / "labels.parquet")
    risk = (~judged.is_correct[accepted]).mean()
    assert count.monitor.labelled.mean == pytest.approx(risk, abs=1e-6)
    assert risk < 0.05
    assert count.monitor.health == "healthy"


def test_before_the_first_prediction() -> None:
    assert monitor_sentences(FileCount(monitor_of(GATE))) == [
        "0 predictions, 0 of them new.",
        "HEALTHY: there is not enough evidence of a change. Errors that leave no trace in what is watched cannot be "
        "seen without labels.",
    ]


def test_after_a_change_there_is_no_interval_of_what_was_before_it() -> None:
    monitor = monitor_of(GATE)
    feed(monitor, GATE, stream(2_000, 1))
    assert " to " in next(line for line in monitor_sentences(FileCount(monitor)) if line.startswith("Accepted"))
    judged = feed(monitor, GATE, stream(2_000, 2, lower=2, sure=2))
    line = next(line for line in monitor_sentences(FileCount(monitor)) if line.startswith("Accepted"))
    assert " to " not in line
    latest = monitor.means["coverage"].latest
    assert latest is not None
    assert latest[1] == pytest.approx(judged.accepted[-400:].mean(), abs=0.02)
    assert f", of the latest 400: {as_percent(latest[1])}; of the calibration rows " in line


def test_what_is_known_is_said() -> None:
    monitor = monitor_of(GATE)
    judged = feed(monitor, GATE, stream(3_000, 2, lower=2, sure=2))
    monitor.label(np.arange(3_000) % 4 > 0, judged.accepted)
    text = "\n".join(monitor_sentences(FileCount(monitor, new=3_000, labels=3_000, labels_unknown=7)))
    assert "3,000 labels, 3,000 of them new, 7 are of no prediction that is known." in text
    assert f"Accepted: {as_percent(judged.accepted.mean())}, of the latest " in text
    assert f"P(correct): {as_percent(judged.p_correct.mean())}, of the latest" in text
    assert f"Risk of the accepted, by {judged.accepted.sum():,} labels: " in text
    assert "promised 5 %." in text
    assert "Accuracy on all, by 3,000 labels: 75 %." in text
    assert all(f"({name})" in text for name in monitor.accuracy)


def test_a_change_is_said_with_what_it_may_mean() -> None:
    monitor = monitor_of(GATE)
    judged = feed(monitor, GATE, stream(3_000, 2, lower=2, sure=2, first=0.8))
    (line,), (hint,) = health_sentences(monitor), class_mix_sentences(None, monitor, None)
    row, latest = min(monitor.alarms.values()), monitor.means["risk"].latest
    told = "they are not drawn as the calibration rows were, so the promise cannot be relied on."
    assert line.startswith(f"CHANGED after {row:,} predictions: {told}")
    assert f"P(correct) (latest mean {as_percent(judged.p_correct[-304:].mean())}, on the calibration rows " in line
    assert "the mix of predicted classes;" in line or "the mix of predicted classes." in line
    assert "`calibrate --target`" in hint
    assert latest is not None
    assert f"{as_percent(latest[1])} of the latest accepted are wrong; 5 % was promised." in line
    assert "Label some of the latest accepted, drawn at random" in line
    (alone,) = health_sentences(monitor, alone=True)
    assert f"P(correct) (mean {as_percent(judged.p_correct.mean())}, on the calibration rows " in alone


def test_harm_comes_first() -> None:
    monitor = monitor_of(GATE)
    feed(monitor, GATE, stream(1_000, 1))
    feed(monitor, GATE, stream(2_000, 2, lower=2, sure=2))
    monitor.label(np.zeros(60, np.bool_), np.ones(60, np.bool_), np.arange(1, 61))
    first, second = health_sentences(monitor)
    count = monitor.labelled.alarm_count
    told = "by their labels, more than the promised 5 % of the accepted are wrong"
    assert first.startswith(
        f"HARMFUL after {count} labels of accepted predictions, with 3,000 predictions counted: {told}"
    )
    assert "calibrate it again" in first
    assert second.startswith("CHANGED after 1,")
    assert "Label some" not in second
    assert class_mix_sentences(None, monitor, None)
    assert not class_mix_sentences(None, monitor_of(GATE), None)


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
        list(read_labels_of_predictions(write(TABLE.select(["id"]), path)))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_by_number_or_name_and_empty(ending: str, tmp_path: Path) -> None:
    table = pa.table({"label": pa.array([3, None]), "id": ["a", "b"]})
    ((ids, truths),) = read_labels_of_predictions(write(table, tmp_path / f"labels.{ending}"))
    assert (ids.tolist(), truths.tolist()) == (["a", "b"], ["3", ""])


def test_labels_have_to_be_written_as_they_are_predicted() -> None:
    path, names = Path("labels.csv"), ("cat", "dog")
    assert labels_never_predicted(Counter(yak=2, cat=1), names, path) == {
        "yak": 2
    }  # a yak may be new to the classifier
    assert labels_never_predicted(Counter({"3": 1, "cat": 1}), None, path) == {"cat": 1}
    assert labels_never_predicted(Counter(), names, path) == {}
    for unknown in ({"unknown": 2}, {"-1": 1, "unknown": 1}):  # a file may be of nothing else
        assert (
            labels_never_predicted(Counter(unknown), names, path)
            == labels_never_predicted(Counter(unknown), None, path)
            == unknown
        )
    with pytest.raises(SteepslopeError, match=r"expected labels as they are predicted, .* found 'yak'"):
        labels_never_predicted(Counter(unknown=2, yak=1), names, path)
    with pytest.raises(SteepslopeError, match=r"^labels.csv: expected labels .* such as 'cat', found '0'"):
        labels_never_predicted(Counter({"0": 1, "1": 2}), names, path)
    with pytest.raises(SteepslopeError, match="expected labels as they are predicted, a whole number, found 'cat'"):
        labels_never_predicted(Counter(cat=1), None, path)
