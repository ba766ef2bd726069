"""Files into a monitor's state: what is new in them counts, and it is told what was not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from steepslope.errors import SteepslopeError
from steepslope.monitor import Monitor, counting
from steepslope.monitor.counting import FileCount
from steepslope.monitor.predictions import Batch, Predicted
from steepslope.monitor.sentences import sentences
from steepslope.monitor.state import State, begin_state, hash_of, open_state
from tests.monitor.problems import gate, monitor_of, stream

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
    assert [one for (one,) in found] == sorted(hash_of(f"photo {one}") for one in expected)


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
    text = "\n".join(sentences(count))
    assert "2 labels contradict the one that was counted before; the first counts." in text
    assert "3 labels are no class, and count as errors: 'Cat' (2), 'yak' (1)." in text


def test_whether_labels_are_classes_is_judged_by_the_whole_file(
    count: FileCount, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a file in which all are new classes does not make the file wrong."""
    monkeypatch.setattr(counting, "read_labels", in_parts([("photo 1", "yak"), ("photo 2", "cat")]))
    count.count_labels(state, Path("labels.csv"))
    assert count.labels == 2
    monkeypatch.setattr(counting, "read_labels", in_parts([("photo 1", "yak"), ("photo 2", "gnu")]))
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
    found = state.counted(hash_of(f"photo {row}") for row in accepted)
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
